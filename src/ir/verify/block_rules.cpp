#include <algorithm>

#include "ir/verify/block_access.h"
#include "ir/verify/checker.h"
#include "ir/verify/iteration_space.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon::verify_rules {
namespace {

/// Rules of block IR, see docs/design/text.md.
class BlockChecker : public Checker {
 public:
  explicit BlockChecker(const Function& f) : Checker(f), sharing_(f) {}

 protected:
  void enter(const StmtNode& s) override {
    visit_stmt(
        s, Overloaded{
               [&](const StoreNode& n) { store(n); },
               [&](const ForNode& n) {
                 loops_.push_back({&n, Expr(n.var)});
                 allow(n.var);
                 around_.push_back({n.var, n.min, n.extent, nullptr, false});
               },
               [&](const WhileNode&) {
                 if (frames_.empty()) report("while", "a while outside of any block");
               },
               [&](const BlockNode& n) { block(n); },
               [&](const IfNode& n) { conditions_.push_back(n.else_case ? nullptr : n.condition); },
               [&](const LetStmtNode& n) {
                 allow(n.var);
                 around_.push_back({n.var, nullptr, nullptr, n.value, false});
               },
               [&](const AllocateNode& n) { allocate(n); },
               [&](const SeqNode&) {},
               [&](const EvaluateNode&) {},
               [&](const AssertNode&) {},
           });
  }

  void leave(const StmtNode& s) override {
    if (s.kind == NodeKind::kFor) loops_.pop_back();
    if (s.kind == NodeKind::kFor || s.kind == NodeKind::kLetStmt) around_.pop_back();
    if (s.kind == NodeKind::kIf) conditions_.pop_back();
    if (s.kind == NodeKind::kBlock) {
      around_ = std::move(frames_.back().around);
      loops_ = std::move(frames_.back().loops);
      conditions_ = std::move(frames_.back().conditions);
      frames_.pop_back();
    }
  }

  void check(const ExprNode& e) override {
    if (e.dtype.is_vector())
      report("vector", "a vector expression (", to_string(e.dtype),
             ") in block IR: ", print(Expr(&e)));
    if (e.kind == NodeKind::kLet) allow(static_cast<const LetNode&>(e).var);
    if (e.kind == NodeKind::kLoad) {
      const auto& n = static_cast<const LoadNode&>(e);
      arity("a load of", n.buffer, n.indices.size());
    }
    const bool foreign = e.kind == NodeKind::kVar && !frames_.empty() && frames_.back().entered &&
                         !is_symbol(&e) && frames_.back().allowed.count(&e) == 0;
    if (foreign) {
      report("block_scope", "block '", frames_.back().block->name, "' uses ", name_of(Expr(&e)),
             " of outside; a block sees its iteration variables and the symbols only");
    }
  }

  void enter_block_body(const BlockNode& n) override {
    frames_.back().entered = true;
    for (const IterVar& i : n.iters) allow(i.var);
  }

 private:
  struct Loop {
    const ForNode* node;
    Expr var;
  };
  /// A block being walked, and what was around it.
  struct Frame {
    const BlockNode* block;
    bool entered;
    std::unordered_set<const void*> allowed;
    std::vector<Surrounding> around;
    std::vector<Loop> loops;
    std::vector<Expr> conditions;
  };

  void allow(const Expr& var) {
    if (!frames_.empty()) frames_.back().allowed.insert(var.get());
  }

  void arity(const char* what, const Buffer& b, std::size_t count) {
    if (count != b->shape.size()) {
      report("arity", what, " '", b->name, "' has ", count, " indices, the buffer ",
             b->shape.size(), " dimensions");
    }
  }

  void store(const StoreNode& n) {
    arity("a store to", n.buffer, n.indices.size());
    if (frames_.empty())
      report("outside_block", "a store to '", n.buffer->name, "' outside of any block");
  }

  void allocate(const AllocateNode& n) {
    if (!loops_.empty() || !frames_.empty() || !conditions_.empty()) {
      report("allocation", "buffer '", n.buffer->name,
             "' is allocated inside of a loop, block or branch, should be at the root");
    }
  }

  // --- blocks ---

  void block(const BlockNode& n) {
    if (!names_.insert(n.name).second) report("block_name", "two blocks are called '", n.name, "'");
    for (const BufferRegion& r : n.reads) arity("a read region of", r.buffer, r.ranges.size());
    for (const BufferRegion& r : n.writes) arity("a write region of", r.buffer, r.ranges.size());
    bindings(n);
    init(n);
    parallel_loops(n);
    binding_values(n);
    if (auto fault = find_access_fault(n, function()))
      report(fault->rule, "block '", n.name, "': ", fault->message);
    frames_.push_back(
        {&n, false, {}, std::move(around_), std::move(loops_), std::move(conditions_)});
    around_.clear();
    loops_.clear();
    conditions_.clear();
  }

