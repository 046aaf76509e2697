// Expressions: order, sharing and laziness.

#include <algorithm>

#include "codegen/cuda/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::codegen::cuda {
namespace {

/// Longer texts get a name, so that lines stay readable and nesting bounded.
constexpr std::size_t kLongText = 96;

bool is_leaf(const ExprNode& n) {
  return n.kind == NodeKind::kVar || n.kind == NodeKind::kIntImm || n.kind == NodeKind::kFloatImm;
}

/// Writing it twice costs nothing and reads well.
bool is_trivial(const Scalar& s) {
  return s.text.size() <= 12 && s.text.find_first_of("([?") == std::string::npos;
}

CType wider(CType a, CType b) { return a == CType::kI64 ? a : b; }

Scalar ternary(const Scalar& condition, const Scalar& a, const Scalar& b) {
  if (a.type == CType::kBool && b.text == "false") {
    return {at(condition, kAnd) + " && " + at(a, kEquality), CType::kBool, kAnd};
  }
  if (a.text == "true") return {at(condition, kOr) + " || " + at(b, kAnd), CType::kBool, kOr};
  const CType type = wider(a.type, b.type);
  return {at(condition, kOr) + " ? " + at(a, kOr) + " : " + at(b, kTernary), type, kTernary};
}

}  // namespace

void KernelEmitter::begin_statement(const std::vector<Expr>& roots) {
  num_uses_.clear();
  std::vector<const ExprNode*> stack, operands;
  for (const Expr& e : roots) {
    if (e && num_uses_[e.get()]++ == 0) stack.push_back(e.get());
  }
  while (!stack.empty()) {
    const ExprNode* node = stack.back();
    stack.pop_back();
    operands.clear();
    add_operands(*node, &operands);
    for (const ExprNode* operand : operands) {
      if (num_uses_[operand]++ == 0) stack.push_back(operand);
    }
  }
}

const Value* KernelEmitter::find(const ExprNode* n) const {
  if (n->kind == NodeKind::kVar) {
    const auto it = vars_.find(n);
    return it == vars_.end() ? nullptr : &it->second;
  }
  for (auto scope = memo_.rbegin(); scope != memo_.rend(); ++scope) {
    const auto it = scope->find(n);
    if (it != scope->end()) return &it->second;
  }
  return nullptr;
}

Value KernelEmitter::in_scope(const std::function<Value()>& f) {
  memo_.emplace_back();
  Value value = f();
  memo_.pop_back();
  return value;
}

/// The operands to evaluate before the node; those of lazy nodes, and indices that load or check
/// themselves, come later.
void KernelEmitter::push_operands(const ExprNode& n, std::vector<const ExprNode*>* out) {
  if (n.kind == NodeKind::kCall) return;
  if (n.kind == NodeKind::kLoad) {
    const auto& load = static_cast<const LoadNode&>(n);
    if (load.predicate) out->push_back(load.predicate.get());
    return;
  }
  if (n.kind == NodeKind::kSelect) {
    const auto& select = static_cast<const SelectNode&>(n);
    if (has_effects_(select.true_value.get()) || has_effects_(select.false_value.get())) {
      out->push_back(select.condition.get());
      return;
    }
  }
  if (is_lazy_logic(n) && has_effects_(static_cast<const BinaryNode&>(n).b.get())) {
    out->push_back(static_cast<const BinaryNode&>(n).a.get());
    return;
  }
  if (n.kind == NodeKind::kLet) {
    out->push_back(static_cast<const LetNode&>(n).value.get());
    return;
  }
  add_operands(n, out);
}

Value KernelEmitter::emit(const Expr& e) {
  std::vector<Pending> stack = {{e.get(), 0}};
  std::vector<const ExprNode*> operands;
  while (!stack.empty()) {
    const ExprNode* node = stack.back().node;
    const int stage = stack.back().stage++;
    if (stage == 0) {
      if (node->kind == NodeKind::kVar) {
        TENON_CHECK(find(node) != nullptr, "variable '", static_cast<const VarNode*>(node)->name,
                    "' has no value here");
      }
      if (find(node) != nullptr) {
        stack.pop_back();
        continue;
      }
      operands.clear();
      push_operands(*node, &operands);
      for (auto it = operands.rbegin(); it != operands.rend(); ++it) stack.push_back({*it, 0});
      continue;
    }
    if (node->kind == NodeKind::kLet && stage == 1) {
      const auto& let = *static_cast<const LetNode*>(node);
      define(let.var.get(), let.var.as<VarNode>()->name, *find(let.value.get()));
      stack.push_back({let.body.get(), 0});
      continue;
    }
    stack.pop_back();
    Value value = name_if_needed(*node, with_stack([&] { return emit_node(*node); }));
    memo_.back()[node] = std::move(value);
  }
  return *find(e.get());
}

