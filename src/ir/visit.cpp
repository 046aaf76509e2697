#include "tenon/ir/visit.h"

#include "tenon/ir/builder.h"
#include "tenon/support/stack.h"

namespace tenon {

void Mutator::keep_span(const Node& from, const Node& to) {
  if (&from != &to && from.span) const_cast<Node&>(to).span = from.span;
}

Expr Mutator::operator()(const Expr& e) {
  const bool shared =
      memoise_ && e->ref_count.load(std::memory_order_relaxed) > 1 && e.as<VarNode>() == nullptr;
  if (shared) {
    if (const auto found = memo_.find(e.get()); found != memo_.end()) return found->second.second;
  }
  Expr out =
      with_stack([&] { return visit_expr(*e.get(), [&](const auto& n) { return rewrite(n); }); });
  if (shared) memo_.emplace(e.get(), std::pair{e, out});
  return out;
}

Stmt Mutator::operator()(const Stmt& s) {
  return with_stack(
      [&] { return visit_stmt(*s.get(), [&](const auto& n) { return rewrite(n); }); });
}

std::vector<Expr> Mutator::rewrite_all(const std::vector<Expr>& exprs) {
  std::vector<Expr> out;
  out.reserve(exprs.size());
  for (const Expr& e : exprs) out.push_back((*this)(e));
  return out;
}

Range Mutator::rewrite(const Range& range) { return {(*this)(range.min), (*this)(range.extent)}; }

void Walker::operator()(const Expr& e) {
  if (visit_shared_once_ && e->ref_count.load(std::memory_order_relaxed) > 1 &&
      !visited_.insert(e.get()).second)
    return;
  with_stack([&] { visit_expr(*e.get(), [&](const auto& n) { visit(n); }); });
}

void Walker::operator()(const Stmt& s) {
  with_stack([&] { visit_stmt(*s.get(), [&](const auto& n) { visit(n); }); });
}

namespace {

class PostOrder : public Walker {
 public:
  explicit PostOrder(const std::function<void(const Node&)>& f) : f_(f) {}

 protected:
#define EXPR(Name)                           \
  void visit(const Name##Node& n) override { \
    walk(n);                                 \
    f_(n);                                   \
  }
#define STMT(Name)                           \
  void visit(const Name##Node& n) override { \
    walk(n);                                 \
    f_(n);                                   \
  }
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT

 private:
  const std::function<void(const Node&)>& f_;
};

class RewriteExprs : public Mutator {
 public:
  explicit RewriteExprs(const std::function<Expr(const Expr&)>& f) : f_(f) {}

 protected:
#define EXPR(Name) \
  Expr rewrite(const Name##Node& n) override { return replace(rebuild(n)); }
#define STMT(Name)
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT

 private:
  Expr replace(Expr rebuilt) {
    Expr out = f_(rebuilt);
    if (!out) return rebuilt;
    keep_span(*rebuilt.get(), *out.get());
    return out;
  }
  const std::function<Expr(const Expr&)>& f_;
};

class RewriteStmts : public Mutator {
 public:
  explicit RewriteStmts(const std::function<Stmt(const Stmt&)>& f) : f_(f) {}

 protected:
#define EXPR(Name) \
  Expr rewrite(const Name##Node& n) override { return Expr(&n); }
#define STMT(Name) \
  Stmt rewrite(const Name##Node& n) override { return replace(rebuild(n)); }
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT

 private:
  Stmt replace(const Stmt& rebuilt) {
    Stmt out = f_(rebuilt);
    return out ? out : rebuilt;
  }
  const std::function<Stmt(const Stmt&)>& f_;
};

class Substitute : public Mutator {
 public:
  explicit Substitute(const VarMap& map) : map_(map) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const VarNode& n) override {
    const auto found = map_.find(&n);
    return found == map_.end() ? Expr(&n) : found->second;
  }

 private:
  const VarMap& map_;
};

class ReplaceBuffers : public Mutator {
 public:
  explicit ReplaceBuffers(const BufferMap& map) : map_(map) {}

 protected:
  Buffer rewrite_buffer(const Buffer& b) override {
    const auto found = map_.find(b.get());
    return found == map_.end() ? b : found->second;
  }

 private:
  const BufferMap& map_;
};

class FreshDefinitions : public Mutator {
 public:
  explicit FreshDefinitions(VarMap* map) : map_(*map) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite_definition(const Expr& v) override {
    Expr fresh = make<VarNode>(v->dtype, v.as<VarNode>()->name);
    map_[v.get()] = fresh;
    return fresh;
  }
  Expr rewrite(const VarNode& n) override {
    const auto found = map_.find(&n);
    return found == map_.end() ? Expr(&n) : found->second;
  }

 private:
  VarMap& map_;
};

template <typename Root>
bool uses_var_in(const Root& root, const std::function<bool(const VarNode&)>& is_in) {
  bool found = false;
  post_order_visit(root, [&](const Node& n) {
    if (n.kind == NodeKind::kVar && is_in(static_cast<const VarNode&>(n))) found = true;
  });
  return found;
}

}  // namespace

void post_order_visit(const Stmt& s, const std::function<void(const Node&)>& f) { PostOrder{f}(s); }
void post_order_visit(const Expr& e, const std::function<void(const Node&)>& f) { PostOrder{f}(e); }

Stmt rewrite_exprs(const Stmt& s, const std::function<Expr(const Expr&)>& f) {
  return RewriteExprs{f}(s);
}
Expr rewrite_exprs(const Expr& e, const std::function<Expr(const Expr&)>& f) {
  return RewriteExprs{f}(e);
}
Stmt rewrite_stmts(const Stmt& s, const std::function<Stmt(const Stmt&)>& f) {
  return RewriteStmts{f}(s);
}

Expr substitute(const Expr& e, const VarMap& map) { return map.empty() ? e : Substitute{map}(e); }
Stmt substitute(const Stmt& s, const VarMap& map) { return map.empty() ? s : Substitute{map}(s); }

Stmt replace_buffers(const Stmt& s, const BufferMap& map) { return ReplaceBuffers{map}(s); }

Stmt fresh_definitions(const Stmt& s, VarMap* renamed) {
  VarMap local;
  return FreshDefinitions{renamed != nullptr ? renamed : &local}(s);
}

bool uses_var(const Expr& e, const std::function<bool(const VarNode&)>& is_in) {
  return uses_var_in(e, is_in);
}
bool uses_var(const Stmt& s, const std::function<bool(const VarNode&)>& is_in) {
  return uses_var_in(s, is_in);
}

}  // namespace tenon
