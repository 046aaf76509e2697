#include "autodiff/scatter_derivative.h"

#include <algorithm>
#include <limits>

#include "autodiff/index_equations.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/te/scatter.h"

namespace tenon::autodiff {
namespace {

std::vector<Expr> variables(const std::vector<IterVar>& axes) {
  std::vector<Expr> out;
  for (const IterVar& axis : axes) out.push_back(axis.var);
  return out;
}

bool uses_axis(const Expr& e, const IterVar& axis) {
  return uses_var(e, [&](const VarNode& v) { return &v == axis.var.get(); });
}

/// What a load at indices that depend on data needs: the variables of the domain that decide where,
/// and whether, it reads, and the conditions on these under which it does.
struct Deciding {
  std::vector<IterVar> axes;
  std::vector<Expr> masks;
};

Deciding deciding(const Element& e, const ReadAdjoint& read) {
  const std::vector<IterVar> domain = e.domain();
  std::vector<Expr> all = conjuncts(e.condition);
  without_masks(read.cotangent, &all);
  std::vector<bool> is_axis(domain.size()), is_mask(all.size());
  // A condition on no variable of the domain (sizes, or never) holds for all places or for none.
  for (std::size_t m = 0; m < all.size(); ++m) {
    const auto is_in = [&](const IterVar& axis) { return uses_axis(all[m], axis); };
    is_mask[m] = std::none_of(domain.begin(), domain.end(), is_in);
  }
  const auto take = [&](const Expr& x) {
    for (std::size_t d = 0; d < domain.size(); ++d)
      is_axis[d] = is_axis[d] || uses_axis(x, domain[d]);
  };
  for (const Expr& index : read.load.as<LoadNode>()->indices) take(index);
  // Conditions on these, on what is in those, and so on.
  for (bool is_settled = false; !is_settled;) {
    is_settled = true;
    for (std::size_t m = 0; m < all.size(); ++m) {
      for (std::size_t d = 0; d < domain.size() && !is_mask[m]; ++d) {
        if (!is_axis[d] || !uses_axis(all[m], domain[d])) continue;
        is_mask[m] = true;
        is_settled = false;
        take(all[m]);
      }
    }
  }
  Deciding out;
  for (std::size_t d = 0; d < domain.size(); ++d) {
    if (is_axis[d]) out.axes.push_back(domain[d]);
  }
  for (std::size_t m = 0; m < all.size(); ++m) {
    if (is_mask[m]) out.masks.push_back(all[m]);
  }
  return out;
}

bool uses_only(const Expr& e, const std::vector<IterVar>& axes) {
  return !uses_var(e, [&](const VarNode& v) {
    if (v.symbol != nullptr) return false;
    return std::none_of(axes.begin(), axes.end(),
                        [&](const IterVar& axis) { return axis.var.get() == &v; });
  });
}

/// The hulls of some axes of the element's domain.
std::vector<Range> hulls_of_some(const Element& e, const std::vector<IterVar>& axes) {
  const std::vector<IterVar> domain = e.domain();
  const std::vector<Range> all = hulls_of({}, domain);
  std::vector<Range> out;
  for (std::size_t d = 0; d < domain.size(); ++d) {
    for (const IterVar& axis : axes) {
      if (axis.var.same_as(domain[d].var)) out.push_back(all[d]);
    }
  }
  return out;
}

/// Where indices may be read, as far as `axes` decide that: inside the axes' domains and `masks`,
/// and where the domains of the others are not empty.
Expr guard_of(const Element& e, const std::vector<IterVar>& axes, const std::vector<Range>& hulls,
              const std::vector<Expr>& masks) {
  Expr guard;
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const Range& domain = axes[d].domain;
    if (domain.min.same_as(hulls[d].min) && domain.extent.same_as(hulls[d].extent)) continue;
    const Expr end = domain.min + domain.extent;
    if (uses_only(domain.min, axes)) guard = and_predicate(guard, ge(axes[d].var, domain.min));
    if (uses_only(end, axes)) guard = and_predicate(guard, lt(axes[d].var, end));
  }
  for (const IterVar& axis : e.reduce_axes) {
    const Expr& extent = axis.domain.extent;
    const auto is_same = [&](const IterVar& x) { return x.var.same_as(axis.var); };
    const bool decides = std::any_of(axes.begin(), axes.end(), is_same);
    if (!decides && !uses_only(extent, {}) && uses_only(extent, axes))
      guard = and_predicate(guard, gt(extent, imm(0)));
  }
  for (const Expr& mask : masks) guard = and_predicate(guard, mask);
  return guard;
}

/// The place of the update at the axes of a scatter, checked; where it is out of range the
/// predicate is false.
struct Place {
  std::vector<Expr> indices;
  Expr predicate;
};

Place place_of(const te::Tensor& t) {
  Place out{t->indices, nullptr};
  for (const Expr& index : t->indices) {
    if (index.as<CallNode>() != nullptr)
      out.predicate = and_predicate(out.predicate, ge(index, imm(0)));
  }
  return out;
}

/// The element of `tensor` where the update at the axes of `t` goes; 0 where it goes nowhere.
Expr read_at_place(const te::Tensor& t, const te::Tensor& tensor) {
  const Place place = place_of(t);
  return load(tensor, place.indices, place.predicate);
}

/// A number for each update, ascending.
Expr update_number(const te::Tensor& t) {
  Expr number = imm(0);
  for (const IterVar& axis : t->axes) number = number * axis.domain.extent + axis.var;
  return number;
}

/// `element` over the axes of the updates.
te::Tensor over_updates(const te::Tensor& t, const Expr& element, const std::string& name) {
  std::vector<IterVar> axes = t->axes;
  for (IterVar& axis : axes) axis.kind = IterKind::kSpatial;
  return define(name, axes, element, element->dtype);
}

/// For each element of a kSet the number of the update that is left there, -1 for none; for kMin
/// and kMax the first one that equals the result, the largest integer for none.
te::Tensor winners(const te::Tensor& t) {
  const bool is_set = t->mode == te::ScatterMode::kSet;
  Expr none = imm(is_set ? -1 : std::numeric_limits<std::int64_t>::max());
  const te::Tensor nobody =
      te::compute(t->shape, [&](const std::vector<Expr>&) { return none; }, t->name + "_nobody");
  Expr number = update_number(t);
  if (!is_set) {
    const Expr own = te::read(t->updates, variables(t->axes));
    number = select(eq(own, read_at_place(t, t)), number, none);
  }
  const te::Tensor numbers = over_updates(t, number, t->name + "_number");
  return scatter_like(t, nobody, numbers, is_set ? te::ScatterMode::kSet : te::ScatterMode::kMin,
                      t->name + "_place");
}

/// Whether the element at `indices` is that of init, over the result's axes.
Expr is_from_init(const te::Tensor& t, const te::Tensor& winner, const std::vector<Expr>& indices) {
  if (t->mode == te::ScatterMode::kSet) return lt(te::read(winner, indices), imm(0));
  return eq(te::read(t->init, indices), te::read(t, indices));
}

/// Whether the update at the axes is the one that is left, over the axes.
Expr is_left(const te::Tensor& t, const te::Tensor& winner) {
  Expr first = eq(read_at_place(t, winner), update_number(t));
  if (t->mode == te::ScatterMode::kSet) return first;
  return logical_and(ne(read_at_place(t, t->init), read_at_place(t, t)), first);
}

/// For each update of a kMul what it is multiplied by: init and the other updates of the element.
/// The product is divided by the update, so that a zero is left out of it and counted instead.
te::Tensor cofactors(const te::Tensor& t) {
  const Expr own = te::read(t->updates, variables(t->axes)), one = const_like(t->dtype, 1);
  const Expr is_zero = eq(own, zero(t->dtype)), factor = select(is_zero, one, own);
  const te::Tensor none = te::compute(
      t->shape, [&](const std::vector<Expr>&) { return imm(0); }, t->name + "_no_zeros");
  const te::Tensor zeros =
      scatter_like(t, none, over_updates(t, cast(kInt64, is_zero), t->updates->name + "_is_zero"),
                   te::ScatterMode::kAdd, t->name + "_zeros");
  const te::Tensor product =
      scatter_like(t, t->init, over_updates(t, factor, t->updates->name + "_factor"),
                   te::ScatterMode::kMul, t->name + "_product");
  const Expr others = read_at_place(t, zeros) - cast(kInt64, is_zero);
  return over_updates(
      t, select(gt(others, imm(0)), zero(t->dtype), read_at_place(t, product) / factor),
      t->updates->name + "_cofactor");
}

}  // namespace

