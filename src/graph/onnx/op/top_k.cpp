// The k largest or least elements along an axis: one pass over the elements for each of them.

#include <limits>

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// An int64 that is ordered as the elements are, the wanted ones largest. NaN counts as the largest
/// number, zeros of either sign are equal.
Expr order_key(const Expr& element, bool is_largest) {
  const DType t = element->dtype;
  Expr key;
  if (t.is_float()) {
    const Expr x = cast(kFloat64, element) + zero(kFloat64);  // -0 becomes 0
    const Expr bits = reinterpret(kInt64, x);
    // The bits of negative numbers grow downwards.
    const Expr flipped =
        binary(BinaryOp::kBitXor, bits, imm(std::numeric_limits<std::int64_t>::max()));
    key = select(ne(x, x), imm(std::numeric_limits<std::int64_t>::max()),
                 select(lt(bits, imm(0)), flipped, bits));
  } else if (t == DType::uint(64)) {
    key = binary(BinaryOp::kBitXor, reinterpret(kInt64, element),
                 imm(std::numeric_limits<std::int64_t>::min()));
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

/// Each step takes, of what comes after the element of the step before in the order of (key, least
/// index), the first.
std::vector<Value> convert_top_k(const NodeView& n) {
  const Value& x = n.in(0);
  const std::size_t rank = x->shape.size();
  if (x->dtype.is_bool()) n.invalid("expected numbers, got bool");
  const auto axis = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", -1), rank));
  const bool is_largest = n.int_attr("largest", 1) != 0;
  const Expr k = number_of_results(n);
  const Expr& extent = x->shape[axis];
  const auto num = as_int(k), size = as_int(extent);
  if (num && (*num < 0 || (size && *num > *size)))
    n.invalid(detail::concat("k = ", *num, " of ", size.value_or(0), " elements"));

  const Value keys = pointwise(
      "order", {x}, [&](const std::vector<Expr>& e) { return order_key(e[0], is_largest); });
  std::vector<Expr> rest = x->shape;
  rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(axis));
  const auto along = [&](const std::vector<Expr>& at, const Expr& i) {
    graph::Indices place = at;
    place.insert(place.begin() + static_cast<std::ptrdiff_t>(axis), i);
    return place;
  };

  graph::LoopParts loop;
  loop.op = n.node().op_type;
  loop.count = k;
  loop.iteration = graph::make_input({}, kInt64, "t");
  // Before the first step: a key above all, and an index behind all of that key.
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  loop.init = {broadcast(int_scalar(most), rest), broadcast(int_scalar(-1), rest)};
  loop.states = {graph::make_input(rest, kInt64, "key"), graph::make_input(rest, kInt64, "index")};
  const auto comes_after = [&](const Expr& key, const Expr& i, const Expr& last_key,
                               const Expr& last) {
    return logical_or(lt(key, last_key), logical_and(eq(key, last_key), gt(i, last)));
  };
  const Value next_key =
      computed("next_key", {keys, loop.states[0], loop.states[1]}, rest,
               [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                 const IterVar i = te::reduce_axis(extent, "i");
                 const Expr key = read(0, along(at, i.var));
                 return te::max(key, {i}, comes_after(key, i.var, read(1, at), read(2, at)));
               });
  const Value next = computed(
      "next", {keys, loop.states[0], loop.states[1], next_key}, rest,
      [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        const IterVar i = te::reduce_axis(extent, "i");
        const Expr key = read(0, along(at, i.var));
        return te::min(
            i.var, {i},
            logical_and(eq(key, read(3, at)), comes_after(key, i.var, read(1, at), read(2, at))));
      });
  loop.next = {next_key, next};
  loop.results = {next};
  const Value found = graph::make_loop(loop)[2];  // [k, ...]

  std::vector<Expr> shape = x->shape;
  shape[axis] = k;
  const Value indices =
      computed("indices", {found}, shape,
               [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                 graph::Indices place = at;
                 place.erase(place.begin() + static_cast<std::ptrdiff_t>(axis));
                 place.insert(place.begin(), at[axis]);
                 return read(0, place);
               });
  const Value values = computed("values", {x, indices}, shape,
                                [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                                  graph::Indices place = at;
                                  place[axis] = read(1, at);
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
