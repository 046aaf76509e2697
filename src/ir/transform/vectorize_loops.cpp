#include "ir/transform/vectorize_loops.h"

#include <algorithm>
#include <optional>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::int64_t kMaxLanes = 1024;

/// base + stride * lane, when a vector of integers is that.
struct Affine {
  Expr base, stride;
};

std::optional<Affine> as_affine(const Expr& e) {
  if (const auto* r = e.as<RampNode>()) return Affine{r->base, r->stride};
  if (const auto* b = e.as<BroadcastNode>()) return Affine{b->value, zero(b->value->dtype)};
  if (e->dtype.is_scalar()) return Affine{e, zero(e->dtype)};
  return std::nullopt;
}

Expr from_affine(const Affine& a, int lanes) {
  return is_int(a.stride, 0) ? broadcast(a.base, lanes) : ramp(a.base, a.stride, lanes);
}

/// a op b on vectors, keeping ramps where the result is one.
Expr vector_binary(BinaryOp op, const Expr& a, const Expr& b) {
  const int lanes = std::max(a->dtype.lanes, b->dtype.lanes);
  if (lanes > 1 && a->dtype.is_int()) {
    const auto x = as_affine(a), y = as_affine(b);
    if (x && y) {
      if (op == BinaryOp::kAdd)
        return from_affine({x->base + y->base, x->stride + y->stride}, lanes);
      if (op == BinaryOp::kSub)
        return from_affine({x->base - y->base, x->stride - y->stride}, lanes);
      const bool x_uniform = is_int(x->stride, 0), y_uniform = is_int(y->stride, 0);
      if (op == BinaryOp::kMul && y_uniform)
        return from_affine({x->base * y->base, x->stride * y->base}, lanes);
      if (op == BinaryOp::kMul && x_uniform)
        return from_affine({x->base * y->base, y->stride * x->base}, lanes);
      if (x_uniform && y_uniform) return broadcast(binary(op, x->base, y->base), lanes);
    }
  }
  return binary(op, a, b);
}

/// acc op value, as an accumulation into one element.
struct Accumulation {
  BinaryOp op = BinaryOp::kAdd;
  Expr value;      ///< what one iteration contributes
  Expr condition;  ///< may be null
};

bool is_load_of(const Expr& e, const StoreNode& target) {
  const auto* l = e.as<LoadNode>();
  return l != nullptr && l->buffer.same_as(target.buffer) &&
         structural_equal(l->indices[0], target.indices[0]);
}

std::optional<Accumulation> match_accumulation(const StoreNode& s, const Expr& value) {
  if (const auto* f = value.as<FmaNode>(); f != nullptr && is_load_of(f->c, s))
    return Accumulation{BinaryOp::kAdd, f->a * f->b, nullptr};
  if (const auto* choice = value.as<SelectNode>();
      choice != nullptr && is_load_of(choice->false_value, s)) {
    auto inner = match_accumulation(s, choice->true_value);
    if (inner) inner->condition = and_predicate(choice->condition, inner->condition);
    return inner;
  }
  const auto* b = value.as<BinaryNode>();
  if (b == nullptr) return std::nullopt;
  const bool joins = b->op == BinaryOp::kAdd || b->op == BinaryOp::kMul ||
                     b->op == BinaryOp::kMin || b->op == BinaryOp::kMax ||
                     b->op == BinaryOp::kAnd || b->op == BinaryOp::kOr;
  if (!joins || !is_load_of(b->a, s)) return std::nullopt;
  return Accumulation{b->op, b->b, nullptr};
}

Expr neutral(BinaryOp op, DType t) {
  switch (op) {
    case BinaryOp::kMul:
      return const_like(t, 1);
    case BinaryOp::kMin:
      return broadcast(identity_element(ReduceOp::kMin, t.element()), t.lanes);
    case BinaryOp::kMax:
      return broadcast(identity_element(ReduceOp::kMax, t.element()), t.lanes);
    case BinaryOp::kAnd:
      return const_like(t, 1);
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
    case BinaryOp::kDiv:
    case BinaryOp::kFloorDiv:
    case BinaryOp::kFloorMod:
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
    case BinaryOp::kOr:
      return zero(t);
  }
  return zero(t);
}

