#include "codegen/llvm/arith.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <numeric>

namespace tenon::codegen {

using llvm::Value;
using llvm::Intrinsic::ID;

Value* splat(Builder& b, Value* value, int lanes) {
  return lanes == 1 ? value : b.CreateVectorSplat(static_cast<unsigned>(lanes), value);
}

Value* any_of(Builder& b, Value* mask) {
  return mask->getType()->isVectorTy() ? b.CreateOrReduce(mask) : mask;
}

namespace {

llvm::Type* with_lanes(llvm::Type* element, DType dtype) {
  return dtype.is_scalar() ? element : llvm::FixedVectorType::get(element, dtype.lanes);
}

Value* constant_int(Value* like, std::int64_t v) {
  return llvm::ConstantInt::get(like->getType(), static_cast<std::uint64_t>(v), true);
}

Value* zero_of(Value* like) { return llvm::Constant::getNullValue(like->getType()); }

bool is_narrow_float(DType t) { return t.is_float() && t.bits == 16; }

/// The constant in every lane of `v`, or null.
const llvm::ConstantFP* float_constant(Value* v) {
  auto* constant = llvm::dyn_cast<llvm::Constant>(v);
  if (constant == nullptr) return nullptr;
  if (v->getType()->isVectorTy()) constant = constant->getSplatValue();
  return llvm::dyn_cast_or_null<llvm::ConstantFP>(constant);
}

const llvm::ConstantInt* int_constant(Value* v) {
  auto* constant = llvm::dyn_cast<llvm::Constant>(v);
  if (constant == nullptr) return nullptr;
  if (v->getType()->isVectorTy()) constant = constant->getSplatValue();
  return llvm::dyn_cast_or_null<llvm::ConstantInt>(constant);
}

/// min or max with a constant: the x86 instruction `c OP x ? c : x` gives x for a NaN or two zeros,
/// so one compare does unless the result must be the constant's zero.
Value* emit_float_min_max_constant(Builder& b, bool is_min, Value* c, Value* x,
                                   const llvm::APFloat& value) {
  Value* takes_constant = is_min ? b.CreateFCmpOLT(c, x) : b.CreateFCmpOGT(c, x);
  Value* joined = b.CreateSelect(takes_constant, c, x);
  const bool constant_zero_wins = value.isZero() && value.isNegative() == is_min;
  if (!constant_zero_wins) return joined;
  if (!is_min) return b.CreateFAdd(joined, zero_of(joined));  // -0 + 0 = +0, all else stays
  return b.CreateBinaryIntrinsic(llvm::Intrinsic::minimum, x, c);
}

Value* emit_float_min_max(Builder& b, bool is_min, Value* x, Value* y) {
  for (const bool swapped : {false, true}) {
    Value* c = swapped ? x : y;
    const llvm::ConstantFP* constant = float_constant(c);
    if (constant == nullptr || constant->isNaN()) continue;
    return emit_float_min_max_constant(b, is_min, c, swapped ? y : x, constant->getValueAPF());
  }
  const ID id = is_min ? llvm::Intrinsic::minimum : llvm::Intrinsic::maximum;
  return b.CreateBinaryIntrinsic(id, x, y);
}

/// Quotient and remainder that never trap: the divisor is made 1 where it is 0 or -1.
struct SafeDivision {
  Value* divisor;
  Value* is_zero;
  Value* is_minus_one;
};

SafeDivision safe_divisor(Builder& b, bool is_signed, Value* y) {
  Value* is_zero = b.CreateICmpEQ(y, zero_of(y));
  Value* is_minus_one = is_signed ? b.CreateICmpEQ(y, constant_int(y, -1)) : nullptr;
  Value* unsafe = is_signed ? b.CreateOr(is_zero, is_minus_one) : is_zero;
  return {b.CreateSelect(unsafe, constant_int(y, 1), y), is_zero, is_minus_one};
}

/// Floor division or modulo of signed integers by a safe divisor.
Value* emit_floor_signed(Builder& b, bool is_mod, Value* x, Value* y) {
  Value* remainder = b.CreateSRem(x, y);
  Value* has_rest = b.CreateICmpNE(remainder, zero_of(remainder));
  Value* signs_differ = b.CreateICmpSLT(b.CreateXor(x, y), zero_of(x));
  Value* adjusts = b.CreateAnd(has_rest, signs_differ);
  if (is_mod) return b.CreateSelect(adjusts, b.CreateAdd(remainder, y), remainder);
  return b.CreateAdd(b.CreateSDiv(x, y), b.CreateSExt(adjusts, x->getType()));
}

/// Floor division or modulo by a positive constant, or null.
Value* emit_divide_by_constant(Builder& b, bool is_mod, bool is_signed, Value* x, Value* y) {
  const llvm::ConstantInt* c = int_constant(y);
  if (c == nullptr || c->isZero() || (is_signed && c->isNegative())) return nullptr;
  const llvm::APInt& value = c->getValue();
  if (value.isPowerOf2()) {
    if (is_mod) return b.CreateAnd(x, llvm::ConstantInt::get(x->getType(), value - 1));
    Value* amount = constant_int(x, value.logBase2());
    return is_signed ? b.CreateAShr(x, amount) : b.CreateLShr(x, amount);
  }
  if (!is_signed) return is_mod ? b.CreateURem(x, y) : b.CreateUDiv(x, y);
  return emit_floor_signed(b, is_mod, x, y);
}

Value* emit_divide(Builder& b, bool is_mod, bool is_signed, Value* x, Value* y) {
  if (Value* quick = emit_divide_by_constant(b, is_mod, is_signed, x, y)) return quick;
  const SafeDivision safe = safe_divisor(b, is_signed, y);
  Value* result;
  if (is_signed) {
    result = emit_floor_signed(b, is_mod, x, safe.divisor);
    Value* by_minus_one = is_mod ? zero_of(x) : b.CreateNeg(x);
    result = b.CreateSelect(safe.is_minus_one, by_minus_one, result);
  } else {
    result = is_mod ? b.CreateURem(x, safe.divisor) : b.CreateUDiv(x, safe.divisor);
  }
  return b.CreateSelect(safe.is_zero, zero_of(x), result);
}

Value* emit_shift(Builder& b, BinaryOp op, DType dtype, Value* x, Value* y) {
  Value* too_far = b.CreateICmpUGE(y, constant_int(y, dtype.bits));
  if (op == BinaryOp::kShr && dtype.is_signed_int()) {
    return b.CreateAShr(x, b.CreateSelect(too_far, constant_int(y, dtype.bits - 1), y));
  }
  Value* amount = b.CreateSelect(too_far, zero_of(y), y);
  Value* shifted = op == BinaryOp::kShl ? b.CreateShl(x, amount) : b.CreateLShr(x, amount);
  return b.CreateSelect(too_far, zero_of(x), shifted);
}

Value* emit_compare(Builder& b, BinaryOp op, DType dtype, Value* x, Value* y) {
  using P = llvm::CmpInst;
  const auto pick = [&](P::Predicate of_float, P::Predicate of_signed, P::Predicate of_unsigned) {
    if (dtype.is_float()) return b.CreateFCmp(of_float, x, y);
    return b.CreateICmp(dtype.is_signed_int() ? of_signed : of_unsigned, x, y);
  };
  if (op == BinaryOp::kEq) return pick(P::FCMP_OEQ, P::ICMP_EQ, P::ICMP_EQ);
  if (op == BinaryOp::kNe) return pick(P::FCMP_UNE, P::ICMP_NE, P::ICMP_NE);
  if (op == BinaryOp::kLt) return pick(P::FCMP_OLT, P::ICMP_SLT, P::ICMP_ULT);
  if (op == BinaryOp::kLe) return pick(P::FCMP_OLE, P::ICMP_SLE, P::ICMP_ULE);
  if (op == BinaryOp::kGt) return pick(P::FCMP_OGT, P::ICMP_SGT, P::ICMP_UGT);
  return pick(P::FCMP_OGE, P::ICMP_SGE, P::ICMP_UGE);
}

Value* emit_float_binary(Builder& b, BinaryOp op, DType dtype, Value* x, Value* y) {
  if (op == BinaryOp::kAdd) return round_to_storage(b, dtype, b.CreateFAdd(x, y));
  if (op == BinaryOp::kSub) return round_to_storage(b, dtype, b.CreateFSub(x, y));
  if (op == BinaryOp::kMul) return round_to_storage(b, dtype, b.CreateFMul(x, y));
  if (op == BinaryOp::kDiv) return round_to_storage(b, dtype, b.CreateFDiv(x, y));
  TENON_CHECK(op == BinaryOp::kMin || op == BinaryOp::kMax, to_string(op), " of floats");
  return emit_float_min_max(b, op == BinaryOp::kMin, x, y);
}

Value* emit_int_min_max(Builder& b, BinaryOp op, DType dtype, Value* x, Value* y) {
  const bool is_min = op == BinaryOp::kMin;
  const ID of_signed = is_min ? llvm::Intrinsic::smin : llvm::Intrinsic::smax;
  const ID of_unsigned = is_min ? llvm::Intrinsic::umin : llvm::Intrinsic::umax;
  return b.CreateBinaryIntrinsic(dtype.is_signed_int() ? of_signed : of_unsigned, x, y);
}

}  // namespace

llvm::Type* value_type(llvm::LLVMContext& context, DType dtype) {
  if (dtype.is_bool()) return with_lanes(llvm::Type::getInt1Ty(context), dtype);
  if (dtype.is_int()) return with_lanes(llvm::Type::getIntNTy(context, dtype.bits), dtype);
  if (dtype.bits == 64) return with_lanes(llvm::Type::getDoubleTy(context), dtype);
  return with_lanes(llvm::Type::getFloatTy(context), dtype);
}

llvm::Type* memory_type(llvm::LLVMContext& context, DType dtype) {
  if (dtype.is_bool()) return with_lanes(llvm::Type::getInt8Ty(context), dtype);
  if (dtype.code == DTypeCode::kBFloat) return with_lanes(llvm::Type::getInt16Ty(context), dtype);
  if (is_narrow_float(dtype)) return with_lanes(llvm::Type::getHalfTy(context), dtype);
  return value_type(context, dtype);
}

Value* from_memory(Builder& b, DType dtype, Value* value) {
  llvm::LLVMContext& context = b.getContext();
  if (dtype.is_bool()) return b.CreateICmpNE(value, zero_of(value));
  if (dtype.code == DTypeCode::kBFloat) {
    Value* wide = b.CreateZExt(value, value_type(context, DType::uint(32, dtype.lanes)));
    return b.CreateBitCast(b.CreateShl(wide, constant_int(wide, 16)), value_type(context, dtype));
  }
  if (is_narrow_float(dtype)) return widen_half(b, value);
  return value;
}

Value* widen_half(Builder& b, Value* half) {
  auto* element = b.getFloatTy();
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(half->getType());
  llvm::Type* type = vector == nullptr
                         ? static_cast<llvm::Type*>(element)
                         : llvm::FixedVectorType::get(element, vector->getNumElements());
  return b.CreateArithmeticFence(b.CreateFPExt(half, type), type);
}

Value* to_memory(Builder& b, DType dtype, Value* value) {
  llvm::LLVMContext& context = b.getContext();
  llvm::Type* type = memory_type(context, dtype);
  if (dtype.is_bool()) return b.CreateZExt(value, type);
  if (dtype.code == DTypeCode::kBFloat) {
    Value* bits = b.CreateBitCast(value, value_type(context, DType::uint(32, dtype.lanes)));
    return b.CreateTrunc(b.CreateLShr(bits, constant_int(bits, 16)), type);
  }
  if (is_narrow_float(dtype)) return b.CreateFPTrunc(value, type);
  return value;
}

Value* emit_unary(Builder& b, UnaryOp op, DType dtype, Value* x) {
  const bool is_float = dtype.is_float();
  const auto intrinsic = [&](ID id) { return b.CreateUnaryIntrinsic(id, x); };
  switch (op) {
    case UnaryOp::kNeg:
      return is_float ? b.CreateFNeg(x) : b.CreateNeg(x);
    case UnaryOp::kNot:
    case UnaryOp::kBitNot:
      return b.CreateNot(x);
    case UnaryOp::kAbs:
      if (is_float) return intrinsic(llvm::Intrinsic::fabs);
      if (!dtype.is_signed_int()) return x;
      return b.CreateBinaryIntrinsic(llvm::Intrinsic::abs, x, b.getFalse());
    case UnaryOp::kSqrt:
      return round_to_storage(b, dtype, intrinsic(llvm::Intrinsic::sqrt));
    case UnaryOp::kFloor:
      return intrinsic(llvm::Intrinsic::floor);
    case UnaryOp::kCeil:
      return intrinsic(llvm::Intrinsic::ceil);
    case UnaryOp::kTrunc:
      return intrinsic(llvm::Intrinsic::trunc);
    case UnaryOp::kRound:
      return intrinsic(llvm::Intrinsic::roundeven);
  }
  TENON_CHECK(false, "an unknown unary operation");
  return nullptr;
}

Value* emit_binary(Builder& b, BinaryOp op, DType dtype, Value* x, Value* y) {
  if (is_comparison(op)) return emit_compare(b, op, dtype, x, y);
  if (dtype.is_float()) return emit_float_binary(b, op, dtype, x, y);
  switch (op) {
    case BinaryOp::kAdd:
      return b.CreateAdd(x, y);
    case BinaryOp::kSub:
      return b.CreateSub(x, y);
    case BinaryOp::kMul:
      return b.CreateMul(x, y);
    case BinaryOp::kFloorDiv:
      return emit_divide(b, false, dtype.is_signed_int(), x, y);
    case BinaryOp::kFloorMod:
      return emit_divide(b, true, dtype.is_signed_int(), x, y);
    case BinaryOp::kMin:
    case BinaryOp::kMax:
      return emit_int_min_max(b, op, dtype, x, y);
    case BinaryOp::kBitAnd:
    case BinaryOp::kAnd:
      return b.CreateAnd(x, y);
    case BinaryOp::kBitOr:
    case BinaryOp::kOr:
      return b.CreateOr(x, y);
    case BinaryOp::kBitXor:
      return b.CreateXor(x, y);
    case BinaryOp::kShl:
    case BinaryOp::kShr:
      return emit_shift(b, op, dtype, x, y);
    case BinaryOp::kDiv:
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
    case BinaryOp::kGt:
    case BinaryOp::kGe:
      break;
  }
  TENON_CHECK(false, to_string(op), " of ", to_string(dtype));
  return nullptr;
}

Value* emit_fma(Builder& b, DType dtype, Value* x, Value* y, Value* z) {
  Value* result = b.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
  return round_to_storage(b, dtype, result);
}

Value* emit_reinterpret(Builder& b, DType from, DType to, Value* x) {
  Value* bits = to_memory(b, from, x);
  return from_memory(b, to, b.CreateBitCast(bits, memory_type(b.getContext(), to)));
}

Value* emit_vector_reduce(Builder& b, BinaryOp op, DType dtype, Value* x) {
  int lanes = dtype.lanes;
  while (lanes > 1 && lanes % 2 == 0) {
    lanes /= 2;
    std::vector<int> low(static_cast<std::size_t>(lanes)), high(low.size());
    std::iota(low.begin(), low.end(), 0);
    std::iota(high.begin(), high.end(), lanes);
    Value* lower = b.CreateShuffleVector(x, low);
    Value* upper = b.CreateShuffleVector(x, high);
    x = emit_binary(b, op, dtype.with_lanes(lanes), lower, upper);
  }
  Value* joined = b.CreateExtractElement(x, std::uint64_t{0});
  for (int lane = 1; lane < lanes; ++lane) {
    Value* next = b.CreateExtractElement(x, static_cast<std::uint64_t>(lane));
    joined = emit_binary(b, op, dtype.element(), joined, next);
  }
  return joined;
}

}  // namespace tenon::codegen
