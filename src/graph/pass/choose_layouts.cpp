// Channels-last inside, whatever the layout outside: transposes of maps sink through what follows
// them until they meet their inverse or the network's end.

#include <algorithm>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "graph/pass/pass.h"
#include "tenon/graph/expression.h"
#include "tenon/ir/builder.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {
namespace {

using Axes = std::vector<std::int64_t>;

const Axes& axes_of(const Value& v) { return attr<Axes>(*v, "axes"); }

std::size_t at(std::int64_t axis) { return static_cast<std::size_t>(axis); }

Axes inverse(const Axes& axes) {
  Axes result(axes.size());
  for (std::size_t d = 0; d < axes.size(); ++d) result[at(axes[d])] = static_cast<std::int64_t>(d);
  return result;
}

Value reshaped(const Value& x, const std::vector<Expr>& shape) {
  return same_shape(x->shape, shape) ? x : make_op("reshape", {x}, {{"shape", shape}});
}

/// x with its axes in another order; a transpose of a transpose is one or none.
Value permuted(const Value& x, Axes axes) {
  if (x->is_op("transpose")) {
    for (std::int64_t& axis : axes) axis = axes_of(x)[at(axis)];
    return permuted(x->inputs[0], axes);
  }
  return std::is_sorted(axes.begin(), axes.end()) ? x : make_op("transpose", {x}, {{"axes", axes}});
}

bool is_one(const Expr& e) { return is_int(e, 1); }

bool has_one_element(const Value& v) {
  return std::all_of(v->shape.begin(), v->shape.end(), is_one);
}

/// A transpose that moves axes of size 1 alone is a reshape.
Value straight(const Value& v) {
  if (!v->is_op("transpose")) return v;
  Axes moved;
  for (const std::int64_t axis : axes_of(v)) {
    if (!is_one(v->inputs[0]->shape[at(axis)])) moved.push_back(axis);
  }
  if (!std::is_sorted(moved.begin(), moved.end())) return v;
  const Value& x = v->inputs[0];
  return reshaped(x->is_op("reshape") ? x->inputs[0] : x, v->shape);
}

class LayoutChooser {
 public:
  explicit LayoutChooser(RewriteLog* log) : log_(log) {}

  Value rewrite(const Value& v, const std::vector<Value>& inputs) {
    if (inputs.empty()) return v;
    Value result = moved(v, inputs);
    if (!result) {
      result = inputs == v->inputs ? v : with_inputs(*v, inputs);
      if (makes_map(*result)) maps_.insert(keep(result));
    }
    return result;
  }

 private:
  /// The operator on what is transposed, transposed after it; null when it stays as it is.
  Value moved(const Value& v, const std::vector<Value>& inputs) {
    if (v->is_op("transpose")) return transpose(v, inputs[0]);
    if (std::none_of(inputs.begin(), inputs.end(), [&](const Value& x) { return is_turned(x); }))
      return nullptr;
    const Operator* op = operator_of(*v);
    if (op == nullptr) return nullptr;
    if (v->is_op("batch_norm")) return nullptr;  // its channels are an axis
    if (op->kind == OperatorKind::kElementwise) return elementwise(v, *op, inputs);
    if (v->is_op("concat")) return concat(v, inputs);
    if (v->is_op("slice")) return slice(v, inputs[0]);
    if (v->is_op("reshape")) return reshape(v, inputs[0]);
    const bool is_reduction =
        v->is_op("sum") || v->is_op("mean") || v->is_op("max") || v->is_op("min");
    return is_reduction ? reduction(v, inputs[0]) : nullptr;
  }

  /// Whether `v` is a transposed map.
  bool is_turned(const Value& v) const {
    return v->is_op("transpose") && maps_.count(v->inputs[0].get()) != 0;
  }

  /// Whether the result has its channels last because the operator has them there.
  bool makes_map(const ValueNode& v) const {
    for (const char* name : {"conv", "conv_transpose", "max_pool", "avg_pool", "batch_norm"}) {
      if (v.is_op(name)) return true;
    }
    const Operator* op = operator_of(v);
    const bool follows = op != nullptr && (v.expression || op->kind == OperatorKind::kElementwise);
    return follows && std::any_of(v.inputs.begin(), v.inputs.end(), [&](const Value& x) {
             return maps_.count(x.get()) != 0 && same_shape(x->shape, v.shape);
           });
  }

  /// `core`, a map, with its axes in another order.
  Value turned(const Value& core, const Axes& axes) {
    maps_.insert(keep(core));
    return permuted(core, axes);
  }

  const ValueNode* keep(const Value& v) {
    kept_.push_back(v);  // so that the address is not used again
    return v.get();
  }

