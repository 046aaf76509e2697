#include "tenon/ir/launch.h"

namespace tenon {

const ForNode* Launch::loop(ThreadAxis axis) const {
  for (const auto* loops : {&block_loops, &thread_loops}) {
    for (const ForNode* n : *loops) {
      if (axis_of(*n) == axis) return n;
    }
  }
  return nullptr;
}

Launch launch_of(const ForNode& outermost) {
  Launch out;
  out.body = Stmt(&outermost);
  const auto take_loops = [&](bool (*wanted)(ThreadAxis), std::vector<const ForNode*>* loops) {
    for (const auto* n = out.body.as<ForNode>(); n != nullptr; n = out.body.as<ForNode>()) {
      const auto axis = axis_of(*n);
      if (!axis || !wanted(*axis)) return;
      loops->push_back(n);
      out.body = n->body;
    }
  };
  take_loops(is_block_axis, &out.block_loops);
  while (true) {
    if (const auto* a = out.body.as<AllocateNode>();
        a != nullptr && a->buffer->scope == Scope::kShared) {
      out.between.push_back(a);
      out.body = a->body;
    } else if (const auto* l = out.body.as<LetStmtNode>();
               l != nullptr && thread_call(*l) == ThreadCall::kNone) {
      out.between.push_back(l);
      out.body = l->body;
    } else {
      break;
    }
  }
  take_loops(is_thread_axis, &out.thread_loops);
  return out;
}

}  // namespace tenon
