#include "codegen/cuda/arith.h"

#include <cmath>

#include "tenon/ir/scalar_ops.h"

namespace tenon::codegen::cuda {
namespace {

bool is_bfloat16(DType t) { return t.code == DTypeCode::kBFloat; }
bool is_narrow_float(DType t) { return t.is_float() && t.bits == 16; }

Scalar infix(CType type, const Scalar& a, const char* op, const Scalar& b, Binding binding) {
  // The right operand of - and / binds tighter than they do; so that the order of float sums stays.
  const auto right = static_cast<Binding>(binding + 1);
  return {at(a, binding) + " " + op + " " + at(b, right), type, binding};
}

/// a op b of integers of `type` that does not wrap. C++ makes an int as long as the other operand.
Scalar plain(CType type, const Scalar& a, const char* op, const Scalar& b, Binding binding) {
  const auto other = [&](const Scalar& s) {
    return s.type == CType::kI64 || s.type == CType::kI32;
  };
  const bool is_long = type == CType::kI64 && (a.type == type || b.type == type);
  if (is_long && other(a) && other(b)) return infix(type, a, op, b, binding);
  if (type == CType::kI64 && a.type == CType::kI32 && b.type == CType::kI32) {
    return infix(type, convert(a, type), op, b, binding);
  }
  return infix(type, convert(a, type), op, convert(b, type), binding);
}

/// a op b of integers of `type`, wrapping: in the unsigned type, in which C++ defines it.
Scalar wrapping(CType type, const Scalar& a, const char* op, const Scalar& b, Binding binding) {
  if (type == CType::kU32 || type == CType::kU64) return infix(type, a, op, b, binding);
  const CType in = type == CType::kI64 ? CType::kU64 : CType::kU32;
  return convert(infix(in, convert(a, in), op, convert(b, in), binding), type);
}

/// The type in which narrow integers are computed.
CType computing_type(CType t) {
  const bool is_narrow = t == CType::kI8 || t == CType::kU8 || t == CType::kI16 || t == CType::kU16;
  return is_narrow ? CType::kI32 : t;
}

/// `name` may be a template: narrow types are named, since C++ makes ints of their literals.
Scalar call_binary(Prelude* prelude, const char* name, CType type, const Scalar& a,
                   const Scalar& b) {
  const bool is_narrow = computing_type(type) != type;
  const std::string of = is_narrow ? "<" + std::string(to_string(type)) + ">" : "";
  return call(type, prelude->use(name) + of, convert(a, type).text + ", " + convert(b, type).text);
}

Scalar shift(Prelude* prelude, bool is_left, CType type, const Scalar& a, const Scalar& b,
             const IntFacts& facts) {
  const int bits = type == CType::kI64 || type == CType::kU64   ? 64
                   : type == CType::kI32 || type == CType::kU32 ? 32
                   : type == CType::kI16 || type == CType::kU16 ? 16
                                                                : 8;
  if (!facts.b || *facts.b < 0 || *facts.b >= bits) {
    return call_binary(prelude, is_left ? "tenon_shl" : "tenon_shr", type, a, b);
  }
  const Scalar amount = literal(CType::kI32, *facts.b);
  if (!is_left) {
    const CType in = computing_type(type);
    return convert({"(" + at(convert(a, type), kUnary) + " >> " + amount.text + ")", in}, type);
  }
  const CType in = bits == 64 ? CType::kU64 : CType::kU32;
  return convert({"(" + at(convert(a, in), kUnary) + " << " + amount.text + ")", in}, type);
}

Scalar bitwise(CType type, const Scalar& a, const char* op, const Scalar& b) {
  const CType in = computing_type(type);
  const Scalar whole = {
      "(" + at(convert(a, type), kUnary) + " " + op + " " + at(convert(b, type), kUnary) + ")", in};
  return convert(whole, type);
}

Scalar divide(Prelude* prelude, bool is_mod, CType type, const Scalar& a, const Scalar& b,
              const IntFacts& facts) {
  const CType in = computing_type(type);
  if (facts.divides_plainly) {
    return convert(plain(in, a, is_mod ? "%" : "/", b, kMultiplicative), type);
  }
  return convert(call_binary(prelude, is_mod ? "tenon_floormod" : "tenon_floordiv", in, a, b),
                 type);
}

Scalar int_binary(Prelude* prelude, BinaryOp op, CType type, const Scalar& a, const Scalar& b,
                  const IntFacts& facts) {
  const auto sum = [&](const char* text, Binding binding) {
    if (facts.cannot_wrap) return plain(type, a, text, b, binding);
    return wrapping(type, a, text, b, binding);
  };
  switch (op) {
    case BinaryOp::kAdd:
      if (facts.cannot_wrap && facts.b && *facts.b < 0 && *facts.b > -(std::int64_t{1} << 31)) {
        const Scalar minus = literal(b.type, -*facts.b);
        return plain(type, a, "-", minus, kAdditive);
      }
      return sum("+", kAdditive);
    case BinaryOp::kSub:
      return sum("-", kAdditive);
    case BinaryOp::kMul:
      return sum("*", kMultiplicative);
    case BinaryOp::kFloorDiv:
    case BinaryOp::kFloorMod:
      return divide(prelude, op == BinaryOp::kFloorMod, type, a, b, facts);
    case BinaryOp::kMin:
    case BinaryOp::kMax:
      return call_binary(prelude, op == BinaryOp::kMin ? "tenon_min" : "tenon_max", type, a, b);
    case BinaryOp::kBitAnd:
      return bitwise(type, a, "&", b);
    case BinaryOp::kBitOr:
      return bitwise(type, a, "|", b);
    case BinaryOp::kBitXor:
      return bitwise(type, a, "^", b);
    case BinaryOp::kShl:
    case BinaryOp::kShr:
      return shift(prelude, op == BinaryOp::kShl, type, a, b, facts);
    case BinaryOp::kDiv:
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
    case BinaryOp::kGt:
    case BinaryOp::kGe:
    case BinaryOp::kAnd:
    case BinaryOp::kOr:
      break;
  }
  TENON_CHECK(false, to_string(op), " of integers");
  return a;
}

Scalar bool_binary(BinaryOp op, const Scalar& a, const Scalar& b) {
  const CType type = CType::kBool;
  switch (op) {
    case BinaryOp::kAnd:
    case BinaryOp::kMin:
    case BinaryOp::kMul:
    case BinaryOp::kBitAnd:
      return infix(type, a, "&&", b, kAnd);
    case BinaryOp::kOr:
    case BinaryOp::kMax:
    case BinaryOp::kBitOr:
      return infix(type, a, "||", b, kOr);
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
    case BinaryOp::kBitXor:
      return infix(type, a, "!=", b, kEquality);
    case BinaryOp::kDiv:
    case BinaryOp::kFloorDiv:
    case BinaryOp::kFloorMod:
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
  TENON_CHECK(false, to_string(op), " of bools");
  return a;
}

Scalar float_binary(Prelude* prelude, BinaryOp op, DType dtype, const Scalar& a, const Scalar& b) {
  const CType type = value_type(dtype);
  switch (op) {
    case BinaryOp::kAdd:
      return round_to_storage(prelude, dtype, infix(type, a, "+", b, kAdditive));
    case BinaryOp::kSub:
      return round_to_storage(prelude, dtype, infix(type, a, "-", b, kAdditive));
    case BinaryOp::kMul:
      return round_to_storage(prelude, dtype, infix(type, a, "*", b, kMultiplicative));
    case BinaryOp::kDiv:
      return round_to_storage(prelude, dtype, infix(type, a, "/", b, kMultiplicative));
    case BinaryOp::kMin:
      return call_binary(prelude, dtype.bits == 64 ? "tenon_min_f64" : "tenon_min_f32", type, a, b);
    case BinaryOp::kMax:
      return call_binary(prelude, dtype.bits == 64 ? "tenon_max_f64" : "tenon_max_f32", type, a, b);
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
    case BinaryOp::kAnd:
    case BinaryOp::kOr:
      break;
  }
  TENON_CHECK(false, to_string(op), " of floats");
  return a;
}

/// The value as one of a wider type.
Scalar without_bits(Scalar s) {
  s.bits.clear();
  s.unrounded.clear();
  return s;
}

Scalar float_to_int(Prelude* prelude, DType from, DType to, const Scalar& a) {
  const CType source = value_type(from);
  if (to.is_bool()) {
    const std::string zero = float_literal(source, 0).text, x = at(a, kRelation);
    return {x + " < " + zero + " || " + x + " > " + zero, CType::kBool, kOr};
  }
  const CType type = value_type(to);
  const int value_bits = to.is_signed_int() ? to.bits - 1 : to.bits;
  const double above = std::ldexp(1.0, value_bits);
  const double lowest = to.is_signed_int() ? -above : 0.0;
  const std::string arguments = a.text + ", " + float_literal(source, lowest).text + ", " +
                                float_literal(source, above).text + ", (" + to_string(type) + ")" +
                                at(literal(type, min_int(to)), kUnary) + ", (" + to_string(type) +
                                ")" + at(literal(type, max_int(to)), kUnary);
  return call(type, prelude->use("tenon_to_int"), arguments);
}

/// The bits of a value as an unsigned integer of its width.
Scalar bits_of(Prelude* prelude, DType dtype, const Scalar& a) {
  if (!dtype.is_float()) {
    const CType own = value_type(dtype);
    if (dtype.is_bool()) return convert(a, CType::kU8);
    const CType type = dtype.bits == 8    ? CType::kU8
                       : dtype.bits == 16 ? CType::kU16
                       : dtype.bits == 32 ? CType::kU32
                                          : CType::kU64;
    return convert(convert(a, own), type);
  }
  if (dtype.bits == 64) {
    return convert(call(CType::kI64, "__double_as_longlong", a.text), CType::kU64);
  }
  if (dtype.bits == 32) return call(CType::kU32, "__float_as_uint", a.text);
  return to_memory(prelude, dtype, a);
}

}  // namespace

Scalar binary_text(Prelude* prelude, BinaryOp op, DType dtype, CType type, const Scalar& a,
                   const Scalar& b, const IntFacts& facts) {
  if (dtype.is_float()) return float_binary(prelude, op, dtype, a, b);
  if (dtype.is_bool()) return bool_binary(op, a, b);
  return int_binary(prelude, op, type, a, b, facts);
}

Scalar compare_text(BinaryOp op, const Scalar& a, const Scalar& b) {
  const bool is_equality = op == BinaryOp::kEq || op == BinaryOp::kNe;
  const char* text = to_string(op);
  // Comparisons of comparisons read badly and draw warnings.
  return infix(CType::kBool, a.binding <= kRelation ? Scalar{at(a, kAdditive), a.type} : a, text,
               b.binding <= kRelation ? Scalar{at(b, kAdditive), b.type} : b,
               is_equality ? kEquality : kRelation);
}

Scalar unary_text(Prelude* prelude, UnaryOp op, DType dtype, CType type, const Scalar& a,
                  bool cannot_wrap) {
  const auto function = [&](const char* name) {
    const std::string suffix = type == CType::kF32 ? "f" : "";
    return call(type, name + suffix, a.text);
  };
  const CType in = computing_type(type);
  switch (op) {
    case UnaryOp::kNeg:
      if (dtype.is_bool()) return a;
      if (dtype.is_float() || cannot_wrap) return {"-" + at(a, kPrimary), type, kUnary};
      return convert(call(in, prelude->use("tenon_neg"), convert(a, in).text), type);
    case UnaryOp::kNot:
      return {"!" + at(a, kPrimary), type, kUnary};
    case UnaryOp::kBitNot:
      if (dtype.is_bool()) return {"!" + at(a, kPrimary), type, kUnary};
      return convert({"~" + at(convert(a, in), kPrimary), in, kUnary}, type);
    case UnaryOp::kAbs:
      if (dtype.is_float()) return function("fabs");
      if (!dtype.is_signed_int()) return a;
      return convert(call(in, prelude->use("tenon_abs"), convert(a, in).text), type);
    case UnaryOp::kSqrt:
      return round_to_storage(prelude, dtype, function("sqrt"));
    case UnaryOp::kFloor:
      return function("floor");
    case UnaryOp::kCeil:
      return function("ceil");
    case UnaryOp::kTrunc:
      return function("trunc");
    case UnaryOp::kRound:
      return function("rint");
  }
  TENON_CHECK(false, "an unknown unary operation");
  return a;
}

Scalar fma_text(DType dtype, const Scalar& a, const Scalar& b, const Scalar& c) {
  TENON_CHECK(!is_narrow_float(dtype), "fma of ", tenon::to_string(dtype));
  return call(value_type(dtype), dtype.bits == 64 ? "fma" : "fmaf",
              a.text + ", " + b.text + ", " + c.text);
}

Scalar cast_text(Prelude* prelude, DType from, DType to, const Scalar& a) {
  if (from == to) return a;
  const CType type = value_type(to);
  if (from.is_float() && to.is_float()) {
    if (!is_narrow_float(to)) return without_bits(convert(a, type));
    if (from.bits != 64) return round_to_storage(prelude, to, a);
    return round_to_storage(prelude, to,
                            call(CType::kF32, prelude->use("tenon_narrow_to_odd"), a.text));
  }
  if (from.is_float()) return float_to_int(prelude, from, to, a);
  if (to.is_float()) return round_to_storage(prelude, to, convert(a, type));
  if (to.is_bool()) return compare_text(BinaryOp::kNe, a, literal(a.type, 0));
  return convert(a, type);
}

Scalar reinterpret_text(Prelude* prelude, DType from, DType to, const Scalar& a) {
  const Scalar bits = bits_of(prelude, from, a);
  if (to.is_bool()) return {bits.text + " != 0", CType::kBool, kEquality};
  if (!to.is_float()) return convert(bits, value_type(to));
  if (to.bits == 64) {
    return call(CType::kF64, "__longlong_as_double", convert(bits, CType::kI64).text);
  }
  if (to.bits == 32) return call(CType::kF32, "__uint_as_float", bits.text);
  return from_memory(prelude, to, bits);
}

Scalar from_memory(Prelude* prelude, DType dtype, const Scalar& a) {
  if (dtype.is_bool()) return {at(a, kRelation) + " != 0", CType::kBool, kEquality};
  if (!is_narrow_float(dtype)) return {a.text, value_type(dtype), a.binding};
  const char* name = is_bfloat16(dtype) ? "tenon_bf16_value" : "tenon_f16_value";
  Scalar out = call(CType::kF32, prelude->use(name), a.text);
  out.bits = a.text;
  return out;
}

Scalar to_memory(Prelude* prelude, DType dtype, const Scalar& a) {
  if (dtype.is_bool()) return convert(a, CType::kU8);
  if (!is_narrow_float(dtype)) return a;
  if (!a.bits.empty()) return {a.bits, CType::kU16, kTernary};
  const char* name = is_bfloat16(dtype) ? "tenon_bf16_bits" : "tenon_f16_bits";
  return call(CType::kU16, prelude->use(name), a.unrounded.empty() ? a.text : a.unrounded);
}

Scalar round_to_storage(Prelude* prelude, DType dtype, const Scalar& a) {
  if (!is_narrow_float(dtype)) return a;
  const char* name = is_bfloat16(dtype) ? "tenon_round_bf16" : "tenon_round_f16";
  Scalar out = call(CType::kF32, prelude->use(name), a.text);
  out.unrounded = a.text;
  return out;
}

}  // namespace tenon::codegen::cuda