/// The body of one loop with its variable replaced by a ramp. `failed` when that cannot be said.
class VectorBody : public Mutator {
 public:
  VectorBody(const Expr& variable, const Expr& min, int lanes, bool on_device)
      : lanes_(lanes), on_device_(on_device) {
    vectors_[variable.get()] = ramp(min, int_imm(variable->dtype, 1), lanes);
  }
  bool failed = false;

 protected:
  using Mutator::rewrite;
  Expr rewrite(const VarNode& n) override {
    const auto found = vectors_.find(&n);
    return found == vectors_.end() ? Expr(&n) : found->second;
  }
  Expr rewrite(const CastNode& n) override { return cast(n.dtype, (*this)(n.value)); }
  Expr rewrite(const ReinterpretNode& n) override { return reinterpret(n.dtype, (*this)(n.value)); }
  Expr rewrite(const UnaryNode& n) override { return unary(n.op, (*this)(n.a)); }
  Expr rewrite(const BinaryNode& n) override {
    return vector_binary(n.op, (*this)(n.a), (*this)(n.b));
  }
  Expr rewrite(const FmaNode& n) override { return fma((*this)(n.a), (*this)(n.b), (*this)(n.c)); }
  Expr rewrite(const SelectNode& n) override {
    return select((*this)(n.condition), (*this)(n.true_value), (*this)(n.false_value));
  }
  Expr rewrite(const LetNode& n) override {
    Expr value = (*this)(n.value);
    if (value.same_as(n.value)) return rebuild(n);
    Expr variable = var(n.var.as<VarNode>()->name, value->dtype);
    vectors_[n.var.get()] = variable;
    return let(variable, value, (*this)(n.body));
  }
  Expr rewrite(const LoadNode& n) override {
    Expr index = (*this)(n.indices[0]);
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    if (index->dtype.is_vector()) predicate = and_predicate(predicate, predicate_);
    return access(n, index, predicate);
  }
  Expr rewrite(const CallNode& n) override {
    std::vector<Expr> args = rewrite_all(n.args);
    int lanes = 1;
    for (const Expr& a : args) lanes = std::max<int>(lanes, a->dtype.lanes);
    if (lanes == 1) return rebuild(n);
    for (Expr& a : args) a = broadcast(a, lanes);
    return call(n.dtype.with_lanes(lanes), n.name, std::move(args));
  }
  Expr rewrite(const RampNode& n) override { return inner_vector(n); }
  Expr rewrite(const BroadcastNode& n) override { return inner_vector(n); }
  Expr rewrite(const ShuffleNode& n) override { return inner_vector(n); }
  Expr rewrite(const VectorReduceNode& n) override { return inner_vector(n); }

  Stmt rewrite(const StoreNode& n) override {
    Expr index = (*this)(n.indices[0]);
    if (index->dtype.is_scalar()) {
      if (const auto acc = match_accumulation(n, n.value)) return accumulate(n, index, *acc);
    }
    Expr value = (*this)(n.value);
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    predicate = and_predicate(predicate, predicate_);
    if (index->dtype.is_scalar() &&
        (value->dtype.is_vector() || (predicate && predicate->dtype.is_vector()))) {
      failed = true;  // all lanes write one element
      return Stmt(&n);
    }
    const int lanes = index->dtype.lanes;
    if (predicate) predicate = broadcast(predicate, lanes);
    if (predicate && is_tile(n.buffer)) {
      value = select(predicate, broadcast(value, lanes), load(n.buffer, {index}));
      predicate = nullptr;
    }
    return kept(n, store(n.buffer, {index}, broadcast(value, lanes), predicate));
  }
  Stmt rewrite(const IfNode& n) override {
    Expr condition = (*this)(n.condition);
    if (condition->dtype.is_scalar()) return rebuild(n);
    Expr outer = predicate_;
    clear_memo();
    predicate_ = and_predicate(outer, condition);
    Stmt then_case = (*this)(n.then_case);
    Stmt else_case;
    clear_memo();
    if (n.else_case) {
      predicate_ = and_predicate(outer, logical_not(condition));
      else_case = (*this)(n.else_case);
    }
    predicate_ = outer;
    clear_memo();
    return make_seq({then_case, else_case});
  }
  Stmt rewrite(const LetStmtNode& n) override {
    Expr value = (*this)(n.value);
    if (value.same_as(n.value)) return rebuild(n);
    Expr variable = var(n.var.as<VarNode>()->name, value->dtype);
    vectors_[n.var.get()] = variable;
    return make_let(variable, value, (*this)(n.body));
  }
  Stmt rewrite(const ForNode& n) override {
    if (!(*this)(n.min)->dtype.is_scalar() || !(*this)(n.extent)->dtype.is_scalar()) failed = true;
    return rebuild(n);
  }
  Stmt rewrite(const WhileNode& n) override {
    failed = true;
    return Stmt(&n);
  }
  Stmt rewrite(const AllocateNode& n) override {
    failed = true;
    return Stmt(&n);
  }
  Stmt rewrite(const AssertNode& n) override {
    Expr condition = (*this)(n.condition);
    if (condition->dtype.is_vector()) condition = vector_reduce(BinaryOp::kAnd, condition);
    return make<AssertNode>(condition, n.message);
  }

