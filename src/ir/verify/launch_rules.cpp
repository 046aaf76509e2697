#include <algorithm>
#include <set>
#include <unordered_map>

#include "ir/verify/checker.h"
#include "ir/verify/uniformity.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/launch.h"
#include "tenon/ir/print.h"
#include "tenon/ir/tensor_instruction.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::verify_rules {
namespace {

bool is_shuffle(ThreadCall c) { return c == ThreadCall::kShuffle || c == ThreadCall::kShuffleXor; }

bool is_private(Scope s) {
  return s == Scope::kLocal || s == Scope::kRegister || s == Scope::kFragment;
}

/// Walks a loop function: its host part, and the kernels in it.
class LaunchChecker {
 public:
  explicit LaunchChecker(const Function& f) : has_kernels_(has_thread_loops(f)) { host(f->body); }
  std::vector<Violation> violations;

 private:
  template <typename... Parts>
  void report(const StmtNode& where, const char* rule, const Parts&... parts) {
    violations.push_back({rule, detail::concat(parts...), Stmt(&where)});
  }

  // --- what runs on the host

  void host(const Stmt& s) {
    with_stack([&] {
      calls(*s.get(), nullptr);
      if (!has_kernels_) {
        for_each_child(*s.get(), [&](const Stmt& child) { host(child); });
        return;
      }
      if (const auto* n = s.as<ForNode>(); n != nullptr && n->attrs.kind == ForKind::kThread) {
        kernel(*n);
        return;
      }
      host_statement(*s.get());
      for_each_child(*s.get(), [&](const Stmt& child) { host(child); });
    });
  }

  void host_statement(const StmtNode& s) {
    if (s.kind == NodeKind::kStore) {
      report(s, "host", "a store to '", static_cast<const StoreNode&>(s).buffer->name,
             "' stands outside of the kernels of a function with thread loops");
    }
    if (s.kind == NodeKind::kWhile)
      report(s, "host", "a while stands outside of the kernels of a function with thread loops");
    if (s.kind == NodeKind::kFor) not_parallel(static_cast<const ForNode&>(s));
    if (s.kind == NodeKind::kAllocate) {
      const Buffer& b = static_cast<const AllocateNode&>(s).buffer;
      if (b->scope != Scope::kGlobal)
        report(s, "memory", "buffer '", b->name, "' in ", to_string(b->scope),
               " memory is allocated outside of kernels");
    }
    for_each_expr(s, [&](const Expr& e) {
      const LoadNode* load = nullptr;
      post_order_visit(e, [&](const Node& n) {
        if (n.kind == NodeKind::kLoad) load = static_cast<const LoadNode*>(&n);
      });
      if (load != nullptr && s.kind != NodeKind::kStore)
        report(s, "host", "'", load->buffer->name, "' is read outside of kernels");
    });
  }

  void not_parallel(const ForNode& n) {
    if (n.attrs.kind == ForKind::kParallel || n.attrs.kind == ForKind::kVectorized)
      report(n, "mixed", "a ", to_string(n.attrs.kind), " loop '", name(n.var),
             "' in a function with thread loops");
  }

  // --- kernels

  void kernel(const ForNode& outermost) {
    const Launch launch = launch_of(outermost);
    uniform_ = Uniformity();
    std::set<ThreadAxis> axes;
    std::set<const ExprNode*> block_vars;
    std::int64_t threads = 1;
    for (const auto* loops : {&launch.block_loops, &launch.thread_loops}) {
      for (const ForNode* n : *loops) {
        const auto axis = axis_of(*n);
        if (!axis) continue;
        if (!axes.insert(*axis).second)
          report(*n, "launch", "two loops of a kernel are bound to ", to_string(*axis));
        extent(*n, *axis, block_vars, &threads);
        if (is_block_axis(*axis)) block_vars.insert(n->var.get());
      }
    }
    if (launch.block_loops.empty() && launch.thread_loops.empty()) {
      report(outermost, "axis", "unknown thread axis '", outermost.attrs.thread_axis,
             "', should be one of ", thread_axis_names());
      return;
    }
    if (threads > kMaxBlockThreads)
      report(outermost, "launch_limit", "a block has ", threads, " threads, at most ",
             kMaxBlockThreads, " can run");
    between(launch);
    threads_begin(launch);
    body(launch.body);
  }

