#include <unordered_map>

#include "autodiff/dependence.h"
#include "autodiff/element.h"
#include "autodiff/scatter_derivative.h"
#include "tenon/autodiff/autodiff.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/te/scatter.h"

namespace tenon::autodiff {
namespace {

using TensorMap = std::unordered_map<const te::TensorNode*, te::Tensor>;

/// Gives tensors a leading axis. `map` takes tensors that depend on a batched one to their batched
/// forms; others are not in it.
class BatchTensors {
 public:
  BatchTensors(TensorMap map, Expr extent) : map_(std::move(map)), extent_(std::move(extent)) {}

  void run(const std::vector<te::Tensor>& outputs) {
    const auto operands = [&](const te::Tensor& t) {
      return map_.count(t.get()) != 0 ? std::vector<te::Tensor>() : te::operands_of(t);
    };
    for (const te::Tensor& t : in_order(outputs, operands)) {
      if (map_.count(t.get()) != 0) continue;
      for (const te::Tensor& operand : te::operands_of(t)) {
        if (map_.count(operand.get()) == 0) continue;
        map_[t.get()] = batched(t);
        break;
      }
    }
  }

  /// With the leading axis; null when nothing batched reaches it.
  te::Tensor of(const te::Tensor& t) const {
    const auto found = map_.find(t.get());
    return found == map_.end() ? nullptr : found->second;
  }

  /// A tensor that nothing batched reaches, repeated.
  te::Tensor repeated(const te::Tensor& t) const {
    return te::compute(with_batch(t->shape),
                       [&](const std::vector<Expr>& indices) {
                         return te::read(t, {indices.begin() + 1, indices.end()});
                       },
                       t->name, {"b"});
  }

 private:
  std::vector<Expr> with_batch(const std::vector<Expr>& shape) const {
    std::vector<Expr> out{extent_};
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
  }

  te::Tensor batched(const te::Tensor& t) const {
    TENON_USER_CHECK(t->kind != te::TensorKind::kScan, ExpressionError, "E0144",
                     "te.vmap cannot batch scan '", t->name,
                     "' yet\n  hint: give its states a dimension for the batch");
    SpanScope span(t->span);
    te::Tensor out = t->kind == te::TensorKind::kScatter ? batched_scatter(t) : batched_compute(t);
    if (t->vjp_rule != nullptr)
      const_cast<te::TensorNode*>(out.get())->vjp_rule = batched_rule(t);  // nobody has seen it yet
    return out;
  }

  te::Tensor batched_scatter(const te::Tensor& t) const {
    const te::Tensor init = of(t->init), updates = of(t->updates);
    const auto place = [&](const std::vector<Expr>& position) {
      VarMap axes;
      for (std::size_t d = 0; d < t->axes.size(); ++d) axes[t->axes[d].var.get()] = position[d + 1];
      std::vector<Expr> out{position[0]};
      for (const Expr& index : t->indices)
        out.push_back(substitute(reads_at(position[0], unchecked(index)), axes));
      return out;
    };
    return te::scatter(init ? init : repeated(t->init), te::PlaceFunction(place),
                       updates ? updates : repeated(t->updates), t->mode, t->name);
  }

  te::Tensor batched_compute(const te::Tensor& t) const {
    std::vector<std::string> names{"b"};
    for (const IterVar& axis : t->axes) names.push_back(axis.var.as<VarNode>()->name);
    return te::compute(
        with_batch(t->shape),
        [&](const std::vector<Expr>& indices) {
          VarMap axes;
          for (std::size_t d = 0; d < t->axes.size(); ++d)
            axes[t->axes[d].var.get()] = indices[d + 1];
          return substitute(reads_at(indices[0], t->body), axes);
        },
        t->name, names);
  }

  Expr reads_at(const Expr& batch, const Expr& body) const {
    return rewrite_exprs(body, [&](const Expr& e) -> Expr {
      const auto* l = e.as<LoadNode>();
      if (l == nullptr) return nullptr;
      const te::Tensor found = of(te::as_tensor(l->buffer));
      if (!found) return nullptr;
      std::vector<Expr> indices{batch};
      indices.insert(indices.end(), l->indices.begin(), l->indices.end());
      return load(found, std::move(indices), l->predicate);
    });
  }

  /// The rule for each element of the batch; an argument without the axis gets the sum.
  std::shared_ptr<const te::VjpRule> batched_rule(const te::Tensor& t) const {
    te::VjpRule rule;
    std::vector<bool> has_axis;
    for (const te::Tensor& input : t->vjp_rule->inputs) {
      const te::Tensor found = of(input);
      has_axis.push_back(static_cast<bool>(found));
      rule.inputs.push_back(found ? found : input);
    }
    if (t->vjp_rule->pull_back) {
      rule.pull_back = [t, has_axis, map = map_, extent = extent_](const te::Tensor& output,
                                                                   const te::Tensor& cotangent) {
        const te::Tensor one = te::placeholder(t->shape, t->dtype, t->name + "_cotangent");
        const std::vector<te::Tensor> found = t->vjp_rule->pull_back(t, one);
        TensorMap inner = map;
        inner[t.get()] = output;
        inner[one.get()] = cotangent;
        BatchTensors batch(std::move(inner), extent);
        std::vector<te::Tensor> roots, out;
        for (const te::Tensor& x : found) {
          if (x) roots.push_back(x);
        }
        batch.run(roots);
        for (std::size_t i = 0; i < found.size(); ++i) {
          te::Tensor x = found[i] ? batch.of(found[i]) : nullptr;
          if (found[i] && !x) x = batch.repeated(found[i]);
          const bool sums = x && i < has_axis.size() && !has_axis[i];
          out.push_back(sums ? batch.summed(x) : x);
        }
        return out;
      };
    }
    return std::make_shared<const te::VjpRule>(std::move(rule));
  }

  te::Tensor summed(const te::Tensor& t) const {
    const IterVar b = te::reduce_axis(extent_, "b");
    return te::compute(
        {t->shape.begin() + 1, t->shape.end()},
        [&](const std::vector<Expr>& indices) {
          std::vector<Expr> place{b.var};
          place.insert(place.end(), indices.begin(), indices.end());
          return te::sum(te::read(t, place), {b});
        },
        t->name);
  }

  TensorMap map_;
  Expr extent_;
};

}  // namespace

Batched vmap(const std::vector<te::Tensor>& outputs, const std::vector<te::Tensor>& inputs,
             const std::vector<bool>& is_batched, const Expr& batch_extent) {
  TENON_USER_CHECK(inputs.size() == is_batched.size(), ExpressionError, "E0160",
                   "vmap: ", inputs.size(), " inputs but ", is_batched.size(),
                   " statements whether they are batched");
  Batched out;
  TensorMap map;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const te::Tensor& t = inputs[i];
    out.inputs.push_back(t);
    if (!is_batched[i]) continue;
    SpanScope span(t->span);
    std::vector<Expr> shape{batch_extent};
    shape.insert(shape.end(), t->shape.begin(), t->shape.end());
    out.inputs.back() = te::placeholder(std::move(shape), t->dtype, t->name);
    map[t.get()] = out.inputs.back();
  }
  BatchTensors batch(std::move(map), batch_extent);
  batch.run(outputs);
  for (const te::Tensor& t : outputs) {
    const te::Tensor found = batch.of(t);
    // A batched input itself is no computed tensor.
    const bool is_computed = found && found->kind != te::TensorKind::kPlaceholder;
    out.outputs.push_back(found ? (is_computed ? found : copy_of(found, t->name))
                                : batch.repeated(t));
  }
  return out;
}

}  // namespace tenon::autodiff
