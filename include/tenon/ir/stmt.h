#pragma once

/// Statement nodes.

#include <string>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon {

/// buffer[indices] = value. One index per dimension in block IR, exactly one in loop IR, where it
/// may be a vector as long as value. Lanes whose optional `predicate` is false are not written.
struct StoreNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kStore;
  Buffer buffer;
  std::vector<Expr> indices;
  Expr value;
  Expr predicate;  ///< may be null: always written
  StoreNode(Buffer buf, std::vector<Expr> idx, Expr v, Expr pred = nullptr);
  static constexpr auto fields() {
    return std::make_tuple(field("buffer", &StoreNode::buffer),
                           field("indices", &StoreNode::indices), field("value", &StoreNode::value),
                           field("predicate", &StoreNode::predicate));
  }
};

enum class ForKind : std::uint8_t {
  kSerial,
  kParallel,    ///< iterations run on several threads; they must be independent
  kVectorized,  ///< all iterations as one vector operation; constant extent
  kUnrolled,    ///< repeated text; constant extent
  kThread,      ///< bound to a GPU thread axis
};
const char* to_string(ForKind kind);

/// Optional settings of a loop.
struct ForAttrs {
  ForKind kind = ForKind::kSerial;
  std::string thread_axis = {};  ///< "blockIdx.x", only with kThread
  Attrs annotations = {};
};

/// for var in [min, min + extent): body. `var` is bound here and not visible outside body. An
/// extent <= 0 runs nothing. The loop's identity is its variable: a rebuilt ForNode with the same
/// variable is the same loop.
struct ForNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kFor;
  Expr min, extent, var;
  ForAttrs attrs;
  Stmt body;
  ForNode(Expr m, Expr e, Expr v, ForAttrs a, Stmt b);
  static constexpr auto fields() {
    return std::make_tuple(field("min", &ForNode::min), field("extent", &ForNode::extent),
                           field("var", &ForNode::var, FieldRole::kDef),
                           field("attrs", &ForNode::attrs), field("body", &ForNode::body));
  }
};

/// while condition: body.
struct WhileNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kWhile;
  Expr condition;
  Stmt body;
  WhileNode(Expr c, Stmt b);
  static constexpr auto fields() {
    return std::make_tuple(field("condition", &WhileNode::condition),
                           field("body", &WhileNode::body));
  }
};

/// One unit of scheduling: a body over iteration variables that are bound to expressions of the
/// surrounding loops.
///
/// Runs only where `predicate` (over loop variables) holds. `init` runs before the first iteration
/// of the reduction variables, that is when every reduction iter equals its domain's minimum;
/// absent after decompose_reduction. `reads` and `writes` cover every access of the body, over iter
/// variables and function symbols. The name is unique in a function. Block IR only.
struct BlockNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kBlock;
  std::string name;
  std::vector<Expr> bindings;  ///< one per iter, over loop variables
  Expr predicate;              ///< null: always
  std::vector<IterVar> iters;
  std::vector<BufferRegion> reads, writes;
  Stmt init;  ///< may be null
  Stmt body;
  Attrs annotations;
  BlockNode(std::string n, std::vector<Expr> bind, Expr pred, std::vector<IterVar> it,
            std::vector<BufferRegion> r, std::vector<BufferRegion> w, Stmt in, Stmt b, Attrs a);
  static constexpr auto fields() {
    return std::make_tuple(field("name", &BlockNode::name), field("bindings", &BlockNode::bindings),
                           field("predicate", &BlockNode::predicate),
                           field("iters", &BlockNode::iters, FieldRole::kDef),
                           field("reads", &BlockNode::reads), field("writes", &BlockNode::writes),
                           field("init", &BlockNode::init), field("body", &BlockNode::body),
                           field("annotations", &BlockNode::annotations));
  }
};

/// if condition: then_case, else: else_case.
struct IfNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kIf;
  Expr condition;
  Stmt then_case;
  Stmt else_case;  ///< may be null
  IfNode(Expr c, Stmt t, Stmt e = nullptr);
  static constexpr auto fields() {
    return std::make_tuple(field("condition", &IfNode::condition),
                           field("then_case", &IfNode::then_case),
                           field("else_case", &IfNode::else_case));
  }
};

/// let var = value, then body.
struct LetStmtNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kLetStmt;
  Expr value, var;
  Stmt body;
  LetStmtNode(Expr v, Expr variable, Stmt b);
  static constexpr auto fields() {
    return std::make_tuple(field("value", &LetStmtNode::value),
                           field("var", &LetStmtNode::var, FieldRole::kDef),
                           field("body", &LetStmtNode::body));
  }
};

/// `buffer` exists within body; its elements are uninitialised at each entry. In block IR all
/// allocations stand at the root.
struct AllocateNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kAllocate;
  Buffer buffer;
  Stmt body;
  AllocateNode(Buffer buf, Stmt b);
  static constexpr auto fields() {
    return std::make_tuple(field("buffer", &AllocateNode::buffer, FieldRole::kDef),
                           field("body", &AllocateNode::body));
  }
};

/// Statements in order. An empty one does nothing.
struct SeqNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kSeq;
  std::vector<Stmt> stmts;
  explicit SeqNode(std::vector<Stmt> s);
  static constexpr auto fields() { return std::make_tuple(field("stmts", &SeqNode::stmts)); }
};

/// Evaluates for its effects (a call), discards the value.
struct EvaluateNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kEvaluate;
  Expr value;
  explicit EvaluateNode(Expr v);
  static constexpr auto fields() { return std::make_tuple(field("value", &EvaluateNode::value)); }
};

/// Stops the call with an error when condition is false.
struct AssertNode : StmtNode {
  static constexpr NodeKind kKind = NodeKind::kAssert;
  Expr condition;
  std::string message;
  AssertNode(Expr c, std::string m);
  static constexpr auto fields() {
    return std::make_tuple(field("condition", &AssertNode::condition),
                           field("message", &AssertNode::message));
  }
};

}  // namespace tenon
