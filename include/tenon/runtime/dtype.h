#pragma once

/// Element types, as plain data shared by the compiler and the runtime.

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon {

enum class DTypeCode : std::uint8_t { kInt, kUInt, kFloat, kBFloat, kBool };

/// An element type with a number of vector lanes (1 for scalars; vectors occur in loop IR only).
struct DType {
  DTypeCode code = DTypeCode::kFloat;
  std::uint8_t bits = 32;
  std::uint16_t lanes = 1;

  static constexpr DType int_(int bits, int lanes = 1) {
    return make(DTypeCode::kInt, bits, lanes);
  }
  static constexpr DType uint(int bits, int lanes = 1) {
    return make(DTypeCode::kUInt, bits, lanes);
  }
  static constexpr DType float_(int bits, int lanes = 1) {
    return make(DTypeCode::kFloat, bits, lanes);
  }
  static constexpr DType bfloat16(int lanes = 1) { return make(DTypeCode::kBFloat, 16, lanes); }
  static constexpr DType bool_(int lanes = 1) { return make(DTypeCode::kBool, 8, lanes); }
  static constexpr DType make(DTypeCode code, int bits, int lanes = 1) {
    return DType{code, static_cast<std::uint8_t>(bits), static_cast<std::uint16_t>(lanes)};
  }

  constexpr bool operator==(const DType&) const = default;
  constexpr bool is_float() const {
    return code == DTypeCode::kFloat || code == DTypeCode::kBFloat;
  }
  constexpr bool is_int() const { return code == DTypeCode::kInt || code == DTypeCode::kUInt; }
  constexpr bool is_signed_int() const { return code == DTypeCode::kInt; }
  constexpr bool is_bool() const { return code == DTypeCode::kBool; }
  constexpr bool is_scalar() const { return lanes == 1; }
  constexpr bool is_vector() const { return lanes > 1; }
  constexpr DType with_lanes(int n) const { return make(code, bits, n); }
  constexpr DType element() const { return with_lanes(1); }
  /// Bytes of one element in memory (a bool takes one).
  constexpr int bytes() const { return bits / 8; }
};

inline constexpr DType kFloat32 = DType::float_(32);
inline constexpr DType kFloat64 = DType::float_(64);
inline constexpr DType kInt32 = DType::int_(32);
inline constexpr DType kInt64 = DType::int_(64);
inline constexpr DType kBoolType = DType::bool_();

/// "float32", "bfloat16", "bool", "int8"; vectors as "float32x16".
std::string to_string(DType dtype);
/// The dtype of a name, DTypeError [E0501] with the list of names when unknown. Accepts vector
/// names.
DType parse_dtype(std::string_view name);
/// The dtype two operands are converted to by the array-API promotion rules; DTypeError [E0502] for
/// pairs without one (integers with floats, uint64 with signed integers).
DType promote(DType a, DType b);

}  // namespace tenon
