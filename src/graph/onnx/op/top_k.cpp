// The k largest or least elements along an axis: one pass over the elements for each of them, or a
// sorting network where that is less.

#include <limits>

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

/// Bits of a float as an integer of the same width that is ordered as the floats are: those of
/// negative numbers grow downwards. NaN counts as the largest number, zeros are equal.
Expr ordered_bits(const Expr& x) {
  const DType t = DType::int_(x->dtype.bits);
  const Expr most = int_imm(t, t.bits == 32 ? std::numeric_limits<std::int32_t>::max() : kMost);
  const Expr bits = reinterpret(t, x + zero(x->dtype));  // -0 becomes 0
  const Expr ordered = select(lt(bits, zero(t)), binary(BinaryOp::kBitXor, bits, most), bits);
  return select(ne(x, x), most, ordered);
}

/// An int64 that is ordered as the elements are, the wanted ones largest. Those of elements of up
/// to 32 bits fit into int32.
Expr order_key(const Expr& element, bool is_largest) {
  const DType t = element->dtype;
  Expr key;
  if (t.is_float()) {
    key = cast(kInt64, ordered_bits(t == kFloat64 ? element : cast(kFloat32, element)));
  } else if (t == DType::uint(64)) {
    key = binary(BinaryOp::kBitXor, reinterpret(kInt64, element),
                 imm(std::numeric_limits<std::int64_t>::min()));
  } else if (t == DType::uint(32)) {
    key = cast(kInt64, element) - (std::int64_t{1} << 31);
  } else {
    key = cast(kInt64, element);
  }
  return is_largest ? key : unary(UnaryOp::kBitNot, key);
}

Value int_scalar(std::int64_t value) { return reshape(int_vector({value}), {}); }

Expr number_of_results(const NodeView& n) {
  if (n.version() < 10) return imm(n.int_attr("k"));
  const std::vector<Expr> k = n.sizes(1);
  if (k.size() != 1) n.invalid("expected one k");
  return k[0];
}

/// The axis along which elements are compared, and shapes around it.
struct Axis {
  std::size_t axis;
  std::vector<Expr> shape;
  const Expr& extent() const { return shape[axis]; }
  std::vector<Expr> rest() const {
    std::vector<Expr> others = shape;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(axis));
    return others;
  }
  graph::Indices along(const std::vector<Expr>& at, const Expr& i) const {
    graph::Indices place = at;
    place.insert(place.begin() + static_cast<std::ptrdiff_t>(axis), i);
    return place;
  }
  std::vector<Expr> with_extent(const Expr& extent) const {
    std::vector<Expr> all = shape;
    all[axis] = extent;
    return all;
  }
};

graph::LoopParts loop_of(const NodeView& n, const Expr& count) {
  graph::LoopParts loop;
  loop.op = n.node().op_type;
  loop.count = count;
  loop.iteration = graph::make_input({}, kInt64, "t");
  return loop;
}

/// Stacked results [k, ...] with the k along the axis.
Value along_axis(const Value& found, const Axis& a, const Expr& k) {
  return computed("found", {found}, a.with_extent(k),
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    graph::Indices place = at;
                    place.erase(place.begin() + static_cast<std::ptrdiff_t>(a.axis));
                    place.insert(place.begin(), at[a.axis]);
                    return read(0, place);
                  });
}

/// The indices of keys of 64 bits. Each step takes, of what comes after the element of the step
/// before in the order of (key, least index), the first.
Value selected(const NodeView& n, const Axis& a, const Value& keys, const Expr& k) {
  const std::vector<Expr> rest = a.rest();
  graph::LoopParts loop = loop_of(n, k);
  // Before the first step: a key above all, and an index behind all of that key.
  loop.init = {broadcast(int_scalar(kMost), rest), broadcast(int_scalar(-1), rest)};
  loop.states = {graph::make_input(rest, kInt64, "key"), graph::make_input(rest, kInt64, "index")};
  const auto comes_after = [&](const Expr& key, const Expr& i, const Expr& last_key,
                               const Expr& last) {
    return logical_or(lt(key, last_key), logical_and(eq(key, last_key), gt(i, last)));
  };
  const Value next_key =
      computed("next_key", {keys, loop.states[0], loop.states[1]}, rest,
               [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                 const IterVar i = te::reduce_axis(a.extent(), "i");
                 const Expr key = read(0, a.along(at, i.var));
                 return te::max(key, {i}, comes_after(key, i.var, read(1, at), read(2, at)));
               });
  const Value next =
      computed("next", {keys, loop.states[0], loop.states[1], next_key}, rest,
               [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                 const IterVar i = te::reduce_axis(a.extent(), "i");
                 const Expr key = read(0, a.along(at, i.var));
                 const Expr after = comes_after(key, i.var, read(1, at), read(2, at));
                 return te::min(i.var, {i}, logical_and(eq(key, read(3, at)), after));
               });
  loop.next = {next_key, next};
  loop.results = {next};
  return along_axis(graph::make_loop(loop)[2], a, k);
}

constexpr std::int64_t kLastIndex = 0xFFFFFFFE;  ///< of a packed key; none is the largest int64

