#include "ir/transform/init_empty_reductions.h"

#include <unordered_map>
#include <unordered_set>

#include "ir/transform/conditions.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

using Variables = std::unordered_set<const ExprNode*>;

bool uses_any(const Expr& e, const Variables& variables) {
  return uses_var(e, [&](const VarNode& v) { return variables.count(&v) != 0; });
}

/// When the reduction of a block has no iteration, over the block's iters; null when that cannot
/// be. Always true where one reduction axis bounds another.
Expr emptiness(const Function& f, const BlockNode& block) {
  Analyzer analyzer;
  analyzer.bind_symbols(f);
  Variables reductions;
  Expr empty;
  for (const IterVar& iter : block.iters) {
    analyzer.bind(iter.var, iter.domain);
    if (iter.kind == IterKind::kSpatial) continue;
    if (!analyzer.can_prove(ge(iter.domain.extent, imm(1)))) {
      const Expr none = uses_any(iter.domain.extent, reductions) ? bool_imm(true)
                                                                 : le(iter.domain.extent, imm(0));
      empty = empty ? logical_or(empty, none) : none;
    }
    reductions.insert(iter.var.get());
  }
  return empty;
}

class InitEmptyReductions : public Mutator {
 public:
  explicit InitEmptyReductions(const Function& f) : function_(f) {
    memoise_ = false;  // what is inserted depends on the loops around
  }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    loops_.push_back(&n);
    Stmt loop = rebuild(n);
    loops_.pop_back();
    const auto found = before_.find(&n);
    if (found == before_.end()) return loop;
    std::vector<Stmt> stmts = std::move(found->second);
    stmts.push_back(loop);
    return make_seq(std::move(stmts));
  }
  Stmt rewrite(const BlockNode& n) override {
    if (!n.init) return Stmt(&n);
    const Expr empty = emptiness(function_, n);
    if (!empty) return Stmt(&n);
    const std::size_t first = outermost_reduction_loop(n);
    Stmt init = initialisation(n, empty, first);
    if (first == loops_.size()) return make_seq({init, Stmt(&n)});
    before_[loops_[first]].push_back(init);
    return Stmt(&n);
  }

 private:
  Variables used_by(const BlockNode& n, IterKind kind, std::size_t first) const {
    Variables used;
    for (std::size_t d = first; d < loops_.size(); ++d) {
      for (std::size_t i = 0; i < n.iters.size(); ++i) {
        const bool same_kind =
            (n.iters[i].kind == IterKind::kSpatial) == (kind == IterKind::kSpatial);
        if (same_kind && uses_any(n.bindings[i], {loops_[d]->var.get()}))
          used.insert(loops_[d]->var.get());
      }
    }
    return used;
  }

  std::size_t outermost_reduction_loop(const BlockNode& n) const {
    const Variables reductions = used_by(n, IterKind::kReduction, 0);
    std::size_t first = 0;
    while (first < loops_.size() && reductions.count(loops_[first]->var.get()) == 0) ++first;
    return first;
  }

  /// for <spatial loops inside>: if empty: init. A spatial iter bound by a loop that is also the
  /// reduction's runs over its whole domain.
  Stmt initialisation(const BlockNode& n, const Expr& empty, std::size_t first) const {
    const Variables reductions = used_by(n, IterKind::kReduction, first);
    const Variables spatial = used_by(n, IterKind::kSpatial, first);
    VarMap bound;
    std::vector<IterVar> whole;  // loops over domains
    for (std::size_t i = 0; i < n.iters.size(); ++i) {
      if (n.iters[i].kind != IterKind::kSpatial) continue;
      if (!uses_any(n.bindings[i], reductions)) {
        bound[n.iters[i].var.get()] = n.bindings[i];
        continue;
      }
      const Range& domain = n.iters[i].domain;
      whole.push_back({var(n.iters[i].var.as<VarNode>()->name),
                       {substitute(domain.min, bound), substitute(domain.extent, bound)},
                       IterKind::kSpatial});
      bound[n.iters[i].var.get()] = whole.back().var;
    }
    Expr condition;
    for (const Expr& c : conjuncts(n.predicate)) {
      if (!uses_any(c, reductions)) condition = and_predicate(condition, c);
    }
    condition = and_predicate(condition, substitute(empty, bound));
    Stmt s = make_if(condition, substitute(n.init, bound));
    for (std::size_t i = whole.size(); i-- > 0;)
      s = make_for(whole[i].var, whole[i].domain.min, whole[i].domain.extent, s);
    for (std::size_t d = loops_.size(); d-- > first;) {
      const Expr& variable = loops_[d]->var;
      if (spatial.count(variable.get()) == 0 || reductions.count(variable.get()) != 0) continue;
      ForAttrs attrs = loops_[d]->attrs;
      if (attrs.kind == ForKind::kParallel) attrs.kind = ForKind::kSerial;
      s = make_for(variable, loops_[d]->min, loops_[d]->extent, s, std::move(attrs));
    }
    return fresh_definitions(s);
  }

  Function function_;
  std::vector<const ForNode*> loops_;
  std::unordered_map<const ForNode*, std::vector<Stmt>> before_;
};

}  // namespace

Function init_empty_reductions(const Function& f) {
  return with_body(f, InitEmptyReductions(f)(f->body));
}

}  // namespace tenon
