// Reductions over axes, and the places of extremes.

#include <algorithm>
#include <limits>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/arg_reduction.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

/// What is reduced: axes are an operand in newer opsets, an attribute in older ones, and all when
/// neither says any. None are left when the node says that this means none.
std::vector<std::int64_t> reduced_axes(const NodeView& n) {
  const std::size_t rank = n.rank(0);
  std::vector<std::int64_t> axes = normal_axes(n, n.has(1) ? n.ints(1) : n.ints_attr("axes"), rank);
  if (!axes.empty() || n.int_attr("noop_with_empty_axes", 0) != 0) return axes;
  for (std::size_t d = 0; d < rank; ++d) axes.push_back(static_cast<std::int64_t>(d));
  return axes;
}

/// A reduction of a node, over its axes.
class Reduction {
 public:
  explicit Reduction(const NodeView& n)
      : axes_(reduced_axes(n)), keeps_(n.int_attr("keepdims", 1) != 0), shape_(n.in(0)->shape) {}

  /// The result with ones for the axes, so that it meets the operand again.
  Value kept(const char* name, const Value& x) const {
    if (axes_.empty()) return x;
    std::vector<Expr> shape = shape_;
    for (const std::int64_t axis : axes_) shape[static_cast<std::size_t>(axis)] = imm(1);
    return reshape(op(name, {x}, {{"axes", axes_}}), shape);
  }
  /// The result as the node wants it.
  Value operator()(const char* name, const Value& x) const {
    return keeps_ || axes_.empty() ? kept(name, x) : op(name, {x}, {{"axes", axes_}});
  }
  /// A result of `kept` as the node wants it.
  Value settled(const Value& x) const {
    if (keeps_) return x;
    std::vector<Expr> shape;
    for (std::size_t d = 0; d < shape_.size(); ++d) {
      if (std::find(axes_.begin(), axes_.end(), static_cast<std::int64_t>(d)) == axes_.end())
        shape.push_back(shape_[d]);
    }
    return reshape(x, shape);
  }
  /// How many elements one result is of.
  Expr count() const {
    std::vector<Expr> sizes;
    for (const std::int64_t axis : axes_) sizes.push_back(shape_[static_cast<std::size_t>(axis)]);
    return product(sizes, 0, sizes.size());
  }

 private:
  std::vector<std::int64_t> axes_;
  bool keeps_;
  std::vector<Expr> shape_;
};

/// Sums of squares and of powers overflow narrow floats, and functions of integers are floats.
DType wide_dtype(DType t) {
  if (t.is_int()) return kFloat64;
  return t.bits < 32 ? kFloat32 : t;
}

std::vector<Value> convert_sum(const NodeView& n) { return {Reduction(n)("sum", n.in(0))}; }
std::vector<Value> convert_prod(const NodeView& n) { return {Reduction(n)("prod", n.in(0))}; }

/// Of integers without its fraction.
std::vector<Value> convert_mean(const NodeView& n) {
  const Reduction reduce(n);
  const Value& x = n.in(0);
  if (x->dtype.is_float()) return {reduce("mean", x)};
  const Expr count = cast(kInt64, reduce.count());
  const Value total = reduce("sum", cast_to(x, kInt64));
  const Value mean = pointwise("mean", {total}, [&](const std::vector<Expr>& e) {
    const Expr size = unary(UnaryOp::kAbs, e[0]);
    const Expr quotient = te::binary(BinaryOp::kFloorDiv, size, count);
    return te::select(lt(e[0], imm(0)), -quotient, quotient);
  });
  return {cast_to(mean, x->dtype)};
}

template <const char* name, const char* of_bools>
std::vector<Value> extreme(const NodeView& n) {
  const Value& x = n.in(0);
  return {Reduction(n)(x->dtype.is_bool() ? of_bools : name, x)};
}
constexpr char kMax[] = "max", kMin[] = "min", kAny[] = "any", kAll[] = "all";

std::vector<Value> convert_l1(const NodeView& n) {
  const Value& x = n.in(0);
  const bool has_sign = x->dtype.is_float() || x->dtype.is_signed_int();
  return {Reduction(n)("sum", has_sign ? op("abs", {x}) : x)};
}

