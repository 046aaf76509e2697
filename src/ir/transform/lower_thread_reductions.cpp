#include "ir/transform/lower_thread_reductions.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ir/transform/conditions.h"
#include "ir/transform/uniform_range.h"
#include "ir/transform/unify_threads.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

const CallNode* as_thread_reduction(const Expr& e) {
  const auto* c = e.as<CallNode>();
  return c != nullptr && c->name == kThreadReduction ? c : nullptr;
}

bool holds_reduction(const Stmt& s) {
  bool found = false;
  post_order_visit(s, [&](const Node& n) {
    if (n.kind == NodeKind::kStore)
      found |= as_thread_reduction(static_cast<const StoreNode&>(n).value) != nullptr;
  });
  return found;
}

/// C[i] = C[i] op term, where the condition holds.
struct Join {
  BinaryOp op = BinaryOp::kAdd;
  Expr term;
  Expr condition;  ///< may be null
};

bool is_load_of_target(const Expr& e, const StoreNode& s) {
  const auto* l = e.as<LoadNode>();
  if (l == nullptr || !l->buffer.same_as(s.buffer) || l->predicate) return false;
  return std::equal(l->indices.begin(), l->indices.end(), s.indices.begin(), s.indices.end(),
                    [](const Expr& a, const Expr& b) { return structural_equal(a, b); });
}

std::optional<Join> match_join(const StoreNode& s, const Expr& value) {
  if (const auto* f = value.as<FmaNode>(); f != nullptr && is_load_of_target(f->c, s))
    return Join{BinaryOp::kAdd, f->a * f->b, nullptr};
  if (const auto* choice = value.as<SelectNode>()) {
    const bool otherwise = is_load_of_target(choice->false_value, s);
    if (!otherwise && !is_load_of_target(choice->true_value, s)) return std::nullopt;
    auto inner = match_join(s, otherwise ? choice->true_value : choice->false_value);
    if (inner) {
      const Expr taken = otherwise ? choice->condition : logical_not(choice->condition);
      inner->condition = and_predicate(taken, inner->condition);
    }
    return inner;
  }
  const auto* b = value.as<BinaryNode>();
  if (b == nullptr) return std::nullopt;
  for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kProd, ReduceOp::kMin, ReduceOp::kMax}) {
    if (combiner(op) != b->op) continue;
    if (is_load_of_target(b->a, s)) return Join{b->op, b->b, nullptr};
    if (is_load_of_target(b->b, s)) return Join{b->op, b->a, nullptr};
  }
  return std::nullopt;
}

Expr identity_of(BinaryOp op, DType t) {
  for (const ReduceOp r : {ReduceOp::kProd, ReduceOp::kMin, ReduceOp::kMax}) {
    if (combiner(r) == op) return identity_element(r, t);
  }
  return identity_element(ReduceOp::kSum, t);
}

