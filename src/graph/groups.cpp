#include "graph/groups.h"

#include "graph/in_place.h"
#include "tenon/ir/structural.h"

namespace tenon::graph {
namespace {

class GroupMaker {
 public:
  GroupMaker(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
             const std::vector<std::pair<std::size_t, std::size_t>>& in_place)
      : inputs_(inputs), fusion_(fuse(outputs)) {
    for (const Value& v : outputs) emit(v);
    settle_in_place(inputs, outputs, in_place, &groups_);
    share_code();
  }

  Groups take() { return std::move(groups_); }

 private:
  void emit(const Value& v) {
    if (v->is_input() || v->is_constant() || !done_.insert(v.get()).second) return;
    GroupKernel kernel = build_group(fusion_.group_of.at(v.get()), fusion_.stored, inputs_);
    for (const KernelParam& p : kernel.params) emit(p.value);
    groups_.calls.push_back(std::move(kernel));
  }

  void share_code() {
    std::unordered_map<std::uint64_t, std::vector<std::size_t>> by_hash;
    std::vector<Function>& distinct = groups_.distinct;
    for (const GroupKernel& k : groups_.calls) {
      std::vector<std::size_t>& candidates = by_hash[structural_hash(k.function)];
      std::size_t found = distinct.size();
      for (const std::size_t c : candidates) {
        if (groups_.is_scheduled[c] == k.is_scheduled && structural_equal(distinct[c], k.function))
          found = c;
      }
      if (found == distinct.size()) {
        candidates.push_back(found);
        distinct.push_back(k.function);
        groups_.is_scheduled.push_back(k.is_scheduled);
      }
      groups_.code_of.push_back(found);
    }
  }

  const std::vector<Value>& inputs_;
  Fusion fusion_;
  std::unordered_set<const ValueNode*> done_;
  Groups groups_;
};

}  // namespace

Groups make_groups(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                   const std::vector<std::pair<std::size_t, std::size_t>>& in_place) {
  return GroupMaker(inputs, outputs, in_place).take();
}

}  // namespace tenon::graph