/// Keys of 32 bits above what their indices lack to the last: all differ, and the first in the
/// order of (key, least index) is the largest.
Value packed_keys(const Axis& a, const Value& keys, const Expr& extent) {
  return computed("packed", {keys}, a.with_extent(extent),
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    const Expr& i = at[a.axis];
                    const Expr high = binary(BinaryOp::kShl, read(0, at), imm(32));
                    Expr packed = high + (imm(kLastIndex) - i);
                    if (graph::same_extent(extent, a.extent())) return packed;
                    return te::select(lt(i, a.extent()), packed, imm(-kMost - 1));
                  });
}

/// One pass over the keys for each result.
Value selected_packed(const NodeView& n, const Axis& a, const Value& packed, const Expr& k) {
  const std::vector<Expr> rest = a.rest();
  graph::LoopParts loop = loop_of(n, k);
  loop.init = {broadcast(int_scalar(kMost), rest)};
  loop.states = {graph::make_input(rest, kInt64, "last")};
  loop.next = {computed("next", {packed, loop.states[0]}, rest,
                        [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                          const IterVar i = te::reduce_axis(a.extent(), "i");
                          const Expr key = read(0, a.along(at, i.var));
                          return te::max(key, {i}, lt(key, read(1, at)));
                        })};
  loop.results = loop.next;
  return along_axis(graph::make_loop(loop)[1], a, k);
}

/// Batcher's bitonic network over 2^depth keys, largest first: one pass for each of its stages.
Value sorted_packed(const NodeView& n, const Axis& a, const Value& packed, int depth) {
  std::vector<std::int64_t> blocks, strides;
  for (int b = 1; b <= depth; ++b) {
    for (int s = b - 1; s >= 0; --s) {
      blocks.push_back(std::int64_t{1} << b);
      strides.push_back(std::int64_t{1} << s);
    }
  }
  graph::LoopParts loop = loop_of(n, imm(static_cast<std::int64_t>(blocks.size())));
  loop.init = {packed};
  loop.states = {graph::make_input(packed->shape, kInt64, "keys")};
  loop.stacked = {int_vector(blocks), int_vector(strides)};
  loop.slices = {graph::make_input({}, kInt64, "block"), graph::make_input({}, kInt64, "stride")};
  loop.next = {computed("stage", {loop.states[0], loop.slices[0], loop.slices[1]}, packed->shape,
                        [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                          const Expr &i = at[a.axis], block = read(1, {}), stride = read(2, {});
                          graph::Indices other = at;
                          other[a.axis] = binary(BinaryOp::kBitXor, i, stride);
                          const auto is_low = [&](const Expr& bit) {
                            return eq(binary(BinaryOp::kBitAnd, i, bit), imm(0));
                          };
                          const Expr x = read(0, at), y = read(0, other);
                          return te::select(eq(is_low(stride), is_low(block)), max(x, y),
                                            min(x, y));
                        })};
  return graph::make_loop(loop)[0];
}

/// Of keys of 32 bits: sorted where that takes fewer passes. A stage of the network takes about as
/// long as ten passes of the selection.
Value indices_of_packed(const NodeView& n, const Axis& a, const Value& keys, const Expr& k) {
  const auto num = as_int(k), size = as_int(a.extent());
  int depth = 0;
  while (size && (std::int64_t{1} << depth) < *size) ++depth;
  const bool sorts = num && size && *num > 5 * depth * (depth + 1);
  Value found;
  if (sorts) {
    const Value all =
        sorted_packed(n, a, packed_keys(a, keys, imm(std::int64_t{1} << depth)), depth);
    found = computed(
        "first", {all}, a.with_extent(k),
        [](const std::vector<Expr>& at, const graph::ElementReader& read) { return read(0, at); });
  } else {
    found = selected_packed(n, a, packed_keys(a, keys, a.extent()), k);
  }
  return pointwise("indices", {found}, [](const std::vector<Expr>& e) {
    return imm(kLastIndex) - binary(BinaryOp::kBitAnd, e[0], imm(0xFFFFFFFF));
  });
}

std::vector<Value> convert_top_k(const NodeView& n) {
  const Value& x = n.in(0);
  if (x->dtype.is_bool()) n.invalid("expected numbers, got bool");
  const Axis a{static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", -1), n.rank(0))),
               x->shape};
  const bool is_largest = n.int_attr("largest", 1) != 0;
  const Expr k = number_of_results(n);
  const auto num = as_int(k), size = as_int(a.extent());
  if (num && (*num < 0 || (size && *num > *size)))
    n.invalid(detail::concat("k = ", *num, " of ", size.value_or(0), " elements"));
  const Value keys = pointwise(
      "order", {x}, [&](const std::vector<Expr>& e) { return order_key(e[0], is_largest); });
  const Value indices =
      x->dtype.bits == 64 ? selected(n, a, keys, k) : indices_of_packed(n, a, keys, k);
  const Value values = computed("values", {x, indices}, a.with_extent(k),
                                [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                                  graph::Indices place = at;
                                  place[a.axis] = read(1, at);
                                  return read(0, place);
                                });
  return {values, indices};
}

}  // namespace

std::vector<Conversion> top_k_conversions() {
  return {
      {"TopK", 1, kNative, convert_top_k},
  };
}

}  // namespace tenon::onnx