  Value transpose(const Value& v, const Value& x) {
    if (!is_turned(x)) return nullptr;
    const Value result = permuted(x, axes_of(v));
    if (!result->is_op("transpose"))
      note(log_, "choose_layouts", *v, "removed", "it undoes the transpose before it");
    return result;
  }

  /// The operand with as many axes as the result, in the order that the core has; null when that
  /// would move many elements.
  Value aligned(const Value& x, const Axes& axes) {
    if (is_turned(x) && axes_of(x) == axes) return x->inputs[0];
    if (has_one_element(x)) return reshaped(x, {});
    if (x->shape.size() < axes.size() || is_broadcast(x) || x->is_constant()) {
      std::vector<Expr> shape(axes.size() - x->shape.size(), imm(1));
      shape.insert(shape.end(), x->shape.begin(), x->shape.end());
      return straight(permuted(reshaped(x, shape), inverse(axes)));
    }
    return nullptr;
  }

  /// Whether some axis is repeated by the operator: the operand is much smaller than the result.
  static bool is_broadcast(const Value& x) {
    return std::any_of(x->shape.begin() + 1, x->shape.end(), is_one);
  }

  Value elementwise(const Value& v, const Operator& op, const std::vector<Value>& inputs) {
    const auto first = std::find_if(inputs.begin(), inputs.end(), [&](const Value& x) {
      return is_turned(x) && x->shape.size() == v->shape.size();
    });
    if (first == inputs.end()) return nullptr;
    const Axes& axes = axes_of(*first);
    std::vector<Value> operands;
    for (const Value& x : inputs) {
      operands.push_back(aligned(x, axes));
      if (!operands.back()) return nullptr;
    }
    if (!v->expression) return turned(make_op(v->op, operands, v->attrs), axes);
    return turned(expression(v, op, inputs, operands, axes), axes);
  }

  /// A tensor expression on the operands in the core's order.
  static Value expression(const Value& v, const Operator& op, const std::vector<Value>& inputs,
                          const std::vector<Value>& operands, const Axes& axes) {
    std::vector<te::Tensor> placeholders;
    for (std::size_t i = 0; i < operands.size(); ++i)
      placeholders.push_back(
          te::placeholder(operands[i]->shape, operands[i]->dtype, "x" + std::to_string(i)));
    const ElementReader read = [&](std::size_t i, const Indices& indices) {
      Indices place(operands[i]->shape.size(), imm(0));
      if (!place.empty()) {
        const std::size_t missing = axes.size() - inputs[i]->shape.size();
        for (std::size_t d = 0; d < indices.size(); ++d) place[at(axes[missing + d])] = indices[d];
      }
      return te::read(placeholders[i], place);
    };
    std::vector<Expr> shape(axes.size());
    for (std::size_t d = 0; d < axes.size(); ++d) shape[at(axes[d])] = v->shape[d];
    const te::Tensor result = te::compute(
        shape,
        [&](const std::vector<Expr>& i) {
          Indices place;
          for (const std::int64_t axis : axes) place.push_back(i[at(axis)]);
          return op.element(*v, place, read);
        },
        v->op);
    return make_expression(v->op, operands, placeholders, {result})[0];
  }

  Value concat(const Value& v, const std::vector<Value>& inputs) {
    const Axes axes = axes_of(
        *std::find_if(inputs.begin(), inputs.end(), [&](const Value& x) { return is_turned(x); }));
    std::vector<Value> operands;
    for (const Value& x : inputs) {
      if (!is_turned(x) || axes_of(x) != axes) return nullptr;
      operands.push_back(x->inputs[0]);
    }
    const std::int64_t axis = axes[at(attr<std::int64_t>(*v, "axis"))];
    return turned(make_op("concat", operands, {{"axis", axis}}), axes);
  }

  Value slice(const Value& v, const Value& x) {
    const Axes& axes = axes_of(x);
    OpAttrs attrs = v->attrs;
    for (const char* name : {"begins", "extents"}) {
      auto& values = std::get<std::vector<Expr>>(attrs.at(name));
      const std::vector<Expr> old = values;
      for (std::size_t d = 0; d < axes.size(); ++d) values[at(axes[d])] = old[d];
    }
    if (attrs.count("steps") != 0) {
      auto& steps = std::get<Axes>(attrs.at("steps"));
      const Axes old = steps;
      for (std::size_t d = 0; d < axes.size(); ++d) steps[at(axes[d])] = old[d];
    }
    return turned(make_op("slice", {x->inputs[0]}, attrs), axes);
  }

