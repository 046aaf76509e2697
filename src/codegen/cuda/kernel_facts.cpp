#include "codegen/cuda/kernel_facts.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/tensor_instruction.h"
#include "tenon/ir/visit.h"

namespace tenon::codegen::cuda {
namespace {

class FactWalker : public Walker {
 public:
  explicit FactWalker(KernelFacts* facts) : facts_(facts) {}

 private:
  void visit(const ForNode& n) override {
    if (const auto axis = axis_of(n)) {
      const ForNode*& slot = facts_->axes[static_cast<std::size_t>(*axis)];
      TENON_CHECK(slot == nullptr, "two loops of a kernel on ", to_string(*axis));
      slot = &n;
    }
    walk(n);
  }
  void visit(const AllocateNode& n) override {
    facts_->allocated.insert(n.buffer.get());
    if (n.buffer->scope == Scope::kShared) facts_->shared.push_back(n.buffer);
    walk(n);
  }
  void visit(const StoreNode& n) override {
    facts_->stored.insert(n.buffer.get());
    walk(n);
  }
  void visit(const AssertNode& n) override {
    facts_->has_checks = true;
    walk(n);
  }
  void visit(const FmaNode& n) override {
    facts_->has_fma = true;
    walk(n);
  }
  void visit(const CallNode& n) override {
    const ThreadCall which = thread_call(n.name);
    facts_->has_checks |= n.name == "checked_index";
    facts_->has_collectives |= which == ThreadCall::kBarrier || which == ThreadCall::kShuffle ||
                               which == ThreadCall::kShuffleXor;
    if (const TensorInstruction* t = find_tensor_instruction(n.name)) add_tensor(*t, n);
    walk(n);
  }
  void add_fragment_vars(const Expr& place) {
    uses_var(place, [&](const VarNode& v) {
      const auto let = lets_.find(&v);
      if (facts_->fragment_vars.insert(&v).second && let != lets_.end()) {
        add_fragment_vars(let->second);
      }
      return false;  // goes on to the others
    });
  }
  void visit(const LetStmtNode& n) override {
    lets_[n.var.get()] = n.value;
    walk(n);
  }
  void add_tensor(const TensorInstruction& t, const CallNode& n) {
    facts_->has_tensor = facts_->has_fma = facts_->has_collectives = true;
    const std::vector<TensorPlace> places = tensor_places(t, n);
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto* load = places[i].first.as<LoadNode>();
      if (t.operands[i].is_written) facts_->stored.insert(load->buffer.get());
      if (load->buffer->scope == Scope::kFragment) add_fragment_vars(load->indices[0]);
    }
  }
  void visit(const VarNode& n) override { facts_->vars.insert(&n); }
  void visit_buffer(const Buffer& buffer) override { facts_->used.insert(buffer.get()); }

  KernelFacts* facts_;
  std::unordered_map<const ExprNode*, Expr> lets_;
};

}  // namespace

KernelFacts facts_of(const Stmt& kernel) {
  KernelFacts facts;
  FactWalker walker(&facts);
  walker(kernel);
  return facts;
}

std::int64_t block_extent(const KernelFacts& facts, ThreadAxis axis) {
  const ForNode* loop = facts.axes[static_cast<std::size_t>(axis)];
  if (loop == nullptr) return 1;
  const auto extent = as_int(loop->extent);
  TENON_CHECK(extent && *extent >= 1, "the extent of ", to_string(axis), " is not constant");
  return *extent;
}

std::int64_t shared_bytes(const Buffer& buffer) {
  std::int64_t size = buffer->dtype.bytes();
  for (const Expr& extent : buffer->shape) {
    const auto n = as_int(extent);
    TENON_USER_CHECK(n, ScheduleError, "E1282", "buffer '", buffer->name,
                     "' in scope shared has no constant size\n  hint: give the loops around its "
                     "uses constant extents (split)");
    size *= std::max<std::int64_t>(*n, 0);
  }
  return size;
}

}  // namespace tenon::codegen::cuda
