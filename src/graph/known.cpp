#include "graph/known.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include "graph/expression_operator.h"
#include "graph/operator.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/scalar_ops.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"
#include "tenon/runtime/float_convert.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {
namespace {

constexpr std::int64_t kMaxWork = 200000;  ///< elements and terms of one evaluator
constexpr int kMaxDepth = 200;             ///< operators behind each other

template <typename T>
T element_at(const Array& a, std::int64_t i) {
  T x;
  std::memcpy(&x, static_cast<const char*>(a.raw()) + i * static_cast<std::int64_t>(sizeof x),
              sizeof x);
  return x;
}

std::int64_t integer_at(const Array& a, std::int64_t i) {
  const bool is_signed = a.dtype().is_signed_int();
  switch (a.dtype().bits) {
    case 8:
      return is_signed ? element_at<std::int8_t>(a, i) : element_at<std::uint8_t>(a, i);
    case 16:
      return is_signed ? element_at<std::int16_t>(a, i) : element_at<std::uint16_t>(a, i);
    case 32:
      return is_signed ? element_at<std::int32_t>(a, i)
                       : std::int64_t{element_at<std::uint32_t>(a, i)};
    default:
      return element_at<std::int64_t>(a, i);
  }
}

double float_at(const Array& a, std::int64_t i) {
  return load_float(a.dtype(), static_cast<const char*>(a.raw()) + i * a.dtype().bytes());
}

Expr constant_at(const Array& a, std::int64_t i) {
  if (a.dtype().is_float()) return float_imm(a.dtype(), float_at(a, i));
  if (a.dtype().is_bool()) return bool_imm(integer_at(a, i) != 0);
  return int_imm(a.dtype(), integer_at(a, i));
}

std::optional<double> as_float(const Expr& e) {
  const auto* f = e.as<FloatImmNode>();
  return f == nullptr ? std::nullopt : std::optional(f->value);
}

Expr folded_binary(BinaryOp op, const Expr& a, const Expr& b) {
  const auto x = as_float(a), y = as_float(b);
  if (!x || !y) return binary(op, a, b);
  if (is_comparison(op)) return bool_imm(eval_compare(op, *x, *y));
  return float_imm(a->dtype, eval_float(op, a->dtype, *x, *y));
}

Expr folded_cast(DType t, const Expr& e) {
  if (e->dtype == t) return e;
  if (const auto x = as_float(e)) {
    if (t.is_float()) return float_imm(t, round_to(t, *x));
    return t.is_bool() ? bool_imm(*x != 0) : int_imm(t, float_to_int(t, *x));
  }
  if (const auto x = as_int(e); x && t.is_float())
    return float_imm(t, int_to_float(e->dtype, *x, t));
  return cast(t, e);
}

bool is_true(const Expr& e) { return is_int(e, 1); }
bool is_false(const Expr& e) { return is_int(e, 0); }

}  // namespace

/// An expression with values for its variables: constants are folded, floats too, and what is not
/// taken is not looked at.
class ElementEvaluator : public Mutator {
 public:
  using Mutator::operator();
  /// `tensors` and placeholders: of the expression of `v`; null for an expression without any.
  ElementEvaluator(Known& known, const ValueNode* v, VarMap variables)
      : known_(known), v_(v), variables_(std::move(variables)) {}

  Expr tensor(const te::TensorNode& t, const std::vector<Expr>& at) {
    const auto& placeholders = v_->expression->placeholders;
    for (std::size_t i = 0; i < placeholders.size(); ++i) {
      if (placeholders[i].get() == &t) return known_.element(v_->inputs[i], at);
    }
    if (t.kind != te::TensorKind::kCompute || ++known_.work_ > kMaxWork) return {};
    VarMap inner = variables_;
    for (std::size_t d = 0; d < at.size(); ++d) inner[t.axes[d].var.get()] = at[d];
    ElementEvaluator body(known_, v_, std::move(inner));
    const Expr value = body(t.body);
    return body.failed_ ? Expr() : value;
  }
  bool failed() const { return failed_; }

