#include "codegen/cuda/names.h"

#include <cctype>

namespace tenon::codegen::cuda {
namespace {

/// What a local variable must not be called: keywords, types and variables that CUDA declares, and
/// functions that emitted text calls.
const std::unordered_set<std::string>& reserved() {
  static const auto* const words = new std::unordered_set<std::string>{
      "alignas",   "alignof",   "and",      "and_eq",    "asm",       "auto",         "bitand",
      "bitor",     "bool",      "break",    "case",      "catch",     "char",         "char16_t",
      "char32_t",  "class",     "compl",    "const",     "constexpr", "const_cast",   "continue",
      "decltype",  "default",   "delete",   "do",        "double",    "dynamic_cast", "else",
      "enum",      "explicit",  "export",   "extern",    "false",     "float",        "for",
      "friend",    "goto",      "if",       "inline",    "int",       "long",         "mutable",
      "namespace", "new",       "noexcept", "not",       "not_eq",    "nullptr",      "operator",
      "or",        "or_eq",     "private",  "protected", "public",    "register",     "return",
      "short",     "signed",    "sizeof",   "static",    "struct",    "switch",       "template",
      "this",      "throw",     "true",     "try",       "typedef",   "typeid",       "typename",
      "union",     "unsigned",  "using",    "virtual",   "void",      "volatile",     "wchar_t",
      "while",     "xor",       "xor_eq",   "threadIdx", "blockIdx",  "blockDim",     "gridDim",
      "warpSize",  "fabs",      "fabsf",    "floor",     "floorf",    "ceil",         "ceilf",
      "trunc",     "truncf",    "rint",     "rintf",     "fma",       "fmaf",         "sqrt",
      "sqrtf",     "int2",      "int4",     "uint2",     "uint4",     "float2",       "float4",
      "double2",   "longlong2", "error",    "main",      "concept",   "requires"};
  return *words;
}

std::string as_identifier(const std::string& wanted) {
  std::string name;
  for (const char c : wanted) {
    const auto byte = static_cast<unsigned char>(c);
    name += byte < 128 && (std::isalnum(byte) != 0 || c == '_') ? c : '_';
  }
  // Names with two underscores, or that begin with one and a capital, are the compiler's.
  const bool is_own = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
                      name[0] != '_' && name.find("__") == std::string::npos &&
                      !name.starts_with("tenon_");
  return is_own ? name : "v" + name;
}

}  // namespace

std::string Names::unique(const std::string& wanted) {
  std::string base = as_identifier(wanted);
  for (std::size_t at = base.find("__"); at != std::string::npos; at = base.find("__")) {
    base.erase(at, 1);
  }
  std::string name = base;
  for (int i = 1; reserved().count(name) != 0 || !taken_.insert(name).second; ++i) {
    name = base + "_" + std::to_string(i);
  }
  return name;
}

}  // namespace tenon::codegen::cuda