  void extent(const ForNode& n, ThreadAxis axis, const std::set<const ExprNode*>& block_vars,
              std::int64_t* threads) {
    if (!is_int(n.min, 0))
      report(n, "extent", "the loop of ", to_string(axis), " starts at ", print(n.min),
             ", should start at 0");
    const auto known = as_int(n.extent);
    if (is_thread_axis(axis) && !known) {
      report(n, "extent", "the extent of ", to_string(axis), " is ", print(n.extent),
             ", should be constant");
    }
    if (uses_var(n.extent, [&](const VarNode& v) { return block_vars.count(&v) != 0; }))
      report(n, "extent", "the extent of ", to_string(axis),
             " depends on another coordinate: ", print(n.extent));
    if (!known) return;
    if (*known > max_extent(axis))
      report(n, "launch_limit", to_string(axis), " has extent ", *known, ", at most ",
             max_extent(axis), " can run");
    else if (is_thread_axis(axis))
      *threads *= std::max<std::int64_t>(*known, 0);
  }

  void between(const Launch& launch) {
    std::int64_t bytes = 0;
    for (const StmtNode* s : launch.between) {
      calls(*s, nullptr);
      if (s->kind != NodeKind::kAllocate) continue;
      const Buffer& b = static_cast<const AllocateNode*>(s)->buffer;
      bytes += constant_bytes(*s, b);
    }
    if (bytes > kMaxSharedBytes)
      report(*launch.between.front(), "launch_limit", "a block has ", bytes,
             " bytes of shared memory, at most ", kMaxSharedBytes, " fit");
  }

  /// 0, reported, when the size is not constant.
  std::int64_t constant_bytes(const StmtNode& s, const Buffer& b) {
    std::int64_t count = b->dtype.bytes();
    for (const Expr& d : b->shape) {
      if (!as_int(d)) {
        report(s, "memory", "buffer '", b->name, "' in ", to_string(b->scope),
               " memory has the size ", print(d), ", should be constant");
        return 0;
      }
      count *= *as_int(d);
    }
    return count;
  }

  void threads_begin(const Launch& launch) {
    for (const StmtNode* s : launch.between) {
      if (s->kind != NodeKind::kLetStmt) continue;
      const auto& n = static_cast<const LetStmtNode&>(*s);
      uniform_.define(n.var, uniform_.spread(n.value));
    }
    for (const ForNode* n : launch.thread_loops) uniform_.define_thread(launch, *n);
  }

  void body(const Stmt& s) {
    with_stack([&] { visit_stmt(*s.get(), [&](const auto& n) { inside(n); }); });
  }

  void inside(const SeqNode& n) {
    for (const Stmt& s : n.stmts) body(s);
  }

  void inside(const ForNode& n) {
    calls(n, nullptr);
    if (n.attrs.kind == ForKind::kThread) {
      report(n, "launch", "the loop of ", n.attrs.thread_axis,
             " stands inside of a kernel, should stand in its head: block axes, shared memory, "
             "thread axes");
      return;
    }
    not_parallel(n);
    uniform_.define(n.var, uniform_.spread(n.min));
    under(uniform_.spread(n.extent),
          "the extent " + print(n.extent) + " of loop '" + name(n.var) + "'", n.body);
  }

  void inside(const WhileNode& n) {
    calls(n, nullptr);
    under(uniform_.spread(n.condition), "'while " + print(n.condition) + "'", n.body);
  }

  void inside(const IfNode& n) {
    calls(n, nullptr);
    const Spread spread = uniform_.spread(n.condition);
    under(spread, "'if " + print(n.condition) + "'", n.then_case);
    if (n.else_case) under(spread, "'if " + print(n.condition) + "'", n.else_case);
  }