bool depends_on_data(const LoadNode& load) {
  return std::any_of(load.indices.begin(), load.indices.end(), [](const Expr& index) {
    bool found = false;
    post_order_visit(index, [&](const Node& n) { found |= n.kind == NodeKind::kLoad; });
    return found;
  });
}

Expr unchecked(const Expr& index) {
  const auto* c = index.as<CallNode>();
  return c != nullptr && c->name == "checked_index" ? c->args[0] : index;
}

te::Tensor zeros(const std::vector<Expr>& shape, DType dtype, const std::string& name) {
  return te::compute(shape, [&](const std::vector<Expr>&) { return const_like(dtype, 0); }, name);
}

te::Tensor scatter_like(const te::Tensor& t, const te::Tensor& init, const te::Tensor& updates,
                        te::ScatterMode mode, const std::string& name) {
  const auto place = [&](const std::vector<Expr>& position) {
    VarMap map;
    for (std::size_t d = 0; d < position.size(); ++d) map[t->axes[d].var.get()] = position[d];
    std::vector<Expr> out;
    for (const Expr& index : t->indices) out.push_back(substitute(unchecked(index), map));
    return out;
  };
  return te::scatter(init, te::PlaceFunction(place), updates, mode, name);
}

te::Tensor scatter_adjoint(const Element& e, const ReadAdjoint& read, const std::string& name) {
  const auto& l = *read.load.as<LoadNode>();
  const DType wide = l.dtype.bits == 16 ? kFloat32 : l.dtype;
  // A tensor that has an element for each place that is read: its adjoint is a gather.
  const auto [axes, masks] = deciding(e, read);
  const std::vector<Range> hulls = hulls_of_some(e, axes);
  std::vector<Expr> shape, indices;
  for (std::size_t d = 0; d < axes.size(); ++d) {
    shape.push_back(hulls[d].extent);
    indices.push_back(axes[d].var - hulls[d].min);
  }
  const te::Tensor places = te::placeholder(shape, wide, name);
  const AdjointTerm term =
      gather(e, name, {load(places, indices), read.cotangent}, name + "_terms");
  te::Tensor updates = tensor_in_place(places, term);
  if (!updates) updates = define(name + "_terms", term.axes, term.element, wide);

  const Expr guard = guard_of(e, axes, hulls, masks);
  const auto place = [&](const std::vector<Expr>& position) {
    VarMap map;
    for (std::size_t d = 0; d < position.size(); ++d)
      map[axes[d].var.get()] = position[d] + hulls[d].min;
    std::vector<Expr> out;
    for (const Expr& checked : l.indices) {
      const Expr index = unchecked(checked);
      out.push_back(substitute(guard ? select(guard, index, imm(0)) : index, map));
    }
    return out;
  };
  return te::scatter(zeros(l.buffer->shape, wide, name + "_zeros"), te::PlaceFunction(place),
                     updates, te::ScatterMode::kAdd, name);
}

