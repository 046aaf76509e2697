#include "ir/transform/insert_barriers.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ir/transform/conditions.h"
#include "ir/transform/pipeline_loops.h"
#include "ir/transform/thread_access.h"
#include "ir/transform/uniform_range.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/tensor_instruction.h"

namespace tenon {
namespace {

bool is_visible(const Buffer& b) {
  return b->scope == Scope::kShared || b->scope == Scope::kGlobal;
}

using Accesses = std::vector<ThreadAccess>;

/// The buffers that asynchronous copies of a pipelined loop write: the loop orders them itself.
class FindPipelined : public Walker {
 public:
  std::unordered_set<const BufferNode*> buffers;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    const bool is_pipelined = n.attrs.annotations.count(kSoftwarePipeline) != 0;
    depth_ += is_pipelined ? 1 : 0;
    walk(n);
    depth_ -= is_pipelined ? 1 : 0;
  }
  void visit(const StoreNode& n) override {
    if (depth_ > 0 && is_async_copy(n)) buffers.insert(n.buffer.get());
  }

 private:
  int depth_ = 0;
};

/// The shared and global buffers that a kernel writes. All others need no order.
std::unordered_set<const BufferNode*> written_by(const Stmt& kernel) {
  std::unordered_set<const BufferNode*> out;
  const auto add = [&](const Buffer& b) {
    if (is_visible(b)) out.insert(b.get());
  };
  post_order_visit(kernel, [&](const Node& n) {
    if (n.kind == NodeKind::kStore) add(static_cast<const StoreNode&>(n).buffer);
    if (n.kind != NodeKind::kEvaluate) return;
    const auto& e = static_cast<const EvaluateNode&>(n);
    const TensorInstruction* instruction = tensor_instruction_of(e);
    if (instruction == nullptr) return;
    const auto places = tensor_places(*instruction, *e.value.as<CallNode>());
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (instruction->operands[i].is_written) add(places[i].first.as<LoadNode>()->buffer);
    }
  });
  return out;
}

