#include "te/check_reads.h"

#include <unordered_map>
#include <utility>

#include "te/checks.h"
#include "te/index_range.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

bool is_check(const Expr& index) {
  const auto* c = index.as<CallNode>();
  return c != nullptr && c->name == "checked_index";
}

/// The parts of a conjunction that read no memory.
void add_known(const Expr& condition, std::vector<Expr>* out) {
  const auto* b = condition.as<BinaryNode>();
  if (b != nullptr && b->op == BinaryOp::kAnd) {
    add_known(b->a, out);
    add_known(b->b, out);
  } else if (!depends_on_data(condition)) {
    out->push_back(condition);
  }
}

/// Replaces `a // m` and `a % m` with a divisor made of symbols by variables of their ranges: of
/// such divisions the analyzer knows nothing.
class NameDivisions : public Mutator {
 public:
  NameDivisions(Analyzer* analyzer, const std::vector<IterVar>& iters) : analyzer_(analyzer) {
    for (const IterVar& v : iters) vars_.push_back(v.var);
  }

 protected:
  using Mutator::rewrite;
  Expr rewrite(const BinaryNode& n) override {
    const bool is_division = n.op == BinaryOp::kFloorDiv || n.op == BinaryOp::kFloorMod;
    if (!is_division || as_int(n.b) || !analyzer_->can_prove(ge(n.b, imm(1))) ||
        !analyzer_->can_prove(ge(n.a, imm(0)))) {
      return rebuild(n);
    }
    Expr extent = n.b;
    if (n.op == BinaryOp::kFloorDiv) {
      const Expr greatest = analyzer_->symbolic_bounds(n.a, vars_).max;
      if (!greatest) return rebuild(n);
      extent = analyzer_->simplify(floordiv(greatest, n.b) + 1);
      if (!analyzer_->can_prove(lt(n.a, extent * n.b))) extent = quotient(greatest + 1, n.b);
      if (!extent) return rebuild(n);
    }
    const Expr named = var("q");
    analyzer_->bind_kept(named, {imm(0), extent});
    return named;
  }

 private:
  /// a / b where both are one product each and b's is a part of a's; else null.
  Expr quotient(const Expr& a, const Expr& b) {
    const AffineForm dividend = analyzer_->affine(a), divisor = analyzer_->affine(b);
    if (dividend.terms.size() != 1 || divisor.terms.size() != 1 || dividend.constant != 0 ||
        divisor.constant != 0 || dividend.terms[0].coefficient % divisor.terms[0].coefficient != 0)
      return nullptr;
    Expr factor = imm(dividend.terms[0].coefficient / divisor.terms[0].coefficient);
    if (structural_equal(dividend.terms[0].atom, divisor.terms[0].atom)) return factor;
    const auto* product = dividend.terms[0].atom.as<BinaryNode>();
    if (product == nullptr || product->op != BinaryOp::kMul) return nullptr;
    if (structural_equal(product->b, divisor.terms[0].atom)) return factor * product->a;
    if (structural_equal(product->a, divisor.terms[0].atom)) return factor * product->b;
    return nullptr;
  }

  Analyzer* analyzer_;
  std::vector<Expr> vars_;
};

class CheckReads : public Mutator {
 public:
  CheckReads(const std::vector<IterVar>& iters, const std::vector<Symbol>& symbols)
      : iters_(iters) {
    for (const Symbol& s : symbols) analyzer_.bind(s);
    for (const IterVar& v : iters) {
      analyzer_.bind_kept(v.var, v.domain);
      always_runs_ = always_runs_ && as_int(v.domain.extent).value_or(0) > 0;
    }
    for (const IterVar& v : iters) assume_runs(v.domain.extent);
  }

 protected:
  using Mutator::rewrite;
  Expr rewrite(const SelectNode& n) override {
    const Expr condition = (*this)(n.condition);
    const Expr t = under(n.condition, n.true_value);
    const Expr f = under(logical_not(n.condition), n.false_value);
    if (condition.same_as(n.condition) && t.same_as(n.true_value) && f.same_as(n.false_value))
      return Expr(&n);
    return kept(n, make<SelectNode>(condition, t, f));
  }
  Expr rewrite(const BinaryNode& n) override {
    if (n.op != BinaryOp::kAnd && n.op != BinaryOp::kOr) return rebuild(n);
    const Expr a = (*this)(n.a);
    const Expr b = under(n.op == BinaryOp::kAnd ? n.a : logical_not(n.a), n.b);
    return a.same_as(n.a) && b.same_as(n.b) ? Expr(&n) : kept(n, make<BinaryNode>(n.op, a, b));
  }
  Expr rewrite(const LoadNode& n) override {
    if (!has_open_load(Expr(&n))) return Expr(&n);
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    std::vector<Expr> indices;
    for (const Expr& index : n.indices)
      indices.push_back(n.predicate ? under(n.predicate, index) : (*this)(index));
    const Given given(this, n.predicate);
    for (std::size_t d = 0; d < indices.size(); ++d) {
      if (is_inside(n, d)) continue;
      if (!n.predicate) refuse_known(n, d);
      indices[d] = call(kInt64, "checked_index", {indices[d], n.buffer->shape[d], imm(-1)});
      predicate = and_predicate(predicate, ge(indices[d], imm(0)));
    }
    return kept(n, load(n.buffer, std::move(indices), predicate));
  }