  /// Reductions of the core; what is left is put into its order.
  Value reduction(const Value& v, const Value& x) {
    const Axes& axes = axes_of(x);
    const Axes& reduced = axes_of(v);
    Axes of_core;
    for (const std::int64_t d : reduced) of_core.push_back(axes[at(d)]);
    const Value core = make_op(v->op, {x->inputs[0]}, {{"axes", of_core}});
    Axes rest;  // the axes of the core that are left, as the result has them
    for (std::size_t d = 0; d < axes.size(); ++d) {
      const bool is_left =
          std::find(reduced.begin(), reduced.end(), static_cast<std::int64_t>(d)) == reduced.end();
      if (is_left) rest.push_back(axes[d]);
    }
    Axes order = rest;
    std::sort(order.begin(), order.end());
    for (std::int64_t& axis : rest)
      axis = std::find(order.begin(), order.end(), axis) - order.begin();
    return permuted(core, rest);
  }

  /// Axes of two shapes that hold the same elements: [begin, end) of each.
  struct Part {
    std::size_t from_begin, from_end, to_begin, to_end;
  };

  /// The smallest parts that a reshape divides shapes into; empty when sizes do not say.
  static std::vector<Part> parts_of(const std::vector<Expr>& from, const std::vector<Expr>& to) {
    std::vector<Part> parts;
    std::size_t i = 0, j = 0;
    while (i < from.size() || j < to.size()) {
      if (i < from.size() && j < to.size() && same_extent(from[i], to[j])) {
        parts.push_back({i, i + 1, j, j + 1});
        ++i;
        ++j;
        continue;
      }
      Part part{i, i, j, j};
      std::int64_t left = 1, right = 1;
      bool is_first = true;
      while (is_first || left != right) {
        is_first = false;
        const bool takes_left = left <= right ? i < from.size() : j >= to.size();
        const auto size = takes_left ? (i < from.size() ? as_int(from[i]) : std::nullopt)
                                     : (j < to.size() ? as_int(to[j]) : std::nullopt);
        constexpr std::int64_t kMost = std::int64_t{1} << 40;
        if (!size || *size < 1 || *size > kMost || left > kMost || right > kMost) return {};
        (takes_left ? left : right) *= *size;
        ++(takes_left ? i : j);
      }
      part.from_end = i;
      part.to_end = j;
      parts.push_back(part);
    }
    return parts;
  }

  /// A reshape that divides or joins axes does so in the core; axes that are joined are put side by
  /// side there.
  Value reshape(const Value& v, const Value& x) {
    const Axes& axes = axes_of(x);
    const Value& core = x->inputs[0];
    const std::vector<Part> parts = parts_of(x->shape, v->shape);
    if (parts.empty()) return nullptr;
    // The parts as the core has them: by the first of their axes there.
    std::vector<std::size_t> order(parts.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto first = [&](const Part& p) {
      std::int64_t least = static_cast<std::int64_t>(axes.size());
      for (std::size_t d = p.from_begin; d < p.from_end; ++d) least = std::min(least, axes[d]);
      return least;
    };
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(first(parts[a]), a) < std::pair(first(parts[b]), b);
    });
    Axes side_by_side, result(v->shape.size());
    std::vector<Expr> shape;
    for (const std::size_t i : order) {
      const Part& p = parts[i];
      for (std::size_t d = p.from_begin; d < p.from_end; ++d) side_by_side.push_back(axes[d]);
      for (std::size_t d = p.to_begin; d < p.to_end; ++d) {
        result[d] = static_cast<std::int64_t>(shape.size());
        shape.push_back(v->shape[d]);
      }
    }
    if (std::is_sorted(result.begin(), result.end())) {
      // No transpose is left for what follows; a reshape alone is won, a transpose is not.
      const bool is_reshape = std::is_sorted(side_by_side.begin(), side_by_side.end());
      return is_reshape ? reshaped(core, shape) : nullptr;
    }
    const Value divided = reshaped(permuted(core, side_by_side), shape);
    if (std::is_sorted(side_by_side.begin(), side_by_side.end())) return turned(divided, result);
    // Channels that are shuffled are read apart: once, for a copy.
    return turned(make_op("copy", {divided}), result);
  }

  RewriteLog* log_;
  std::unordered_set<const ValueNode*> maps_;
  std::vector<Value> kept_;
};

}  // namespace

std::vector<Value> choose_layouts(const std::vector<Value>& outputs, RewriteLog* log) {
  LayoutChooser chooser(log);
  const std::vector<Value> moved =
      rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>& inputs) {
        const SpanScope span(v->span);
        return chooser.rewrite(v, inputs);
      });
  return rewrite_graph(moved, [&](const Value& v, const std::vector<Value>& inputs) {
    return v->is_op("transpose") ? straight(with_inputs(*v, inputs)) : nullptr;
  });
}

}  // namespace tenon::graph