Scalar KernelEmitter::emit_scalar(const Expr& e) {
  const Value value = emit(e);
  TENON_CHECK(value.lanes.size() == 1, "a vector of ", value.lanes.size(),
              " lanes where a scalar was expected");
  return value.lanes[0];
}

Scalar KernelEmitter::name_it(const Scalar& s, const std::string& wanted) {
  if (is_trivial(s)) return s;
  const std::string name = names_.unique(wanted);
  line("const " + std::string(to_string(s.type)) + " " + name + " = " + s.text + ";");
  return {name, s.type};
}

Value KernelEmitter::name_if_needed(const ExprNode& n, Value value) {
  if (is_leaf(n) || n.kind == NodeKind::kLet) return value;
  const auto it = num_uses_.find(&n);
  const bool is_shared = it != num_uses_.end() && it->second > 1;
  for (Scalar& lane : value.lanes) {
    if (is_shared || lane.text.size() > kLongText) lane = name_it(lane);
  }
  return value;
}

Value KernelEmitter::emit_constant(const IntImmNode& n) {
  const CType type = value_type(n.dtype);
  const IntRange range = single_value(n.value);
  const bool is_short = type == CType::kI64 && range.fits_int32();
  return {{literal(is_short ? CType::kI32 : type, n.value)}, range};
}

Value KernelEmitter::emit_float(const FloatImmNode& n) {
  return {{float_literal(value_type(n.dtype), n.value)}, {}};
}

Value KernelEmitter::emit_node(const ExprNode& node) {
  return visit_expr(
      node,
      Overloaded{
          [&](const IntImmNode& n) { return emit_constant(n); },
          [&](const FloatImmNode& n) { return emit_float(n); },
          [&](const VarNode& n) { return *find(&n); },
          [&](const CastNode& n) { return emit_cast(n); },
          [&](const ReinterpretNode& n) {
            Value out = *find(n.value.get());
            for (Scalar& lane : out.lanes) {
              lane = reinterpret_text(prelude_, n.value->dtype.element(), n.dtype.element(), lane);
            }
            out.range = range_of(n.dtype.element());
            return out;
          },
          [&](const UnaryNode& n) { return emit_unary(n); },
          [&](const BinaryNode& n) { return emit_binary(n); },
          [&](const FmaNode& n) {
            const Value &a = *find(n.a.get()), &b = *find(n.b.get()), &c = *find(n.c.get());
            Value out;
            for (std::size_t i = 0; i < a.lanes.size(); ++i) {
              out.lanes.push_back(fma_text(n.dtype.element(), a.lanes[i], b.lanes[i], c.lanes[i]));
            }
            return out;
          },
          [&](const SelectNode& n) { return emit_select(n); },
          [&](const LetNode& n) { return *find(n.body.get()); },
          [&](const LoadNode& n) { return emit_load(n); },
          [&](const RampNode& n) { return emit_ramp(n); },
          [&](const BroadcastNode& n) {
            const Value& v = *find(n.value.get());
            const Scalar one = n.lanes > 1 ? name_it(v.lanes[0]) : v.lanes[0];
            return Value{{static_cast<std::size_t>(n.lanes), one}, v.range};
          },
          [&](const ShuffleNode& n) { return emit_shuffle(n); },
          [&](const VectorReduceNode& n) { return emit_vector_reduce(n); },
          [&](const ReduceNode&) -> Value {
            TENON_CHECK(false, "a reduction in loop IR");
            return {};
          },
          [&](const CallNode& n) { return emit_call(n); },
      });
}

