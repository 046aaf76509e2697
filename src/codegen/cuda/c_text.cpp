#include "codegen/cuda/c_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "tenon/support/error.h"

namespace tenon::codegen::cuda {
namespace {

template <typename T>
std::string shortest(T v) {
  std::array<char, 64> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), v);
  std::string text(buffer.data(), end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

const char* to_string(CType t) {
  switch (t) {
    case CType::kBool:
      return "bool";
    case CType::kI8:
      return "signed char";
    case CType::kU8:
      return "unsigned char";
    case CType::kI16:
      return "short";
    case CType::kU16:
      return "unsigned short";
    case CType::kI32:
      return "int";
    case CType::kU32:
      return "unsigned";
    case CType::kI64:
      return "long long";
    case CType::kU64:
      return "unsigned long long";
    case CType::kF32:
      return "float";
    case CType::kF64:
      return "double";
  }
  return "";
}

CType value_type(DType t) {
  if (t.is_bool()) return CType::kBool;
  if (t.is_float()) return t.bits == 64 ? CType::kF64 : CType::kF32;
  const bool is_signed = t.is_signed_int();
  if (t.bits == 8) return is_signed ? CType::kI8 : CType::kU8;
  if (t.bits == 16) return is_signed ? CType::kI16 : CType::kU16;
  if (t.bits == 32) return is_signed ? CType::kI32 : CType::kU32;
  return is_signed ? CType::kI64 : CType::kU64;
}

CType memory_type(DType t) {
  if (t.is_bool()) return CType::kU8;
  if (t.is_float() && t.bits == 16) return CType::kU16;
  return value_type(t);
}

std::string at(const Scalar& s, Binding binding) {
  return s.binding < binding ? "(" + s.text + ")" : s.text;
}

Scalar convert(const Scalar& s, CType type) {
  if (s.type == type) return s;
  return {"(" + std::string(to_string(type)) + ")" + at(s, kUnary), type, kUnary};
}

Scalar literal(CType type, std::int64_t v) {
  if (type == CType::kBool) return {v != 0 ? "true" : "false", type};
  if (type == CType::kU32) return {std::to_string(static_cast<std::uint32_t>(v)) + "u", type};
  if (type == CType::kU64) return {std::to_string(static_cast<std::uint64_t>(v)) + "ull", type};
  const bool is_long = type == CType::kI64;
  const std::int64_t least = is_long ? std::numeric_limits<std::int64_t>::min()
                                     : std::int64_t{std::numeric_limits<std::int32_t>::min()};
  const std::string suffix = is_long ? "ll" : "";
  if (v == least) return {"(" + std::to_string(v + 1) + suffix + " - 1)", type};
  return {std::to_string(v) + suffix, type, v < 0 ? kUnary : kPrimary};
}

Scalar float_literal(CType type, double v) {
  const bool is_float = type == CType::kF32;
  if (std::isnan(v)) {
    return {is_float ? "__int_as_float(0x7fc00000)" : "__longlong_as_double(0x7ff8000000000000ll)",
            type};
  }
  if (std::isinf(v)) {
    const std::string sign = v < 0 ? "-" : "";
    const char* infinity =
        is_float ? "__int_as_float(0x7f800000)" : "__longlong_as_double(0x7ff0000000000000ll)";
    return {sign + infinity, type, v < 0 ? kUnary : kPrimary};
  }
  const std::string text = is_float ? shortest(static_cast<float>(v)) + "f" : shortest(v);
  return {text, type, std::signbit(v) ? kUnary : kPrimary};
}

Scalar call(CType type, const std::string& function, const std::string& arguments) {
  return {function + "(" + arguments + ")", type};
}

}  // namespace tenon::codegen::cuda
