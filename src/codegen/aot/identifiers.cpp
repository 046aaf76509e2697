#include "codegen/aot/identifiers.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "tenon/codegen/aot.h"

namespace tenon {
namespace codegen {
namespace {

constexpr std::array kKeywords = {"alignas",
                                  "alignof",
                                  "and",
                                  "and_eq",
                                  "asm",
                                  "auto",
                                  "bitand",
                                  "bitor",
                                  "bool",
                                  "break",
                                  "case",
                                  "catch",
                                  "char",
                                  "char16_t",
                                  "char32_t",
                                  "char8_t",
                                  "class",
                                  "co_await",
                                  "co_return",
                                  "co_yield",
                                  "compl",
                                  "concept",
                                  "const",
                                  "const_cast",
                                  "consteval",
                                  "constexpr",
                                  "constinit",
                                  "continue",
                                  "decltype",
                                  "default",
                                  "delete",
                                  "do",
                                  "double",
                                  "dynamic_cast",
                                  "else",
                                  "enum",
                                  "explicit",
                                  "export",
                                  "extern",
                                  "false",
                                  "float",
                                  "for",
                                  "friend",
                                  "goto",
                                  "if",
                                  "inline",
                                  "int",
                                  "long",
                                  "mutable",
                                  "namespace",
                                  "new",
                                  "noexcept",
                                  "not",
                                  "not_eq",
                                  "nullptr",
                                  "operator",
                                  "or",
                                  "or_eq",
                                  "private",
                                  "protected",
                                  "public",
                                  "register",
                                  "reinterpret_cast",
                                  "requires",
                                  "restrict",
                                  "return",
                                  "short",
                                  "signed",
                                  "sizeof",
                                  "static",
                                  "static_assert",
                                  "static_cast",
                                  "struct",
                                  "switch",
                                  "template",
                                  "this",
                                  "thread_local",
                                  "throw",
                                  "true",
                                  "try",
                                  "typedef",
                                  "typeid",
                                  "typename",
                                  "typeof",
                                  "union",
                                  "unsigned",
                                  "using",
                                  "virtual",
                                  "void",
                                  "volatile",
                                  "wchar_t",
                                  "while",
                                  "xor",
                                  "xor_eq"};

bool is_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 128 && (std::isalnum(byte) != 0 || c == '_');
}

}  // namespace

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_word) &&
         std::isdigit(static_cast<unsigned char>(text[0])) == 0 &&
         std::find(kKeywords.begin(), kKeywords.end(), text) == kKeywords.end();
}

std::string IdentifierMaker::make(std::string_view name) {
  std::string made;
  bool has_gap = false;  // "tree['a']" is tree_a
  for (const char c : name) {
    if (!is_word(c)) {
      has_gap = !made.empty();
      continue;
    }
    if (has_gap) made += '_';
    has_gap = false;
    made += c;
  }
  if (made.empty() || std::isdigit(static_cast<unsigned char>(made[0])) != 0) made = "x" + made;
  while (!is_identifier(made) || !taken_.insert(made).second) made += '_';
  return made;
}

}  // namespace codegen

bool is_model_name(std::string_view name) {
  return codegen::is_identifier(name) && name[0] != '_' && !name.starts_with("tenon") &&
         name.size() <= 100;
}

}  // namespace tenon