  void inside(const LetStmtNode& n) {
    const ThreadCall which = thread_call(n);
    calls(n, is_shuffle(which) ? n.value.get() : nullptr);
    if (is_shuffle(which)) {
      collective(n, Spread::kWarp, "a " + n.value.as<CallNode>()->name);
      shuffle(n);
    }
    uniform_.define(n.var, uniform_.spread(n.value));
    body(n.body);
  }

  void inside(const AllocateNode& n) {
    if (is_private(n.buffer->scope)) {
      constant_bytes(n, n.buffer);
    } else {
      report(n, "memory", "buffer '", n.buffer->name, "' in ", to_string(n.buffer->scope),
             " memory is allocated inside of the thread loops");
    }
    body(n.body);
  }

  void inside(const StoreNode& n) {
    const bool is_copy = thread_call(n) == ThreadCall::kAsyncCopy;
    calls(n, is_copy ? n.value.get() : nullptr);
    if (is_copy) copy(n);
    fragment(n, n.buffer);
  }

  void inside(const EvaluateNode& n) {
    if (const TensorInstruction* t = tensor_instruction_of(n)) return tensor(n, *t);
    const ThreadCall which = thread_call(n);
    const bool fits = which == ThreadCall::kBarrier || which == ThreadCall::kAsyncCommit ||
                      which == ThreadCall::kAsyncWait;
    calls(n, fits ? n.value.get() : nullptr);
    if (which == ThreadCall::kBarrier) collective(n, Spread::kBlock, "a thread_barrier");
    if (which == ThreadCall::kAsyncWait) {
      const auto* c = n.value.as<CallNode>();
      const auto pending = c->args.size() == 1 ? as_int(c->args[0]) : std::nullopt;
      if (!pending || *pending < 0)
        report(n, "async_copy", "async_wait takes a constant number of groups, got ",
               print(n.value));
    }
  }

  void inside(const AssertNode& n) { calls(n, nullptr); }

  void inside(const BlockNode&) {}  // rule no_block

  // --- what a statement says

  /// Calls of this header that stand where they must not; `fits` is the one that does.
  void calls(const StmtNode& s, const ExprNode* fits) {
    for_each_expr(s, [&](const Expr& root) { calls_in(s, root, fits); });
  }

  void calls_in(const StmtNode& s, const Expr& root, const ExprNode* fits) {
    post_order_visit(root, [&](const Node& node) {
      if (node.kind == NodeKind::kLoad) fragment(s, static_cast<const LoadNode&>(node).buffer);
      if (node.kind != NodeKind::kCall || &node == fits) return;
      const auto& c = static_cast<const CallNode&>(node);
      const ThreadCall which = thread_call(c.name);
      if (which == ThreadCall::kNone && find_tensor_instruction(c.name) == nullptr) return;
      const char* place = is_shuffle(which)                 ? "as the value of a let statement"
                          : which == ThreadCall::kAsyncCopy ? "as the value of a store"
                                                            : "as a statement";
      report(s, "thread_call", c.name, " stands ", place, " inside of the thread loops only");
    });
  }

  void fragment(const StmtNode& s, const Buffer& b) {
    if (b->scope == Scope::kFragment && has_kernels_)
      report(s, "fragment", "fragment '", b->name,
             "' is accessed by something else than a tensor instruction");
  }

  void tensor(const EvaluateNode& n, const TensorInstruction& t) {
    collective(n, Spread::kWarp, "a " + t.name);
    const auto& args = n.value.as<CallNode>()->args;
    if (args.size() != 2 * t.operands.size()) {
      report(n, "tensor", t.name, " takes ", t.operands.size(), " places and as many strides, got ",
             args.size(), " operands");
      return;
    }
    for (std::size_t i = 0; i < t.operands.size(); ++i) {
      operand(n, t.operands[i], args[i]);
      if (args[t.operands.size() + i]->dtype != kInt64)
        report(n, "tensor", "the stride of operand ", t.operands[i].name, " is ",
               print(args[t.operands.size() + i]), ", should be int64");
    }
  }

