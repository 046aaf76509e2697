#include "graph/in_place.h"

#include <algorithm>

#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon::graph {
namespace {

/// A step of the network itself: a call, or a branch or loop with the calls within.
struct StepInfo {
  std::vector<std::size_t> calls;
  std::vector<Value> operands;  ///< of all that is in it
  std::vector<Value> results;
};

void add_calls(const ProgramStep& step, const Groups& groups, StepInfo* info) {
  if (!step.control) {
    info->calls.push_back(step.call);
    for (const KernelParam& p : groups.calls[step.call].params) info->operands.push_back(p.value);
    return;
  }
  const std::vector<Value>& operands = step.control->inputs;
  info->operands.insert(info->operands.end(), operands.begin(), operands.end());
  for (const Program& part : step.parts) {
    for (const ProgramStep& inner : part) add_calls(inner, groups, info);
  }
}

std::vector<StepInfo> step_infos(const Groups& groups) {
  std::vector<StepInfo> infos;
  for (const ProgramStep& step : groups.program) {
    StepInfo& info = infos.emplace_back();
    add_calls(step, groups, &info);
    if (!step.control) {
      info.results = {groups.calls[step.call].result};
    } else if (const auto it = groups.items.find(step.control.get()); it != groups.items.end()) {
      info.results = it->second;
    }
  }
  return infos;
}

/// Which steps have to come before which, kept without cycles.
class StepOrder {
 public:
  explicit StepOrder(const std::vector<StepInfo>& steps) : before_(steps.size()) {
    std::unordered_map<const ValueNode*, std::size_t> maker;
    for (std::size_t s = 0; s < steps.size(); ++s) {
      for (const Value& v : steps[s].results) maker[v.get()] = s;
    }
    for (std::size_t s = 0; s < steps.size(); ++s) {
      for (const Value& v : steps[s].operands) {
        const auto it = maker.find(v.get());
        if (it != maker.end()) before_[s].push_back(it->second);
      }
    }
  }

  /// Whether step `first` is needed for step `then`.
  bool precedes(std::size_t first, std::size_t then) const {
    std::vector<std::size_t> stack{then};
    std::vector<bool> seen(before_.size(), false);
    while (!stack.empty()) {
      const std::size_t c = stack.back();
      stack.pop_back();
      if (c == first) return true;
      if (seen[c]) continue;
      seen[c] = true;
      stack.insert(stack.end(), before_[c].begin(), before_[c].end());
    }
    return false;
  }

  /// Puts all of `first` before `then`; false, and nothing done, when one of them needs it.
  bool put_before(const std::vector<std::size_t>& first, std::size_t then) {
    for (const std::size_t c : first) {
      if (precedes(then, c)) return false;
    }
    before_[then].insert(before_[then].end(), first.begin(), first.end());
    return true;
  }

  /// All steps, as far as possible in the order that they had.
  std::vector<std::size_t> sorted() const {
    std::vector<std::size_t> order;
    std::vector<int> state(before_.size(), 0);
    std::vector<std::pair<std::size_t, bool>> stack;
    for (std::size_t c = before_.size(); c-- > 0;) stack.emplace_back(c, false);
    while (!stack.empty()) {
      const auto [c, is_finished] = stack.back();
      stack.pop_back();
      if (is_finished) {
        if (state[c] != 2) order.push_back(c);
        state[c] = 2;
      } else if (state[c] == 0) {
        state[c] = 1;
        stack.emplace_back(c, true);
        for (std::size_t i = before_[c].size(); i-- > 0;) stack.emplace_back(before_[c][i], false);
      }
    }
    return order;
  }