std::vector<Value> convert_sum_square(const NodeView& n) {
  const DType t = n.in(0)->dtype;
  const Value x = t.is_int() ? n.in(0) : cast_to(n.in(0), wide_dtype(t));
  return {cast_to(Reduction(n)("sum", op("mul", {x, x})), t)};
}

std::vector<Value> convert_l2(const NodeView& n) {
  const DType t = n.in(0)->dtype;
  const Value x = cast_to(n.in(0), wide_dtype(t));
  return {cast_to(op("sqrt", {Reduction(n)("sum", op("mul", {x, x}))}), t)};
}

std::vector<Value> convert_log_sum(const NodeView& n) {
  const DType t = n.in(0)->dtype;
  const Value x = cast_to(n.in(0), wide_dtype(t));
  return {cast_to(op("log", {Reduction(n)("sum", x)}), t)};
}

/// max + log(sum(exp(x - max))): nothing overflows. Where max is not finite, 0 takes its place.
std::vector<Value> convert_log_sum_exp(const NodeView& n) {
  const Reduction reduce(n);
  const DType t = n.in(0)->dtype;
  const Value x = cast_to(n.in(0), wide_dtype(t));
  const Value top = pointwise("top", {reduce.kept("max", x)}, [](const std::vector<Expr>& e) {
    const Expr inf = const_like(e[0]->dtype, std::numeric_limits<double>::infinity());
    return select(lt(unary(UnaryOp::kAbs, e[0]), inf), e[0], zero(e[0]->dtype));
  });
  const Value sum = reduce.kept("sum", op("exp", {op("sub", {x, top})}));
  return {cast_to(reduce.settled(op("add", {op("log", {sum}), top})), t)};
}

template <bool is_max>
std::vector<Value> arg_extreme(const NodeView& n) {
  const Value& x = n.in(0);
  const auto axis =
      static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", 0), x->shape.size()));
  const bool keeps = n.int_attr("keepdims", 1) != 0;
  const bool is_last = n.int_attr("select_last_index", 0) != 0;
  std::vector<Expr> shape = x->shape;
  const Expr extent = shape[axis];
  if (keeps) {
    shape[axis] = imm(1);
  } else {
    shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  }
  const bool is_bool = x->dtype.is_bool();
  return {computed(is_max ? "argmax" : "argmin", {x}, shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const IterVar k = te::reduce_axis(extent, "k");
                     const Expr index = is_last ? extent - k.var - 1 : k.var;
                     graph::Indices place = at;
                     if (keeps) {
                       place[axis] = index;
                     } else {
                       place.insert(place.begin() + static_cast<std::ptrdiff_t>(axis), index);
                     }
                     Expr term = read(0, place);
                     if (is_bool) term = cast(DType::uint(8), term);
                     const Expr found = is_max ? te::argmax(term, k) : te::argmin(term, k);
                     return is_last ? extent - found - 1 : found;
                   })};
}

}  // namespace

std::vector<Conversion> reduce_conversions() {
  return {
      {"ArgMax", 1, kNative, arg_extreme<true>},
      {"ArgMin", 1, kNative, arg_extreme<false>},
      {"ReduceL1", 1, kDecomposed, convert_l1, "", "Abs and ReduceSum"},
      {"ReduceL2", 1, kDecomposed, convert_l2, "", "Mul, ReduceSum and Sqrt"},
      {"ReduceLogSum", 1, kDecomposed, convert_log_sum, "", "ReduceSum and Log"},
      {"ReduceLogSumExp", 1, kDecomposed, convert_log_sum_exp, "",
       "ReduceMax, Sub, Exp, ReduceSum, Log and Add"},
      {"ReduceMax", 1, kNative, extreme<kMax, kAny>},
      {"ReduceMean", 1, kNative, convert_mean},
      {"ReduceMin", 1, kNative, extreme<kMin, kAll>},
      {"ReduceProd", 1, kNative, convert_prod},
      {"ReduceSum", 1, kNative, convert_sum},
      {"ReduceSumSquare", 1, kDecomposed, convert_sum_square, "", "Mul and ReduceSum"},
  };
}

}  // namespace tenon::onnx
