#include "tenon/ir/scalar_ops.h"

#include <bit>
#include <cmath>
#include <limits>

namespace tenon {

std::int64_t wrap_int(DType t, std::int64_t v) {
  if (t.is_bool()) return v & 1;
  if (t.bits == 64) return v;
  const int shift = 64 - t.bits;
  const auto up = static_cast<std::uint64_t>(v) << shift;
  return t.is_signed_int() ? static_cast<std::int64_t>(up) >> shift
                           : static_cast<std::int64_t>(up >> shift);
}

std::int64_t max_int(DType t) {
  if (t.is_bool()) return 1;
  if (t.is_signed_int()) return std::numeric_limits<std::int64_t>::max() >> (64 - t.bits);
  return t.bits == 64 ? -1 : (std::int64_t{1} << t.bits) - 1;  // uint64: all bits set
}

std::int64_t min_int(DType t) {
  if (!t.is_signed_int()) return 0;
  return std::numeric_limits<std::int64_t>::min() >> (64 - t.bits);
}

namespace {

/// v rounded half to even to `bits` bits of significand with the smallest normal exponent
/// `min_exponent`; overflow to infinity above `max_value`.
double round_significand(double v, int bits, int min_exponent, double max_value) {
  if (!std::isfinite(v) || v == 0) return v;
  const int exponent = std::max(std::ilogb(v), min_exponent);
  const double ulp = std::ldexp(1.0, exponent - (bits - 1));
  const double rounded = std::nearbyint(v / ulp) * ulp;  // exact: a power of two
  if (std::fabs(rounded) > max_value)
    return std::copysign(std::numeric_limits<double>::infinity(), v);
  return rounded == 0 ? std::copysign(0.0, v) : rounded;
}

bool unsigned_less(std::int64_t x, std::int64_t y) {
  return static_cast<std::uint64_t>(x) < static_cast<std::uint64_t>(y);
}

bool less(DType t, std::int64_t x, std::int64_t y) {
  return t.is_signed_int() ? x < y : unsigned_less(x, y);
}

std::int64_t floor_div(DType t, std::int64_t x, std::int64_t y) {
  if (y == 0) return 0;
  if (!t.is_signed_int())
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) / static_cast<std::uint64_t>(y));
  if (y == -1) return static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(x));
  const std::int64_t q = x / y;
  return q - ((x % y != 0 && (x < 0) != (y < 0)) ? 1 : 0);
}

std::int64_t floor_mod(DType t, std::int64_t x, std::int64_t y) {
  if (y == 0) return 0;
  if (!t.is_signed_int())
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) % static_cast<std::uint64_t>(y));
  if (y == -1) return 0;
  const std::int64_t r = x % y;
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

std::int64_t shift(BinaryOp op, DType t, std::int64_t x, std::int64_t y) {
  const bool too_far = y < 0 || y >= t.bits;
  if (op == BinaryOp::kShl)
    return too_far ? 0 : static_cast<std::int64_t>(static_cast<std::uint64_t>(x) << y);
  if (t.is_signed_int()) return x >> (too_far ? 63 : y);
  return too_far ? 0 : static_cast<std::int64_t>(static_cast<std::uint64_t>(x) >> y);
}

double float_min(double x, double y) {
  if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
  if (x == y) return std::signbit(x) ? x : y;
  return x < y ? x : y;
}

double float_max(double x, double y) {
  if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
  if (x == y) return std::signbit(x) ? y : x;
  return x > y ? x : y;
}

}  // namespace

double round_to(DType t, double v) {
  if (t.code == DTypeCode::kBFloat) return round_significand(v, 8, -126, 3.3895313892515355e38);
  if (t.bits == 16) return round_significand(v, 11, -14, 65504.0);
  if (t.bits == 32) return static_cast<double>(static_cast<float>(v));
  return v;
}

