#pragma once

/// Pieces of CUDA C++ text: types, literals, and expressions that know how tightly they bind.

#include <cstdint>
#include <string>

#include "tenon/runtime/dtype.h"

namespace tenon::codegen::cuda {

/// The C types of values and of memory. float16 and bfloat16 are float as values and unsigned short
/// in memory; bool is unsigned char in memory; int64 is an int where its bounds are proved to fit.
enum class CType : std::uint8_t { kBool, kI8, kU8, kI16, kU16, kI32, kU32, kI64, kU64, kF32, kF64 };
const char* to_string(CType t);
CType value_type(DType t);
CType memory_type(DType t);

/// How tightly an expression binds; larger binds tighter.
enum Binding : std::uint8_t {
  kTernary = 1,
  kOr,
  kAnd,
  kEquality,
  kRelation,
  kAdditive,
  kMultiplicative,
  kUnary,
  kPrimary,
};

/// One scalar expression.
struct Scalar {
  std::string text;
  CType type = CType::kI32;
  Binding binding = kPrimary;
  /// Where the text only rounds a float to 16 bits: what it rounds. A store rounds by itself.
  std::string unrounded = {};
  /// Where the value is a 16-bit float as it was read: its bits, an unsigned short.
  std::string bits = {};
};

/// The text where at least `binding` is needed: in parentheses if it binds more loosely.
std::string at(const Scalar& s, Binding binding);
/// "(T)s", or s itself where it has the type.
Scalar convert(const Scalar& s, CType type);
Scalar literal(CType type, std::int64_t v);
/// A float32 or float64 literal that reads back with the same bits; infinities and NaN by their
/// bits.
Scalar float_literal(CType type, double v);
/// f(a, b).
Scalar call(CType type, const std::string& function, const std::string& arguments);

}  // namespace tenon::codegen::cuda