 private:
  std::vector<std::vector<std::size_t>> before_;
};

bool reads(const StepInfo& step, const Value& v) {
  return std::find(step.operands.begin(), step.operands.end(), v) != step.operands.end();
}

bool can_fail(const StepInfo& step, const std::vector<GroupKernel>& calls) {
  return std::any_of(step.calls.begin(), step.calls.end(), [&](std::size_t c) {
    const Attrs& attrs = calls[c].function->attrs;
    return std::any_of(attrs.begin(), attrs.end(),
                       [](const auto& a) { return a.first.starts_with("index_site_"); });
  });
}

/// Whether each read of `from` is in a statement that writes `to` at the same place.
class ReadsOwnPlace : public Walker {
 public:
  ReadsOwnPlace(const Buffer& from, const Buffer& to) : from_(from), to_(to) {}
  bool holds() const { return holds_; }

 protected:
  using Walker::visit;
  void visit(const StoreNode& n) override {
    place_ = n.buffer.same_as(to_) ? &n.indices : nullptr;
    walk(n);
    place_ = nullptr;
    clear_visited();
  }
  void visit(const LoadNode& n) override {
    if (n.buffer.same_as(from_)) {
      const bool is_own =
          place_ != nullptr && !n.predicate &&
          std::equal(n.indices.begin(), n.indices.end(), place_->begin(), place_->end(),
                     [](const Expr& a, const Expr& b) { return structural_equal(a, b); });
      holds_ = holds_ && is_own;
    }
    walk(n);
  }

 private:
  const Buffer& from_;
  const Buffer& to_;
  const std::vector<Expr>* place_ = nullptr;
  bool holds_ = true;
};

/// The function of `call` with the parameter of `input` as its result; null when it reads the input
/// elsewhere too.
Function in_place_function(const GroupKernel& call, const Value& input) {
  const Function& f = call.function;
  const Buffer& out = f->outputs[0];
  Buffer in;
  for (std::size_t i = 0; i < call.params.size(); ++i) {
    if (call.params[i].value != input) continue;
    if (in || call.params[i].is_packed) return nullptr;
    in = f->inputs[i];
  }
  if (!same_shape(in->shape, out->shape) || !in->strides.empty()) return nullptr;
  ReadsOwnPlace check(in, out);
  check(f->body);
  if (!check.holds()) return nullptr;
  return make_function(f->name, f->inputs, {in}, f->symbols,
                       replace_buffers(f->body, {{out.get(), in}}), f->level, f->attrs);
}

}  // namespace

void settle_in_place(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                     const std::vector<std::pair<std::size_t, std::size_t>>& pairs,
                     Groups* groups) {
  if (pairs.empty()) return;
  std::vector<GroupKernel>& calls = groups->calls;
  const std::vector<StepInfo> steps = step_infos(*groups);
  StepOrder order(steps);
  for (const auto& [output, input] : pairs) {
    const Value& x = inputs[input];
    const Value& y = outputs[output];
    const auto writer = static_cast<std::size_t>(
        std::find_if(steps.begin(), steps.end(),
                     [&](const StepInfo& s) {
                       return std::find(s.results.begin(), s.results.end(), y) != s.results.end();
                     }) -
        steps.begin());
    TENON_CHECK(writer < steps.size(), "result ", output, " has no kernel");
    InPlace& pair = groups->in_place[output];
    pair = {input, true, false};
    if (groups->program[writer].control || can_fail(steps[writer], calls)) continue;
    std::vector<std::size_t> first;
    for (std::size_t s = 0; s < steps.size(); ++s) {
      if (s != writer && (reads(steps[s], x) || can_fail(steps[s], calls))) first.push_back(s);
    }
    GroupKernel& call = calls[groups->program[writer].call];
    const bool is_reading = reads(steps[writer], x);
    const Function f = is_reading ? in_place_function(call, x) : call.function;
    if (!f || !order.put_before(first, writer)) continue;
    call.function = f;
    pair = {input, false, is_reading};
  }
  Program sorted;
  for (const std::size_t s : order.sorted()) sorted.push_back(std::move(groups->program[s]));
  groups->program = std::move(sorted);
}

}  // namespace tenon::graph