  void bindings(const BlockNode& n) {
    std::vector<Expr> all = n.bindings;
    if (n.predicate) all.push_back(n.predicate);
    for (const Expr& e : all) {
      bool loads = false;
      post_order_visit(e, [&](const Node& x) { loads |= x.kind == NodeKind::kLoad; });
      if (loads)
        report("binding", "a binding or predicate of block '", n.name,
               "' reads memory: ", print(e));
    }
    for (std::size_t i = 0; i < n.iters.size(); ++i) {
      if (n.iters[i].kind == IterKind::kOrdered) ordered(n, i);
    }
  }

  void ordered(const BlockNode& n, std::size_t i) {
    for (const Loop& loop : loops_) {
      const ForKind kind = loop.node->attrs.kind;
      if (kind == ForKind::kSerial || kind == ForKind::kUnrolled || !uses(n.bindings[i], loop.var))
        continue;
      report("ordered", "the ordered variable ", name_of(n.iters[i].var), " of block '", n.name,
             "' is bound to the ", to_string(kind), " loop ", name_of(loop.var),
             ", should be serial");
    }
  }

  void init(const BlockNode& n) {
    if (!n.init) return;
    bool reduces = false;
    for (const IterVar& i : n.iters) {
      if (i.kind != IterKind::kReduction) continue;
      reduces = true;
      if (uses(n.init, i.var))
        report("init", "the init of block '", n.name, "' uses the reduction variable ",
               name_of(i.var));
    }
    if (!reduces) report("init", "block '", n.name, "' has an init and no reduction variable");
  }

  template <typename Root>
  static bool uses(const Root& root, const Expr& var) {
    return uses_var(root, [&](const VarNode& v) { return &v == var.get(); });
  }

  /// Parallel loops: reductions stay in one iteration, and what is written depends on the loop.
  void parallel_loops(const BlockNode& n) {
    for (const Loop& loop : loops_) {
      if (loop.node->attrs.kind != ForKind::kParallel || is_int(loop.node->extent, 1)) continue;
      bool distinguishes = false;
      for (std::size_t i = 0; i < n.iters.size(); ++i) {
        if (!uses(n.bindings[i], loop.var)) continue;
        distinguishes |= n.iters[i].kind != IterKind::kReduction;
        if (n.iters[i].kind != IterKind::kReduction) continue;
        report("parallel", "the reduction variable ", name_of(n.iters[i].var), " of block '",
               n.name, "' is bound to the parallel loop ", name_of(loop.var));
        return;
      }
      if (distinguishes) continue;
      for (const BufferRegion& w : n.writes) {
        if (!sharing_.is_shared_across(w.buffer.get(), loop.var.get())) continue;
        report("parallel", "every iteration of the parallel loop ", name_of(loop.var),
               " writes the same elements of '", w.buffer->name, "' in block '", n.name, "'");
        return;
      }
    }
  }

  /// The values that the loops give to the iteration variables.
  void binding_values(const BlockNode& n) {
    if (!frames_.empty()) return;  // of a nested block they depend on the outer block's variables
    std::vector<Surrounding> around = around_;
    for (Surrounding& s : around) {
      for (const Loop& loop : loops_) {
        if (!loop.var.same_as(s.var) || loop.node->attrs.kind != ForKind::kParallel) continue;
        for (const BufferRegion& w : n.writes)
          s.parallel |= sharing_.is_shared_across(w.buffer.get(), loop.var.get());
      }
    }
    bool must_cover = conditions_.empty();
    for (const BufferRegion& w : n.writes)
      must_cover &= is_output(w.buffer.get()) && sharing_.num_writers(w.buffer.get()) == 1;
    Expr condition = n.predicate;
    for (const Expr& c : conditions_) {
      if (!c) return;  // under a branch with two cases
      condition = and_predicate(condition, c);
    }
    if (auto fault = find_binding_fault(n, condition, around, must_cover)) {
      report(fault->rule, "block '", n.name, "': ", fault->message);
    }
  }

  SharedBuffers sharing_;
  std::unordered_set<std::string> names_;
  std::vector<Frame> frames_;
  std::vector<Surrounding> around_;
  std::vector<Loop> loops_;
  std::vector<Expr> conditions_;
};

}  // namespace

std::vector<Violation> block_violations(const Function& f) { return BlockChecker(f).run(); }

}  // namespace tenon::verify_rules
