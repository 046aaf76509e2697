#pragma once

/// The value class of format.h over IR expressions, scalars and vectors alike: a function
/// instantiated with it builds the function's expansion. Constants get the operand's lanes; shared
/// values are shared nodes.

#include "tenon/ir/builder.h"

namespace tenon::math {

/// A bool expression.
struct IrBool {
  Expr e;
  friend IrBool operator&(const IrBool& a, const IrBool& b) { return {logical_and(a.e, b.e)}; }
  friend IrBool operator|(const IrBool& a, const IrBool& b) { return {logical_or(a.e, b.e)}; }
  friend IrBool operator!(const IrBool& a) { return {logical_not(a.e)}; }
};

/// A signed integer expression of `width` bits.
template <int width>
struct IrInt {
  Expr e;

  IrInt like(std::int64_t c) const {
    return {broadcast(int_imm(DType::int_(width), c), e->dtype.lanes)};
  }
  Expr as_unsigned() const { return reinterpret(DType::uint(width), e); }
  static IrInt from_unsigned(const Expr& u) { return {reinterpret(DType::int_(width), u)}; }

  friend IrInt operator+(const IrInt& a, const IrInt& b) { return {a.e + b.e}; }
  friend IrInt operator-(const IrInt& a, const IrInt& b) { return {a.e - b.e}; }
  friend IrInt operator*(const IrInt& a, const IrInt& b) { return {a.e * b.e}; }
  friend IrInt operator&(const IrInt& a, const IrInt& b) {
    return {binary(BinaryOp::kBitAnd, a.e, b.e)};
  }
  friend IrInt operator|(const IrInt& a, const IrInt& b) {
    return {binary(BinaryOp::kBitOr, a.e, b.e)};
  }
  friend IrInt operator^(const IrInt& a, const IrInt& b) {
    return {binary(BinaryOp::kBitXor, a.e, b.e)};
  }
  friend IrInt operator<<(const IrInt& a, const IrInt& b) {
    return {binary(BinaryOp::kShl, a.e, b.e)};
  }
  friend IrInt operator+(const IrInt& a, std::int64_t b) { return a + a.like(b); }
  friend IrInt operator-(const IrInt& a, std::int64_t b) { return a - a.like(b); }
  friend IrInt operator-(std::int64_t a, const IrInt& b) { return b.like(a) - b; }
  friend IrInt operator&(const IrInt& a, std::int64_t b) { return a & a.like(b); }
  friend IrInt operator|(const IrInt& a, std::int64_t b) { return a | a.like(b); }
  friend IrInt operator<<(const IrInt& a, std::int64_t b) { return a << a.like(b); }
  friend IrInt operator>>(const IrInt& a, std::int64_t b) {
    return {binary(BinaryOp::kShr, a.e, a.like(b).e)};
  }
  friend IrInt shift_right_logical(const IrInt& a, const IrInt& b) {
    return from_unsigned(binary(BinaryOp::kShr, a.as_unsigned(), b.as_unsigned()));
  }
  friend IrInt shift_right_logical(const IrInt& a, std::int64_t b) {
    return shift_right_logical(a, a.like(b));
  }
  friend IrBool less_unsigned(const IrInt& a, const IrInt& b) {
    return {lt(a.as_unsigned(), b.as_unsigned())};
  }
  friend IrBool operator==(const IrInt& a, std::int64_t b) { return {eq(a.e, a.like(b).e)}; }
  friend IrInt select(const IrBool& c, const IrInt& t, const IrInt& f) {
    return {tenon::select(c.e, t.e, f.e)};
  }

