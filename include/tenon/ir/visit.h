#pragma once

/// One dispatcher, and the walks written on it.

#include <functional>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// Calls `f(const XNode&)` for the node's real type. No default label: a node added to nodes.def
/// that a caller does not handle is a compile error, not a silent skip.
template <typename F>
decltype(auto) visit_expr(const ExprNode& n, F&& f) {
  switch (n.kind) {
#define EXPR(Name)        \
  case NodeKind::k##Name: \
    return f(static_cast<const Name##Node&>(n));
#define STMT(Name) case NodeKind::k##Name:
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
    break;
  }
  detail::raise_internal(__FILE__, __LINE__, "kind", "statement where an expression was expected");
}

template <typename F>
decltype(auto) visit_stmt(const StmtNode& n, F&& f) {
  switch (n.kind) {
#define EXPR(Name) case NodeKind::k##Name:
#define STMT(Name)
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
    break;
#define EXPR(Name)
#define STMT(Name)        \
  case NodeKind::k##Name: \
    return f(static_cast<const Name##Node&>(n));
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
  }
  detail::raise_internal(__FILE__, __LINE__, "kind", "expression where a statement was expected");
}

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

/// Calls `f(field, value)` for each field of the node, in order.
template <typename N, typename F>
void for_each_field(const N& n, F&& f) {
  std::apply([&](const auto&... m) { (f(m, n.*(m.member)), ...); }, N::fields());
}

/// Expr for expression nodes, Stmt for statement nodes.
template <typename N>
using HandleOf = Ref<std::conditional_t<std::is_base_of_v<ExprNode, N>, ExprNode, StmtNode>>;

/// Rewrites bottom-up, sharing what did not change: a pass overrides `rewrite` for the kinds that
/// it cares about; recursion is derived from `fields()`. Shared expressions are rewritten once
/// (results are memoised on identity; a subclass whose result depends on the place calls
/// `clear_memo` where that changes, or sets `memoise_` to false). Spans are kept.
class Mutator {
 public:
  virtual ~Mutator() = default;
  Expr operator()(const Expr& e);
  Stmt operator()(const Stmt& s);

 protected:
#define EXPR(Name) \
  virtual Expr rewrite(const Name##Node& n) { return rebuild(n); }
#define STMT(Name) \
  virtual Stmt rewrite(const Name##Node& n) { return rebuild(n); }
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
  /// What replaces a variable where it is defined (a loop's variable, say).
  virtual Expr rewrite_definition(const Expr& var) { return var; }
  /// What replaces a buffer, in definitions and uses alike.
  virtual Buffer rewrite_buffer(const Buffer& buffer) { return buffer; }

  /// The node with its children rewritten; the same node when none changed.
  template <typename N>
  HandleOf<N> rebuild(const N& n) {
    bool changed = false;
    auto values = std::apply(
        [&](const auto&... m) {
          return std::tuple{mutate_field(n.*(m.member), m.role, &changed)...};
        },
        N::fields());
    if (!changed) return HandleOf<N>(&n);
    HandleOf<N> out = std::apply(
        [&](auto&&... v) {
          if constexpr (std::is_base_of_v<ExprNode, N>) {
            if constexpr (std::is_constructible_v<N, DType, decltype(v)...>) {
              return make<N>(n.dtype, std::move(v)...);
            } else {
              return make<N>(std::move(v)...);
            }
          } else {
            return make<N>(std::move(v)...);
          }
        },
        std::move(values));
    keep_span(n, *out.get());
    return out;
  }
  std::vector<Expr> rewrite_all(const std::vector<Expr>& exprs);
  Range rewrite(const Range& range);
  void clear_memo() { memo_.clear(); }
  static void keep_span(const Node& from, const Node& to);
  bool memoise_ = true;

 private:
  template <typename T>
  T mutate_field(const T& value, FieldRole role, bool* changed) {
    if constexpr (std::is_same_v<T, Expr>) {
      if (!value) return value;
      Expr out = role == FieldRole::kDef ? rewrite_definition(value) : (*this)(value);
      *changed |= !out.same_as(value);
      return out;
    } else if constexpr (std::is_same_v<T, Stmt>) {
      if (!value) return value;
      Stmt out = (*this)(value);
      *changed |= !out.same_as(value);
      return out;
    } else if constexpr (std::is_same_v<T, Buffer>) {
      Buffer out = rewrite_buffer(value);
      *changed |= !out.same_as(value);
      return out;
    } else if constexpr (std::is_same_v<T, Range>) {
      return Range{mutate_field(value.min, role, changed),
                   mutate_field(value.extent, role, changed)};
    } else if constexpr (std::is_same_v<T, IterVar>) {
      Range domain = mutate_field(value.domain, FieldRole::kUse, changed);
      return IterVar{mutate_field(value.var, FieldRole::kDef, changed), std::move(domain),
                     value.kind};
    } else if constexpr (std::is_same_v<T, BufferRegion>) {
      Buffer buffer = mutate_field(value.buffer, role, changed);
      return BufferRegion{std::move(buffer), mutate_field(value.ranges, role, changed)};
    } else if constexpr (std::is_same_v<T, std::vector<Expr>> ||
                         std::is_same_v<T, std::vector<Stmt>> ||
                         std::is_same_v<T, std::vector<Range>> ||
                         std::is_same_v<T, std::vector<IterVar>> ||
                         std::is_same_v<T, std::vector<BufferRegion>>) {
      T out;
      out.reserve(value.size());
      for (const auto& item : value) out.push_back(mutate_field(item, role, changed));
      return out;
    } else {
      return value;  // plain data
    }
  }

  std::unordered_map<const ExprNode*, std::pair<Expr, Expr>> memo_;
};

/// Visits every node; shared expressions once. A subclass overrides `visit` for the kinds that it
/// cares about and calls `walk(n)` to go on to the children.
class Walker {
 public:
  virtual ~Walker() = default;
  void operator()(const Expr& e);
  void operator()(const Stmt& s);

 protected:
#define EXPR(Name) \
  virtual void visit(const Name##Node& n) { walk(n); }
#define STMT(Name) \
  virtual void visit(const Name##Node& n) { walk(n); }
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
  /// Called for each buffer met in a node's fields, in definitions and uses alike.
  virtual void visit_buffer(const Buffer&) {}

  template <typename N>
  void walk(const N& n) {
    for_each_field(n, [&](const auto& f, const auto& value) {
      if (f.role == FieldRole::kUse || !is_var_definition(value)) walk_field(value);
    });
  }
  /// Forget which shared expressions were visited.
  void clear_visited() { visited_.clear(); }
  bool visit_shared_once_ = true;

 private:
  template <typename T>
  static constexpr bool is_var_definition(const T&) {
    return std::is_same_v<T, Expr>;
  }
  template <typename T>
  void walk_field(const T& value) {
    if constexpr (std::is_same_v<T, Expr> || std::is_same_v<T, Stmt>) {
      if (value) (*this)(value);
    } else if constexpr (std::is_same_v<T, Buffer>) {
      visit_buffer(value);
    } else if constexpr (std::is_same_v<T, Range>) {
      walk_field(value.min);
      walk_field(value.extent);
    } else if constexpr (std::is_same_v<T, IterVar>) {
      walk_field(value.domain);
    } else if constexpr (std::is_same_v<T, BufferRegion>) {
      walk_field(value.buffer);
      walk_field(value.ranges);
    } else if constexpr (std::is_same_v<T, std::vector<Expr>> ||
                         std::is_same_v<T, std::vector<Stmt>> ||
                         std::is_same_v<T, std::vector<Range>> ||
                         std::is_same_v<T, std::vector<IterVar>> ||
                         std::is_same_v<T, std::vector<BufferRegion>>) {
      for (const auto& item : value) walk_field(item);
    }
  }

  std::unordered_set<const ExprNode*> visited_;
};

// --- small walks
// -----------------------------------------------------------------------------------------------------

/// Calls `f` on every node, children first; shared expressions once.
void post_order_visit(const Stmt& s, const std::function<void(const Node&)>& f);
void post_order_visit(const Expr& e, const std::function<void(const Node&)>& f);
/// Rewrites bottom-up: `f` gets each rebuilt expression and returns its replacement, or a null
/// handle to keep it.
Stmt rewrite_exprs(const Stmt& s, const std::function<Expr(const Expr&)>& f);
Expr rewrite_exprs(const Expr& e, const std::function<Expr(const Expr&)>& f);
/// Likewise for statements.
Stmt rewrite_stmts(const Stmt& s, const std::function<Stmt(const Stmt&)>& f);

/// From variable to expression, keyed by identity.
using VarMap = std::unordered_map<const ExprNode*, Expr>;
/// Replaces uses of variables. Definitions stay.
Expr substitute(const Expr& e, const VarMap& map);
Stmt substitute(const Stmt& s, const VarMap& map);
/// From buffer to buffer, keyed by identity.
using BufferMap = std::unordered_map<const BufferNode*, Buffer>;
/// Replaces buffers everywhere, allocations included.
Stmt replace_buffers(const Stmt& s, const BufferMap& map);
/// `s` with fresh variables for every one that it defines (a copy whose loops have identities of
/// their own).
Stmt fresh_definitions(const Stmt& s, VarMap* renamed = nullptr);
/// Whether `e` uses a variable for which `is_in` holds.
bool uses_var(const Expr& e, const std::function<bool(const VarNode&)>& is_in);
bool uses_var(const Stmt& s, const std::function<bool(const VarNode&)>& is_in);

}  // namespace tenon