std::int64_t eval_int(BinaryOp op, DType t, std::int64_t x, std::int64_t y) {
  const auto ux = static_cast<std::uint64_t>(x), uy = static_cast<std::uint64_t>(y);
  const auto wrap = [&](std::uint64_t v) { return wrap_int(t, static_cast<std::int64_t>(v)); };
  switch (op) {
    case BinaryOp::kAdd:
      return wrap(ux + uy);
    case BinaryOp::kSub:
      return wrap(ux - uy);
    case BinaryOp::kMul:
      return wrap(ux * uy);
    case BinaryOp::kDiv:
      break;
    case BinaryOp::kFloorDiv:
      return wrap_int(t, floor_div(t, x, y));
    case BinaryOp::kFloorMod:
      return wrap_int(t, floor_mod(t, x, y));
    case BinaryOp::kMin:
      return less(t, x, y) ? x : y;
    case BinaryOp::kMax:
      return less(t, x, y) ? y : x;
    case BinaryOp::kBitAnd:
      return x & y;
    case BinaryOp::kBitOr:
      return x | y;
    case BinaryOp::kBitXor:
      return wrap(ux ^ uy);
    case BinaryOp::kShl:
    case BinaryOp::kShr:
      return wrap_int(t, shift(op, t, x, y));
    case BinaryOp::kEq:
      return x == y;
    case BinaryOp::kNe:
      return x != y;
    case BinaryOp::kLt:
      return less(t, x, y);
    case BinaryOp::kLe:
      return !less(t, y, x);
    case BinaryOp::kGt:
      return less(t, y, x);
    case BinaryOp::kGe:
      return !less(t, x, y);
    case BinaryOp::kAnd:
      return x & y;
    case BinaryOp::kOr:
      return x | y;
  }
  TENON_CHECK(false, to_string(op), " of integers");
  return 0;
}

double eval_float(BinaryOp op, DType t, double x, double y) {
  // A double operation on two float32 (or narrower) operands rounded again gives the correctly
  // rounded narrow result for + - * /.
  if (op == BinaryOp::kAdd) return round_to(t, x + y);
  if (op == BinaryOp::kSub) return round_to(t, x - y);
  if (op == BinaryOp::kMul) return round_to(t, x * y);
  if (op == BinaryOp::kDiv) return round_to(t, x / y);
  if (op == BinaryOp::kMin) return float_min(x, y);
  if (op == BinaryOp::kMax) return float_max(x, y);
  TENON_CHECK(false, to_string(op), " of floats");
  return 0;
}

bool eval_compare(BinaryOp op, double x, double y) {
  if (op == BinaryOp::kEq) return x == y;
  if (op == BinaryOp::kNe) return x != y;
  if (op == BinaryOp::kLt) return x < y;
  if (op == BinaryOp::kLe) return x <= y;
  if (op == BinaryOp::kGt) return x > y;
  TENON_CHECK(op == BinaryOp::kGe, to_string(op), " is no comparison");
  return x >= y;
}

double eval_float(UnaryOp op, DType t, double x) {
  switch (op) {
    case UnaryOp::kNeg:
      return -x;
    case UnaryOp::kAbs:
      return std::fabs(x);
    case UnaryOp::kSqrt:
      return round_to(t, std::sqrt(x));
    case UnaryOp::kFloor:
      return std::floor(x);
    case UnaryOp::kCeil:
      return std::ceil(x);
    case UnaryOp::kTrunc:
      return std::trunc(x);
    case UnaryOp::kRound:
      return std::nearbyint(x);
    case UnaryOp::kNot:
    case UnaryOp::kBitNot:
      break;
  }
  TENON_CHECK(false, to_string(op), " of a float");
  return 0;
}

std::int64_t float_to_int(DType to, double v) {
  if (std::isnan(v)) return 0;
  if (to.is_bool()) return v != 0;
  const double whole = std::trunc(v);
  if (to.is_signed_int()) {
    const double top = std::ldexp(1.0, to.bits - 1);
    if (whole >= top) return max_int(to);
    if (whole < -top) return min_int(to);
    return static_cast<std::int64_t>(whole);
  }
  if (whole <= 0) return 0;
  if (whole >= std::ldexp(1.0, to.bits)) return max_int(to);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(whole));
}

double int_to_float(DType from, std::int64_t v, DType to) {
  const bool is_unsigned = !from.is_signed_int();
  if (to.bits == 32 && to.code == DTypeCode::kFloat) {
    return is_unsigned ? static_cast<float>(static_cast<std::uint64_t>(v)) : static_cast<float>(v);
  }
  if (to.bits < 32) {  // design 3a: through float32
    const float f =
        is_unsigned ? static_cast<float>(static_cast<std::uint64_t>(v)) : static_cast<float>(v);
    return round_to(to, static_cast<double>(f));
  }
  return is_unsigned ? static_cast<double>(static_cast<std::uint64_t>(v)) : static_cast<double>(v);
}

}  // namespace tenon