/// Collects what a statement touches of the buffers that the kernel writes; the loops in it are the
/// accesses' inner ones.
class CollectAccesses : public Walker {
 public:
  CollectAccesses(ThreadRelation* relation, const std::array<Expr, 3>& coordinates, VarMap lets,
                  const std::unordered_set<const BufferNode*>& written)
      : relation_(relation), coordinates_(coordinates), lets_(std::move(lets)), written_(written) {}
  Accesses found;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    clear_visited();
    (*this)(n.min);
    (*this)(n.extent);
    relation_->bind_loop(n.var, {substitute(n.min, lets_), substitute(n.extent, lets_)});
    inner_.push_back(n.var);
    (*this)(n.body);
    inner_.pop_back();
  }
  void visit(const IfNode& n) override {
    clear_visited();
    (*this)(n.condition);
    const auto outer = fixed_;
    fix(n.condition);
    (*this)(n.then_case);
    fixed_ = outer;
    if (n.else_case) (*this)(n.else_case);
  }
  void visit(const LetStmtNode& n) override {
    clear_visited();
    (*this)(n.value);
    if (reads_memory(n.value)) {
      relation_->bind_data(n.var);
    } else {
      lets_[n.var.get()] = substitute(n.value, lets_);
    }
    (*this)(n.body);
  }
  void visit(const StoreNode& n) override {
    clear_visited();  // a shared load counts once for each statement: its loops may differ
    store_ = &n;
    walk(n);
    add(n.buffer, n.indices, true, is_async_copy(n), &n, true);
    store_ = nullptr;
  }
  void visit(const LoadNode& n) override {
    const bool is_own = store_ != nullptr && n.buffer.same_as(store_->buffer) &&
                        std::equal(n.indices.begin(), n.indices.end(), store_->indices.begin(),
                                   store_->indices.end(), [](const Expr& a, const Expr& b) {
                                     return structural_equal(a, b);
                                   });
    add(n.buffer, n.indices, false, false, store_, is_own);
    walk(n);
  }
  void visit(const EvaluateNode& n) override {
    clear_visited();
    const TensorInstruction* instruction = tensor_instruction_of(n);
    if (instruction == nullptr) return walk(n);
    const auto places = tensor_places(*instruction, *n.value.as<CallNode>());
    for (std::size_t i = 0; i < places.size(); ++i) add(instruction->operands[i], places[i], &n);
  }

 private:
  /// Without indices: anywhere in the buffer.
  void add(const Buffer& b, const std::vector<Expr>& indices, bool is_write, bool in_flight,
           const StmtNode* origin, bool is_own) {
    if (written_.count(b.get()) == 0) return;
    ThreadAccess a;
    a.buffer = b;
    for (const Expr& e : indices) a.region.push_back({substitute(e, lets_), imm(1)});
    a.is_write = is_write;
    a.in_flight = in_flight;
    a.origin = origin;
    a.is_own = is_own;
    a.fixed = fixed_;
    a.inner = inner_;
    found.push_back(std::move(a));
  }
  /// A tile, which the lanes of a warp touch together.
  void add(const TensorOperand& operand, const TensorPlace& place, const StmtNode* origin) {
    const auto* first = place.first.as<LoadNode>();
    const std::vector<Expr> strides = strides_of(*first->buffer);
    std::vector<std::int64_t> extents(strides.size(), 1);
    bool known = !extents.empty();
    if (known) {
      const auto row = std::find_if(strides.begin(), strides.end() - 1, [&](const Expr& s) {
        return relation_->analyzer().can_prove_equal(s, place.stride);
      });
      known = row != strides.end() - 1;
      if (known) extents[static_cast<std::size_t>(row - strides.begin())] = operand.rows;
      extents.back() = operand.columns;
    }
    for (const bool is_write : {false, true}) {
      if (!(is_write ? operand.is_written : operand.is_read)) continue;
      const std::size_t before = found.size();
      add(first->buffer, known ? first->indices : std::vector<Expr>{}, is_write, false, origin,
          false);
      if (found.size() == before || !known) continue;
      for (std::size_t d = 0; d < extents.size(); ++d)
        found.back().region[d].extent = imm(extents[d]);
    }
  }
  void fix(const Expr& condition) {
    for (const Expr& c : conjuncts(condition)) {
      const auto* b = c.as<BinaryNode>();
      if (b == nullptr || b->op != BinaryOp::kEq) continue;
      for (std::size_t i = 0; i < coordinates_.size(); ++i) {
        if (!coordinates_[i]) continue;
        if (b->a.same_as(coordinates_[i]) && as_int(b->b)) fixed_[i] = as_int(b->b);
        if (b->b.same_as(coordinates_[i]) && as_int(b->a)) fixed_[i] = as_int(b->a);
      }
    }
  }

  ThreadRelation* relation_;
  const std::array<Expr, 3>& coordinates_;
  VarMap lets_;
  const std::unordered_set<const BufferNode*>& written_;
  std::array<std::optional<std::int64_t>, 3> fixed_;
  std::vector<Expr> inner_;
  const StoreNode* store_ = nullptr;
};

/// What must happen before a statement.
struct Need {
  bool barrier = false, wait = false;
  bool any() const { return barrier || wait; }
};

/// What was touched since the last barrier.
struct Pending {
  Accesses accesses;

  void add(const ThreadAccess& a) {
    const auto same = [&](const ThreadAccess& b) {
      return a.buffer.same_as(b.buffer) && a.is_write == b.is_write && a.in_flight == b.in_flight &&
             a.fixed == b.fixed && a.origin == b.origin &&
             std::equal(
                 a.region.begin(), a.region.end(), b.region.begin(), b.region.end(),
                 [](const Range& x, const Range& y) { return structural_equal(x.min, y.min); });
    };
    if (std::none_of(accesses.begin(), accesses.end(), same)) accesses.push_back(a);
  }
  /// After a barrier only copies that are still under way count.
  void pass_barrier() {
    std::erase_if(accesses, [](const ThreadAccess& a) { return !a.in_flight; });
  }
};

/// The threads' part of one kernel.
class KernelBarriers {
 public:
  KernelBarriers(const Function& f, const Stmt& kernel)
      : relation_(f), written_(written_by(kernel)) {
    FindPipelined find;
    find(kernel);
    pipelined_ = std::move(find.buffers);
  }

  void bind_coordinate(ThreadAxis axis, const ForNode& loop) {
    relation_.bind_coordinate(axis, loop.var, as_int(loop.extent).value_or(1));
    coordinates_[static_cast<std::size_t>(dimension_of(axis))] = loop.var;
  }
  void bind_uniform(const ForNode& loop) { relation_.bind_loop(loop.var, {loop.min, loop.extent}); }

  Stmt run(const Stmt& body) {
    Pending pending;
    return visit(body, &pending);
  }