 private:
  template <typename N>
  Expr inner_vector(const N& n) {
    Expr out = rebuild_guarded(n);
    return out;
  }
  /// A vector expression inside: fine while it does not depend on the loop.
  template <typename N>
  Expr rebuild_guarded(const N& n) {
    bool depends = false;
    for_each_field(n, [&](const auto&, const auto& value) {
      if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Expr>)
        depends |= !(*this)(value).same_as(value);
    });
    failed |= depends;
    return Expr(&n);
  }

  /// Tiles in registers are allocated for all lanes: reads need no predicate, and a predicated
  /// write is a blend, so that the tile stays a value instead of memory. On a device lanes are
  /// registers of their own.
  bool is_tile(const Buffer& b) const { return b->scope == Scope::kRegister && !on_device_; }

  Expr access(const LoadNode& n, const Expr& index, Expr predicate) {
    if (is_tile(n.buffer) && index->dtype.is_vector()) predicate = nullptr;
    if (predicate) {
      const int lanes = std::max(index->dtype.lanes, predicate->dtype.lanes);
      Expr out = load(n.buffer, {broadcast(index, lanes)}, broadcast(predicate, lanes));
      keep_span(n, *out.get());
      return out;
    }
    if (index.same_as(n.indices[0]) && !n.predicate) return Expr(&n);
    Expr out = load(n.buffer, {index});
    keep_span(n, *out.get());
    return out;
  }

  /// target = target op (all lanes joined).
  Stmt accumulate(const StoreNode& n, const Expr& index, const Accumulation& acc) {
    Expr value = broadcast((*this)(acc.value), lanes_);
    Expr condition = acc.condition ? (*this)(acc.condition) : nullptr;
    condition = and_predicate(condition, predicate_);
    if (n.predicate) condition = and_predicate(condition, (*this)(n.predicate));
    if (condition)
      value = select(broadcast(condition, lanes_), value, neutral(acc.op, value->dtype));
    Expr joined = vector_reduce(acc.op, value);
    return kept(n, store(n.buffer, {index}, binary(acc.op, load(n.buffer, {index}), joined)));
  }

  static Stmt kept(const Node& from, Stmt to) {
    keep_span(from, *to.get());
    return to;
  }

  int lanes_;
  bool on_device_;
  Expr predicate_;
  VarMap vectors_;
};

class Vectorize : public Mutator {
 public:
  explicit Vectorize(bool on_device) : on_device_(on_device) {}

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    if (n.attrs.kind != ForKind::kVectorized) return rebuild(n);
    Stmt body = (*this)(n.body);
    const auto extent = as_int(n.extent);
    if (extent && *extent == 1) return substitute(body, {{n.var.get(), n.min}});
    if (extent && *extent > 1 && *extent <= kMaxLanes) {
      VectorBody vectorize(n.var, n.min, static_cast<int>(*extent), on_device_);
      Stmt out = vectorize(body);
      if (!vectorize.failed) return out;
    }
    ForAttrs attrs = n.attrs;
    attrs.kind = ForKind::kSerial;
    return make_for(n.var, n.min, n.extent, body, std::move(attrs));
  }

 private:
  bool on_device_;
};

}  // namespace

Stmt vectorize_loops(const Stmt& body) { return Vectorize(has_thread_loops(body))(body); }

}  // namespace tenon