 protected:
  using Mutator::rewrite;
  Expr rewrite(const VarNode& n) override {
    const auto it = variables_.find(&n);
    return it == variables_.end() ? Expr(&n) : it->second;
  }
  Expr rewrite(const UnaryNode& n) override {
    const Expr a = (*this)(n.a);
    if (const auto x = as_float(a)) return float_imm(a->dtype, eval_float(n.op, a->dtype, *x));
    return unary(n.op, a);
  }
  Expr rewrite(const BinaryNode& n) override {
    const Expr a = (*this)(n.a);
    if (n.op == BinaryOp::kAnd && is_false(a)) return a;
    if (n.op == BinaryOp::kOr && is_true(a)) return a;
    return folded_binary(n.op, a, (*this)(n.b));
  }
  Expr rewrite(const FmaNode& n) override {
    const Expr a = (*this)(n.a), b = (*this)(n.b), c = (*this)(n.c);
    const auto x = as_float(a), y = as_float(b), z = as_float(c);
    if (!x || !y || !z) return fma(a, b, c);
    return float_imm(a->dtype, a->dtype == kFloat64
                                   ? std::fma(*x, *y, *z)
                                   : std::fmaf(static_cast<float>(*x), static_cast<float>(*y),
                                               static_cast<float>(*z)));
  }
  Expr rewrite(const CastNode& n) override { return folded_cast(n.dtype, (*this)(n.value)); }
  Expr rewrite(const SelectNode& n) override {
    Expr condition = (*this)(n.condition);
    if (!as_int(condition) && !known_.unknown_.empty()) condition = simplify(condition);
    if (is_true(condition)) return (*this)(n.true_value);
    if (is_false(condition)) return (*this)(n.false_value);
    return select(condition, (*this)(n.true_value), (*this)(n.false_value));
  }
  Expr rewrite(const LoadNode& n) override {
    std::vector<Expr> at;
    for (const Expr& e : n.indices) at.push_back((*this)(e));
    const te::Tensor t = te::as_tensor(n.buffer);
    Expr value = t && !n.predicate ? tensor(*t, at) : Expr();
    if (value) return value;
    failed_ = true;
    return zero(n.dtype);
  }
  Expr rewrite(const ReduceNode& n) override {
    // The axes one after the other, from 0 to their extents.
    std::vector<std::int64_t> extents;
    for (const IterVar& axis : n.axes) {
      const auto extent = as_int((*this)(axis.domain.extent));
      const auto min = as_int((*this)(axis.domain.min));
      failed_ = failed_ || !extent || !min || *min != 0;
      if (failed_) return zero(n.dtype);
      extents.push_back(*extent);
    }
    Expr total = identity_element(n.op, n.dtype);
    std::vector<std::int64_t> at(extents.size(), 0);
    const bool is_empty = std::find(extents.begin(), extents.end(), 0) != extents.end();
    for (bool more = !is_empty; more && !failed_;) {
      failed_ = ++known_.work_ > kMaxWork;
      VarMap inner = variables_;
      for (std::size_t d = 0; d < at.size(); ++d) inner[n.axes[d].var.get()] = imm(at[d]);
      ElementEvaluator term(known_, v_, std::move(inner));
      const Expr counts = n.condition ? term(n.condition) : bool_imm(true);
      if (!is_false(counts)) {
        failed_ = failed_ || !is_true(counts);
        total = folded_binary(combiner(n.op), total, term(n.source));
      }
      failed_ = failed_ || term.failed_;
      more = false;
      for (std::size_t d = at.size(); d-- > 0 && !more;) {
        more = ++at[d] < extents[d];
        if (!more) at[d] = 0;
      }
    }
    return total;
  }

 private:
  Known& known_;
  const ValueNode* v_;
  VarMap variables_;
  bool failed_ = false;
};

Expr Known::unknown(const Value& v) {
  Expr e = var("unknown", v->dtype);
  unknown_.emplace(e.get(), v);
  pinned_vars_.push_back(e);
  return e;
}

