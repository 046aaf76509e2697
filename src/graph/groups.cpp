#include "graph/groups.h"

#include "graph/in_place.h"
#include "tenon/graph/control.h"
#include "tenon/ir/structural.h"

namespace tenon::graph {
namespace {

/// Parameters may be slices of arrays, at any element: no wide access may rely on more.
void expect_slices(const Function& fresh) {
  for (const Buffer& b : fresh->params()) {
    auto* node = const_cast<BufferNode*>(b.get());  // nobody else has seen the function yet
    node->alignment = b->dtype.bytes();
  }
}

/// The kernels of one graph; bodies are graphs of their own.
class GraphEmitter {
 public:
  GraphEmitter(const std::vector<Value>& inputs, const std::vector<Value>& outputs, bool is_for_gpu,
               bool keeps_products, Groups* groups)
      : inputs_(inputs),
        fusion_(fuse(outputs, keeps_products)),
        is_for_gpu_(is_for_gpu),
        groups_(groups) {}

  /// What computes these values and is not computed yet.
  Program emit(const std::vector<Value>& values) {
    program_.clear();
    for (const Value& v : values) emit(v);
    return std::move(program_);
  }

 private:
  void emit(const Value& v) {
    if (v->is_input() || v->is_constant() || !done_.insert(v.get()).second) return;
    if (v->is_op("item")) {
      groups_->items[v->inputs[0].get()].push_back(v);
      return emit(v->inputs[0]);
    }
    if (v->control) return emit_control(v);
    GroupKernel kernel =
        build_group(fusion_.group_of.at(v.get()), fusion_.stored, inputs_, !is_for_gpu_);
    if (is_for_gpu_ && is_body_ && !kernel.is_scheduled) expect_slices(kernel.function);
    for (const KernelParam& p : kernel.params) emit(p.value);
    program_.push_back({groups_->calls.size(), nullptr, {}});
    groups_->calls.push_back(std::move(kernel));
  }

  void emit_control(const Value& v) {
    for (const Value& x : v->inputs) emit(x);
    ProgramStep step;
    step.control = v;
    for (const SubGraph& body : v->control->bodies) {
      GraphEmitter emitter(inputs_, body.outputs, is_for_gpu_, false, groups_);
      emitter.is_body_ = true;
      if (v->control->kind == ControlKind::kLoop) {
        const std::size_t head = v->control->has_condition ? 1 : 0;
        step.parts.push_back(
            emitter.emit({body.outputs.begin(), body.outputs.begin() + static_cast<long>(head)}));
      }
      step.parts.push_back(emitter.emit(body.outputs));
    }
    program_.push_back(std::move(step));
  }

  const std::vector<Value>& inputs_;
  Fusion fusion_;
  bool is_for_gpu_;
  bool is_body_ = false;
  std::unordered_set<const ValueNode*> done_;
  Groups* groups_;
  Program program_;
};

void share_code(Groups* groups) {
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> by_hash;
  std::vector<Function>& distinct = groups->distinct;
  for (const GroupKernel& k : groups->calls) {
    std::vector<std::size_t>& candidates = by_hash[structural_hash(k.function)];
    std::size_t found = distinct.size();
    for (const std::size_t c : candidates) {
      if (groups->is_scheduled[c] == k.is_scheduled && structural_equal(distinct[c], k.function))
        found = c;
    }
    if (found == distinct.size()) {
      candidates.push_back(found);
      distinct.push_back(k.function);
      groups->is_scheduled.push_back(k.is_scheduled);
    }
    groups->code_of.push_back(found);
  }
}

}  // namespace

Groups make_groups(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                   const std::vector<std::pair<std::size_t, std::size_t>>& in_place,
                   bool is_for_gpu, bool keeps_products) {
  Groups groups;
  groups.program = GraphEmitter(inputs, outputs, is_for_gpu, keeps_products, &groups).emit(outputs);
  settle_in_place(inputs, outputs, in_place, &groups);
  share_code(&groups);
  return groups;
}

}  // namespace tenon::graph