std::pair<te::Tensor, te::Tensor> pull_back_scatter(const te::Tensor& t,
                                                    const te::Tensor& cotangent) {
  const std::string init_name = t->init->name + "_grad_" + t->name;
  const std::string updates_name = t->updates->name + "_grad_" + t->name;
  const Expr at_place = read_at_place(t, cotangent);
  if (t->mode == te::ScatterMode::kAdd) return {cotangent, over_updates(t, at_place, updates_name)};
  if (t->mode == te::ScatterMode::kMul) {
    const Expr cofactor = te::read(cofactors(t), variables(t->axes));
    return {scatter_like(t, cotangent, t->updates, t->mode, init_name),
            over_updates(t, at_place * cofactor, updates_name)};
  }
  const te::Tensor winner = winners(t);
  const Expr nothing = const_like(t->dtype, 0);
  const te::Tensor of_init = te::compute(
      t->shape,
      [&](const std::vector<Expr>& indices) {
        return select(is_from_init(t, winner, indices), te::read(cotangent, indices), nothing);
      },
      init_name);
  return {of_init, over_updates(t, select(is_left(t, winner), at_place, nothing), updates_name)};
}

te::Tensor push_forward_scatter(const te::Tensor& t, const te::Tensor& init_tangent,
                                const te::Tensor& updates_tangent) {
  const std::string name = t->name + "_tangent";
  const te::Tensor init = init_tangent ? init_tangent : zeros(t->shape, t->dtype, name + "_init");
  const te::Tensor updates =
      updates_tangent ? updates_tangent : zeros(t->updates->shape, t->dtype, name + "_updates");
  if (t->mode == te::ScatterMode::kAdd || t->mode == te::ScatterMode::kSet)
    return scatter_like(t, init, updates, t->mode, name);
  const Expr own = te::read(updates, variables(t->axes));
  if (t->mode == te::ScatterMode::kMul) {
    const Expr cofactor = te::read(cofactors(t), variables(t->axes));
    return scatter_like(t, scatter_like(t, init, t->updates, t->mode, name + "_init"),
                        over_updates(t, own * cofactor, name + "_updates"), te::ScatterMode::kAdd,
                        name);
  }
  const te::Tensor winner = winners(t);
  const Expr nothing = const_like(t->dtype, 0);
  const te::Tensor of_init = te::compute(
      t->shape,
      [&](const std::vector<Expr>& indices) {
        return select(is_from_init(t, winner, indices), te::read(init, indices), nothing);
      },
      name + "_init");
  const te::Tensor left =
      over_updates(t, select(is_left(t, winner), own, nothing), name + "_updates");
  return scatter_like(t, of_init, left, te::ScatterMode::kAdd, name);
}

}  // namespace tenon::autodiff