Value KernelEmitter::emit_cast(const CastNode& n) {
  const DType from = n.value->dtype.element(), to = n.dtype.element();
  const Value& value = *find(n.value.get());
  Value out;
  for (Scalar lane : value.lanes) {
    if (to.is_bool() && from.is_float()) lane = name_it(lane);  // it is compared twice
    const bool fits = from.is_int() && to == kInt64 && value.range.fits_int32() &&
                      lane.type != CType::kU32 && lane.type != CType::kI64;
    // An int already, or made one by the promotions of C++.
    out.lanes.push_back(fits ? Scalar{lane.text, CType::kI32, lane.binding}
                             : cast_text(prelude_, from, to, lane));
  }
  out.range = range_of(to);
  const IntRange& r = value.range;
  if (from.is_int() && to.is_int() && r.lower >= out.range.lower && r.upper <= out.range.upper) {
    const bool is_unsigned_64 = from.bits == 64 && !from.is_signed_int();
    if (!is_unsigned_64 && !(to.bits == 64 && !to.is_signed_int())) out.range = r;
  }
  return out;
}

Value KernelEmitter::emit_unary(const UnaryNode& n) {
  const DType t = n.dtype.element();
  const Value& a = *find(n.a.get());
  Value out;
  out.range = range_of(t);
  bool cannot_wrap = false;
  if (n.op == UnaryOp::kNeg && t.is_signed_int()) {
    bool wraps = true;
    out.range = range_of(BinaryOp::kSub, t, single_value(0), a.range, &wraps);
    cannot_wrap = !wraps || out.range.is_index;
  }
  for (const Scalar& lane : a.lanes) {
    CType type = value_type(t);
    const bool is_short = type == CType::kI64 && lane.type == CType::kI32 &&
                          n.op == UnaryOp::kNeg && out.range.fits_int32();
    if (is_short) type = CType::kI32;
    out.lanes.push_back(
        unary_text(prelude_, n.op, t, type, t.is_int() ? convert(lane, type) : lane, cannot_wrap));
  }
  return out;
}

Value KernelEmitter::emit_int_binary(BinaryOp op, DType t, const Value& a, const Value& b,
                                     std::size_t lane) {
  const Scalar &x = a.lanes[lane], &y = b.lanes[lane];
  bool wraps = true;
  Value out;
  out.range = range_of(op, t, a.range, b.range, &wraps);
  IntFacts facts;
  facts.cannot_wrap = !wraps || (a.range.is_index && b.range.is_index && t == kInt64);
  const bool is_unsigned_64 = t.bits == 64 && !t.is_signed_int();
  if (b.range.is_single()) facts.b = b.range.lower;
  facts.divides_plainly =
      is_unsigned_64 ? facts.b && *facts.b != 0 : a.range.lower >= 0 && b.range.lower > 0;
  CType type = value_type(t);
  const bool are_short = type == CType::kI64 && x.type == CType::kI32 && y.type == CType::kI32;
  const bool is_shift = op == BinaryOp::kShl || op == BinaryOp::kShr;
  if (are_short && !wraps && !is_shift && out.range.fits_int32()) type = CType::kI32;
  out.lanes = {binary_text(prelude_, op, t, type, x, y, facts)};
  return out;
}

/// a op b, lane by lane.
Value KernelEmitter::combine(BinaryOp op, DType dtype, const Value& a, const Value& b) {
  const DType t = dtype.element();
  Value out;
  for (std::size_t i = 0; i < a.lanes.size(); ++i) {
    if (is_comparison(op)) {
      out.lanes.push_back(compare_text(op, a.lanes[i], b.lanes[i]));
    } else if (t.is_int()) {
      Value one = emit_int_binary(op, t, a, b, i);
      out.range = one.range;
      out.lanes.push_back(one.lanes[0]);
    } else {
      out.lanes.push_back(
          binary_text(prelude_, op, t, value_type(t), a.lanes[i], b.lanes[i], IntFacts{}));
    }
  }
  if (is_comparison(op) || t.is_bool()) out.range = range_of(kBoolType);
  return out;
}

Value KernelEmitter::emit_binary(const BinaryNode& n) {
  if (find(n.b.get()) == nullptr) return emit_lazy_logic(n);
  return combine(n.op, n.a->dtype, *find(n.a.get()), *find(n.b.get()));
}

