#pragma once

/// The base of all IR nodes.
///
/// **Memory model.** Nodes are immutable and intrusively counted; they may be shared between
/// threads, functions, schedules and Python. Expressions are DAGs: one node may have many parents.
/// Variables and buffers are identities: two are the same only if they are the same object; names
/// are for people.
///
/// **Well-formed means** that children are present unless documented as optional, and that an
/// expression is at most kMaxExprDepth deep and a statement kMaxStmtDepth (checked by `make`).

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "tenon/runtime/dtype.h"
#include "tenon/support/error.h"
#include "tenon/support/ref.h"
#include "tenon/support/span.h"

namespace tenon {

enum class NodeKind : std::uint8_t {
#define EXPR(Name) k##Name,
#define STMT(Name) k##Name,
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
};

/// The kind's name: "Load".
const char* to_string(NodeKind kind);

/// No vtable: destroy() is one switch over nodes.def.
struct Node {
  explicit Node(NodeKind k) : kind(k) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  const NodeKind kind;
  mutable std::atomic<int> ref_count{0};
  /// 1 + the deepest child of the same sort (expressions count expressions, statements count
  /// statements). Set by make().
  std::int32_t depth = 1;
  /// The user's line that this node comes from; empty when unknown.
  Span span;
};
/// Frees a node whose count reached zero; queues children, so that deep chains do not recurse.
void destroy(const Node* node);

struct ExprNode : Node {
  ExprNode(NodeKind k, DType t) : Node(k), dtype(t) {}
  const DType dtype;
};
struct StmtNode : Node {
  using Node::Node;
};
using Expr = Ref<ExprNode>;
using Stmt = Ref<StmtNode>;

inline constexpr int kMaxExprDepth = 10000;
inline constexpr int kMaxStmtDepth = 1000;

/// Half-open interval [min, min + extent).
struct Range {
  Expr min;
  Expr extent;
};

/// Free-form settings of loops and blocks, ordered by name.
using Attr = std::variant<std::int64_t, double, std::string>;
using Attrs = std::map<std::string, Attr>;

// --- field lists
// -----------------------------------------------------------------------------------------------------

enum class FieldRole : std::uint8_t {
  kUse,  ///< reads what is defined elsewhere
  kDef,  ///< defines the variables or buffers that it holds, visible in the node's later fields
};

template <typename Member>
struct Field {
  const char* name;
  Member member;
  FieldRole role;
};
template <typename Member>
constexpr Field<Member> field(const char* name, Member member, FieldRole role = FieldRole::kUse) {
  return {name, member, role};
}

namespace detail {
/// Computes `depth`, checks the limit and sets the span. Called by make().
void finish_node(const Node& node);
}  // namespace detail

/// A new node. Constructor arguments follow the order of `fields()` (after the dtype where a node
/// has a free one).
template <typename N, typename... Args>
Ref<std::conditional_t<std::is_base_of_v<ExprNode, N>, ExprNode, StmtNode>> make(Args&&... args) {
  using Base = std::conditional_t<std::is_base_of_v<ExprNode, N>, ExprNode, StmtNode>;
  Ref<Base> handle(static_cast<const Base*>(new N(std::forward<Args>(args)...)));
  detail::finish_node(*handle.get());
  return handle;
}

/// The span given to nodes made on this thread while it lives, unless the node gets its own.
class SpanScope {
 public:
  explicit SpanScope(Span span);
  ~SpanScope();
  SpanScope(const SpanScope&) = delete;
  SpanScope& operator=(const SpanScope&) = delete;
  static const Span& current();

 private:
  Span previous_;
};

}  // namespace tenon