 private:
  /// The statement with the barriers that it needs, before it and inside. Every thread of the block
  /// arrives at it.
  Stmt visit(const Stmt& s, Pending* pending) {
    if (const auto* seq = s.as<SeqNode>()) {
      std::vector<Stmt> stmts;
      for (const Stmt& child : seq->stmts) stmts.push_back(visit(child, pending));
      return make_seq(std::move(stmts));
    }
    if (const auto* n = s.as<AllocateNode>()) return with_body(*n, visit(n->body, pending));
    if (const auto* n = s.as<EvaluateNode>(); n != nullptr && passes(*n, pending)) return s;
    const Accesses touched = collect(s);
    if (const auto* n = s.as<LetStmtNode>()) return visit_let(*n, pending);
    if (!meets_itself(s, touched)) return leaf(s, touched, pending);
    const SpanScope span(s->span);
    if (const auto* n = s.as<IfNode>()) {
      if (!relation_.is_uniform(substitute(n->condition, lets_))) return visit_divided(*n, pending);
      return visit_if(*n, pending);
    }
    const auto* n = s.as<ForNode>();
    const bool uniform = n != nullptr && relation_.is_uniform(substitute(n->min, lets_)) &&
                         relation_.is_uniform(substitute(n->extent, lets_));
    if (!uniform) return visit(shared_range(n), pending);
    if (n->attrs.kind == ForKind::kVectorized) {
      ForAttrs attrs = n->attrs;
      attrs.kind = ForKind::kSerial;
      const Stmt serial = with_attrs(*n, std::move(attrs));
      // It stays one vector operation unless a barrier came inside.
      const auto kept = [&](const Stmt& x) { return x.same_as(serial) ? s : x; };
      const Stmt out = visit_loop(*serial.as<ForNode>(), pending);
      const auto* seq = out.as<SeqNode>();
      if (seq == nullptr) return kept(out);
      std::vector<Stmt> stmts;
      for (const Stmt& x : seq->stmts) stmts.push_back(kept(x));
      return make_seq(std::move(stmts));
    }
    return visit_loop(*n, pending);
  }

  /// A loop that needs a barrier inside, with iterations at which all threads arrive.
  Stmt shared_range(const ForNode* n) {
    std::vector<Expr> coordinates;
    for (const Expr& c : coordinates_) {
      if (c) coordinates.push_back(c);
    }
    Stmt out;
    if (n != nullptr) {
      const Stmt known = make_for(n->var, substitute(n->min, lets_), substitute(n->extent, lets_),
                                  n->body, n->attrs);
      out = with_uniform_range(*known.as<ForNode>(), coordinates, &relation_.analyzer());
    }
    TENON_USER_CHECK(
        out, ScheduleError, "E1250",
        n != nullptr ? "loop '" + n->var.as<VarNode>()->name + "'" : std::string("a 'while'"),
        " needs a barrier inside, and its range depends on data, should be the same "
        "for all threads: do not bind the loops that it depends on");
    return out;
  }

  /// Barriers and waits that are there already.
  bool passes(const EvaluateNode& n, Pending* pending) {
    const ThreadCall which = thread_call(n.value);
    if (which == ThreadCall::kBarrier) pending->pass_barrier();
    if (which == ThreadCall::kAsyncWait) {
      for (ThreadAccess& a : pending->accesses)
        a.in_flight &= pipelined_.count(a.buffer.get()) == 0;
    }
    return which != ThreadCall::kNone;
  }

  Accesses collect(const Stmt& s) {
    CollectAccesses collector(&relation_, coordinates_, lets_, written_);
    collector(s);
    return std::move(collector.found);
  }

  /// A statement without barriers inside.
  Stmt leaf(const Stmt& s, const Accesses& touched, Pending* pending) {
    const Need needed = need(*pending, touched);
    Stmt out = needed.any() ? make_seq({synchronize(needed, pending), s}) : s;
    for (const ThreadAccess& a : touched) pending->add(relation_.at_another_time(a, a.inner));
    return out;
  }

  Stmt visit_let(const LetStmtNode& n, Pending* pending) {
    const SpanScope span(n.span);
    const Accesses touched = collect(make<EvaluateNode>(n.value));
    const Need needed = need(*pending, touched);
    const Stmt before = needed.any() ? synchronize(needed, pending) : Stmt(nullptr);
    for (const ThreadAccess& a : touched) pending->add(a);
    if (reads_memory(n.value)) {
      relation_.bind_data(n.var);
    } else {
      lets_[n.var.get()] = substitute(n.value, lets_);
    }
    Stmt body = visit(n.body, pending);
    Stmt out = body.same_as(n.body) ? Stmt(&n) : make_let(n.var, n.value, body);
    return before ? make_seq({before, out}) : out;
  }