Value KernelEmitter::emit_ramp(const RampNode& n) {
  const DType t = n.dtype.element();
  const Value& base = *find(n.base.get());
  const Value& stride = *find(n.stride.get());
  const Value start = {{n.lanes > 1 ? name_it(base.lanes[0]) : base.lanes[0]}, base.range};
  const Value step = {{n.lanes > 1 ? name_it(stride.lanes[0]) : stride.lanes[0]}, stride.range};
  Value out = {{}, base.range};
  for (int lane = 0; lane < n.lanes; ++lane) {
    Value offset = {{literal(t == kInt64 ? CType::kI32 : value_type(t), lane)}, single_value(lane)};
    if (!is_int(n.stride, 1)) {
      if (stride.range.is_single()) {
        const std::int64_t s = lane * stride.range.lower;
        offset = {{literal(t == kInt64 ? CType::kI32 : value_type(t), s)}, single_value(s)};
        if (!offset.range.fits_int32()) offset.lanes[0] = literal(value_type(t), s);
      } else {
        offset = emit_int_binary(BinaryOp::kMul, t, step, offset, 0);
      }
    }
    const Value sum = lane == 0 ? start : emit_int_binary(BinaryOp::kAdd, t, start, offset, 0);
    out.lanes.push_back(sum.lanes[0]);
    out.range = join(out.range, sum.range);
  }
  return out;
}

Value KernelEmitter::emit_shuffle(const ShuffleNode& n) {
  Value sources, out;
  bool is_first = true;
  for (const Expr& v : n.vectors) {
    const Value& source = *find(v.get());
    sources.lanes.insert(sources.lanes.end(), source.lanes.begin(), source.lanes.end());
    out.range = is_first ? source.range : join(out.range, source.range);
    is_first = false;
  }
  for (const std::int64_t index : n.lane_indices) {
    TENON_CHECK(index >= 0 && index < static_cast<std::int64_t>(sources.lanes.size()),
                "shuffle takes lane ", index, " of ", sources.lanes.size());
    out.lanes.push_back(sources.lanes[static_cast<std::size_t>(index)]);
  }
  return out;
}

Value KernelEmitter::emit_vector_reduce(const VectorReduceNode& n) {
  const DType t = n.value->dtype.element();
  Value x = *find(n.value.get());
  const auto part = [&](std::size_t begin, std::size_t count) {
    const auto at = x.lanes.begin() + static_cast<std::ptrdiff_t>(begin);
    return Value{{at, at + static_cast<std::ptrdiff_t>(count)}, x.range};
  };
  const auto join_parts = [&](const Value& a, const Value& b) {
    Value out = combine(n.op, t, a, b);
    for (Scalar& lane : out.lanes) {
      if (lane.text.size() > kLongText) lane = name_it(lane);
    }
    return out;
  };
  while (x.lanes.size() > 1 && x.lanes.size() % 2 == 0) {
    const std::size_t half = x.lanes.size() / 2;
    x = join_parts(part(0, half), part(half, half));
  }
  Value joined = part(0, 1);
  for (std::size_t lane = 1; lane < x.lanes.size(); ++lane) {
    joined = join_parts(joined, part(lane, 1));
  }
  return joined;
}

// --- laziness

Value KernelEmitter::emit_branches(const Scalar& condition, DType dtype,
                                   const std::function<Value()>& value,
                                   const std::function<Value()>& other) {
  const auto run = [&](const std::function<Value()>& f, std::vector<std::string>* lines) {
    lines_.swap(*lines);
    ++indent_;
    Value out = in_scope(f);
    --indent_;
    lines_.swap(*lines);
    return out;
  };
  std::vector<std::string> if_lines, else_lines;
  const Value a = run(value, &if_lines), b = run(other, &else_lines);
  Value out;
  out.range = join(a.range, b.range);
  const Scalar test = a.lanes.size() > 1 ? name_it(condition) : condition;
  if (if_lines.empty() && else_lines.empty()) {
    for (std::size_t i = 0; i < a.lanes.size(); ++i) {
      out.lanes.push_back(ternary(test, a.lanes[i], b.lanes[i]));
    }
    return out;
  }
  for (std::size_t i = 0; i < a.lanes.size(); ++i) {
    const CType type = dtype.element() == kInt64 ? wider(a.lanes[i].type, b.lanes[i].type)
                                                 : value_type(dtype.element());
    out.lanes.push_back({names_.unique("v"), type});
    line(std::string(to_string(type)) + " " + out.lanes.back().text + ";");
  }
  const auto branch = [&](const std::vector<std::string>& lines, const Value& v) {
    lines_.insert(lines_.end(), lines.begin(), lines.end());
    ++indent_;
    for (std::size_t i = 0; i < v.lanes.size(); ++i) {
      line(out.lanes[i].text + " = " + v.lanes[i].text + ";");
    }
    --indent_;
  };
  line("if (" + test.text + ") {");
  branch(if_lines, a);
  line("} else {");
  branch(else_lines, b);
  line("}");
  return out;
}

