#include "codegen/storage.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::codegen {
namespace {

constexpr std::int64_t kMaxStackBuffer = 16 << 10;
constexpr std::int64_t kMaxStackFrame = 128 << 10;
/// No register tile is as large: what a schedule calls one is memory.
constexpr std::int64_t kMaxRegisterTile = 64 << 10;

class StoragePlanner {
 public:
  explicit StoragePlanner(const Function& f) {
    for (const Symbol& s : f->symbols) symbols_.insert({s.var.get(), true});
  }

  StoragePlan run(const Function& f) {
    plan_.shared_bytes = plan_.worker_bytes = imm(0);
    visit(f->body);
    return std::move(plan_);
  }

 private:
  void visit(const Stmt& s) {
    if (s) with_stack([&] { visit_node(*s); });
  }

  void visit_node(const StmtNode& s) {
    visit_stmt(s, Overloaded{
                      [&](const ForNode& n) {
                        const bool outlined = n.attrs.kind == ForKind::kParallel && !in_task_;
                        if (outlined) enter_task(n);
                        if (!outlined) visit(n.body);
                      },
                      [&](const WhileNode& n) { visit(n.body); },
                      [&](const BlockNode& n) { visit(n.body); },
                      [&](const IfNode& n) { visit_branches(n); },
                      [&](const LetStmtNode& n) { visit(n.body); },
                      [&](const AllocateNode& n) {
                        place(n.buffer);
                        visit(n.body);
                      },
                      [&](const SeqNode& n) {
                        for (const Stmt& child : n.stmts) visit(child);
                      },
                      [](const StoreNode&) {},
                      [](const EvaluateNode&) {},
                      [](const AssertNode&) {},
                  });
  }

  /// One of the branches runs: they share the workspace. Stack slots stay apart.
  void visit_branches(const IfNode& n) {
    const Expr shared = plan_.shared_bytes, worker = plan_.worker_bytes;
    visit(n.then_case);
    const Expr then_shared = plan_.shared_bytes, then_worker = plan_.worker_bytes;
    plan_.shared_bytes = shared;
    plan_.worker_bytes = worker;
    visit(n.else_case);
    plan_.shared_bytes = larger(then_shared, plan_.shared_bytes, shared);
    plan_.worker_bytes = larger(then_worker, plan_.worker_bytes, worker);
  }

  /// The larger of two sums that began with `start`; neither is smaller.
  static Expr larger(const Expr& a, const Expr& b, const Expr& start) {
    if (a.same_as(start)) return b;
    return b.same_as(start) ? a : max(a, b);
  }

  void enter_task(const ForNode& n) {
    const std::int64_t outer_stack = stack_bytes_;
    const Expr outer_worker = plan_.worker_bytes;
    stack_bytes_ = 0;
    plan_.worker_bytes = imm(0);  // tasks of different loops do not overlap in time
    in_task_ = true;
    visit(n.body);
    in_task_ = false;
    plan_.worker_bytes = max(outer_worker, plan_.worker_bytes);
    stack_bytes_ = outer_stack;
  }

  void place(const Buffer& buffer) {
    const std::int64_t elements = constant_size(*buffer);
    if (elements >= 0) {
      const std::int64_t bytes = elements * buffer->dtype.bytes();
      const bool small = bytes <= kMaxStackBuffer && stack_bytes_ + bytes <= kMaxStackFrame;
      if (small || (buffer->scope == Scope::kRegister && bytes <= kMaxRegisterTile)) {
        stack_bytes_ += bytes;
        plan_.placements[buffer.get()] = {Place::kStack, nullptr};
        return;
      }
    }
    Expr& top = in_task_ ? plan_.worker_bytes : plan_.shared_bytes;
    plan_.placements[buffer.get()] = {in_task_ ? Place::kWorker : Place::kShared, top};
    top = top + rounded_bytes(*buffer);
  }

  Expr rounded_bytes(const BufferNode& buffer) {
    Expr elements = imm(1);
    for (const Expr& extent : buffer.shape)
      elements = elements * max(bound(extent, buffer), imm(0));
    const std::int64_t width = buffer.dtype.bytes();
    return floordiv(elements * width + 63, imm(64)) * 64;
  }

  bool only_symbols(const Expr& e) const {
    return !uses_var(e, [&](const VarNode& v) { return symbols_.count(&v) == 0; });
  }

  /// `extent`, or what bounds it from above, in terms of symbols.
  Expr bound(const Expr& extent, const BufferNode& buffer) const {
    if (only_symbols(extent)) return extent;
    if (const auto* n = extent.as<BinaryNode>(); n != nullptr && n->op == BinaryOp::kMin) {
      const bool a_known = only_symbols(n->a), b_known = only_symbols(n->b);
      if (a_known && b_known) return extent;
      if (a_known || b_known) return a_known ? n->a : n->b;
      return bound(n->a, buffer);
    }
    TENON_CHECK(false, "buffer '", buffer.name, "' has an extent that no symbol bounds");
    return extent;
  }

  StoragePlan plan_;
  std::unordered_map<const ExprNode*, bool> symbols_;
  bool in_task_ = false;
  std::int64_t stack_bytes_ = 0;
};

}  // namespace

StoragePlan plan_storage(const Function& f) { return StoragePlanner(f).run(f); }

std::int64_t constant_size(const BufferNode& buffer) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  std::int64_t elements = 1;
  for (const Expr& extent : buffer.shape) {
    const auto value = as_int(extent);
    if (!value) return -1;
    if (*value > kHuge || elements > kHuge) return -1;
    elements *= std::max<std::int64_t>(*value, 0);
  }
  return elements;
}

}  // namespace tenon::codegen
