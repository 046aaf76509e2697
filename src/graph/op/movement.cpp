// Operators that only move elements: transpose, reshape, slice, broadcast_to, concat.

#include <algorithm>

#include "graph/operator.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

void infer_transpose(ValueNode* v) {
  const Value& x = v->inputs[0];
  const auto& axes = attr<std::vector<std::int64_t>>(*v, "axes");
  const std::size_t rank = x->shape.size();
  std::vector<bool> seen(rank, false);
  std::vector<std::int64_t> normal;
  for (const std::int64_t axis : axes) {
    const std::size_t a = normal_axis(*v, axis, rank);
    TENON_USER_CHECK(!seen[a], ShapeError, "E0413", describe(*v), ": axis ", axis,
                     " is given twice");
    seen[a] = true;
    normal.push_back(static_cast<std::int64_t>(a));
    v->shape.push_back(x->shape[a]);
  }
  TENON_USER_CHECK(axes.size() == rank, ShapeError, "E0413", describe(*v), ": ", axes.size(),
                   " axes are given for ", rank, " dimensions");
  v->attrs["axes"] = normal;
  v->dtype = x->dtype;
}

Expr transpose_element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  const auto& axes = attr<std::vector<std::int64_t>>(v, "axes");
  Indices at(indices.size());
  for (std::size_t d = 0; d < axes.size(); ++d) at[static_cast<std::size_t>(axes[d])] = indices[d];
  return read(0, at);
}

std::vector<Value> transpose_vjp(const Value& v, const Value& g) {
  const auto& axes = attr<std::vector<std::int64_t>>(*v, "axes");
  std::vector<std::int64_t> inverse(axes.size());
  for (std::size_t d = 0; d < axes.size(); ++d)
    inverse[static_cast<std::size_t>(axes[d])] = static_cast<std::int64_t>(d);
  return {make_op("transpose", {g}, {{"axes", inverse}})};
}

Value transpose_vmap(const ValueNode& v, const std::vector<Value>& operands,
                     const std::vector<bool>&, const Expr&) {
  std::vector<std::int64_t> axes{0};
  for (const std::int64_t axis : attr<std::vector<std::int64_t>>(v, "axes"))
    axes.push_back(axis + 1);
  return make_op("transpose", operands, {{"axes", axes}});
}

/// Whether the constant sizes are sizes, and their product does not overflow.
bool fits_a_tensor(const std::vector<Expr>& shape) {
  std::int64_t count = 1;
  bool is_empty = false, fits = true;
  for (const Expr& e : shape) {
    const std::int64_t size = as_int(e).value_or(1);
    is_empty = is_empty || size == 0;
    if (size < 0) return false;
    fits = fits && !__builtin_mul_overflow(count, std::max<std::int64_t>(size, 1), &count);
  }
  return fits || is_empty;
}

/// The factors of a size, products taken apart.
void add_factors(const Expr& e, std::vector<Expr>* factors) {
  const auto* n = e.as<BinaryNode>();
  if (n == nullptr || n->op != BinaryOp::kMul) return factors->push_back(e);
  add_factors(n->a, factors);
  add_factors(n->b, factors);
}

/// The size that stands for -1: what is left of the operand's sizes.
Expr remaining_extent(const ValueNode& v, const std::vector<Expr>& have,
                      const std::vector<Expr>& wanted) {
  std::vector<Expr> factors, divisors;
  for (const Expr& e : have) add_factors(simplify(e), &factors);
  for (const Expr& e : wanted) {
    if (!is_int(e, -1)) add_factors(simplify(e), &divisors);
  }
  std::int64_t constant = 1, number = 1;
  bool is_exact = true;
  for (const Expr& divisor : divisors) {
    if (const auto known = as_int(divisor)) {
      is_exact = is_exact && !__builtin_mul_overflow(constant, *known, &constant);
      continue;
    }
    const auto same = std::find_if(factors.begin(), factors.end(),
                                   [&](const Expr& f) { return same_extent(f, divisor); });
    TENON_USER_CHECK(same != factors.end(), ShapeError, "E0414", describe(v),
                     ": a symbolic size of the new shape is none of the operand's");
    *same = imm(1);
  }
  Expr rest = imm(1);
  for (const Expr& f : factors) {
    if (const auto known = as_int(f)) {
      is_exact = is_exact && !__builtin_mul_overflow(number, *known, &number);
    } else {
      rest = rest * f;
    }
  }
  TENON_USER_CHECK(is_exact && constant > 0 && number % constant == 0, ShapeError, "E0414",
                   describe(v), ": the elements cannot be divided into the new shape");
  return rest * (number / constant);
}

