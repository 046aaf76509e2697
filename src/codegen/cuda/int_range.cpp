#include "codegen/cuda/int_range.h"

#include <algorithm>

#include "tenon/ir/scalar_ops.h"

namespace tenon::codegen::cuda {
namespace {

__extension__ using Wide = __int128;
constexpr std::int64_t kSmallestLong = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kLargestLong = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLargestIndexConstant = std::int64_t{1} << 48;

Wide floor_div(Wide a, Wide b) {
  const Wide q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/// [lower, upper] cut to t. An end that is past t comes from an end of an operand that is past all
/// bounds; an index is not, so it is taken for unknown.
IntRange fit(DType t, Wide lower, Wide upper, bool is_index, bool* wraps) {
  const IntRange whole = range_of(t);
  const bool is_unsigned_64 = t.is_int() && !t.is_signed_int() && t.bits == 64;
  *wraps = lower < whole.lower || upper > whole.upper || is_unsigned_64;
  if (is_unsigned_64) return whole;
  if (!*wraps)
    return {static_cast<std::int64_t>(lower), static_cast<std::int64_t>(upper), is_index};
  if (!is_index) return whole;
  return {static_cast<std::int64_t>(std::clamp<Wide>(lower, kSmallestLong, kLargestLong)),
          static_cast<std::int64_t>(std::clamp<Wide>(upper, kSmallestLong, kLargestLong)), true};
}

IntRange product(DType t, const IntRange& a, const IntRange& b, bool is_index, bool* wraps) {
  const Wide corners[] = {Wide{a.lower} * b.lower, Wide{a.lower} * b.upper, Wide{a.upper} * b.lower,
                          Wide{a.upper} * b.upper};
  return fit(t, *std::min_element(corners, corners + 4), *std::max_element(corners, corners + 4),
             is_index, wraps);
}

}  // namespace

bool IntRange::fits_int32() const {
  return lower >= std::numeric_limits<std::int32_t>::min() &&
         upper <= std::numeric_limits<std::int32_t>::max();
}

IntRange single_value(std::int64_t v) {
  return {v, v, v <= kLargestIndexConstant && v >= -kLargestIndexConstant};
}

IntRange range_of(DType t) {
  if (!t.is_int() && !t.is_bool()) return {};
  if (t.is_bool()) return {0, 1, false};
  if (!t.is_signed_int() && t.bits == 64) return {};
  return {min_int(t.element()), max_int(t.element()), false};
}

IntRange join(const IntRange& a, const IntRange& b) {
  return {std::min(a.lower, b.lower), std::max(a.upper, b.upper), a.is_index && b.is_index};
}

IntRange range_of(BinaryOp op, DType t, const IntRange& a, const IntRange& b, bool* wraps) {
  *wraps = true;
  const bool is_index = a.is_index && b.is_index && t.element() == kInt64;
  const bool is_unsigned_64 = t.is_int() && !t.is_signed_int() && t.bits == 64;
  if (is_unsigned_64) return {};
  switch (op) {
    case BinaryOp::kAdd:
      return fit(t, Wide{a.lower} + b.lower, Wide{a.upper} + b.upper, is_index, wraps);
    case BinaryOp::kSub:
      return fit(t, Wide{a.lower} - b.upper, Wide{a.upper} - b.lower, is_index, wraps);
    case BinaryOp::kMul:
      return product(t, a, b, is_index, wraps);
    case BinaryOp::kFloorDiv: {
      // Dividing by a positive number moves towards 0 or, from below it, to -1 at most.
      if (b.lower <= 0) return {range_of(t).lower, range_of(t).upper, is_index};
      const Wide low = std::min(floor_div(a.lower, b.lower), floor_div(a.lower, b.upper));
      const Wide high = std::max(floor_div(a.upper, b.lower), floor_div(a.upper, b.upper));
      return fit(t, low, high, is_index, wraps);
    }
    case BinaryOp::kFloorMod: {
      if (b.lower <= 0) return {range_of(t).lower, range_of(t).upper, is_index};
      const bool is_same = a.lower >= 0 && a.upper < b.lower;
      *wraps = false;
      if (is_same) return {a.lower, a.upper, is_index};
      const std::int64_t most = a.lower >= 0 ? std::min(a.upper, b.upper - 1) : b.upper - 1;
      return {0, most, is_index};
    }
    case BinaryOp::kMin:
      *wraps = false;
      return {std::min(a.lower, b.lower), std::min(a.upper, b.upper), is_index};
    case BinaryOp::kMax:
      *wraps = false;
      return {std::max(a.lower, b.lower), std::max(a.upper, b.upper), is_index};
    case BinaryOp::kBitAnd:
      *wraps = false;
      if (a.lower >= 0 || b.lower >= 0) {
        const std::int64_t most = a.lower < 0   ? b.upper
                                  : b.lower < 0 ? a.upper
                                                : std::min(a.upper, b.upper);
        return {0, most, false};
      }
      return range_of(t);
    case BinaryOp::kDiv:
    case BinaryOp::kBitOr:
    case BinaryOp::kBitXor:
    case BinaryOp::kShl:
    case BinaryOp::kShr:
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
    case BinaryOp::kGt:
    case BinaryOp::kGe:
    case BinaryOp::kAnd:
    case BinaryOp::kOr:
      break;
  }
  return range_of(t);
}

}  // namespace tenon::codegen::cuda
