// Conversions between element types.

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <cmath>

#include "codegen/llvm/arith.h"

namespace tenon::codegen {

using llvm::Value;

namespace {

Value* constant_like(Value* like, std::uint64_t v) {
  return llvm::ConstantInt::get(like->getType(), v);
}

Value* zero_of(Value* like) { return llvm::Constant::getNullValue(like->getType()); }

/// In integer arithmetic: vcvtneps2bf16 would flush subnormals.
Value* round_to_bfloat16(Builder& b, DType dtype, Value* x) {
  llvm::Type* int_type = value_type(b.getContext(), DType::uint(32, dtype.lanes));
  Value* bits = b.CreateBitCast(x, int_type);
  Value* kept_lsb =
      b.CreateAnd(b.CreateLShr(bits, constant_like(bits, 16)), constant_like(bits, 1));
  Value* rounded = b.CreateAdd(bits, b.CreateAdd(kept_lsb, constant_like(bits, 0x7fff)));
  Value* quiet = b.CreateOr(bits, constant_like(bits, 0x400000));
  Value* chosen = b.CreateSelect(b.CreateFCmpUNO(x, x), quiet, rounded);
  chosen = b.CreateAnd(chosen, constant_like(bits, 0xffff0000u));
  return b.CreateBitCast(chosen, x->getType());
}

/// float64 to float32 with the last bit set when inexact: rounding the result to 16 bits then
/// rounds once.
Value* narrow_to_odd(Builder& b, DType dtype, Value* x) {
  llvm::LLVMContext& context = b.getContext();
  llvm::Type* float_type = value_type(context, DType::float_(32, dtype.lanes));
  llvm::Type* int_type = value_type(context, DType::uint(32, dtype.lanes));
  Value* narrow = b.CreateFPTrunc(x, float_type);
  Value* back = b.CreateFPExt(narrow, x->getType());
  Value* bits = b.CreateBitCast(narrow, int_type);
  Value* is_even =
      b.CreateICmpEQ(b.CreateAnd(bits, constant_like(bits, 1)), constant_like(bits, 0));
  Value* adjusts = b.CreateAnd(b.CreateFCmpONE(back, x), is_even);
  Value* magnitude = b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  Value* rounded_up =
      b.CreateFCmpOGT(b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, back), magnitude);
  Value* step =
      b.CreateSelect(rounded_up, constant_like(bits, 0xffffffffu), constant_like(bits, 1));
  Value* odd = b.CreateAdd(bits, b.CreateSelect(adjusts, step, zero_of(bits)));
  return b.CreateBitCast(odd, float_type);
}

Value* float_to_float(Builder& b, DType from, DType to, Value* x) {
  llvm::Type* type = value_type(b.getContext(), to);
  if (to.bits == 64) return from.bits == 64 ? x : b.CreateFPExt(x, type);
  if (to.bits == 32) return from.bits == 64 ? b.CreateFPTrunc(x, type) : x;
  if (from.bits == 64) x = narrow_to_odd(b, from, x);
  return round_to_storage(b, to, x);
}

/// x where it is above `low`, else `low`; NaN gives `low`. One vmaxps.
Value* clamp_below(Builder& b, Value* x, double low) {
  Value* bound = llvm::ConstantFP::get(x->getType(), low);
  return b.CreateSelect(b.CreateFCmpOGT(x, bound), x, bound);
}

/// What llvm.fptosi.sat means for vectors, which LLVM would take apart into scalars.
Value* saturate_lanes(Builder& b, DType to, Value* x) {
  llvm::Type* type = value_type(b.getContext(), to);
  const auto constant = [&](const llvm::APInt& v) { return llvm::ConstantInt::get(type, v); };
  const auto bits = static_cast<unsigned>(to.bits);
  if (to.is_signed_int()) {
    const double limit = std::ldexp(1.0, to.bits - 1);
    Value* bounded = clamp_below(b, x, -limit);
    Value* top = llvm::ConstantFP::get(x->getType(), limit);
    Value* whole = b.CreateSelect(b.CreateFCmpOGE(bounded, top),
                                  constant(llvm::APInt::getSignedMaxValue(bits)),
                                  b.CreateFPToSI(bounded, type));
    return b.CreateSelect(b.CreateFCmpUNO(x, x), zero_of(whole), whole);
  }
  Value* bounded = clamp_below(b, x, 0.0);
  Value* top = llvm::ConstantFP::get(x->getType(), std::ldexp(1.0, to.bits));
  return b.CreateSelect(b.CreateFCmpOGE(bounded, top), constant(llvm::APInt::getMaxValue(bits)),
                        b.CreateFPToUI(bounded, type));
}

/// To 8 or 16 bits: through int32, clamped.
Value* saturate_narrow_lanes(Builder& b, DType to, Value* x) {
  Value* wide = saturate_lanes(b, DType::int_(32, to.lanes), x);
  const auto constant = [&](std::int64_t v) {
    return llvm::ConstantInt::get(wide->getType(), static_cast<std::uint64_t>(v), true);
  };
  const std::int64_t top = (std::int64_t{1} << (to.is_signed_int() ? to.bits - 1 : to.bits)) - 1;
  const std::int64_t bottom = to.is_signed_int() ? -top - 1 : 0;
  wide = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, wide, constant(bottom));
  wide = b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, wide, constant(top));
  return b.CreateTrunc(wide, value_type(b.getContext(), to));
}

Value* float_to_int(Builder& b, DType to, Value* x) {
  if (to.is_bool()) return b.CreateFCmpONE(x, zero_of(x));
  if (to.is_vector()) {
    return to.bits < 32 ? saturate_narrow_lanes(b, to, x) : saturate_lanes(b, to, x);
  }
  llvm::Type* type = value_type(b.getContext(), to);
  const auto id = to.is_signed_int() ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat;
  return b.CreateIntrinsic(id, {type, x->getType()}, {x});
}

Value* int_to_float(Builder& b, DType from, DType to, Value* x) {
  llvm::Type* type = value_type(b.getContext(), to);
  Value* wide = from.is_signed_int() ? b.CreateSIToFP(x, type) : b.CreateUIToFP(x, type);
  return round_to_storage(b, to, wide);
}

}  // namespace

Value* round_to_storage(Builder& b, DType dtype, Value* x) {
  if (dtype.code == DTypeCode::kBFloat) return round_to_bfloat16(b, dtype, x);
  if (dtype.bits != 16) return x;
  return widen_half(b, b.CreateFPTrunc(x, memory_type(b.getContext(), dtype)));
}

Value* emit_cast(Builder& b, DType from, DType to, Value* x) {
  if (from == to) return x;
  if (from.is_float()) {
    return to.is_float() ? float_to_float(b, from, to, x) : float_to_int(b, to, x);
  }
  if (to.is_float()) return int_to_float(b, from, to, x);
  if (to.is_bool()) return b.CreateICmpNE(x, zero_of(x));
  llvm::Type* type = value_type(b.getContext(), to);
  return from.is_signed_int() ? b.CreateSExtOrTrunc(x, type) : b.CreateZExtOrTrunc(x, type);
}

}  // namespace tenon::codegen
