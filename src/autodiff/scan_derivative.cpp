#include "autodiff/scan_derivative.h"

#include <algorithm>

#include "autodiff/batch_tensors.h"
#include "autodiff/dependence.h"
#include "autodiff/scatter_derivative.h"
#include "te/checks.h"
#include "tenon/autodiff/autodiff.h"
#include "tenon/ir/builder.h"
#include "tenon/te/scan.h"

namespace tenon::autodiff {
namespace {

using Tensors = std::vector<te::Tensor>;

std::vector<Expr> behind(const Expr& first, const std::vector<Expr>& rest) {
  std::vector<Expr> out{first};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

te::Tensor placeholder_like(const te::Tensor& t, const std::string& name) {
  return te::placeholder(t->shape, t->dtype, name);
}

/// The step of a scan as a program of its own: placeholders stand for the states before the step
/// and for what it uses from outside, so that a derivative goes no further. Its tensors use the
/// scan's own step variable, which is in scope while this lives.
///
/// A derivative of it is found for one step, and then divided: what depends on carried values
/// belongs to the step of a new scan, everything else is computed for all steps at once.
class Step {
 public:
  explicit Step(const std::shared_ptr<const te::Scan>& scan) : scan_(scan), scope_(scan->step) {
    te::TensorMap own;
    for (std::size_t s = 0; s < scan->states.size(); ++s) {
      const te::Tensor& state = scan->states[s];
      before.push_back(own[state.get()] = placeholder_like(state, state->name));
      states.push_back(te::scan_result(scan, s));
    }
    outside = scan->operands;
    for (const te::Tensor& x : te::rule_inputs_of(*scan)) outside.push_back(x);
    for (const te::Tensor& x : outside) {
      operands.push_back(own[x.get()] = placeholder_like(x, x->name));
      renamed_[operands.back().get()] = x;
    }
    te::ScanMap scans;
    for (const te::Tensor& t : scan->body) own[t.get()] = te::renew(t, own, {}, "", &scans);
    for (const te::Tensor& t : scan->next) next.push_back(own.at(t.get()));
    te::TensorMap for_all_steps;
    for (std::size_t s = 0; s < before.size(); ++s) for_all_steps[before[s].get()] = all_before(s);
    all_steps = std::make_unique<BatchTensors>(for_all_steps, num_steps(), scan->step.var);
  }

  const Expr& num_steps() const { return scan_->step.domain.extent; }

  /// Makes `is_active`, which says so of states by their init, say it of those too that depend on
  /// active states or on the operands in `variables`.
  void spread(const Tensors& variables, std::vector<bool>* is_active) const {
    for (bool is_settled = false; !is_settled;) {
      is_settled = true;
      Tensors from = variables;
      for (std::size_t s = 0; s < before.size(); ++s) {
        if ((*is_active)[s]) from.push_back(before[s]);
      }
      const Dependence dependence(next, from);
      for (std::size_t s = 0; s < before.size(); ++s) {
        if ((*is_active)[s] || !dependence.is_active(next[s])) continue;
        (*is_active)[s] = true;
        is_settled = false;
      }
    }
  }

  /// Tensors of the step in a step of a new scan, in which `t` is the index of this one and `own`
  /// stands for carried values.
  Tensors at(const Expr& t, const Tensors& roots, te::TensorMap own) const {
    Tensors carried, others;
    for (const te::Tensor& x : te::in_order(roots, own, true)) {
      bool is_carried = false;
      for (const te::Tensor& y : operands_and_rules(x)) is_carried |= own.count(y.get()) != 0;
      if (!is_carried) continue;
      carried.push_back(x);
      own[x.get()] = nullptr;
    }
    const auto add_other = [&](const te::Tensor& x) {
      if (own.count(x.get()) == 0) others.push_back(x);
    };
    for (const te::Tensor& x : roots) add_other(x);
    for (const te::Tensor& x : carried) {
      for (const te::Tensor& y : operands_and_rules(x)) add_other(y);
    }
    all_steps->run(others);
    const auto slice = [&](const te::Tensor& x) {
      const auto found = own.find(x.get());
      if (found != own.end()) return found->second;
      if (!all_steps->of(x)) return x;
      return te::compute(
          x->shape, [&](const std::vector<Expr>& i) { return all_steps->read_at(t, x, i); },
          x->name);
    };
    const auto read = [&](const te::Tensor& x, const std::vector<Expr>& i) {
      const auto found = own.find(x.get());
      return found != own.end() ? te::read(found->second, i) : all_steps->read_at(t, x, i);
    };
    const VarMap variables{{scan_->step.var.get(), t}};
    te::ScanMap scans;
    for (const te::Tensor& x : carried) {
      if (!x->vjp_rule) {
        own[x.get()] = te::renew(x, {.read = read,
                                     .whole = slice,
                                     .variables = variables,
                                     .scans = &scans,
                                     .keeps_rules = true});
        continue;
      }
      te::TensorMap all = own;
      for (const te::Tensor& y : operands_and_rules(x)) all.emplace(y.get(), slice(y));
      own[x.get()] = te::renew(x, all, variables, "", &scans);
    }
    Tensors out;
    for (const te::Tensor& x : roots) out.push_back(slice(x));
    return out;
  }

  /// Results in terms of the tensors that placeholders stand for, `more` among them. The states
  /// after a step are not computed again.
  Tensors in_terms_of_operands(const Tensors& results, const te::TensorMap& more = {}) const {
    te::TensorMap by = renamed_;
    by.insert(more.begin(), more.end());
    for (std::size_t s = 0; s < next.size(); ++s) {
      const bool is_computed =
          next[s]->kind == te::TensorKind::kCompute || next[s]->kind == te::TensorKind::kScatter;
      if (const te::Tensor all = is_computed ? all_steps->of(next[s]) : nullptr)
        by.emplace(all.get(), states[s]);
    }
    std::vector<te::Tensor> given;
    for (const te::Tensor& t : results) {
      if (t) given.push_back(t);
    }
    given = te::replace(given, by);
    Tensors out;
    std::size_t k = 0;
    for (const te::Tensor& t : results) out.push_back(t ? given[k++] : nullptr);
    return out;
  }

  Tensors before;    ///< placeholders: the states before the step
  Tensors outside;   ///< what the step uses from outside,
  Tensors operands;  ///< and the placeholder of each
  Tensors next;      ///< the states after the step
  Tensors states;    ///< those after all steps: the scan's results
  std::unique_ptr<BatchTensors> all_steps;

 private:
  static Tensors operands_and_rules(const te::Tensor& x) {
    Tensors out = te::operands_of(x);
    if (x->vjp_rule) out.insert(out.end(), x->vjp_rule->inputs.begin(), x->vjp_rule->inputs.end());
    if (x->scan) {
      for (const te::Tensor& y : te::rule_inputs_of(*x->scan)) out.push_back(y);
    }
    return out;
  }

  /// The state before each step.
  te::Tensor all_before(std::size_t s) const {
    const te::Tensor& init = scan_->init[s];
    return te::compute(states[s]->shape,
                       [&](const std::vector<Expr>& i) {
                         const std::vector<Expr> element{i.begin() + 1, i.end()};
                         return select(gt(i[0], imm(0)),
                                       te::read(states[s], behind(i[0] - 1, element)),
                                       te::read(init, element));
                       },
                       before[s]->name, {"t"});
  }

  std::shared_ptr<const te::Scan> scan_;
  te::StepScope scope_;
  te::TensorMap renamed_;
};

te::Tensor zeros_like(const te::Tensor& t) { return zeros(t->shape, t->dtype, t->name + "_zero"); }

/// Reverse mode through one scan.
class ReverseScan {
 public:
  ReverseScan(const std::shared_ptr<const te::Scan>& scan, const Tensors& cotangents,
              const std::function<bool(const te::Tensor&)>& is_active)
      : scan_(scan), step_(scan), given_(cotangents), is_active_(is_active) {}

  std::vector<std::pair<te::Tensor, te::Tensor>> run() {
    for (std::size_t j = 0; j < step_.outside.size(); ++j) {
      if (!is_active_(step_.outside[j])) continue;
      wanted_.push_back(j);
      variables_.push_back(step_.operands[j]);
    }
    differentiate_step();
    carry_back();
    Tensors results;  // of init, then of operands
    for (std::size_t s = 0; s < scan_->init.size(); ++s)
      results.push_back(carried_[s] ? te::last_state(carried_[s]) : nullptr);
    for (const te::Tensor& t : of_operands()) results.push_back(t);
    results = step_.in_terms_of_operands(results);
    std::vector<std::pair<te::Tensor, te::Tensor>> out;
    for (std::size_t s = 0; s < scan_->init.size(); ++s) {
      if (results[s] && is_active_(scan_->init[s])) out.emplace_back(scan_->init[s], results[s]);
    }
    for (std::size_t k = 0; k < wanted_.size(); ++k) {
      if (const te::Tensor& t = results[scan_->init.size() + k])
        out.emplace_back(step_.outside[wanted_[k]], t);
    }
    return out;
  }

 private:
  /// The cotangents of the states before the step (`found_`) from those after it (`seeds_`, for the
  /// states `seeded_`).
  void differentiate_step() {
    const std::size_t num = scan_->init.size();
    std::vector<bool> is_state_active;
    for (const te::Tensor& x : scan_->init) is_state_active.push_back(is_active_(x));
    step_.spread(variables_, &is_state_active);
    Tensors states;
    std::vector<std::size_t> place(num);  // of a state among these
    for (std::size_t s = 0; s < num; ++s) {
      place[s] = states.size();
      if (is_state_active[s]) states.push_back(step_.before[s]);
      seeded_.push_back(is_state_active[s] && given_[s]);
      seeds_.push_back(placeholder_like(step_.before[s], step_.next[s]->name + "_grad"));
    }
    for (bool is_settled = false; !is_settled;) {
      Tensors outputs, cotangents;
      for (std::size_t s = 0; s < num; ++s) {
        if (!seeded_[s]) continue;
        outputs.push_back(step_.next[s]);
        cotangents.push_back(seeds_[s]);
      }
      const Tensors found = vjp(outputs, states, cotangents);
      found_.assign(num, nullptr);
      is_settled = true;
      for (std::size_t s = 0; s < num; ++s) {
        if (is_state_active[s]) found_[s] = found[place[s]];
        if (!found_[s] || seeded_[s]) continue;
        seeded_[s] = true;  // a state that only later states depend on
        is_settled = false;
      }
    }
  }

  /// The cotangents of the states before each step, last step first (`carried_`).
  void carry_back() {
    carried_.assign(scan_->init.size(), nullptr);
    Tensors init, roots;
    std::vector<std::size_t> carried;
    for (std::size_t s = 0; s < scan_->init.size(); ++s) {
      if (!found_[s]) continue;
      carried.push_back(s);
      init.push_back(zeros_like(scan_->init[s]));
      roots.push_back(found_[s]);
    }
    if (carried.empty()) return;
    const auto step = [&](const Expr& backwards, const Tensors& later) {
      const Expr t = step_.num_steps() - 1 - backwards;
      te::TensorMap own;
      for (std::size_t s = 0; s < seeds_.size(); ++s) {
        if (!seeded_[s]) continue;
        const auto at = std::find(carried.begin(), carried.end(), s);
        const auto element = [&](const std::vector<Expr>& i) {
          Expr sum;
          if (at != carried.end())
            sum = te::read(later[static_cast<std::size_t>(at - carried.begin())], i);
          if (given_[s]) {
            const Expr own_part = te::read(given_[s], behind(t, i));
            sum = sum ? sum + own_part : own_part;
          }
          return sum;
        };
        own[seeds_[s].get()] = te::compute(scan_->init[s]->shape, element, seeds_[s]->name);
      }
      return step_.at(t, roots, own);
    };
    const Tensors made = te::scan(step_.num_steps(), init, step, scan_->name + "_grad");
    for (std::size_t k = 0; k < carried.size(); ++k) carried_[carried[k]] = made[k];
  }

  /// The whole cotangent of the state after each step.
  te::Tensor total(std::size_t s) const {
    if (!carried_[s]) return given_[s];
    const Expr last = step_.num_steps() - 1;
    return te::compute(step_.states[s]->shape,
                       [&](const std::vector<Expr>& i) {
                         const std::vector<Expr> element{i.begin() + 1, i.end()};
                         const Expr later =
                             select(lt(i[0], last),
                                    te::read(carried_[s], behind(last - 1 - i[0], element)),
                                    const_like(carried_[s]->dtype, 0));
                         return given_[s] ? te::read(given_[s], i) + later : later;
                       },
                       step_.states[s]->name + "_grad", {"t"});
  }

  /// The cotangents of operands, from all steps at once.
  Tensors of_operands() {
    if (variables_.empty()) return {};
    Tensors after, outputs, cotangents;
    for (std::size_t s = 0; s < seeds_.size(); ++s) {
      if (seeded_[s]) after.push_back(step_.next[s]);
    }
    step_.all_steps->run(after);
    for (std::size_t s = 0; s < seeds_.size(); ++s) {
      if (!seeded_[s]) continue;
      outputs.push_back(step_.all_steps->of_any(step_.next[s]));
      cotangents.push_back(total(s));
    }
    return vjp(outputs, variables_, cotangents);
  }

  std::shared_ptr<const te::Scan> scan_;
  Step step_;
  const Tensors& given_;
  const std::function<bool(const te::Tensor&)>& is_active_;
  std::vector<std::size_t> wanted_;  ///< active ones of what the step uses from outside
  Tensors variables_;                ///< their placeholders
  std::vector<bool> seeded_;
  Tensors seeds_, found_, carried_;
};

}  // namespace

std::vector<te::Tensor> inputs_of_scan(const te::Scan& scan) {
  Tensors out = scan.init;
  out.insert(out.end(), scan.operands.begin(), scan.operands.end());
  for (const te::Tensor& t : te::rule_inputs_of(scan)) out.push_back(t);
  return out;
}

std::vector<std::pair<te::Tensor, te::Tensor>> pull_back_scan(
    const std::shared_ptr<const te::Scan>& scan, const std::vector<te::Tensor>& cotangents,
    const std::function<bool(const te::Tensor&)>& is_active) {
  return ReverseScan(scan, cotangents, is_active).run();
}

std::vector<te::Tensor> push_forward_scan(
    const std::shared_ptr<const te::Scan>& scan,
    const std::function<te::Tensor(const te::Tensor&)>& tangent_of) {
  const std::size_t num = scan->init.size();
  const Step step(scan);
  Tensors variables, directions;
  te::TensorMap more;
  for (std::size_t j = 0; j < step.outside.size(); ++j) {
    const te::Tensor tangent = tangent_of(step.outside[j]);
    if (!tangent) continue;
    variables.push_back(step.operands[j]);
    directions.push_back(placeholder_like(tangent, tangent->name));
    more[directions.back().get()] = tangent;
  }
  std::vector<bool> is_active;
  for (const te::Tensor& x : scan->init) is_active.push_back(static_cast<bool>(tangent_of(x)));
  step.spread(variables, &is_active);
  Tensors outputs, init, carried;
  for (std::size_t s = 0; s < num; ++s) {
    if (!is_active[s]) continue;
    const te::Tensor tangent = tangent_of(scan->init[s]);
    init.push_back(tangent ? tangent : zeros_like(scan->init[s]));
    carried.push_back(placeholder_like(step.before[s], step.before[s]->name + "_tangent"));
    outputs.push_back(step.next[s]);
    variables.push_back(step.before[s]);
    directions.push_back(carried.back());
  }
  Tensors result(num);
  if (outputs.empty()) return result;
  Tensors found = jvp(outputs, variables, directions);
  for (std::size_t k = 0; k < found.size(); ++k) {
    if (!found[k]) found[k] = zeros_like(init[k]);
  }
  Tensors made = te::scan(
      step.num_steps(), init,
      [&](const Expr& t, const Tensors& states) {
        te::TensorMap own;
        for (std::size_t k = 0; k < states.size(); ++k) own[carried[k].get()] = states[k];
        return step.at(t, found, own);
      },
      scan->name + "_tangent");
  made = step.in_terms_of_operands(made, more);
  std::size_t next = 0;
  for (std::size_t s = 0; s < num; ++s) {
    if (is_active[s]) result[s] = made[next++];
  }
  return result;
}

}  // namespace tenon::autodiff