  /// All threads take one branch.
  Stmt visit_if(const IfNode& n, Pending* pending) {
    Pending otherwise = *pending;
    Stmt then_case = visit(n.then_case, pending);
    Stmt else_case = n.else_case ? visit(n.else_case, &otherwise) : n.else_case;
    for (const ThreadAccess& a : otherwise.accesses) pending->add(a);
    return make_if(n.condition, then_case, else_case);
  }

  /// Some threads run it: each statement gets the condition of its own.
  Stmt visit_divided(const IfNode& n, Pending* pending) {
    Stmt out = visit(divided(n.condition, n.then_case), pending);
    if (!n.else_case) return out;
    return make_seq({out, visit(divided(logical_not(n.condition), n.else_case), pending)});
  }

  Stmt divided(const Expr& condition, const Stmt& s) {
    TENON_USER_CHECK(!reads_memory(condition), ScheduleError, "E1250", "the condition ",
                     print(condition),
                     " needs a barrier inside, and its value depends on the thread, should be the "
                     "same for all threads: do not bind the loops that it depends on");
    if (const auto* seq = s.as<SeqNode>()) {
      std::vector<Stmt> stmts;
      for (const Stmt& child : seq->stmts) stmts.push_back(make_if(condition, child));
      return make_seq(std::move(stmts));
    }
    if (const auto* loop = s.as<ForNode>()) return with_body(*loop, make_if(condition, loop->body));
    if (const auto* a = s.as<AllocateNode>()) return with_body(*a, make_if(condition, a->body));
    if (const auto* inner = s.as<IfNode>()) {
      return make_if(logical_and(condition, inner->condition), inner->then_case);
    }
    const auto* l = s.as<LetStmtNode>();
    TENON_CHECK(l != nullptr && !reads_memory(l->value),
                "a condition around a statement that cannot be divided");
    return make_let(l->var, l->value, make_if(condition, l->body));
  }

  Stmt visit_loop(const ForNode& n, Pending* pending) {
    relation_.bind_loop(n.var, {substitute(n.min, lets_), substitute(n.extent, lets_)});
    // What the iterations ask of each other: again with what the last one left.
    Pending carried;
    Stmt body;
    int count = -1;
    for (int round = 0; round < 4; ++round) {
      Pending state = carried;
      const int before = num_synchronized_;
      Stmt next = visit(n.body, &state);
      const bool settled = num_synchronized_ - before == count && round > 1;
      count = num_synchronized_ - before;
      body = next;
      num_synchronized_ = before;
      carried = in_another_iteration(state, n.var);
      if (settled) break;
    }
    // What stands before the loop: its barrier stands before it too, unless one inside serves.
    Pending state = carried;
    for (const ThreadAccess& a : pending->accesses) state.add(a);
    const int before = num_synchronized_;
    Stmt with_past = visit(n.body, &state);
    std::vector<Stmt> out;
    if (num_synchronized_ - before > count) {
      num_synchronized_ = before;
      Accesses touched = collect(n.body);
      out.push_back(synchronize(need(*pending, touched), pending));
      state = carried;
      for (const ThreadAccess& a : pending->accesses) state.add(a);
      with_past = visit(n.body, &state);
    }
    body = with_past;
    Pending after = after_loop(state, n.var);
    if (!relation_.analyzer().can_prove(gt(n.extent, imm(0)))) {
      for (const ThreadAccess& a : pending->accesses) after.add(a);
    }
    *pending = std::move(after);
    out.push_back(body.same_as(n.body) ? Stmt(&n) : with_body(n, body));
    return make_seq(std::move(out));
  }

  Pending in_another_iteration(const Pending& p, const Expr& variable) {
    Pending out;
    for (const ThreadAccess& a : p.accesses) out.add(relation_.in_another_iteration(a, variable));
    return out;
  }
  Pending after_loop(const Pending& p, const Expr& variable) {
    Pending out;
    for (const ThreadAccess& a : p.accesses) out.add(relation_.at_another_time(a, {variable}));
    return out;
  }

