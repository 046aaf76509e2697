#include "ir/transform/check_tensor_calls.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/tensor_instruction.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

class Check : public Walker {
 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    const Expr outer = lanes_;
    if (axis_of(n) == ThreadAxis::kThreadX) lanes_ = n.extent;
    clear_visited();
    walk(n);
    lanes_ = outer;
  }
  void visit(const EvaluateNode& n) override {
    const TensorInstruction* t = tensor_instruction_of(n);
    if (t == nullptr) {
      walk(n);
      return;
    }
    const std::string lanes = lanes_ ? print(lanes_) : "no";
    TENON_USER_CHECK(lanes_ && is_int(lanes_, kWarpSize), ScheduleError, "E0280",
                     "tensor instruction ", t->name, " is in a kernel with ", lanes,
                     " threads on threadIdx.x, should be in one with ", kWarpSize,
                     "\n  hint: bind a loop of ", kWarpSize,
                     " iterations, such as one of the copies to shared memory");
    const auto& call = *n.value.as<CallNode>();
    for (const Expr& arg : call.args) {
      if (const auto* place = arg.as<LoadNode>()) {
        for (const Expr& index : place->indices) (*this)(index);
      }
    }
  }
  void visit(const LoadNode& n) override {
    check(n.buffer);
    walk(n);
  }
  void visit(const StoreNode& n) override {
    check(n.buffer);
    walk(n);
  }

 private:
  static void check(const Buffer& b) {
    TENON_USER_CHECK(b->scope != Scope::kFragment, ScheduleError, "E0281", "fragment '", b->name,
                     "' is touched by something else than a tensor instruction"
                     "\n  hint: tensorize the blocks that make and read it");
  }
  Expr lanes_;
};

}  // namespace

void check_tensor_calls(const Function& f) {
  Check check;
  check(f->body);
}

}  // namespace tenon