  void operand(const EvaluateNode& n, const TensorOperand& o, const Expr& place) {
    const auto* first = place.as<LoadNode>();
    const bool fits = first != nullptr && first->dtype == o.dtype && !first->predicate &&
                      first->indices.size() == 1 &&
                      std::count(o.scopes.begin(), o.scopes.end(), first->buffer->scope) > 0;
    if (!fits) {
      report(n, "tensor", "operand ", o.name, " is ", print(place),
             ", should be the first element of a ", to_string(o.dtype), " tile in ",
             to_string(o.scopes[0]), " memory");
      return;
    }
    calls_in(n, first->indices[0], nullptr);
    if (o.layout == nullptr) return;
    const auto [known, fresh] = layouts_.try_emplace(first->buffer.get(), o.layout);
    if (!fresh && known->second != o.layout) {
      report(n, "fragment", "fragment '", first->buffer->name, "' is laid out as ", o.layout->name,
             " operand here and as ", known->second->name, " operand before");
    }
  }

  void copy(const StoreNode& n) {
    const auto* c = n.value.as<CallNode>();
    const auto* load = c->args.size() == 1 ? c->args[0].as<LoadNode>() : nullptr;
    if (load == nullptr || load->buffer->scope != Scope::kGlobal ||
        n.buffer->scope != Scope::kShared) {
      report(n, "async_copy",
             "an async_copy should store a load from global memory to shared "
             "memory, got '",
             n.buffer->name, "' in ", to_string(n.buffer->scope), " memory = ", print(n.value));
    }
  }

  void shuffle(const LetStmtNode& n) {
    const auto* c = n.value.as<CallNode>();
    const bool fits = c->args.size() == 2 && c->dtype.is_scalar() &&
                      c->args[0]->dtype == c->dtype && c->args[1]->dtype == kInt64;
    if (!fits)
      report(n, "shuffle", c->name, " takes a scalar of its dtype and an int64, got ",
             print(n.value));
    const auto mask = c->args.size() == 2 ? as_int(c->args[1]) : std::nullopt;
    if (thread_call(n) == ThreadCall::kShuffleXor && fits &&
        (!mask || *mask < 0 || *mask >= kWarpSize))
      report(n, "shuffle", "the mask of warp_shuffle_xor is ", print(c->args[1]),
             ", should be a constant of 0..", kWarpSize);
  }

  /// Everything inside runs only where a condition of this spread holds.
  void under(Spread spread, const std::string& what, const Stmt& s) {
    const Spread before = control_;
    const std::string why = why_;
    if (spread > control_) {
      control_ = spread;
      why_ = what;
    }
    body(s);
    control_ = before;
    why_ = why;
  }

  void collective(const StmtNode& s, Spread most, const std::string& what) {
    if (control_ <= most) return;
    report(s, "collective", what, " stands under ", why_,
           ", which may differ among the threads of a ", most == Spread::kWarp ? "warp" : "block");
  }

  static std::string name(const Expr& var) { return var.as<VarNode>()->name; }

  template <typename F>
  static void for_each_expr(const StmtNode& s, F&& f) {
    visit_stmt(s, [&](const auto& n) {
      for_each_field(n, [&](const auto& field, const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if (field.role == FieldRole::kDef) return;
        if constexpr (std::is_same_v<T, Expr>) {
          if (value) f(value);
        } else if constexpr (std::is_same_v<T, std::vector<Expr>>) {
          for (const Expr& e : value) f(e);
        }
      });
    });
  }

  template <typename F>
  static void for_each_child(const StmtNode& s, F&& f) {
    visit_stmt(s, [&](const auto& n) {
      for_each_field(n, [&](const auto&, const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Stmt>) {
          if (value) f(value);
        } else if constexpr (std::is_same_v<T, std::vector<Stmt>>) {
          for (const Stmt& child : value) f(child);
        }
      });
    });
  }

  bool has_kernels_;
  std::unordered_map<const BufferNode*, const FragmentLayout*> layouts_;
  Uniformity uniform_;
  Spread control_ = Spread::kBlock;  ///< what of the block is sure to run here together
  std::string why_;
};

}  // namespace

std::vector<Violation> launch_violations(const Function& f) { return LaunchChecker(f).violations; }

}  // namespace tenon::verify_rules
