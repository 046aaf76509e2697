#include <bit>
#include <cmath>

#include "ir/interpreter/compiler.h"
#include "ir/interpreter/value_nodes.h"
#include "ir/transform/expand_math.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/scalar_ops.h"
#include "tenon/ir/visit.h"
#include "tenon/runtime/float_convert.h"

namespace tenon::interpreter {

template <typename Out, typename In, typename F>
AnyValue ExprCompiler::map(int lanes, Value<In>* a, F f) {
  return any(static_cast<Value<Out>*>(add<Map<Out, In, F>>(lanes, a, f)));
}

template <typename Out, typename In, typename F>
AnyValue ExprCompiler::map(int lanes, Value<In>* a, Value<In>* b, F f) {
  return any(static_cast<Value<Out>*>(add<MapTwo<Out, In, F>>(lanes, a, b, f)));
}

void ExprCompiler::survey(const Expr& e) {
  if (!e || ++uses_[e.get()] > 1) return;
  with_stack([&] {
    visit_expr(*e.get(), [&](const auto& n) {
      for_each_field(n, [&](const auto& field, const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if (field.role == FieldRole::kDef) return;
        if constexpr (std::is_same_v<T, Expr>)
          survey(value);
        else if constexpr (std::is_same_v<T, std::vector<Expr>>) {
          for (const Expr& child : value) survey(child);
        }
      });
    });
  });
}

namespace {

bool is_leaf(const Expr& e) {
  return e->kind == NodeKind::kVar || e->kind == NodeKind::kIntImm ||
         e->kind == NodeKind::kFloatImm;
}

constexpr int kLevelsPerStackCheck = 256;

}  // namespace

AnyValue ExprCompiler::compile(const Expr& e) {
  if (const auto found = done_.find(e.get()); found != done_.end()) return found->second.second;
  AnyValue v = with_stack([&] { return build(e); });
  const int lanes = e->dtype.lanes;
  const auto wrap = [&]<typename V>(Value<V>* value) -> AnyValue {
    if (e->depth % kLevelsPerStackCheck == 0) value = add<Deep<V>>(lanes, value);
    if (uses_[e.get()] > 1 && !is_leaf(e)) {
      auto* shared = add<Shared<V>>(lanes, value);
      shared->size(lanes);
      value = shared;
    }
    return any(value);
  };
  v = v.integer != nullptr ? wrap(v.integer) : wrap(v.real);
  done_.emplace(e.get(), std::pair{e, v});
  return v;
}

AnyValue ExprCompiler::build(const Expr& e) {
  const int lanes = e->dtype.lanes;
  return visit_expr(
      *e.get(),
      Overloaded{
          [&](const IntImmNode& n) { return constant(n); },
          [&](const FloatImmNode& n) { return constant(n); },
          [&](const VarNode& n) {
            const int slot = scope_.slot(&n);
            if (n.dtype.is_float())
              return any(static_cast<Real*>(add<Variable<double>>(lanes, slot)));
            return any(static_cast<Integer*>(add<Variable<std::int64_t>>(lanes, slot)));
          },
          [&](const CastNode& n) { return cast(n); },
          [&](const ReinterpretNode& n) { return reinterpret(n); },
          [&](const UnaryNode& n) { return unary(n); },
          [&](const BinaryNode& n) { return binary(n); },
          [&](const FmaNode& n) { return fma(n); },
          [&](const SelectNode& n) { return select(n); },
          [&](const LetNode& n) { return let(n); },
          [&](const LoadNode& n) { return load(n); },
          [&](const RampNode& n) {
            return any(
                static_cast<Integer*>(add<Steps>(lanes, integer(n.base), integer(n.stride))));
          },
          [&](const BroadcastNode& n) {
            const AnyValue v = compile(n.value);
            if (v.real != nullptr)
              return any(static_cast<Real*>(add<Repeated<double>>(lanes, v.real)));
            return any(static_cast<Integer*>(add<Repeated<std::int64_t>>(lanes, v.integer)));
          },
          [&](const ShuffleNode& n) { return shuffle(n); },
          [&](const VectorReduceNode& n) { return reduce(n); },
          [&](const ReduceNode&) -> AnyValue {
            TENON_CHECK(false, "a reduce inside a function");
            return {};
          },
          [&](const CallNode& n) { return call(n); },
      });
}

AnyValue ExprCompiler::constant(const ExprNode& e) {
  if (e.kind == NodeKind::kFloatImm) {
    return any(
        static_cast<Real*>(add<Constant<double>>(1, static_cast<const FloatImmNode&>(e).value)));
  }
  return any(static_cast<Integer*>(
      add<Constant<std::int64_t>>(1, static_cast<const IntImmNode&>(e).value)));
}

AnyValue ExprCompiler::unary(const UnaryNode& n) {
  const AnyValue a = compile(n.a);
  const int lanes = n.dtype.lanes;
  const DType t = n.dtype.element();
  const UnaryOp op = n.op;
  if (a.real != nullptr) {
    return map<double>(lanes, a.real, [op, t](double x) { return eval_float(op, t, x); });
  }
  return map<std::int64_t>(lanes, a.integer, [op, t](std::int64_t x) {
    const auto u = static_cast<std::uint64_t>(x);
    if (op == UnaryOp::kNot) return static_cast<std::int64_t>(x == 0);
    if (op == UnaryOp::kBitNot) return wrap_int(t, static_cast<std::int64_t>(~u));
    if (op == UnaryOp::kAbs && (x >= 0 || !t.is_signed_int())) return x;
    return wrap_int(t, static_cast<std::int64_t>(0 - u));
  });
}

AnyValue ExprCompiler::binary(const BinaryNode& n) {
  const AnyValue a = compile(n.a), b = compile(n.b);
  if (n.op == BinaryOp::kAnd || n.op == BinaryOp::kOr) {
    return any(static_cast<Integer*>(
        add<Lazy>(n.dtype.lanes, a.integer, b.integer, n.op == BinaryOp::kAnd)));
  }
  if (is_comparison(n.op)) return comparison(n, a, b);
  return a.real != nullptr ? real_binary(n, a.real, b.real)
                           : integer_binary(n, a.integer, b.integer);
}

AnyValue ExprCompiler::comparison(const BinaryNode& n, const AnyValue& a, const AnyValue& b) {
  using I = std::int64_t;
  const int lanes = n.dtype.lanes;
  const BinaryOp op = n.op;
  const DType t = n.a->dtype.element();
  if (a.real != nullptr) {
    return map<I>(lanes, a.real, b.real,
                  [op](double x, double y) { return static_cast<I>(eval_compare(op, x, y)); });
  }
  if (t == kInt64 && op == BinaryOp::kLt)
    return map<I>(lanes, a.integer, b.integer, [](I x, I y) { return static_cast<I>(x < y); });
  return map<I>(lanes, a.integer, b.integer, [op, t](I x, I y) { return eval_int(op, t, x, y); });
}

AnyValue ExprCompiler::integer_binary(const BinaryNode& n, Integer* a, Integer* b) {
  using I = std::int64_t;
  using U = std::uint64_t;
  const int lanes = n.dtype.lanes;
  const BinaryOp op = n.op;
  const DType t = n.dtype.element();
  if (t == kInt64) {  // indices: the common case
    if (op == BinaryOp::kAdd)
      return map<I>(lanes, a, b,
                    [](I x, I y) { return static_cast<I>(static_cast<U>(x) + static_cast<U>(y)); });
    if (op == BinaryOp::kSub)
      return map<I>(lanes, a, b,
                    [](I x, I y) { return static_cast<I>(static_cast<U>(x) - static_cast<U>(y)); });
    if (op == BinaryOp::kMul)
      return map<I>(lanes, a, b,
                    [](I x, I y) { return static_cast<I>(static_cast<U>(x) * static_cast<U>(y)); });
  }
  return map<I>(lanes, a, b, [op, t](I x, I y) { return eval_int(op, t, x, y); });
}

AnyValue ExprCompiler::real_binary(const BinaryNode& n, Real* a, Real* b) {
  const int lanes = n.dtype.lanes;
  const BinaryOp op = n.op;
  const DType t = n.dtype.element();
  if (t == kFloat32) {
    const auto f32 = [](double x) { return static_cast<float>(x); };
    if (op == BinaryOp::kAdd)
      return map<double>(
          lanes, a, b, [f32](double x, double y) { return static_cast<double>(f32(x) + f32(y)); });
    if (op == BinaryOp::kSub)
      return map<double>(
          lanes, a, b, [f32](double x, double y) { return static_cast<double>(f32(x) - f32(y)); });
    if (op == BinaryOp::kMul)
      return map<double>(
          lanes, a, b, [f32](double x, double y) { return static_cast<double>(f32(x) * f32(y)); });
  }
  return map<double>(lanes, a, b, [op, t](double x, double y) { return eval_float(op, t, x, y); });
}

AnyValue ExprCompiler::fma(const FmaNode& n) {
  const AnyValue a = compile(n.a), b = compile(n.b), c = compile(n.c);
  const int lanes = n.dtype.lanes;
  const auto make_node = [&](auto f) {
    return any(static_cast<Real*>(add<MapThree<decltype(f)>>(lanes, a.real, b.real, c.real, f)));
  };
  if (n.dtype.bits == 64)
    return make_node([](double x, double y, double z) { return std::fma(x, y, z); });
  const DType t = n.dtype.element();
  return make_node([t](double x, double y, double z) {
    const float out =
        std::fmaf(static_cast<float>(x), static_cast<float>(y), static_cast<float>(z));
    return t == kFloat32 ? static_cast<double>(out) : round_to(t, static_cast<double>(out));
  });
}

AnyValue ExprCompiler::cast(const CastNode& n) {
  const AnyValue a = compile(n.value);
  const int lanes = n.dtype.lanes;
  const DType to = n.dtype.element(), from = n.value->dtype.element();
  using I = std::int64_t;
  if (a.real != nullptr) {
    if (to.is_float())
      return map<double>(lanes, a.real, [to](double x) { return round_to(to, x); });
    return map<I>(lanes, a.real, [to](double x) { return float_to_int(to, x); });
  }
  if (to.is_float())
    return map<double>(lanes, a.integer, [from, to](I x) { return int_to_float(from, x, to); });
  if (to.is_bool()) return map<I>(lanes, a.integer, [](I x) { return static_cast<I>(x != 0); });
  return map<I>(lanes, a.integer, [to](I x) { return wrap_int(to, x); });
}

namespace {

std::int64_t bits_of(DType t, double v) {
  if (t.bits == 64) return std::bit_cast<std::int64_t>(v);
  const auto narrow = static_cast<float>(v);
  if (t.bits == 32) return std::bit_cast<std::int32_t>(narrow);
  return t.code == DTypeCode::kBFloat ? float_to_bfloat16(narrow) : float_to_float16(narrow);
}

double of_bits(DType t, std::int64_t bits) {
  if (t.bits == 64) return std::bit_cast<double>(bits);
  if (t.bits == 32)
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  const auto half = static_cast<std::uint16_t>(bits);
  return static_cast<double>(t.code == DTypeCode::kBFloat ? bfloat16_to_float(half)
                                                          : float16_to_float(half));
}

}  // namespace

AnyValue ExprCompiler::reinterpret(const ReinterpretNode& n) {
  const AnyValue a = compile(n.value);
  const int lanes = n.dtype.lanes;
  const DType to = n.dtype.element(), from = n.value->dtype.element();
  using I = std::int64_t;
  if (a.real != nullptr && to.is_float())
    return map<double>(lanes, a.real,
                       [from, to](double x) { return of_bits(to, bits_of(from, x)); });
  if (a.real != nullptr)
    return map<I>(lanes, a.real, [from, to](double x) { return wrap_int(to, bits_of(from, x)); });
  if (to.is_float()) return map<double>(lanes, a.integer, [to](I x) { return of_bits(to, x); });
  return map<I>(lanes, a.integer, [to](I x) { return wrap_int(to, x); });
}

AnyValue ExprCompiler::select(const SelectNode& n) {
  Integer* c = integer(n.condition);
  const AnyValue t = compile(n.true_value), f = compile(n.false_value);
  if (t.real != nullptr)
    return any(static_cast<Real*>(add<Select<double>>(n.dtype.lanes, c, t.real, f.real)));
  return any(
      static_cast<Integer*>(add<Select<std::int64_t>>(n.dtype.lanes, c, t.integer, f.integer)));
}

AnyValue ExprCompiler::let(const LetNode& n) {
  const AnyValue value = compile(n.value);
  const int slot = scope_.define(n.var);
  const AnyValue body = compile(n.body);
  const auto finish = [&]<typename V>(Value<V>* b) {
    auto* node = add<LetValue<V>>(n.dtype.lanes, b);
    node->integer = value.integer;
    node->real = value.real;
    node->slot = slot;
    return any(static_cast<Value<V>*>(node));
  };
  return body.real != nullptr ? finish(body.real) : finish(body.integer);
}

Access ExprCompiler::access(const Buffer& buffer, const Span& span) {
  Access out;
  out.memory = scope_.memory(buffer.get());
  out.place = scope_.place();
  out.span = span;
  scope_.note_access(out.memory);
  return out;
}

AnyValue ExprCompiler::load(const LoadNode& n) {
  const auto finish = [&]<typename V>(Loaded<V>* node) {
    node->address.access = access(n.buffer, n.span);
    node->address.flat = scope_.program.level != Level::kBlock;
    for (const Expr& i : n.indices) node->address.indices.push_back(integer(i));
    if (n.predicate) node->predicate = integer(n.predicate);
    return any(static_cast<Value<V>*>(node));
  };
  TENON_CHECK(n.indices.size() <= kMaxRank, "a load of rank ", n.indices.size());
  if (n.dtype.is_float()) return finish(add<Loaded<double>>(n.dtype.lanes));
  return finish(add<Loaded<std::int64_t>>(n.dtype.lanes));
}

AnyValue ExprCompiler::shuffle(const ShuffleNode& n) {
  const auto finish = [&]<typename V>(Shuffled<V>* node) {
    for (const Expr& e : n.vectors) {
      node->vectors.push_back(as<V>(compile(e)));
      node->total += e->dtype.lanes;
    }
    node->picks = n.lane_indices;
    for (const std::int64_t l : n.lane_indices)
      TENON_CHECK(l >= 0 && l < node->total, "a shuffle of lane ", l, " of ", node->total);
    return any(static_cast<Value<V>*>(node));
  };
  if (n.dtype.is_float()) return finish(add<Shuffled<double>>(n.dtype.lanes));
  return finish(add<Shuffled<std::int64_t>>(n.dtype.lanes));
}

AnyValue ExprCompiler::reduce(const VectorReduceNode& n) {
  const AnyValue v = compile(n.value);
  const DType t = n.dtype;
  const BinaryOp op = n.op;
  if (v.real != nullptr) {
    const auto f = [op, t](double x, double y) { return eval_float(op, t, x, y); };
    return any(static_cast<Real*>(add<Joined<double, decltype(f)>>(1, v.real, f)));
  }
  const auto f = [op, t](std::int64_t x, std::int64_t y) { return eval_int(op, t, x, y); };
  return any(static_cast<Integer*>(add<Joined<std::int64_t, decltype(f)>>(1, v.integer, f)));
}

AnyValue ExprCompiler::call(const CallNode& n) {
  if (n.name == "checked_index") {
    TENON_CHECK(n.args.size() >= 2, "checked_index of ", n.args.size(), " operands");
    auto* node = add<CheckedIndex>(n.dtype.lanes);
    node->index = integer(n.args[0]);
    node->extent = integer(broadcast(n.args[1], n.dtype.lanes));
    node->place = scope_.place();
    node->span = n.span;
    return any(static_cast<Integer*>(node));
  }
  const bool known = is_math_function(n.name);
  TENON_USER_CHECK(scope_.options.expand_call || known, UnsupportedError, "E0750",
                   "the interpreter cannot execute the call '", n.name, "'");
  const Expr expanded =
      scope_.options.expand_call ? scope_.options.expand_call(n) : expand_math(Expr(&n));
  TENON_CHECK(expanded && expanded->dtype == n.dtype, "the expansion of ", n.name);
  survey(expanded);
  return compile(expanded);
}

}  // namespace tenon::interpreter