bool is_power_of_two(std::int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

/// Nested lets, made from the outside in.
class LetChain {
 public:
  Expr add(const std::string& name, const Expr& value) {
    lets_.emplace_back(var(name, value->dtype), value);
    return lets_.back().first;
  }
  Stmt around(Stmt body) const {
    for (std::size_t i = lets_.size(); i-- > 0;)
      body = make_let(lets_[i].first, lets_[i].second, body);
    return body;
  }
  /// value joined with that of lane ^ first, ^ first / 2, ... ^ 1.
  Expr join_halves(BinaryOp op, Expr value, std::int64_t first, const std::string& name) {
    for (std::int64_t mask = first; mask >= 1; mask /= 2) {
      const Expr other = add(name + "_other", warp_shuffle_xor(value, mask));
      value = add(name + "_joined", binary(op, value, other));
    }
    return value;
  }

 private:
  std::vector<std::pair<Expr, Expr>> lets_;
};

class LowerThreadReductions : public Mutator {
 public:
  explicit LowerThreadReductions(const Function& f) : function_(f) { memoise_ = false; }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    const auto axis = axis_of(n);
    if (!holds_reduction(n.body)) return Stmt(&n);
    return axis && is_thread_axis(*axis) ? thread_loop(n, *axis) : rebuild(n);
  }

 private:
  struct Axis {
    Expr coordinate;
    std::int64_t extent = 1;
  };

  Stmt thread_loop(const ForNode& n, ThreadAxis axis) {
    const bool outermost = depth_ == 0;
    ++depth_;
    axes_[static_cast<std::size_t>(dimension_of(axis))] = {n.var, as_int(n.extent).value_or(1)};
    const auto* inner = n.body.as<ForNode>();
    const bool more = inner != nullptr && inner->attrs.kind == ForKind::kThread;
    Stmt body = more ? (*this)(n.body) : descend(n.body);
    --depth_;
    Stmt out = body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
    if (!outermost) return out;
    for (const Buffer& b : scratch_) out = make_allocate(b, out);
    scratch_.clear();
    axes_ = {};
    return out;
  }

  bool depends_on_thread(const Expr& e) const {
    return reads_memory(e) || std::any_of(axes_.begin(), axes_.end(), [&](const Axis& a) {
             return a.coordinate && uses(e, a.coordinate);
           });
  }

  /// A statement in which the conditions taken off its surroundings are put where they belong.
  Stmt descend(const Stmt& s) {
    if (!holds_reduction(s)) return conditions_.empty() ? s : make_if(conjunction(conditions_), s);
    if (const auto* seq = s.as<SeqNode>()) {
      std::vector<Stmt> stmts;
      for (const Stmt& child : seq->stmts) stmts.push_back(descend(child));
      return make_seq(std::move(stmts));
    }
    if (const auto* n = s.as<IfNode>()) return branch(*n);
    if (const auto* n = s.as<AllocateNode>()) return with_body(*n, descend(n->body));
    if (const auto* n = s.as<LetStmtNode>()) {
      const SpanScope span(n->span);
      Expr value = n->value;
      if (!conditions_.empty()) value = select(conjunction(conditions_), value, zero(value->dtype));
      return make_let(n->var, value, descend(n->body));
    }
    if (const auto* n = s.as<ForNode>()) {
      if (depends_on_thread(n->min) || depends_on_thread(n->extent)) return descend(uniform(*n));
      const SpanScope span(n->span);
      ForAttrs attrs = n->attrs;
      if (attrs.kind == ForKind::kVectorized) attrs.kind = ForKind::kSerial;
      return make_for(n->var, n->min, n->extent, descend(n->body), std::move(attrs));
    }
    const auto* n = s.as<StoreNode>();
    TENON_CHECK(n != nullptr, "a reduction over threads in an unexpected statement");
    const SpanScope span(n->span);
    return reduce(*n, *as_thread_reduction(n->value));
  }

  /// Every thread arrives at the reductions in each iteration; those that should not be there give
  /// the identity.
  Stmt uniform(const ForNode& n) {
    Analyzer analyzer;
    analyzer.bind_symbols(function_);
    std::vector<Expr> coordinates;
    for (const Axis& a : axes_) {
      if (!a.coordinate) continue;
      analyzer.bind_kept(a.coordinate, {imm(0), imm(a.extent)});
      coordinates.push_back(a.coordinate);
    }
    Stmt out = with_uniform_range(n, coordinates, &analyzer);
    TENON_USER_CHECK(out, ScheduleError, "E1246", "loop '", n.var.as<VarNode>()->name,
                     "' holds a reduction over threads and its range depends on data, should be "
                     "the same for all threads: do not bind this reduction");
    return out;
  }

  Stmt branch(const IfNode& n) {
    if (!depends_on_thread(n.condition) && conditions_.empty()) {
      const SpanScope span(n.span);
      return make_if(n.condition, descend(n.then_case),
                     n.else_case ? descend(n.else_case) : n.else_case);
    }
    const std::size_t outer = conditions_.size();
    const auto under = [&](const Expr& condition, const Stmt& s) {
      for (const Expr& c : conjuncts(condition)) conditions_.push_back(c);
      Stmt out = descend(s);
      conditions_.resize(outer);
      return out;
    };
    Stmt then_case = under(n.condition, n.then_case);
    return n.else_case ? make_seq({then_case, under(logical_not(n.condition), n.else_case)})
                       : then_case;
  }

  Stmt reduce(const StoreNode& n, const CallNode& marked) {
    const std::int64_t threads = as_int(marked.args[1]).value_or(0);
    const std::string& name = n.buffer->name;
    check_threads(threads, name);
    auto join = match_join(n, marked.args[0]);
    TENON_USER_CHECK(join, ScheduleError, "E1247", "'", name,
                     "' is reduced over threads, but the stored value is no sum, product, minimum "
                     "or maximum with its old value: do not bind this reduction");
    const Axis& x = axes_[0];
    Expr for_term = and_predicate(join->condition, n.predicate), for_store;
    for (const Expr& c : conditions_) {
      for_term = and_predicate(for_term, c);
      if (!uses(c, x.coordinate)) for_store = and_predicate(for_store, c);
    }
    const BinaryOp op = join->op;
    const DType t = n.value->dtype;
    LetChain lets;
    Expr value = join->term;
    if (for_term) value = select(for_term, value, identity_of(op, t));
    value = lets.add(name + "_term", value);
    value = lets.join_halves(op, value, std::min(threads, kWarpSize) / 2, name);
    const bool is_private = n.buffer->scope != Scope::kShared && n.buffer->scope != Scope::kGlobal;
    if (!is_private)
      for_store = and_predicate(x.extent > 1 ? eq(x.coordinate, imm(0)) : Expr(nullptr), for_store);
    const auto finish = [&](const Expr& joined) {
      Stmt out = store(n.buffer, n.indices, binary(op, load(n.buffer, n.indices), joined));
      return for_store ? make_if(for_store, out) : out;
    };
    const std::int64_t groups = threads / std::min(threads, kWarpSize);
    // The lanes of one group have the result; where there are others, it goes through memory.
    if (groups == 1 && (!is_private || threads == x.extent)) return lets.around(finish(value));
    return through_shared(lets, value, groups, op, name, finish);
  }

  /// Writes the value of each group of lanes to shared memory, and joins them in every thread.
  template <typename Finish>
  Stmt through_shared(const LetChain& lets, const Expr& value, std::int64_t groups, BinaryOp op,
                      const std::string& name, const Finish& finish) {
    const Axis& x = axes_[0];
    const Expr row = row_of_x();
    const std::int64_t rows = axes_[1].extent * axes_[2].extent;
    const Buffer sums =
        make_buffer(name + "_sums", value->dtype, {imm(rows), imm(groups)}, Scope::kShared);
    scratch_.push_back(sums);
    Expr first_of_group, group = imm(0), partner = imm(0);
    if (groups == 1) {
      first_of_group = eq(x.coordinate, imm(0));
    } else {
      first_of_group = eq(floormod(x.coordinate, imm(kWarpSize)), imm(0));
      if (groups * kWarpSize < x.extent)
        first_of_group = logical_and(first_of_group, lt(x.coordinate, imm(groups * kWarpSize)));
      group = floordiv(x.coordinate, imm(kWarpSize));
      partner = floormod(x.coordinate, imm(groups));
    }
    Stmt written = lets.around(make_if(first_of_group, store(sums, {row, group}, value)));
    LetChain last;
    const Expr sum = last.add(name + "_sum", load(sums, {row, partner}));
    const Expr joined = last.join_halves(op, sum, groups / 2, name);
    return make_seq({written, last.around(finish(joined))});
  }

  Expr row_of_x() const {
    Expr row = imm(0);
    if (axes_[1].coordinate) row = axes_[1].coordinate;
    if (axes_[2].coordinate) row = row + axes_[2].coordinate * axes_[1].extent;
    return row;
  }

  void check_threads(std::int64_t threads, const std::string& name) const {
    const Axis& x = axes_[0];
    TENON_USER_CHECK(is_power_of_two(threads) && threads <= kMaxBlockThreads, ScheduleError,
                     "E1244", "'", name, "' is reduced over ", threads,
                     " threads, should be a power of two up to ", kMaxBlockThreads,
                     ": split the loop and bind the part");
    const std::int64_t lanes = std::min(threads, kWarpSize);
    const bool whole_rows =
        x.extent % lanes == 0 && (x.extent % kWarpSize == 0 || is_power_of_two(x.extent));
    TENON_USER_CHECK(whole_rows && x.extent >= threads, ScheduleError, "E1245", "'", name,
                     "' is reduced over ", threads, " threads in a kernel with ", x.extent,
                     " threads along threadIdx.x, should be a multiple of 32, or a power of two: "
                     "change the longest loop that is bound to threadIdx.x");
  }

  Function function_;
  std::array<Axis, 3> axes_;
  int depth_ = 0;
  std::vector<Expr> conditions_;
  std::vector<Buffer> scratch_;
};

}  // namespace

Function lower_thread_reductions(const Function& f) {
  return holds_reduction(f->body) ? with_body(f, LowerThreadReductions(f)(f->body)) : f;
}

}  // namespace tenon
