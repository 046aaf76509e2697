#include "autodiff/batch_tensors.h"

#include <algorithm>

#include "autodiff/scatter_derivative.h"
#include "te/checks.h"
#include "tenon/ir/builder.h"
#include "tenon/te/scan.h"
#include "tenon/te/scatter.h"

namespace tenon::autodiff {
namespace {

std::vector<Expr> behind(const Expr& first, const std::vector<Expr>& rest) {
  std::vector<Expr> out{first};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

bool is_leaf(const te::Tensor& t) {
  return t->kind == te::TensorKind::kPlaceholder || t->kind == te::TensorKind::kState;
}

}  // namespace

void BatchTensors::run(const std::vector<te::Tensor>& outputs) {
  for (const te::Tensor& t : te::in_order(outputs, batched_)) {
    if (plain_.count(t.get()) != 0 || is_leaf(t)) continue;
    kept_.push_back(t);
    if (t->scan) {
      // Which of its states are reached is known to the scan only.
      if (!is_reached(t) && !is_changed(t)) continue;
      if (scans_.count(t->scan.get()) == 0) scans_[t->scan.get()] = batched_scan(*t->scan);
      const BatchedScan& made = scans_.at(t->scan.get());
      (made.has_batch[t->state] ? batched_ : plain_)[t.get()] = made.results[t->state];
    } else if (is_reached(t)) {
      batched_[t.get()] = batched(t);
    } else if (is_changed(t)) {
      plain_[t.get()] = te::renew(t, plain_, variables_);
    }
  }
}

te::Tensor BatchTensors::of(const te::Tensor& t) const {
  const auto found = batched_.find(t.get());
  if (found == batched_.end()) return nullptr;
  if (!t->scan || scans_.count(t->scan.get()) == 0) return found->second;
  return te::compute(
      with_batch(t->shape),
      [&](const std::vector<Expr>& i) { return read_at(i[0], t, {i.begin() + 1, i.end()}); },
      t->name, {"b"});
}

te::Tensor BatchTensors::of_any(const te::Tensor& t) const {
  const te::Tensor found = of(t);
  return found ? found : repeated(t);
}

Expr BatchTensors::read_at(const Expr& batch, const te::Tensor& t,
                           const std::vector<Expr>& indices) const {
  const auto found = batched_.find(t.get());
  if (found == batched_.end()) return te::read(plain(t), indices);
  std::vector<Expr> place = behind(batch, indices);
  if (t->scan && scans_.count(t->scan.get()) != 0) std::swap(place[0], place[1]);
  return te::read(found->second, place);
}

te::Tensor BatchTensors::plain(const te::Tensor& t) const {
  const auto found = plain_.find(t.get());
  return found == plain_.end() ? t : found->second;
}

/// A tensor that nothing batched reaches, repeated.
te::Tensor BatchTensors::repeated(const te::Tensor& t) const {
  return te::compute(with_batch(t->shape),
                     [&](const std::vector<Expr>& indices) {
                       return te::read(plain(t), {indices.begin() + 1, indices.end()});
                     },
                     t->name, {"b"});
}

std::vector<Expr> BatchTensors::with_batch(const std::vector<Expr>& shape) const {
  return behind(extent_, shape);
}

bool BatchTensors::uses_step(const te::TensorNode& t) const {
  if (!step_) return false;
  const auto is_step = [&](const VarNode& v) { return &v == step_.get(); };
  if (t.body && uses_var(t.body, is_step)) return true;
  for (const Expr& index : t.indices) {
    if (uses_var(index, is_step)) return true;
  }
  if (!t.scan) return false;
  return std::any_of(t.scan->body.begin(), t.scan->body.end(),
                     [&](const te::Tensor& x) { return uses_step(*x.get()); });
}

bool BatchTensors::is_reached(const te::Tensor& t) const {
  const std::vector<te::Tensor> operands = te::operands_of(t);
  return uses_step(*t.get()) ||
         std::any_of(operands.begin(), operands.end(),
                     [&](const te::Tensor& x) { return batched_.count(x.get()) != 0; });
}

bool BatchTensors::is_changed(const te::Tensor& t) const {
  const auto is_replaced = [&](const VarNode& v) { return variables_.count(&v) != 0; };
  const auto uses = [&](const te::TensorNode& x, const auto& self) -> bool {
    if (x.body && uses_var(x.body, is_replaced)) return true;
    for (const Expr& index : x.indices) {
      if (uses_var(index, is_replaced)) return true;
    }
    return x.scan && std::any_of(x.scan->body.begin(), x.scan->body.end(),
                                 [&](const te::Tensor& y) { return self(*y.get(), self); });
  };
  if (!variables_.empty() && uses(*t.get(), uses)) return true;
  const std::vector<te::Tensor> operands = te::operands_of(t);
  return std::any_of(operands.begin(), operands.end(),
                     [&](const te::Tensor& x) { return plain_.count(x.get()) != 0; });
}

te::Tensor BatchTensors::batched(const te::Tensor& t) const {
  const SpanScope span(t->span);
  te::Tensor out = t->kind == te::TensorKind::kScatter ? batched_scatter(t) : batched_compute(t);
  if (t->vjp_rule != nullptr)
    const_cast<te::TensorNode*>(out.get())->vjp_rule = batched_rule(t);  // nobody has seen it yet
  return out;
}

te::Tensor BatchTensors::batched_scatter(const te::Tensor& t) const {
  const auto place = [&](const std::vector<Expr>& position) {
    VarMap axes;
    for (std::size_t d = 0; d < t->axes.size(); ++d) axes[t->axes[d].var.get()] = position[d + 1];
    std::vector<Expr> out{position[0]};
    for (const Expr& index : t->indices)
      out.push_back(reads_at(position[0], unchecked(index), axes));
    return out;
  };
  return te::scatter(of_any(t->init), te::PlaceFunction(place), of_any(t->updates), t->mode,
                     t->name);
}

te::Tensor BatchTensors::batched_compute(const te::Tensor& t) const {
  std::vector<std::string> names{"b"};
  for (const IterVar& axis : t->axes) names.push_back(axis.var.as<VarNode>()->name);
  return te::compute(
      with_batch(t->shape),
      [&](const std::vector<Expr>& indices) {
        VarMap axes;
        for (std::size_t d = 0; d < t->axes.size(); ++d)
          axes[t->axes[d].var.get()] = indices[d + 1];
        return reads_at(indices[0], t->body, axes);
      },
      t->name, names);
}

Expr BatchTensors::reads_at(const Expr& batch, const Expr& body, const VarMap& axes) const {
  VarMap at = axes;
  at.insert(variables_.begin(), variables_.end());
  if (step_) at[step_.get()] = batch;
  return rewrite_exprs(substitute(body, at), [&](const Expr& e) -> Expr {
    const auto* l = e.as<LoadNode>();
    if (l == nullptr) return nullptr;
    const te::Tensor t = te::as_tensor(l->buffer);
    if (batched_.count(t.get()) == 0 && plain_.count(t.get()) == 0) return nullptr;
    std::vector<Expr> indices;
    for (const Expr& index : l->indices) indices.push_back(unchecked(index));
    return read_at(batch, t, indices);
  });
}

std::vector<bool> BatchTensors::batched_states(const te::Scan& scan) const {
  std::vector<bool> has_batch;
  for (const te::Tensor& x : scan.init) has_batch.push_back(batched_.count(x.get()) != 0);
  for (bool is_settled = false; !is_settled;) {
    is_settled = true;
    std::unordered_set<const BufferNode*> reached;
    for (const auto& [t, made] : batched_) reached.insert(t);
    for (std::size_t s = 0; s < has_batch.size(); ++s) {
      if (has_batch[s]) reached.insert(scan.states[s].get());
    }
    for (const te::Tensor& t : scan.body) {
      const std::vector<te::Tensor> operands = te::operands_of(t);
      const bool is_one = uses_step(*t.get()) ||
                          std::any_of(operands.begin(), operands.end(), [&](const te::Tensor& x) {
                            return reached.count(x.get()) != 0;
                          });
      if (is_one) reached.insert(t.get());
    }
    for (std::size_t s = 0; s < has_batch.size(); ++s) {
      if (has_batch[s] || reached.count(scan.next[s].get()) == 0) continue;
      has_batch[s] = true;
      is_settled = false;
    }
  }
  return has_batch;
}

BatchTensors::BatchedScan BatchTensors::batched_scan(const te::Scan& scan) const {
  BatchedScan out;
  out.has_batch = batched_states(scan);
  std::vector<te::Tensor> init;
  for (std::size_t s = 0; s < scan.init.size(); ++s)
    init.push_back(out.has_batch[s] ? of_any(scan.init[s]) : plain(scan.init[s]));
  const auto step = [&](const Expr& t, const std::vector<te::Tensor>& states) {
    BatchTensors inner = *this;
    inner.variables_[scan.step.var.get()] = t;
    for (std::size_t s = 0; s < states.size(); ++s)
      (out.has_batch[s] ? inner.batched_ : inner.plain_)[scan.states[s].get()] = states[s];
    inner.run(scan.next);
    std::vector<te::Tensor> next;
    for (std::size_t s = 0; s < states.size(); ++s)
      next.push_back(out.has_batch[s] ? inner.of_any(scan.next[s]) : inner.plain(scan.next[s]));
    return next;
  };
  out.results = te::scan(scan.step.domain.extent, init, step, scan.name);
  return out;
}

/// The rule for each element of the batch; an argument without the axis gets the sum.
std::shared_ptr<const te::VjpRule> BatchTensors::batched_rule(const te::Tensor& t) const {
  te::VjpRule rule;
  std::vector<bool> has_axis;
  for (const te::Tensor& input : t->vjp_rule->inputs) {
    const te::Tensor found = of(input);
    has_axis.push_back(static_cast<bool>(found));
    rule.inputs.push_back(found ? found : plain(input));
  }
  if (t->vjp_rule->pull_back) {
    rule.pull_back = [t, has_axis, self = *this](const te::Tensor& output,
                                                 const te::Tensor& cotangent) {
      // What the rule makes may use the steps of the scans that it was written in.
      std::vector<std::unique_ptr<te::StepScope>> steps;
      if (self.step_) steps.push_back(std::make_unique<te::StepScope>(self.step_));
      for (const auto& [v, value] : self.variables_)
        steps.push_back(std::make_unique<te::StepScope>(Expr(v)));
      const te::Tensor one = te::placeholder(t->shape, t->dtype, t->name + "_cotangent");
      const std::vector<te::Tensor> found = t->vjp_rule->pull_back(t, one);
      BatchTensors batch = self;
      batch.batched_[t.get()] = output;
      batch.batched_[one.get()] = cotangent;
      std::vector<te::Tensor> roots, out;
      for (const te::Tensor& x : found) {
        if (x) roots.push_back(x);
      }
      batch.run(roots);
      for (std::size_t i = 0; i < found.size(); ++i) {
        const te::Tensor x = found[i] ? batch.of_any(found[i]) : nullptr;
        const bool sums = x && i < has_axis.size() && !has_axis[i];
        out.push_back(sums ? batch.summed(x) : x);
      }
      return out;
    };
  }
  return std::make_shared<const te::VjpRule>(std::move(rule));
}

te::Tensor BatchTensors::summed(const te::Tensor& t) const {
  const IterVar b = te::reduce_axis(extent_, "b");
  return te::compute(
      {t->shape.begin() + 1, t->shape.end()},
      [&](const std::vector<Expr>& indices) {
        return te::sum(te::read(t, behind(b.var, indices)), {b});
      },
      t->name);
}

}  // namespace tenon::autodiff
