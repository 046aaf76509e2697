#include "tenon/ir/expr.h"

#include <array>
#include <cstring>

namespace tenon {

const char* to_string(UnaryOp op) {
  constexpr std::array kText = {"-", "not", "~", "abs", "sqrt", "floor", "ceil", "trunc", "round"};
  return kText[static_cast<std::size_t>(op)];
}

const char* to_string(BinaryOp op) {
  constexpr std::array kText = {"+",  "-",  "*",  "/",  "//", "%",  "min", "max", "&",   "|", "^",
                                "<<", ">>", "==", "!=", "<",  "<=", ">",   ">=",  "and", "or"};
  return kText[static_cast<std::size_t>(op)];
}

bool is_comparison(BinaryOp op) { return op >= BinaryOp::kEq && op <= BinaryOp::kGe; }

const char* to_string(IterKind kind) {
  constexpr std::array kText = {"spatial", "reduction", "ordered"};
  return kText[static_cast<std::size_t>(kind)];
}

const char* to_string(ReduceOp op) {
  constexpr std::array kText = {"sum", "prod", "min", "max"};
  return kText[static_cast<std::size_t>(op)];
}

namespace {

DType binary_dtype(BinaryOp op, const Expr& a, const Expr& b) {
  TENON_CHECK(a && b, "a binary operation needs two operands");
  TENON_CHECK(a->dtype == b->dtype, to_string(op), " of ", to_string(a->dtype), " and ",
              to_string(b->dtype));
  const bool of_bools = op == BinaryOp::kAnd || op == BinaryOp::kOr;
  TENON_CHECK(!of_bools || a->dtype.is_bool(), to_string(op), " needs bools, got ",
              to_string(a->dtype));
  if (is_comparison(op) || of_bools) return DType::bool_(a->dtype.lanes);
  if (op == BinaryOp::kDiv)
    TENON_CHECK(a->dtype.is_float(), "/ needs floats, got ", to_string(a->dtype));
  const bool integer_only = op == BinaryOp::kFloorDiv || op == BinaryOp::kFloorMod ||
                            (op >= BinaryOp::kBitAnd && op <= BinaryOp::kShr);
  TENON_CHECK(!integer_only || a->dtype.is_int(), to_string(op), " needs integers, got ",
              to_string(a->dtype));
  return a->dtype;
}

int lanes_of(const std::vector<Expr>& indices) {
  int lanes = 1;
  for (const Expr& e : indices) {
    TENON_CHECK(e, "a missing index");
    TENON_CHECK(e->dtype.is_int(), "an index of dtype ", to_string(e->dtype));
    if (e->dtype.lanes > 1) lanes = e->dtype.lanes;
  }
  return lanes;
}

DType unary_dtype(UnaryOp op, const Expr& a) {
  TENON_CHECK(a, "a unary operation needs an operand");
  if (op == UnaryOp::kNot)
    TENON_CHECK(a->dtype.is_bool(), "not needs a bool, got ", to_string(a->dtype));
  if (op == UnaryOp::kBitNot)
    TENON_CHECK(a->dtype.is_int(), "~ needs an integer, got ", to_string(a->dtype));
  if (op >= UnaryOp::kSqrt)
    TENON_CHECK(a->dtype.is_float(), to_string(op), " needs a float, got ", to_string(a->dtype));
  return a->dtype;
}

const DType& dtype_of(const Expr& e) {
  TENON_CHECK(e, "a missing operand");
  return e->dtype;
}

}  // namespace

IntImmNode::IntImmNode(DType t, std::int64_t v) : ExprNode(kKind, t), value(v) {
  TENON_CHECK(t.is_scalar() && !t.is_float(), "an integer constant of dtype ", to_string(t));
}

FloatImmNode::FloatImmNode(DType t, double v) : ExprNode(kKind, t), value(v) {
  TENON_CHECK(t.is_scalar() && t.is_float(), "a float constant of dtype ", to_string(t));
}

CastNode::CastNode(DType t, Expr v) : ExprNode(kKind, t), value(std::move(v)) {
  TENON_CHECK(t.lanes == dtype_of(value).lanes, "cast from ", to_string(value->dtype), " to ",
              to_string(t));
}

ReinterpretNode::ReinterpretNode(DType t, Expr v) : ExprNode(kKind, t), value(std::move(v)) {
  TENON_CHECK(t.lanes == dtype_of(value).lanes && t.bits == value->dtype.bits, "reinterpret from ",
              to_string(value->dtype), " to ", to_string(t));
}

UnaryNode::UnaryNode(UnaryOp o, Expr x)
    : ExprNode(kKind, unary_dtype(o, x)), op(o), a(std::move(x)) {}

BinaryNode::BinaryNode(BinaryOp o, Expr x, Expr y)
    : ExprNode(kKind, binary_dtype(o, x, y)), op(o), a(std::move(x)), b(std::move(y)) {}

FmaNode::FmaNode(Expr x, Expr y, Expr z)
    : ExprNode(kKind, dtype_of(x)), a(std::move(x)), b(std::move(y)), c(std::move(z)) {
  TENON_CHECK(dtype.is_float() && a->dtype == dtype_of(b) && a->dtype == dtype_of(c), "fma of ",
              to_string(a->dtype), ", ", to_string(b->dtype), " and ", to_string(c->dtype));
}

SelectNode::SelectNode(Expr c, Expr t, Expr f)
    : ExprNode(kKind, dtype_of(t)),
      condition(std::move(c)),
      true_value(std::move(t)),
      false_value(std::move(f)) {
  TENON_CHECK(dtype_of(condition) == DType::bool_(dtype.lanes) && dtype_of(false_value) == dtype,
              "select of ", to_string(condition->dtype), ", ", to_string(dtype), " and ",
              to_string(false_value->dtype));
}

LetNode::LetNode(Expr v, Expr variable, Expr b)
    : ExprNode(kKind, dtype_of(b)),
      value(std::move(v)),
      var(std::move(variable)),
      body(std::move(b)) {
  TENON_CHECK(var.as<VarNode>() != nullptr && dtype_of(value) == var->dtype,
              "let binds a variable to its dtype");
}

LoadNode::LoadNode(Buffer buf, std::vector<Expr> idx, Expr pred)
    : ExprNode(kKind,
               (TENON_CHECK(buf, "a load without a buffer"), buf->dtype.with_lanes(lanes_of(idx)))),
      buffer(std::move(buf)),
      indices(std::move(idx)),
      predicate(std::move(pred)) {
  TENON_CHECK(!predicate || predicate->dtype == DType::bool_(dtype.lanes),
              "a load's predicate has dtype ", to_string(predicate->dtype), " for ",
              to_string(dtype));
}

RampNode::RampNode(Expr b, Expr s, int n)
    : ExprNode(kKind, dtype_of(b).with_lanes(n)),
      base(std::move(b)),
      stride(std::move(s)),
      lanes(n) {
  TENON_CHECK(
      n > 1 && base->dtype.is_scalar() && base->dtype.is_int() && dtype_of(stride) == base->dtype,
      "a ramp of ", n, " lanes from ", to_string(base->dtype));
}

BroadcastNode::BroadcastNode(Expr v, int n)
    : ExprNode(kKind, dtype_of(v).with_lanes(n)), value(std::move(v)), lanes(n) {
  TENON_CHECK(n > 1 && value->dtype.is_scalar(), "a broadcast of ", to_string(value->dtype), " to ",
              n, " lanes");
}

ShuffleNode::ShuffleNode(std::vector<Expr> v, std::vector<std::int64_t> idx)
    : ExprNode(kKind, (TENON_CHECK(!v.empty() && !idx.empty(), "an empty shuffle"),
                       v[0]->dtype.with_lanes(static_cast<int>(idx.size())))),
      vectors(std::move(v)),
      lane_indices(std::move(idx)) {}

VectorReduceNode::VectorReduceNode(BinaryOp o, Expr v)
    : ExprNode(kKind, dtype_of(v).element()), op(o), value(std::move(v)) {
  TENON_CHECK(value->dtype.is_vector(), "a vector reduction of ", to_string(value->dtype));
}

ReduceNode::ReduceNode(ReduceOp o, std::vector<IterVar> ax, Expr src, Expr cond)
    : ExprNode(kKind, dtype_of(src)),
      op(o),
      axes(std::move(ax)),
      source(std::move(src)),
      condition(std::move(cond)) {
  TENON_CHECK(!axes.empty(), "a reduction without axes");
}

CallNode::CallNode(DType t, std::string n, std::vector<Expr> a)
    : ExprNode(kKind, t), name(std::move(n)), args(std::move(a)) {}

}  // namespace tenon
