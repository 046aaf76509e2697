#include "tenon/ir/builder.h"

#include <algorithm>
#include <limits>

#include "tenon/ir/regions.h"
#include "tenon/ir/scalar_ops.h"

namespace tenon {

Expr int_imm(DType t, std::int64_t v) { return make<IntImmNode>(t, wrap_int(t, v)); }
Expr imm(std::int64_t v) { return make<IntImmNode>(kInt64, v); }
Expr float_imm(DType t, double v) { return make<FloatImmNode>(t, round_to(t, v)); }
Expr bool_imm(bool v) { return make<IntImmNode>(kBoolType, v ? 1 : 0); }

Expr const_like(DType t, double v) {
  Expr scalar =
      t.is_float() ? float_imm(t.element(), v) : int_imm(t.element(), static_cast<std::int64_t>(v));
  return broadcast(scalar, t.lanes);
}

Expr zero(DType t) { return const_like(t, 0); }
Expr var(std::string name, DType t) { return make<VarNode>(t, std::move(name)); }

std::optional<std::int64_t> as_int(const Expr& e) {
  if (const auto* i = e.as<IntImmNode>()) return i->value;
  if (const auto* b = e.as<BroadcastNode>()) return as_int(b->value);
  return std::nullopt;
}

bool is_int(const Expr& e, std::int64_t v) {
  const auto value = as_int(e);
  return value && *value == v;
}

Expr cast(DType t, const Expr& e) {
  t = t.with_lanes(e->dtype.lanes);
  if (t == e->dtype) return e;
  if (const auto* i = e.as<IntImmNode>(); i != nullptr && !t.is_float()) {
    return int_imm(t, t.is_bool() ? i->value != 0 : i->value);
  }
  if (const auto* b = e.as<BroadcastNode>())
    return broadcast(cast(t.element(), b->value), b->lanes);
  return make<CastNode>(t, e);
}

Expr reinterpret(DType t, const Expr& e) {
  t = t.with_lanes(e->dtype.lanes);
  return t == e->dtype ? e : make<ReinterpretNode>(t, e);
}

Expr unary(UnaryOp op, const Expr& a) {
  if (const auto* i = a.as<IntImmNode>()) {
    if (op == UnaryOp::kNeg)
      return int_imm(a->dtype, static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(i->value)));
    if (op == UnaryOp::kNot) return bool_imm(i->value == 0);
  }
  return make<UnaryNode>(op, a);
}

namespace {

/// Both operands with the larger number of lanes.
void match_lanes(Expr* a, Expr* b) {
  const int lanes = std::max((*a)->dtype.lanes, (*b)->dtype.lanes);
  *a = broadcast(*a, lanes);
  *b = broadcast(*b, lanes);
}

/// The folded or neutral-operand result, or null.
Expr fold_integers(BinaryOp op, const Expr& a, const Expr& b) {
  const auto x = as_int(a);
  const auto y = as_int(b);
  const DType t = a->dtype;
  if (x && y) {
    const std::int64_t v = eval_int(op, t.element(), *x, *y);
    const DType out = is_comparison(op) || t.is_bool() ? kBoolType : t.element();
    return broadcast(int_imm(out, v), t.lanes);
  }
  switch (op) {
    case BinaryOp::kAdd:
      if (x && *x == 0) return b;
      if (y && *y == 0) return a;
      break;
    case BinaryOp::kSub:
      if (y && *y == 0) return a;
      break;
    case BinaryOp::kMul:
      if ((x && *x == 1) || (y && *y == 0)) return b;
      if ((y && *y == 1) || (x && *x == 0)) return a;
      break;
    case BinaryOp::kFloorDiv:
      if (y && *y == 1) return a;
      if (x && *x == 0) return a;
      break;
    case BinaryOp::kFloorMod:
      if (y && *y == 1) return zero(t);
      break;
    case BinaryOp::kAnd:
      if (x) return *x != 0 ? b : a;
      if (y) return *y != 0 ? a : b;
      break;
    case BinaryOp::kOr:
      if (x) return *x != 0 ? a : b;
      if (y) return *y != 0 ? b : a;
      break;
    case BinaryOp::kMin:
    case BinaryOp::kMax:
      if (a.same_as(b)) return a;
      break;
    case BinaryOp::kDiv:
    case BinaryOp::kBitAnd:
    case BinaryOp::kBitOr:
    case BinaryOp::kBitXor:
    case BinaryOp::kShl:
    case BinaryOp::kShr:
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
    case BinaryOp::kGt:
    case BinaryOp::kGe:
      break;
  }
  return nullptr;
}

}  // namespace