void infer_reshape(ValueNode* v) {
  const Value& x = v->inputs[0];
  std::vector<Expr> shape = attr<std::vector<Expr>>(*v, "shape");
  int num_open = 0;
  for (const Expr& e : shape) num_open += is_int(e, -1) ? 1 : 0;
  TENON_USER_CHECK(num_open <= 1, ShapeError, "E0414", describe(*v), ": only one size may be -1");
  const std::vector<Expr> wanted = shape;
  for (Expr& e : shape) {
    if (is_int(e, -1)) e = remaining_extent(*v, x->shape, wanted);
  }
  v->shape = shape;
  v->dtype = x->dtype;
  TENON_USER_CHECK(fits_a_tensor(shape) && same_extent(product(x->shape), product(shape)),
                   ShapeError, "E0414", describe(*v),
                   ": the new shape has another number of elements");
  v->attrs["shape"] = shape;
}

/// Indices of `to` that name the element at `indices` of `from`: dimensions that both have in front
/// or at the end stay, the others go through the position among them.
Expr reshape_element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  const std::vector<Expr>& from = v.shape;
  const std::vector<Expr>& to = v.inputs[0]->shape;
  std::size_t front = 0, back = 0;
  while (front < from.size() && front < to.size() && same_extent(from[front], to[front])) ++front;
  while (back + front < from.size() && back + front < to.size() &&
         same_extent(from[from.size() - 1 - back], to[to.size() - 1 - back])) {
    ++back;
  }
  Expr position = imm(0);
  for (std::size_t d = front; d + back < from.size(); ++d)
    position = position * from[d] + indices[d];
  Indices at(to.size());
  for (std::size_t d = 0; d < front; ++d) at[d] = indices[d];
  for (std::size_t d = 0; d < back; ++d) at[to.size() - 1 - d] = indices[from.size() - 1 - d];
  Expr inner = imm(1);
  for (std::size_t d = to.size() - back; d-- > front;) {
    const Expr quotient = floordiv(position, inner);
    bool is_first = true;
    for (std::size_t e = front; e < d; ++e) is_first = is_first && is_int(to[e], 1);
    at[d] = is_int(to[d], 1) ? imm(0) : is_first ? quotient : floormod(quotient, to[d]);
    inner = inner * to[d];
  }
  return read(0, at);
}

std::vector<Value> reshape_vjp(const Value& v, const Value& g) {
  return {make_op("reshape", {g}, {{"shape", v->inputs[0]->shape}})};
}

Value reshape_vmap(const ValueNode& v, const std::vector<Value>& operands, const std::vector<bool>&,
                   const Expr& extent) {
  std::vector<Expr> shape = v.shape;
  shape.insert(shape.begin(), extent);
  return make_op("reshape", operands, {{"shape", shape}});
}

/// How far a slice goes from one element to the next, in each dimension.
std::vector<std::int64_t> slice_steps(const ValueNode& v) {
  const std::vector<std::int64_t> ones(v.inputs[0]->shape.size(), 1);
  return attr_or(v, "steps", ones);
}

void infer_slice(ValueNode* v) {
  const Value& x = v->inputs[0];
  const auto& begins = attr<std::vector<Expr>>(*v, "begins");
  const auto& extents = attr<std::vector<Expr>>(*v, "extents");
  const std::vector<std::int64_t> steps = slice_steps(*v);
  const std::size_t rank = x->shape.size();
  TENON_USER_CHECK(begins.size() == rank && extents.size() == rank && steps.size() == rank,
                   ShapeError, "E0415", describe(*v), ": one begin and one extent for each of ",
                   rank, " dimensions are needed");
  for (std::size_t d = 0; d < rank; ++d) {
    const auto begin = as_int(begins[d]), extent = as_int(extents[d]), size = as_int(x->shape[d]);
    bool fits = (!begin || *begin >= 0) && (!extent || *extent >= 0) && steps[d] != 0;
    if (fits && begin && extent && size && *extent > 0) {
      const std::int64_t last = *begin + (*extent - 1) * steps[d];
      fits = *begin < *size && last >= 0 && last < *size;
    }
    TENON_USER_CHECK(fits, ShapeError, "E0415", describe(*v),
                     ": the slice is out of range in dimension ", d);
  }
  v->shape = extents;
  v->dtype = x->dtype;
}

