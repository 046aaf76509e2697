#pragma once

/// The value class of format.h over the machine's own floats: for measuring the functions over all
/// inputs. Compile with contraction off.

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tenon::math {

template <int bits>
struct NativeTypes;
template <>
struct NativeTypes<32> {
  using Float = float;
  using Signed = std::int32_t;
  using Unsigned = std::uint32_t;
  using Double = std::uint64_t;
};
template <>
struct NativeTypes<64> {
  using Float = double;
  using Signed = std::int64_t;
  using Unsigned = std::uint64_t;
  using Double = unsigned __int128;
};

template <int width>
struct NativeInt {
  using U = typename NativeTypes<width>::Unsigned;
  using S = typename NativeTypes<width>::Signed;
  U v = 0;
  NativeInt() = default;
  explicit NativeInt(U x) : v(x) {}
  NativeInt like(std::int64_t c) const { return NativeInt(static_cast<U>(c)); }

  friend NativeInt operator+(NativeInt a, NativeInt b) { return NativeInt(a.v + b.v); }
  friend NativeInt operator-(NativeInt a, NativeInt b) { return NativeInt(a.v - b.v); }
  friend NativeInt operator*(NativeInt a, NativeInt b) { return NativeInt(a.v * b.v); }
  friend NativeInt operator&(NativeInt a, NativeInt b) { return NativeInt(a.v & b.v); }
  friend NativeInt operator|(NativeInt a, NativeInt b) { return NativeInt(a.v | b.v); }
  friend NativeInt operator^(NativeInt a, NativeInt b) { return NativeInt(a.v ^ b.v); }
  friend NativeInt operator<<(NativeInt a, NativeInt b) {
    return NativeInt(b.v < width ? a.v << b.v : 0);
  }
  friend NativeInt operator+(NativeInt a, std::int64_t b) { return a + a.like(b); }
  friend NativeInt operator-(NativeInt a, std::int64_t b) { return a - a.like(b); }
  friend NativeInt operator-(std::int64_t a, NativeInt b) { return b.like(a) - b; }
  friend NativeInt operator&(NativeInt a, std::int64_t b) { return a & a.like(b); }
  friend NativeInt operator|(NativeInt a, std::int64_t b) { return a | a.like(b); }
  friend NativeInt operator<<(NativeInt a, std::int64_t b) { return a << a.like(b); }
  friend NativeInt operator>>(NativeInt a, std::int64_t b) {
    return NativeInt(static_cast<U>(static_cast<S>(a.v) >> b));
  }
  friend NativeInt shift_right_logical(NativeInt a, NativeInt b) {
    return NativeInt(b.v < width ? a.v >> b.v : 0);
  }
  friend NativeInt shift_right_logical(NativeInt a, std::int64_t b) {
    return shift_right_logical(a, a.like(b));
  }
  friend bool less_unsigned(NativeInt a, NativeInt b) { return a.v < b.v; }
  friend bool operator==(NativeInt a, std::int64_t b) { return a.v == static_cast<U>(b); }
  friend NativeInt multiply_high(NativeInt a, NativeInt b) {
    using D = typename NativeTypes<width>::Double;
    return NativeInt(static_cast<U>((static_cast<D>(a.v) * b.v) >> width));
  }
  friend NativeInt select(bool c, NativeInt t, NativeInt f) { return c ? t : f; }
};

template <int width>
struct NativeFloat {
  static constexpr int kBits = width;
  using T = typename NativeTypes<width>::Float;
  using Int = NativeInt<width>;
  using Bool = bool;
  using Wide = NativeFloat<64>;
  T v = 0;
  NativeFloat() = default;
  explicit NativeFloat(T x) : v(x) {}
  NativeFloat like(double c) const { return NativeFloat(static_cast<T>(c)); }
  static NativeFloat from_int(Int i) {
    return NativeFloat(static_cast<T>(static_cast<typename Int::S>(i.v)));
  }
  static NativeFloat from_bits(Int i) {
    NativeFloat out;
    std::memcpy(&out.v, &i.v, sizeof out.v);
    return out;
  }
  friend Int bits(NativeFloat x) {
    Int out;
    std::memcpy(&out.v, &x.v, sizeof x.v);
    return out;
  }

  friend NativeFloat operator-(NativeFloat a) { return NativeFloat(-a.v); }
  friend NativeFloat operator+(NativeFloat a, NativeFloat b) { return NativeFloat(a.v + b.v); }
  friend NativeFloat operator-(NativeFloat a, NativeFloat b) { return NativeFloat(a.v - b.v); }
  friend NativeFloat operator*(NativeFloat a, NativeFloat b) { return NativeFloat(a.v * b.v); }
  friend NativeFloat operator/(NativeFloat a, NativeFloat b) { return NativeFloat(a.v / b.v); }
  friend NativeFloat operator+(NativeFloat a, double b) { return a + a.like(b); }
  friend NativeFloat operator-(NativeFloat a, double b) { return a - a.like(b); }
  friend NativeFloat operator-(double a, NativeFloat b) { return b.like(a) - b; }
  friend NativeFloat operator*(NativeFloat a, double b) { return a * a.like(b); }
  friend NativeFloat operator/(double a, NativeFloat b) { return b.like(a) / b; }
  friend NativeFloat fma(NativeFloat a, NativeFloat b, NativeFloat c) {
    return NativeFloat(std::fma(a.v, b.v, c.v));
  }
  friend NativeFloat fma(NativeFloat a, NativeFloat b, double c) { return fma(a, b, a.like(c)); }
  friend NativeFloat fma(NativeFloat a, double b, NativeFloat c) { return fma(a, a.like(b), c); }
  friend NativeFloat fma(NativeFloat a, double b, double c) { return fma(a, a.like(b), a.like(c)); }
  friend NativeFloat sqrt(NativeFloat a) { return NativeFloat(std::sqrt(a.v)); }
  friend NativeFloat abs(NativeFloat a) { return NativeFloat(std::fabs(a.v)); }
  friend NativeFloat floor(NativeFloat a) { return NativeFloat(std::floor(a.v)); }
  friend NativeFloat min(NativeFloat a, NativeFloat b) { return a.v < b.v || a.v != a.v ? a : b; }
  friend NativeFloat max(NativeFloat a, NativeFloat b) { return a.v > b.v || a.v != a.v ? a : b; }
  friend bool operator<(NativeFloat a, double b) { return a.v < static_cast<T>(b); }
  friend bool operator>(NativeFloat a, double b) { return a.v > static_cast<T>(b); }
  friend bool operator==(NativeFloat a, double b) { return a.v == static_cast<T>(b); }
  friend bool operator==(NativeFloat a, NativeFloat b) { return a.v == b.v; }
  friend NativeFloat select(bool c, NativeFloat t, NativeFloat f) { return c ? t : f; }
};

inline NativeFloat<64> widen(NativeFloat<32> x) {
  return NativeFloat<64>(static_cast<double>(x.v));
}
inline NativeFloat<32> narrow(NativeFloat<64> x) {
  return NativeFloat<32>(static_cast<float>(x.v));
}

}  // namespace tenon::math