Expr Known::reduce(const Value& v, const std::vector<std::int64_t>& at) {
  const Value& x = v->inputs[0];
  const auto& axes = attr<std::vector<std::int64_t>>(*v, "axes");
  std::vector<Expr> index(x->shape.size());
  std::vector<std::int64_t> extents;
  std::size_t next = 0;
  for (std::size_t d = 0; d < index.size(); ++d) {
    if (std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(d)) == axes.end()) {
      index[d] = imm(at[next++]);
      continue;
    }
    const auto extent = as_int(x->shape[d]);
    if (!extent) return unknown(v);
    extents.push_back(*extent);
  }
  const ReduceOp op = v->op == "max"    ? ReduceOp::kMax
                      : v->op == "min"  ? ReduceOp::kMin
                      : v->op == "prod" ? ReduceOp::kProd
                                        : ReduceOp::kSum;
  Expr total = identity_element(op, v->dtype);
  std::int64_t count = 1;
  for (const std::int64_t e : extents) {
    if (e > kMaxWork || count > kMaxWork) return unknown(v);
    count *= e;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i;
    for (std::size_t k = axes.size(); k-- > 0;) {
      index[static_cast<std::size_t>(axes[k])] = imm(rest % extents[k]);
      rest /= extents[k];
    }
    total = folded_binary(combiner(op), total, element(x, index));
  }
  if (v->op != "mean") return total;
  return folded_binary(BinaryOp::kDiv, total, folded_cast(v->dtype, imm(count)));
}

Expr Known::compute(const Value& v, const std::vector<std::int64_t>& at) {
  std::vector<Expr> indices;
  for (const std::int64_t i : at) indices.push_back(imm(i));
  if (v->expression) {
    ElementEvaluator evaluate(*this, v.get(), {});
    const Expr value = evaluate.tensor(*v->expression->output(), indices);
    return value ? value : unknown(v);
  }
  if (v->is_op("sum") || v->is_op("mean") || v->is_op("max") || v->is_op("min") ||
      v->is_op("prod")) {
    return reduce(v, at);
  }
  const Operator* op = operator_of(*v);
  if (op == nullptr || op->element == nullptr) return unknown(v);
  const Expr made = op->element(*v, indices, [&](std::size_t i, const Indices& place) {
    return element(v->inputs[i], place);
  });
  return ElementEvaluator(*this, v.get(), {})(made);
}

Expr Known::element(const Value& v, const std::vector<Expr>& at) {
  std::vector<std::int64_t> place;
  std::int64_t position = 0;
  for (std::size_t d = 0; d < at.size(); ++d) {
    const auto i = as_int(simplify(at[d]));
    const auto extent = as_int(v->shape[d]);
    if (!i || *i < 0 || (extent && *i >= *extent)) return unknown(v);
    place.push_back(*i);
    if (extent) position = position * *extent + *i;
  }
  if (v->is_constant()) return constant_at(v->data, position);
  if (v->is_input() || depth_ > kMaxDepth || ++work_ > kMaxWork) return unknown(v);
  const auto key = std::pair(v.get(), place);
  if (const auto it = memo_.find(key); it != memo_.end()) return it->second;
  ++depth_;
  Expr value = compute(v, place);
  --depth_;
  if (value->dtype == kInt64) value = simplify(value);
  pinned_.push_back(v);
  memo_.emplace(key, value);
  return value;
}

void Known::find_sources(const Value& v) {
  std::unordered_set<const ValueNode*> seen;
  std::vector<Value> open{v};
  while (!open.empty()) {
    const Value x = open.back();
    open.pop_back();
    if (!seen.insert(x.get()).second) continue;
    const bool is_new = std::find(sources_.begin(), sources_.end(), x) == sources_.end();
    if (x->is_input() && is_new) sources_.push_back(x);
    open.insert(open.end(), x->inputs.begin(), x->inputs.end());
  }
}

std::optional<std::vector<Expr>> Known::elements(const Value& v) {
  sources_.clear();
  std::int64_t count = 1;
  for (const Expr& e : v->shape) {
    const std::int64_t extent = as_int(e).value_or(kMaxElements + 1);
    count = extent > kMaxElements ? extent : count * extent;
    if (count <= kMaxElements) continue;
    find_sources(v);
    return std::nullopt;
  }
  std::vector<Expr> all;
  bool is_known = true;
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<Expr> at(v->shape.size());
    std::int64_t rest = i;
    for (std::size_t d = at.size(); d-- > 0;) {
      at[d] = imm(rest % *as_int(v->shape[d]));
      rest /= *as_int(v->shape[d]);
    }
    all.push_back(element(v, at));
    uses_var(all.back(), [&](const VarNode& x) {
      if (const auto it = unknown_.find(&x); it != unknown_.end()) {
        is_known = false;
        find_sources(it->second);
      }
      return false;
    });
  }
  return is_known ? std::optional(all) : std::nullopt;
}

}  // namespace tenon::graph