  /// The upper half of the unsigned product.
  friend IrInt multiply_high(const IrInt& a, const IrInt& b) {
    const DType wide = DType::uint(64);
    const Expr half = broadcast(int_imm(wide, 32), a.e->dtype.lanes);
    const auto high = [&](const Expr& x) { return binary(BinaryOp::kShr, x, half); };
    const Expr x = cast(wide, a.as_unsigned()), y = cast(wide, b.as_unsigned());
    if constexpr (width == 32) {
      return from_unsigned(cast(DType::uint(32), high(x * y)));
    } else {
      const Expr mask = broadcast(int_imm(wide, 0xffffffff), a.e->dtype.lanes);
      const auto low = [&](const Expr& v) { return binary(BinaryOp::kBitAnd, v, mask); };
      const Expr cross = low(x) * high(y), other = high(x) * low(y);
      const Expr middle = high(low(x) * low(y)) + low(cross) + low(other);
      return from_unsigned(high(x) * high(y) + high(cross) + high(other) + high(middle));
    }
  }
};

/// A float expression of `width` bits.
template <int width>
struct IrFloat {
  static constexpr int kBits = width;
  using Int = IrInt<width>;
  using Bool = IrBool;
  using Wide = IrFloat<64>;
  Expr e;

  IrFloat like(double c) const { return {const_like(e->dtype, c)}; }
  static IrFloat from_int(const Int& i) { return {cast(DType::float_(width), i.e)}; }
  static IrFloat from_bits(const Int& i) { return {reinterpret(DType::float_(width), i.e)}; }
  friend Int bits(const IrFloat& x) { return {reinterpret(DType::int_(width), x.e)}; }

  friend IrFloat operator-(const IrFloat& a) { return {-a.e}; }
  friend IrFloat operator+(const IrFloat& a, const IrFloat& b) { return {a.e + b.e}; }
  friend IrFloat operator-(const IrFloat& a, const IrFloat& b) { return {a.e - b.e}; }
  friend IrFloat operator*(const IrFloat& a, const IrFloat& b) { return {a.e * b.e}; }
  friend IrFloat operator/(const IrFloat& a, const IrFloat& b) { return {a.e / b.e}; }
  friend IrFloat operator+(const IrFloat& a, double b) { return a + a.like(b); }
  friend IrFloat operator-(const IrFloat& a, double b) { return a - a.like(b); }
  friend IrFloat operator-(double a, const IrFloat& b) { return b.like(a) - b; }
  friend IrFloat operator*(const IrFloat& a, double b) { return a * a.like(b); }
  friend IrFloat operator/(double a, const IrFloat& b) { return b.like(a) / b; }
  friend IrFloat fma(const IrFloat& a, const IrFloat& b, const IrFloat& c) {
    return {tenon::fma(a.e, b.e, c.e)};
  }
  friend IrFloat fma(const IrFloat& a, const IrFloat& b, double c) { return fma(a, b, a.like(c)); }
  friend IrFloat fma(const IrFloat& a, double b, const IrFloat& c) { return fma(a, a.like(b), c); }
  friend IrFloat fma(const IrFloat& a, double b, double c) { return fma(a, a.like(b), a.like(c)); }
  friend IrFloat sqrt(const IrFloat& a) { return {unary(UnaryOp::kSqrt, a.e)}; }
  friend IrFloat abs(const IrFloat& a) { return {unary(UnaryOp::kAbs, a.e)}; }
  friend IrFloat floor(const IrFloat& a) { return {unary(UnaryOp::kFloor, a.e)}; }
  friend IrFloat min(const IrFloat& a, const IrFloat& b) { return {tenon::min(a.e, b.e)}; }
  friend IrFloat max(const IrFloat& a, const IrFloat& b) { return {tenon::max(a.e, b.e)}; }
  friend IrBool operator<(const IrFloat& a, double b) { return {lt(a.e, a.like(b).e)}; }
  friend IrBool operator>(const IrFloat& a, double b) { return {gt(a.e, a.like(b).e)}; }
  friend IrBool operator==(const IrFloat& a, double b) { return {eq(a.e, a.like(b).e)}; }
  friend IrBool operator==(const IrFloat& a, const IrFloat& b) { return {eq(a.e, b.e)}; }
  friend IrFloat select(const IrBool& c, const IrFloat& t, const IrFloat& f) {
    return {tenon::select(c.e, t.e, f.e)};
  }
};

inline IrFloat<64> widen(const IrFloat<32>& x) { return {cast(kFloat64, x.e)}; }
inline IrFloat<32> narrow(const IrFloat<64>& x) { return {cast(kFloat32, x.e)}; }

}  // namespace tenon::math