  /// Whether two iterations or statements inside need a barrier between.
  bool meets_itself(const Stmt& s, const Accesses& touched) {
    if (s.as<StoreNode>() != nullptr || s.as<EvaluateNode>() != nullptr) return false;
    if (holds_calls(s)) return true;
    for (const ThreadAccess& a : touched) {
      if (!may_conflict(a, touched)) continue;
      const ThreadAccess earlier = relation_.at_another_time(a, a.inner);
      for (const ThreadAccess& b : touched) {
        if (a.origin == b.origin && a.inner.empty()) continue;
        // A statement's own elements are each of one thread, even where that is not proved.
        if (a.origin == b.origin && a.is_own && b.is_own && !relation_.is_linear(a)) continue;
        if (ordered_by_pipeline(a, b)) continue;
        if (a.in_flight && a.buffer.same_as(b.buffer)) return true;
        if (relation_.may_meet(earlier, b)) return true;
      }
    }
    return false;
  }

  static bool may_conflict(const ThreadAccess& a, const Accesses& all) {
    return std::any_of(all.begin(), all.end(), [&](const ThreadAccess& b) {
      return b.buffer.same_as(a.buffer) && (a.is_write || b.is_write);
    });
  }

  /// Barriers and waits: their place among the accesses counts.
  static bool holds_calls(const Stmt& s) {
    bool found = false;
    post_order_visit(s, [&](const Node& n) {
      if (n.kind == NodeKind::kCall) {
        const ThreadCall c = thread_call(static_cast<const CallNode&>(n).name);
        found |= c == ThreadCall::kBarrier || c == ThreadCall::kAsyncWait;
      }
    });
    return found;
  }

  bool ordered_by_pipeline(const ThreadAccess& earlier, const ThreadAccess& later) const {
    return earlier.in_flight && (!later.is_write || later.in_flight) &&
           pipelined_.count(earlier.buffer.get()) != 0;
  }

  Need need(const Pending& pending, const Accesses& touched) {
    Need out;
    for (const ThreadAccess& a : pending.accesses) {
      for (const ThreadAccess& b : touched) {
        if (!a.buffer.same_as(b.buffer) || ordered_by_pipeline(a, b)) continue;
        const bool meets = relation_.may_meet(a, b);
        out.barrier |= meets;
        // Even in its own thread a copy lands only when it is waited for.
        out.wait |= a.in_flight && (meets || !disjoint_writes(a, b));
      }
    }
    return out;
  }

  static bool disjoint_writes(const ThreadAccess& a, const ThreadAccess& b) {
    return a.is_write && b.is_write && a.origin == b.origin;
  }

  Stmt synchronize(const Need& needed, Pending* pending) {
    ++num_synchronized_;
    std::vector<Stmt> out;
    if (needed.wait) {
      out.push_back(async_commit());
      out.push_back(async_wait(0));
      for (ThreadAccess& a : pending->accesses) a.in_flight = false;
    }
    if (needed.barrier) {
      out.push_back(thread_barrier());
      pending->pass_barrier();
    }
    return make_seq(std::move(out));
  }

  ThreadRelation relation_;
  std::unordered_set<const BufferNode*> written_, pipelined_;
  std::array<Expr, 3> coordinates_;
  VarMap lets_;
  int num_synchronized_ = 0;
};

class InsertBarriers : public Mutator {
 public:
  explicit InsertBarriers(const Function& f) : function_(f) { memoise_ = false; }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    const auto axis = axis_of(n);
    if (!axis || !is_thread_axis(*axis)) {
      around_.push_back(&n);
      Stmt out = rebuild(n);
      around_.pop_back();
      return out;
    }
    KernelBarriers kernel(function_, Stmt(&n));
    for (const ForNode* loop : around_) kernel.bind_uniform(*loop);
    return thread_loop(n, *axis, &kernel);
  }

 private:
  Stmt thread_loop(const ForNode& n, ThreadAxis axis, KernelBarriers* kernel) {
    kernel->bind_coordinate(axis, n);
    const auto* inner = n.body.as<ForNode>();
    const auto next = inner != nullptr ? axis_of(*inner) : std::nullopt;
    Stmt body = next ? thread_loop(*inner, *next, kernel) : kernel->run(n.body);
    return body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
  }

  Function function_;
  std::vector<const ForNode*> around_;
};

}  // namespace

Function insert_barriers(const Function& f) { return with_body(f, InsertBarriers(f)(f->body)); }

}  // namespace tenon
