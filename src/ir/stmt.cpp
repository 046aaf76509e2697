#include "tenon/ir/stmt.h"

#include <array>

namespace tenon {

const char* to_string(ForKind kind) {
  constexpr std::array kText = {"serial", "parallel", "vectorized", "unrolled", "thread"};
  return kText[static_cast<std::size_t>(kind)];
}

StoreNode::StoreNode(Buffer buf, std::vector<Expr> idx, Expr v, Expr pred)
    : StmtNode(kKind),
      buffer(std::move(buf)),
      indices(std::move(idx)),
      value(std::move(v)),
      predicate(std::move(pred)) {
  TENON_CHECK(buffer && value && value->dtype.element() == buffer->dtype, "store of ",
              to_string(value->dtype), " to buffer '", buffer->name, "' of ",
              to_string(buffer->dtype));
}

ForNode::ForNode(Expr m, Expr e, Expr v, ForAttrs a, Stmt b)
    : StmtNode(kKind),
      min(std::move(m)),
      extent(std::move(e)),
      var(std::move(v)),
      attrs(std::move(a)),
      body(std::move(b)) {
  TENON_CHECK(min && extent && body && var.as<VarNode>() != nullptr,
              "a loop needs variable, range and body");
}

WhileNode::WhileNode(Expr c, Stmt b)
    : StmtNode(kKind), condition(std::move(c)), body(std::move(b)) {
  TENON_CHECK(condition && body, "a while needs a condition and a body");
}

BlockNode::BlockNode(std::string n, std::vector<Expr> bind, Expr pred, std::vector<IterVar> it,
                     std::vector<BufferRegion> r, std::vector<BufferRegion> w, Stmt in, Stmt b,
                     Attrs a)
    : StmtNode(kKind),
      name(std::move(n)),
      bindings(std::move(bind)),
      predicate(std::move(pred)),
      iters(std::move(it)),
      reads(std::move(r)),
      writes(std::move(w)),
      init(std::move(in)),
      body(std::move(b)),
      annotations(std::move(a)) {
  TENON_CHECK(body && iters.size() == bindings.size(), "block '", name, "' has ", iters.size(),
              " iters and ", bindings.size(), " bindings");
}

IfNode::IfNode(Expr c, Stmt t, Stmt e)
    : StmtNode(kKind), condition(std::move(c)), then_case(std::move(t)), else_case(std::move(e)) {
  TENON_CHECK(condition && then_case, "an if needs a condition and a body");
}

LetStmtNode::LetStmtNode(Expr v, Expr variable, Stmt b)
    : StmtNode(kKind), value(std::move(v)), var(std::move(variable)), body(std::move(b)) {
  TENON_CHECK(value && body && var.as<VarNode>() != nullptr && var->dtype == value->dtype,
              "let binds a variable to its dtype");
}

AllocateNode::AllocateNode(Buffer buf, Stmt b)
    : StmtNode(kKind), buffer(std::move(buf)), body(std::move(b)) {
  TENON_CHECK(buffer && body, "an allocation needs a buffer and a body");
}

SeqNode::SeqNode(std::vector<Stmt> s) : StmtNode(kKind), stmts(std::move(s)) {
  for (const Stmt& stmt : stmts) TENON_CHECK(stmt, "a missing statement");
}

EvaluateNode::EvaluateNode(Expr v) : StmtNode(kKind), value(std::move(v)) {}

AssertNode::AssertNode(Expr c, std::string m)
    : StmtNode(kKind), condition(std::move(c)), message(std::move(m)) {}

}  // namespace tenon