Expr binary(BinaryOp op, const Expr& a, const Expr& b) {
  Expr x = a, y = b;
  match_lanes(&x, &y);
  if (x->dtype == y->dtype && !x->dtype.is_float()) {
    if (Expr folded = fold_integers(op, x, y)) return folded;
  }
  return make<BinaryNode>(op, x, y);
}

Expr fma(const Expr& a, const Expr& b, const Expr& c) {
  const int lanes = std::max({a->dtype.lanes, b->dtype.lanes, c->dtype.lanes});
  return make<FmaNode>(broadcast(a, lanes), broadcast(b, lanes), broadcast(c, lanes));
}

Expr select(const Expr& c, const Expr& t, const Expr& f) {
  if (const auto known = as_int(c)) return *known != 0 ? t : f;
  const int lanes = std::max({c->dtype.lanes, t->dtype.lanes, f->dtype.lanes});
  return make<SelectNode>(broadcast(c, lanes), broadcast(t, lanes), broadcast(f, lanes));
}

Expr call(DType t, std::string name, std::vector<Expr> args) {
  return make<CallNode>(t, std::move(name), std::move(args));
}

Expr let(const Expr& variable, const Expr& value, const Expr& body) {
  return make<LetNode>(value, variable, body);
}

Expr load(const Buffer& buffer, std::vector<Expr> indices, const Expr& predicate) {
  return make<LoadNode>(buffer, std::move(indices), predicate);
}

Expr ramp(const Expr& base, const Expr& stride, int lanes) {
  return lanes == 1 ? base : make<RampNode>(base, stride, lanes);
}

Expr broadcast(const Expr& value, int lanes) {
  if (value->dtype.lanes == lanes) return value;
  TENON_CHECK(value->dtype.is_scalar(), "a broadcast of ", to_string(value->dtype), " to ", lanes,
              " lanes");
  return make<BroadcastNode>(value, lanes);
}

Expr vector_reduce(BinaryOp op, const Expr& value) {
  return value->dtype.is_scalar() ? value : make<VectorReduceNode>(op, value);
}

Expr identity_element(ReduceOp op, DType t) {
  const double inf = std::numeric_limits<double>::infinity();
  switch (op) {
    case ReduceOp::kSum:
      return zero(t);
    case ReduceOp::kProd:
      return const_like(t, 1);
    case ReduceOp::kMin:
      return t.is_float() ? float_imm(t, inf) : int_imm(t, max_int(t));
    case ReduceOp::kMax:
      return t.is_float() ? float_imm(t, -inf) : int_imm(t, min_int(t));
  }
  TENON_CHECK(false, "reduction ", static_cast<int>(op));
  return nullptr;
}

BinaryOp combiner(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
      return BinaryOp::kAdd;
    case ReduceOp::kProd:
      return BinaryOp::kMul;
    case ReduceOp::kMin:
      return BinaryOp::kMin;
    case ReduceOp::kMax:
      return BinaryOp::kMax;
  }
  TENON_CHECK(false, "reduction ", static_cast<int>(op));
  return BinaryOp::kAdd;
}

