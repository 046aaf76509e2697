#include "tenon/te/scatter.h"

#include "te/checks.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

void check_operands(const Tensor& init, const Tensor& updates, ScatterMode mode,
                    const std::string& name) {
  TENON_USER_CHECK(updates->dtype == init->dtype, DTypeError, "E0507", "the updates of scatter '",
                   name, "' have dtype ", to_string(updates->dtype), ", those of '", init->name,
                   "' should be ", to_string(init->dtype), "\n  hint: convert with te.cast");
  TENON_USER_CHECK(mode == ScatterMode::kSet || !init->dtype.is_bool(), DTypeError, "E0508",
                   "scatter '", name, "' with mode '", to_string(mode),
                   "' needs numbers, got bool\n  hint: mode 'set' takes every dtype");
}

/// `index` as int64, in range for dimension `d` of `init`. An index that data or arithmetic decide
/// is checked at run time; `is_dimension`: it is a dimension of the updates, as long as this one.
Expr checked(const Tensor& init, std::size_t d, const Expr& index, bool is_dimension,
             const std::string& name) {
  TENON_USER_CHECK(index->dtype.is_int(), DTypeError, "E0503", "index ", d, " of scatter '", name,
                   "' has dtype ", to_string(index->dtype), ", expected an integer");
  bool reduces = false;
  post_order_visit(index, [&](const Node& n) { reduces |= n.kind == NodeKind::kReduce; });
  TENON_USER_CHECK(
      !reduces, ExpressionError, "E0112", "index ", d, " of scatter '", name,
      "' contains a reduction\n  hint: make it a tensor with te.compute, and read that");
  const auto known = as_int(index);
  const auto extent = as_int(init->shape[d]);
  TENON_USER_CHECK(!known || (*known >= 0 && (!extent || *known < *extent)), IndexError, "E0602",
                   "index ", known.value_or(0), " of scatter '", name,
                   "' is out of range for dimension ", d, " of tensor '", init->name,
                   "' with shape ", describe_shape(init->shape));
  if (is_dimension || (known && extent)) return index;
  return call(kInt64, "checked_index", {cast(kInt64, index), init->shape[d], imm(-1)});
}

}  // namespace

Tensor scatter(const Tensor& init, const PlaceFunction& places, const Tensor& updates,
               ScatterMode mode, std::string name) {
  check_operands(init, updates, mode, name);
  auto* node = new TensorNode;
  Tensor t(node);
  node->kind = TensorKind::kScatter;
  node->name = std::move(name);
  node->span = SpanScope::current();
  node->dtype = init->dtype;
  node->shape = init->shape;
  node->init = init;
  node->updates = updates;
  node->mode = mode;
  std::vector<Expr> vars;
  for (std::size_t d = 0; d < updates->shape.size(); ++d) {
    vars.push_back(var(default_axis_name(d, updates->shape.size())));
    node->axes.push_back({vars.back(), {imm(0), updates->shape[d]}, IterKind::kOrdered});
  }
  const std::vector<Expr> place = places(vars);
  TENON_USER_CHECK(place.size() == init->shape.size(), ExpressionError, "E0111", "scatter '",
                   node->name, "' gives ", place.size(), " indices, expected ", init->shape.size(),
                   " for tensor '", init->name, "' of shape ", describe_shape(init->shape));
  for (std::size_t d = 0; d < place.size(); ++d) {
    check_axes(node->axes, place[d]);
    bool is_dimension = false;
    for (IterVar& axis : node->axes) {
      if (!axis.var.same_as(place[d]) || !same_extents({axis.domain.extent}, {init->shape[d]}))
        continue;
      axis.kind = IterKind::kSpatial;
      is_dimension = true;
    }
    node->indices.push_back(checked(init, d, place[d], is_dimension, node->name));
  }
  return t;
}

Tensor scatter(const Tensor& init, const std::vector<Tensor>& indices, const Tensor& updates,
               ScatterMode mode, std::string name) {
  const std::size_t rank = init->shape.size();
  TENON_USER_CHECK(!indices.empty() && indices.size() <= rank, ShapeError, "E0406", "scatter '",
                   name, "' has ", indices.size(), " index tensors, expected 1 to ", rank,
                   " for tensor '", init->name, "' of shape ", describe_shape(init->shape));
  std::vector<Expr> expected = indices[0]->shape;
  for (const Tensor& index : indices) {
    TENON_USER_CHECK(same_extents(index->shape, indices[0]->shape), ShapeError, "E0407",
                     "the index tensors of scatter '", name, "' have shapes ",
                     describe_shape(indices[0]->shape), " and ", describe_shape(index->shape),
                     ", expected one shape");
  }
  for (std::size_t d = indices.size(); d < rank; ++d) expected.push_back(init->shape[d]);
  TENON_USER_CHECK(same_extents(updates->shape, expected), ShapeError, "E0405",
                   "the updates of scatter '", name, "' have shape ",
                   describe_shape(updates->shape), ", expected ", describe_shape(expected),
                   ": the shape of the indices, then what is left of '", init->name, "'");
  const std::size_t leading = indices[0]->shape.size();
  const auto places = [&](const std::vector<Expr>& position) {
    const auto split = position.begin() + static_cast<std::ptrdiff_t>(leading);
    std::vector<Expr> place;
    for (const Tensor& index : indices) place.push_back(read(index, {position.begin(), split}));
    place.insert(place.end(), split, position.end());
    return place;
  };
  return scatter(init, PlaceFunction(places), updates, mode, std::move(name));
}

}  // namespace tenon::te
