#include "codegen/cuda/split_kernels.h"

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::codegen::cuda {
namespace {

constexpr std::int64_t kScratchAlignment = 64;

bool loads(const Expr& e) {
  bool found = false;
  post_order_visit(
      e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall; });
  return found;
}

/// The first buffer that is stored to, and the loops around: what a user calls the nest.
std::string describe(const Stmt& s) {
  std::string loops, buffer;
  post_order_visit(s, [&](const Node& n) {
    if (n.kind == NodeKind::kFor) {
      loops = static_cast<const ForNode&>(n).var.as<VarNode>()->name +
              (loops.empty() ? "" : ", " + loops);
    } else if (n.kind == NodeKind::kStore && buffer.empty()) {
      buffer = static_cast<const StoreNode&>(n).buffer->name;
    }
  });
  std::string out = buffer.empty() ? "a statement" : "the computation of '" + buffer + "'";
  return loops.empty() ? out : out + " in loops " + loops;
}

class Splitter {
 public:
  explicit Splitter(const Function& f) : f_(f) { part_.scratch_bytes = imm(0); }

  HostPart run() {
    walk(f_->body);
    return std::move(part_);
  }

 private:
  void walk(const Stmt& s) {
    if (s) with_stack([&] { walk_node(s); });
  }

  void walk_node(const Stmt& s) {
    const auto* condition = s.as<IfNode>();
    const auto* let = s.as<LetStmtNode>();
    if (const auto* n = s.as<SeqNode>()) {
      for (const Stmt& child : n->stmts) walk(child);
    } else if (const auto* loop = s.as<ForNode>()) {
      walk_for(s, *loop);
    } else if (condition != nullptr && has_thread_loops(s)) {
      walk_if(*condition);
    } else if (let != nullptr && !loads(let->value)) {
      walk(substitute(let->body, {{let->var.get(), let->value}}));
    } else if (const auto* allocate = s.as<AllocateNode>()) {
      place(allocate->buffer);
      walk(allocate->body);
    } else if (s.as<AssertNode>() != nullptr) {
      add(s);
    } else {
      refuse(s);
    }
  }

  void walk_for(const Stmt& s, const ForNode& n) {
    if (n.attrs.kind == ForKind::kThread) {
      add(s);
      return;
    }
    if (!has_thread_loops(s)) refuse(s);
    loops_.push_back({num_loops_++, n.var, n.min, n.extent});
    walk(n.body);
    loops_.pop_back();
  }

  void walk_if(const IfNode& n) {
    if (loads(n.condition)) refuse(Stmt(&n));
    conditions_.push_back(n.condition);
    walk(n.then_case);
    conditions_.back() = logical_not(n.condition);
    walk(n.else_case);
    conditions_.pop_back();
  }

  void add(const Stmt& body) { part_.kernels.push_back({body, loops_, conditions_}); }

  [[noreturn]] void refuse(const Stmt& s) {
    detail::raise<ScheduleError>(
        "E1284", detail::concat(describe(s), " of '", f_->name,
                                "' has no loop bound to a thread axis\n  hint: bind a loop of it, "
                                "as with s.bind(loop, \"blockIdx.x\")"));
  }

  void place(const Buffer& buffer) {
    TENON_USER_CHECK(buffer->scope == Scope::kGlobal, ScheduleError, "E1285", "buffer '",
                     buffer->name, "' in scope ", to_string(buffer->scope),
                     " is used by more than one kernel of '", f_->name,
                     "'\n  hint: use scope \"global\", or compute it inside of one kernel");
    Expr elements = imm(1);
    for (const Expr& extent : buffer->shape) {
      elements = elements * max(largest(f_, loops_, extent), imm(0));
    }
    const Expr bytes = floordiv(elements * buffer->dtype.bytes() + (kScratchAlignment - 1),
                                imm(kScratchAlignment)) *
                       kScratchAlignment;
    part_.scratch.push_back({buffer, part_.scratch_bytes});
    part_.scratch_bytes = part_.scratch_bytes + bytes;
  }

  const Function& f_;
  HostPart part_;
  std::vector<HostLoop> loops_;
  std::vector<Expr> conditions_;
  int num_loops_ = 0;
};

}  // namespace

HostPart split_kernels(const Function& f) { return Splitter(f).run(); }

Expr largest(const Function& f, const std::vector<HostLoop>& loops, const Expr& e) {
  const auto is_loop_var = [&](const VarNode& v) {
    for (const HostLoop& loop : loops) {
      if (loop.var.get() == &v) return true;
    }
    return false;
  };
  if (!uses_var(e, is_loop_var)) return e;
  Analyzer analyzer;
  analyzer.bind_symbols(f);
  std::vector<Expr> vars;
  for (const HostLoop& loop : loops) {
    analyzer.bind_kept(loop.var, {loop.min, loop.extent});
    vars.push_back(loop.var);
  }
  const Expr most = analyzer.symbolic_bounds(e, vars).max;
  TENON_USER_CHECK(most && !uses_var(most, is_loop_var), ScheduleError, "E1286", "the size ",
                   print(e), " in '", f->name,
                   "' depends on a loop around kernels in a way that has no known bound\n  hint: "
                   "bind the loop, or give the size a constant bound");
  return most;
}

}  // namespace tenon::codegen::cuda
