#include "tenon/ir/node.h"

#include <algorithm>

#include "tenon/ir/visit.h"

namespace tenon {

const char* to_string(NodeKind kind) {
  switch (kind) {
#define EXPR(Name)        \
  case NodeKind::k##Name: \
    return #Name;
#define STMT(Name)        \
  case NodeKind::k##Name: \
    return #Name;
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
  }
  return "?";
}

namespace {

void delete_node(const Node* node) {
  switch (node->kind) {
#define EXPR(Name)                               \
  case NodeKind::k##Name:                        \
    delete static_cast<const Name##Node*>(node); \
    return;
#define STMT(Name)                               \
  case NodeKind::k##Name:                        \
    delete static_cast<const Name##Node*>(node); \
    return;
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
  }
}

/// The deepest child of the same sort, as a fold over fields.
struct DepthOf {
  bool of_exprs;
  std::int32_t deepest = 0;

  template <typename T>
  void operator()(const T& value) {
    if constexpr (std::is_same_v<T, Expr>) {
      if (of_exprs && value) deepest = std::max(deepest, value->depth);
    } else if constexpr (std::is_same_v<T, Stmt>) {
      if (!of_exprs && value) deepest = std::max(deepest, value->depth);
    } else if constexpr (std::is_same_v<T, std::vector<Expr>> ||
                         std::is_same_v<T, std::vector<Stmt>>) {
      for (const auto& item : value) (*this)(item);
    }
  }
};

thread_local Span current_span;

}  // namespace

// Children are queued, not recursed into: a long chain of adds must not overflow the stack.
void destroy(const Node* node) {
  thread_local std::vector<const Node*> pending;
  thread_local bool draining = false;
  pending.push_back(node);
  if (draining) return;
  draining = true;
  while (!pending.empty()) {
    const Node* next = pending.back();
    pending.pop_back();
    delete_node(next);
  }
  draining = false;
}

namespace detail {

void finish_node(const Node& node) {
  Node& fresh = const_cast<Node&>(node);  // nobody else has seen it yet
  const auto depth_in = [&](const auto& n, bool of_exprs) {
    DepthOf depth{of_exprs};
    for_each_field(n, [&](const auto&, const auto& value) { depth(value); });
    return depth.deepest + 1;
  };
  const bool is_expr = node.kind <= NodeKind::kCall;
  fresh.depth = is_expr ? visit_expr(static_cast<const ExprNode&>(node),
                                     [&](const auto& n) { return depth_in(n, true); })
                        : visit_stmt(static_cast<const StmtNode&>(node),
                                     [&](const auto& n) { return depth_in(n, false); });
  const int limit = is_expr ? kMaxExprDepth : kMaxStmtDepth;
  TENON_USER_CHECK(
      node.depth <= limit, ExpressionError, "E0101",
      is_expr ? "an expression is deeper than " : "statements are nested deeper than ", limit,
      " levels\n  hint: compute parts of it into tensors of their own with te.compute");
  if (!fresh.span) fresh.span = SpanScope::current();
}

}  // namespace detail

SpanScope::SpanScope(Span span) : previous_(std::exchange(current_span, std::move(span))) {}
SpanScope::~SpanScope() { current_span = std::move(previous_); }
const Span& SpanScope::current() { return current_span; }

}  // namespace tenon