 private:
  template <typename N>
  static Expr kept(const N& n, Expr out) {
    keep_span(n, *out.get());
    return out;
  }

  /// While it lives, a condition (or null) holds.
  class Given {
   public:
    Given(CheckReads* owner, const Expr& condition)
        : owner_(owner), scope_(&owner->analyzer_), num_before_(owner->conditions_.size()) {
      if (condition) add_known(condition, &owner->conditions_);
      for (std::size_t i = num_before_; i < owner->conditions_.size(); ++i)
        owner->analyzer_.assume(owner->conditions_[i]);
    }
    ~Given() { owner_->conditions_.resize(num_before_); }
    Given(const Given&) = delete;
    Given& operator=(const Given&) = delete;

   private:
    CheckReads* owner_;
    Analyzer::Scope scope_;
    std::size_t num_before_;
  };

  /// The block runs, so that no domain is empty, and no symbol of a product of sizes is 0.
  void assume_runs(const Expr& extent) {
    const auto* b = extent.as<BinaryNode>();
    const bool is_product = b != nullptr && b->op == BinaryOp::kMul;
    if (is_product && !uses_iter(extent)) {
      assume_runs(b->a);
      assume_runs(b->b);
    } else if (!as_int(extent)) {
      conditions_.push_back(ge(extent, imm(1)));
      analyzer_.assume(conditions_.back());
    }
  }
  static bool uses_iter(const Expr& e) {
    return uses_var(e, [](const VarNode& v) { return v.symbol == nullptr; });
  }

  /// `branch`, which runs where `condition` holds. One without loads that a condition could prove
  /// stays as it is, so that chains of selects are walked once.
  Expr under(const Expr& condition, const Expr& branch) {
    if (!has_open_load(branch)) return branch;
    const Given given(this, condition);
    const bool outer = std::exchange(always_runs_, false);
    clear_memo();
    Expr out = (*this)(branch);
    clear_memo();
    always_runs_ = outer;
    return out;
  }

  /// Whether `e` has a load that is not proved before any condition is known.
  bool has_open_load(const Expr& e) {
    bool found = false;
    post_order_visit(e, [&](const Node& node) {
      if (node.kind != NodeKind::kLoad || found) return;
      const auto& l = static_cast<const LoadNode&>(node);
      const auto [known, is_new] = is_open_.try_emplace(&l, Expr(&l), false);
      for (std::size_t d = 0; d < l.indices.size() && is_new && !known->second.second; ++d)
        known->second.second = !is_inside(l, d);
      found = known->second.second;
    });
    return found;
  }

  bool is_inside(const LoadNode& l, std::size_t d) {
    const Expr& index = l.indices[d];
    const Expr& extent = l.buffer->shape[d];
    if (is_check(index)) return true;
    if (analyzer_.can_prove(ge(index, imm(0))) && analyzer_.can_prove(lt(index, extent)))
      return true;
    if (const auto size = as_int(extent)) {
      const auto range = index_range(index, conditions_, iters_);
      if (range) return range->first > range->last || (range->first >= 0 && range->last < *size);
    }
    Analyzer::Scope scope(&analyzer_);
    const Expr named = NameDivisions(&analyzer_, iters_)(index);
    return !named.same_as(index) && analyzer_.can_prove(ge(named, imm(0))) &&
           analyzer_.can_prove(lt(named, extent));
  }

  void refuse_known(const LoadNode& l, std::size_t d) {
    const auto size = as_int(l.buffer->shape[d]);
    if (!always_runs_ || !size) return;
    const auto range = index_range(l.indices[d], {}, iters_);
    TENON_USER_CHECK(
        !range, IndexError, "E0603", "an index of dimension ", d, " of tensor '", l.buffer->name,
        "' with shape ", describe_shape(l.buffer->shape), " runs from ",
        range.value_or(IndexRange{}).first, " to ", range.value_or(IndexRange{}).last,
        ", expected 0 to ", *size - 1, l.span ? "  at " : "", l.span.str(),
        "\n  hint: te.select does not read what it does not choose: te.select(i < n, x[i], 0)");
  }

  const std::vector<IterVar>& iters_;
  Analyzer analyzer_;
  std::vector<Expr> conditions_;  ///< that hold where the walk is; without memory
  bool always_runs_ = true;       ///< no domain is empty and no condition is around
  std::unordered_map<const LoadNode*, std::pair<Expr, bool>> is_open_;
};

}  // namespace

Stmt check_reads(const Stmt& body, const std::vector<IterVar>& iters,
                 const std::vector<Symbol>& symbols) {
  return CheckReads(iters, symbols)(body);
}

}  // namespace tenon::te
