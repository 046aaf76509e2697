#include "tenon/ir/simplify.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool is_empty(const Stmt& s) {
  const auto* seq = s.as<SeqNode>();
  return seq != nullptr && seq->stmts.empty();
}

Stmt nothing() { return make_seq({}); }

bool reads_memory(const Expr& e) {
  bool found = false;
  post_order_visit(
      e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall; });
  return found;
}

class SimplifyStmts : public Mutator {
 public:
  SimplifyStmts(Analyzer* analyzer, const SimplifyOptions& options)
      : analyzer_(*analyzer), options_(options) {
    memoise_ = false;  // the analyzer has its own memo, valid for its knowledge
  }

 protected:
#define EXPR(Name) \
  Expr rewrite(const Name##Node& n) override { return analyzer_.simplify(Expr(&n)); }
#define STMT(Name)
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
  using Mutator::rewrite;

  Stmt rewrite(const ForNode& n) override {
    const Expr extent = (*this)(n.extent), min = (*this)(n.min);
    const bool free = !options_.keep_loops;
    if (free && analyzer_.can_prove(le(extent, imm(0)))) return nothing();
    const bool dissolves = n.attrs.annotations.empty() && n.attrs.kind != ForKind::kThread &&
                           n.attrs.kind != ForKind::kVectorized;
    if (free && dissolves && is_int(extent, 1))
      return (*this)(substitute(n.body, {{n.var.get(), min}}));
    Analyzer::Scope scope(&analyzer_);
    bind(n.var, {min, extent});
    Stmt body = (*this)(n.body);
    if (free && is_empty(body)) return body;
    const bool same = min.same_as(n.min) && extent.same_as(n.extent) && body.same_as(n.body);
    return same ? Stmt(&n) : keep(n, make_for(n.var, min, extent, body, n.attrs));
  }

  Stmt rewrite(const BlockNode& n) override {
    const Expr predicate = n.predicate ? (*this)(n.predicate) : n.predicate;
    if (predicate && is_int(predicate, 0) && !options_.keep_loops) return nothing();
    Analyzer::Scope scope(&analyzer_);
    Stmt plain = n.predicate && is_int(predicate, 1) ? without_predicate(n) : Stmt(&n);
    const auto* block = plain.as<BlockNode>();
    for (const IterVar& iter : block->iters) bind(iter.var, iter.domain);
    return rebuild(*block);
  }

  Stmt rewrite(const IfNode& n) override {
    const Expr c = (*this)(n.condition);
    if (const auto known = as_int(c)) {
      if (*known != 0) return (*this)(n.then_case);
      return n.else_case ? (*this)(n.else_case) : nothing();
    }
    Stmt then_case = under(c, n.then_case);
    Stmt else_case = n.else_case ? under(logical_not(c), n.else_case) : n.else_case;
    if (else_case && is_empty(else_case)) else_case = nullptr;
    if (is_empty(then_case) && !else_case && !reads_memory(c)) return nothing();
    const bool same =
        c.same_as(n.condition) && then_case.same_as(n.then_case) && else_case.same_as(n.else_case);
    return same ? Stmt(&n) : keep(n, make_if(c, then_case, else_case));
  }

  Stmt rewrite(const WhileNode& n) override {
    Stmt out = rebuild(n);
    return is_int(out.as<WhileNode>()->condition, 0) ? nothing() : out;
  }

  Stmt rewrite(const LetStmtNode& n) override {
    const Expr value = (*this)(n.value);
    const NodeKind kind = value->kind;
    if (kind == NodeKind::kVar || kind == NodeKind::kIntImm || kind == NodeKind::kFloatImm) {
      return (*this)(substitute(n.body, {{n.var.get(), value}}));
    }
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind_value(n.var, value);
    Stmt body = (*this)(n.body);
    if (is_empty(body)) return body;
    return value.same_as(n.value) && body.same_as(n.body) ? Stmt(&n)
                                                          : keep(n, make_let(n.var, value, body));
  }

  Stmt rewrite(const AllocateNode& n) override {
    Stmt out = rebuild(n);
    const Stmt& body = out.as<AllocateNode>()->body;
    return is_empty(body) ? body : out;
  }

  Stmt rewrite(const SeqNode& n) override {
    Stmt out = rebuild(n);
    if (out.same_as(Stmt(&n))) {
      bool flat = n.stmts.size() != 1;
      for (const Stmt& s : n.stmts) flat = flat && s.as<SeqNode>() == nullptr;
      if (flat) return out;
    }
    std::vector<Stmt> stmts = out.as<SeqNode>()->stmts;
    return keep(n, make_seq(std::move(stmts)));
  }

  Stmt rewrite(const StoreNode& n) override {
    Stmt out = rebuild(n);
    const auto* s = out.as<StoreNode>();
    if (!s->predicate) return out;
    const auto known = as_int(s->predicate);
    if (!known) return out;
    return *known != 0 ? keep(n, store(s->buffer, s->indices, s->value)) : nothing();
  }

  Stmt rewrite(const AssertNode& n) override {
    Stmt out = rebuild(n);
    return is_int(out.as<AssertNode>()->condition, 1) ? nothing() : out;
  }

  Stmt rewrite(const EvaluateNode& n) override {
    Stmt out = rebuild(n);
    return as_int(out.as<EvaluateNode>()->value) ? nothing() : out;
  }

 private:
  void bind(const Expr& var, const Range& range) {
    if (options_.keep_loops)
      analyzer_.bind_kept(var, range);
    else
      analyzer_.bind(var, range);
  }

  static Stmt keep(const Node& from, const Stmt& to) {
    if (!to->span) keep_span(from, *to);
    return to;
  }

  static Stmt without_predicate(const BlockNode& n) {
    return keep(n, make<BlockNode>(n.name, n.bindings, nullptr, n.iters, n.reads, n.writes, n.init,
                                   n.body, n.annotations));
  }

  /// Where the condition holds. What was read from memory may have changed by the next statement:
  /// such conditions say nothing.
  Stmt under(const Expr& condition, const Stmt& s) {
    Analyzer::Scope scope(&analyzer_);
    if (!reads_memory(condition)) analyzer_.assume(condition);
    return (*this)(s);
  }

  Analyzer& analyzer_;
  SimplifyOptions options_;
};

}  // namespace

Stmt simplify(const Stmt& s, Analyzer* analyzer, const SimplifyOptions& options) {
  return SimplifyStmts(analyzer, options)(s);
}

Stmt simplify(const Stmt& s, const SimplifyOptions& options) {
  Analyzer analyzer;
  return simplify(s, &analyzer, options);
}

Function simplify(const Function& f, const SimplifyOptions& options) {
  Analyzer analyzer;
  analyzer.bind_symbols(f);
  Stmt body = simplify(f->body, &analyzer, options);
  return body.same_as(f->body) ? f : with_body(f, body);
}

Expr simplify(const Expr& e) { return Analyzer().simplify(e); }

}  // namespace tenon