Expr slice_element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  const auto& begins = attr<std::vector<Expr>>(v, "begins");
  const std::vector<std::int64_t> steps = slice_steps(v);
  Indices at;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    const Expr moved = steps[d] == 1 ? indices[d] : indices[d] * steps[d];
    at.push_back(is_int(begins[d], 0) ? moved : moved + begins[d]);
  }
  return read(0, at);
}

void infer_broadcast(ValueNode* v) {
  const Value& x = v->inputs[0];
  v->shape = attr<std::vector<Expr>>(*v, "shape");
  v->dtype = x->dtype;
  const std::size_t shift = v->shape.size() - x->shape.size();
  bool fits = v->shape.size() >= x->shape.size();
  for (std::size_t d = 0; fits && d < x->shape.size(); ++d) {
    fits = is_int(x->shape[d], 1) || same_extent(x->shape[d], v->shape[shift + d]);
  }
  TENON_USER_CHECK(fits, ShapeError, "E0412", describe(*v),
                   ": cannot be broadcast to the shape that is asked for");
}

Expr broadcast_element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  const std::vector<Expr>& shape = v.inputs[0]->shape;
  Indices at(indices.end() - static_cast<std::ptrdiff_t>(shape.size()), indices.end());
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (is_int(shape[d], 1)) at[d] = imm(0);
  }
  return read(0, at);
}

void infer_concat(ValueNode* v) {
  const Value& first = v->inputs[0];
  const std::size_t axis = normal_axis(*v, attr<std::int64_t>(*v, "axis"), first->shape.size());
  v->attrs["axis"] = static_cast<std::int64_t>(axis);
  v->shape = first->shape;
  v->dtype = first->dtype;
  for (std::size_t i = 1; i < v->inputs.size(); ++i) {
    const Value& x = v->inputs[i];
    bool fits = x->shape.size() == v->shape.size();
    for (std::size_t d = 0; fits && d < x->shape.size(); ++d)
      fits = d == axis || same_extent(x->shape[d], v->shape[d]);
    TENON_USER_CHECK(fits, ShapeError, "E0416", describe(*v), ": all dimensions but ", axis,
                     " should be equal");
    TENON_USER_CHECK(x->dtype == v->dtype, DTypeError, "E0521", describe(*v),
                     ": all dtypes should be equal");
    v->shape[axis] = v->shape[axis] + x->shape[axis];
  }
}

Expr concat_element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  const auto axis = static_cast<std::size_t>(attr<std::int64_t>(v, "axis"));
  std::vector<Expr> begins{imm(0)};
  for (const Value& x : v.inputs) begins.push_back(begins.back() + x->shape[axis]);
  const auto element = [&](std::size_t i) {
    Indices at = indices;
    at[axis] = at[axis] - begins[i];
    return read(i, at);
  };
  Expr value = element(v.inputs.size() - 1);
  for (std::size_t i = v.inputs.size() - 1; i-- > 0;)
    value = te::select(lt(indices[axis], begins[i + 1]), element(i), value);
  return value;
}

void infer_copy(ValueNode* v) {
  v->shape = v->inputs[0]->shape;
  v->dtype = v->inputs[0]->dtype;
}

Expr copy_element(const ValueNode&, const Indices& indices, const ElementReader& read) {
  return read(0, indices);
}

}  // namespace

std::vector<Operator> movement_operators() {
  constexpr OperatorKind kMove = OperatorKind::kMovement;
  return {
      {.name = "transpose",
       .kind = kMove,
       .min_inputs = 1,
       .max_inputs = 1,
       .infer = infer_transpose,
       .element = transpose_element,
       .vjp = transpose_vjp,
       .vmap = transpose_vmap},
      {.name = "reshape",
       .kind = kMove,
       .min_inputs = 1,
       .max_inputs = 1,
       .infer = infer_reshape,
       .element = reshape_element,
       .vjp = reshape_vjp,
       .vmap = reshape_vmap},
      {.name = "slice",
       .kind = kMove,
       .min_inputs = 1,
       .max_inputs = 1,
       .infer = infer_slice,
       .element = slice_element},
      {.name = "broadcast_to",
       .kind = kMove,
       .min_inputs = 1,
       .max_inputs = 1,
       .infer = infer_broadcast,
       .element = broadcast_element},
      {.name = "concat",
       .kind = OperatorKind::kConcat,
       .min_inputs = 1,
       .max_inputs = -1,
       .infer = infer_concat,
       .element = concat_element},
      {.name = "copy",
       .kind = OperatorKind::kConcat,
       .min_inputs = 1,
       .max_inputs = 1,
       .infer = infer_copy,
       .element = copy_element},
  };
}

}  // namespace tenon::graph