Expr operator+(const Expr& a, const Expr& b) { return binary(BinaryOp::kAdd, a, b); }
Expr operator-(const Expr& a, const Expr& b) { return binary(BinaryOp::kSub, a, b); }
Expr operator*(const Expr& a, const Expr& b) { return binary(BinaryOp::kMul, a, b); }
Expr operator/(const Expr& a, const Expr& b) { return binary(BinaryOp::kDiv, a, b); }
Expr operator-(const Expr& a) { return unary(UnaryOp::kNeg, a); }
Expr operator+(const Expr& a, std::int64_t b) { return a + int_imm(a->dtype.element(), b); }
Expr operator-(const Expr& a, std::int64_t b) { return a - int_imm(a->dtype.element(), b); }
Expr operator*(const Expr& a, std::int64_t b) { return a * int_imm(a->dtype.element(), b); }
Expr floordiv(const Expr& a, const Expr& b) { return binary(BinaryOp::kFloorDiv, a, b); }
Expr floormod(const Expr& a, const Expr& b) { return binary(BinaryOp::kFloorMod, a, b); }
Expr ceildiv(const Expr& a, const Expr& b) {
  return floordiv(a + b - int_imm(b->dtype.element(), 1), b);
}
Expr min(const Expr& a, const Expr& b) { return binary(BinaryOp::kMin, a, b); }
Expr max(const Expr& a, const Expr& b) { return binary(BinaryOp::kMax, a, b); }
Expr eq(const Expr& a, const Expr& b) { return binary(BinaryOp::kEq, a, b); }
Expr ne(const Expr& a, const Expr& b) { return binary(BinaryOp::kNe, a, b); }
Expr lt(const Expr& a, const Expr& b) { return binary(BinaryOp::kLt, a, b); }
Expr le(const Expr& a, const Expr& b) { return binary(BinaryOp::kLe, a, b); }
Expr gt(const Expr& a, const Expr& b) { return binary(BinaryOp::kGt, a, b); }
Expr ge(const Expr& a, const Expr& b) { return binary(BinaryOp::kGe, a, b); }
Expr logical_and(const Expr& a, const Expr& b) { return binary(BinaryOp::kAnd, a, b); }
Expr logical_or(const Expr& a, const Expr& b) { return binary(BinaryOp::kOr, a, b); }
Expr logical_not(const Expr& a) { return unary(UnaryOp::kNot, a); }

Expr and_predicate(const Expr& a, const Expr& b) {
  if (!a) return b;
  if (!b) return a;
  return logical_and(a, b);
}

Stmt store(const Buffer& buffer, std::vector<Expr> indices, const Expr& value,
           const Expr& predicate) {
  return make<StoreNode>(buffer, std::move(indices), value, predicate);
}

Stmt make_for(const Expr& v, const Expr& min, const Expr& extent, const Stmt& body,
              ForAttrs attrs) {
  return make<ForNode>(min, extent, v, std::move(attrs), body);
}

Stmt make_let(const Expr& v, const Expr& value, const Stmt& body) {
  return make<LetStmtNode>(value, v, body);
}

Stmt make_if(const Expr& condition, const Stmt& then_case, const Stmt& else_case) {
  return make<IfNode>(condition, then_case, else_case);
}

Stmt make_allocate(const Buffer& buffer, const Stmt& body) {
  return make<AllocateNode>(buffer, body);
}

Stmt make_seq(std::vector<Stmt> stmts) {
  std::vector<Stmt> flat;
  for (Stmt& s : stmts) {
    if (!s) continue;
    if (const auto* seq = s.as<SeqNode>()) {
      flat.insert(flat.end(), seq->stmts.begin(), seq->stmts.end());
    } else {
      flat.push_back(std::move(s));
    }
  }
  return flat.size() == 1 ? flat[0] : make<SeqNode>(std::move(flat));
}

namespace {

Stmt keep_span(const Node& from, Stmt to) {
  if (from.span) const_cast<StmtNode*>(to.get())->span = from.span;  // nobody else has seen it yet
  return to;
}

}  // namespace

Stmt with_body(const ForNode& n, Stmt body) {
  return keep_span(n, make<ForNode>(n.min, n.extent, n.var, n.attrs, std::move(body)));
}

Stmt with_attrs(const ForNode& n, ForAttrs attrs) {
  return keep_span(n, make<ForNode>(n.min, n.extent, n.var, std::move(attrs), n.body));
}

Stmt with_body(const BlockNode& n, Stmt body) {
  return keep_span(n, make<BlockNode>(n.name, n.bindings, n.predicate, n.iters, n.reads, n.writes,
                                      n.init, std::move(body), n.annotations));
}

Stmt with_body(const AllocateNode& n, Stmt body) {
  return keep_span(n, make<AllocateNode>(n.buffer, std::move(body)));
}

Stmt make_block(std::string name, std::vector<IterVar> iters, std::vector<Expr> bindings,
                Expr predicate, Stmt init, Stmt body, Attrs annotations) {
  AccessRegions regions = detect_regions(init, body);
  return make<BlockNode>(std::move(name), std::move(bindings), std::move(predicate),
                         std::move(iters), std::move(regions.reads), std::move(regions.writes),
                         std::move(init), std::move(body), std::move(annotations));
}

}  // namespace tenon