std::optional<Scalar> KernelEmitter::mask_of(std::size_t lane, std::size_t lanes) const {
  if (mask_.empty()) return std::nullopt;
  if (mask_.size() == lanes) return mask_[lane];
  std::string any;
  for (const Scalar& s : mask_) any += (any.empty() ? "" : " || ") + at(s, kAnd);
  return Scalar{any, CType::kBool, mask_.size() > 1 ? kOr : mask_[0].binding};
}

Value KernelEmitter::under_mask(const std::vector<Scalar>& mask, const std::function<Value()>& f) {
  std::vector<Scalar> joined = mask;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (const auto outer = mask_of(i, mask.size())) {
      joined[i] = name_it({at(*outer, kAnd) + " && " + at(mask[i], kEquality), CType::kBool, kAnd});
    }
  }
  mask_.swap(joined);
  Value value = in_scope(f);
  mask_.swap(joined);
  return value;
}

std::vector<const ExprNode*> KernelEmitter::effects_always_evaluated(const Expr& e) {
  std::vector<const ExprNode*> found, stack = {e.get()};
  std::unordered_set<const ExprNode*> seen;
  while (!stack.empty()) {
    const ExprNode* node = stack.back();
    stack.pop_back();
    if (find(node) != nullptr || !has_effects_(node) || !seen.insert(node).second) continue;
    found.push_back(node);
    push_operands(*node, &stack);
  }
  return found;
}

/// What both branches evaluate in any case comes first, so that chains of selects that share
/// operands stay as long as they are.
void KernelEmitter::emit_common_effects(const SelectNode& n) {
  const auto in_true = effects_always_evaluated(n.true_value);
  const std::unordered_set<const ExprNode*> set(in_true.begin(), in_true.end());
  for (const ExprNode* node : effects_always_evaluated(n.false_value)) {
    if (set.count(node) != 0) emit(Expr(node));
  }
}

Value KernelEmitter::emit_select(const SelectNode& n) {
  const Value *t = find(n.true_value.get()), *f = find(n.false_value.get());
  if (t == nullptr || f == nullptr) return emit_lazy_select(n);
  const Value condition = *find(n.condition.get());
  Value out;
  out.range = join(t->range, f->range);
  for (std::size_t i = 0; i < t->lanes.size(); ++i) {
    const Scalar& c = condition.lanes[condition.lanes.size() == 1 ? 0 : i];
    out.lanes.push_back(ternary(c, t->lanes[i], f->lanes[i]));
  }
  return out;
}

Value KernelEmitter::emit_lazy_select(const SelectNode& n) {
  emit_common_effects(n);
  const auto true_value = [&] { return emit(n.true_value); };
  const auto false_value = [&] { return emit(n.false_value); };
  std::vector<Scalar> condition = find(n.condition.get())->lanes;
  if (condition.size() == 1) return emit_branches(condition[0], n.dtype, true_value, false_value);
  std::vector<Scalar> others;
  for (Scalar& c : condition) {
    c = name_it(c, "c");
    others.push_back({"!" + at(c, kPrimary), CType::kBool, kUnary});
  }
  const Value t = under_mask(condition, true_value), f = under_mask(others, false_value);
  Value out;
  out.range = join(t.range, f.range);
  for (std::size_t i = 0; i < t.lanes.size(); ++i) {
    out.lanes.push_back(ternary(condition[i], t.lanes[i], f.lanes[i]));
  }
  return out;
}

Value KernelEmitter::emit_lazy_logic(const BinaryNode& n) {
  const bool is_and = n.op == BinaryOp::kAnd;
  std::vector<Scalar> a = find(n.a.get())->lanes;
  const auto rest = [&] { return emit(n.b); };
  const auto known = [&] {
    return Value{{literal(CType::kBool, is_and ? 0 : 1)}, range_of(kBoolType)};
  };
  if (n.dtype.is_scalar()) {
    if (is_and) return emit_branches(a[0], n.dtype, rest, known);
    return emit_branches(a[0], n.dtype, known, rest);
  }
  std::vector<Scalar> open;
  for (Scalar& lane : a) {
    lane = name_it(lane, "c");
    open.push_back(is_and ? lane : Scalar{"!" + at(lane, kPrimary), CType::kBool, kUnary});
  }
  const Value b = under_mask(open, rest);
  return combine(n.op, kBoolType, {a, range_of(kBoolType)}, b);
}

}  // namespace tenon::codegen::cuda
