#include "ir/transform/hoist_conditions.h"

#include <algorithm>

#include "ir/transform/conditions.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool is_empty(const Stmt& s) {
  const auto* seq = s.as<SeqNode>();
  return seq != nullptr && seq->stmts.empty();
}

bool is_one_of(const Expr& e, const std::vector<Expr>& all) {
  return std::any_of(all.begin(), all.end(),
                     [&](const Expr& x) { return x.same_as(e) || structural_equal(x, e); });
}

/// An if without an else on variables alone.
const IfNode* as_guard(const Stmt& s) {
  const auto* n = s.as<IfNode>();
  return n != nullptr && !n->else_case && !reads_memory(n->condition) ? n : nullptr;
}

Stmt guarded(const std::vector<Expr>& conditions, const Stmt& s) {
  return conditions.empty() || is_empty(s) ? s : make_if(conjunction(conditions), s);
}

class HoistConditions : public Mutator {
 public:
  explicit HoistConditions(const Function& f) {
    analyzer_.bind_symbols(f);
    memoise_ = false;
  }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const StoreNode& n) override { return Stmt(&n); }
  Stmt rewrite(const EvaluateNode& n) override { return Stmt(&n); }

  Stmt rewrite(const IfNode& n) override {
    if (n.else_case || reads_memory(n.condition)) {
      Stmt then_case = (*this)(n.then_case);
      Stmt else_case = n.else_case ? (*this)(n.else_case) : n.else_case;
      const bool same = then_case.same_as(n.then_case) && else_case.same_as(n.else_case);
      return same ? Stmt(&n) : make_if(n.condition, then_case, else_case);
    }
    std::vector<Expr> kept;
    for (const Expr& c : conjuncts(n.condition)) {
      const Expr known = analyzer_.simplify(c);
      if (is_int(known, 0)) return make_seq({});
      if (!is_int(known, 1)) kept.push_back(known);
    }
    Stmt body = (*this)(n.then_case);
    if (const IfNode* inner = as_guard(body)) {
      for (const Expr& c : conjuncts(inner->condition)) {
        if (!is_one_of(c, kept)) kept.push_back(c);
      }
      body = inner->then_case;
    }
    return guarded(kept, body);
  }

  Stmt rewrite(const SeqNode& n) override {
    std::vector<Stmt> stmts;
    for (const Stmt& s : n.stmts) {
      Stmt out = (*this)(s);
      if (!is_empty(out)) stmts.push_back(out);
    }
    const bool all_guarded =
        stmts.size() > 1 && std::all_of(stmts.begin(), stmts.end(),
                                        [](const Stmt& s) { return as_guard(s) != nullptr; });
    if (!all_guarded) return make_seq(std::move(stmts));
    std::vector<Expr> shared;
    for (const Expr& c : conjuncts(as_guard(stmts[0])->condition)) {
      const bool everywhere = std::all_of(stmts.begin(), stmts.end(), [&](const Stmt& s) {
        return is_one_of(c, conjuncts(as_guard(s)->condition));
      });
      if (everywhere) shared.push_back(c);
    }
    if (shared.empty()) return make_seq(std::move(stmts));
    for (Stmt& s : stmts) {
      const IfNode* guard = as_guard(s);
      std::vector<Expr> own = conjuncts(guard->condition);
      std::erase_if(own, [&](const Expr& c) { return is_one_of(c, shared); });
      s = guarded(own, guard->then_case);
    }
    return guarded(shared, make_seq(std::move(stmts)));
  }

  Stmt rewrite(const ForNode& n) override {
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind(n.var, {n.min, n.extent});
    Stmt body = (*this)(n.body);
    if (is_empty(body)) return body;
    const IfNode* guard = as_guard(body);
    const bool is_plain = n.attrs.kind == ForKind::kSerial || n.attrs.kind == ForKind::kVectorized;
    if (guard == nullptr || !is_plain) return body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
    std::vector<Expr> outside, inside;
    for (const Expr& c : conjuncts(guard->condition))
      (uses(c, n.var) ? inside : outside).push_back(c);
    Expr begin = n.min, end = n.min + n.extent;
    if (n.attrs.kind == ForKind::kSerial)
      std::erase_if(inside, [&](const Expr& c) { return narrow(c, n.var, &begin, &end); });
    body = guarded(inside, guard->then_case);
    return guarded(outside, make_for(n.var, analyzer_.simplify(begin),
                                     analyzer_.simplify(end - begin), body, n.attrs));
  }

 private:
  /// Limits [begin, end) to where the condition holds; false when it is not linear in the variable.
  bool narrow(const Expr& condition, const Expr& variable, Expr* begin, Expr* end) {
    const Expr slack = slack_of(condition);
    if (!slack) return false;
    const std::int64_t step = analyzer_.affine(slack).coefficient_of(variable);
    const Expr rest = analyzer_.simplify(slack - variable * step);
    if (step == 0 || uses(rest, variable)) return false;
    if (step > 0) {
      *begin = max(*begin, ceildiv(-rest, imm(step)));
    } else {
      *end = min(*end, floordiv(rest, imm(-step)) + 1);
    }
    return true;
  }

  Analyzer analyzer_;
};

}  // namespace

Function hoist_conditions(const Function& f) { return with_body(f, HoistConditions(f)(f->body)); }

}  // namespace tenon
