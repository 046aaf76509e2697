#pragma once

/// The meaning of scalar operations (ir/expr.h) as LLVM instructions; vectors lane by lane.
///
/// **Values.** bool is i1, integers iN, float32 float, float64 double. float16 and bfloat16 are
/// held as a float that the type can represent: each operation computes in float32 and rounds. In
/// memory bool is i8 (0 or 1), float16 half, bfloat16 i16.

#include <llvm/IR/IRBuilder.h>

#include "tenon/ir/expr.h"

namespace tenon::codegen {

using Builder = llvm::IRBuilder<>;

llvm::Type* value_type(llvm::LLVMContext& context, DType dtype);
llvm::Type* memory_type(llvm::LLVMContext& context, DType dtype);
/// Between the two forms. Both take values with dtype.lanes lanes.
llvm::Value* from_memory(Builder& b, DType dtype, llvm::Value* value);
llvm::Value* to_memory(Builder& b, DType dtype, llvm::Value* value);

/// A half (or vector of them) as float. The fence keeps LLVM from narrowing the arithmetic that
/// follows to half, which it lowers badly (v16f16 maximum: wrongly, LLVM 19) where there is no
/// AVX512-FP16.
llvm::Value* widen_half(Builder& b, llvm::Value* half);

llvm::Value* emit_unary(Builder& b, UnaryOp op, DType dtype, llvm::Value* x);
/// `dtype` is that of the operands. kAnd and kOr evaluate nothing: both operands exist.
llvm::Value* emit_binary(Builder& b, BinaryOp op, DType dtype, llvm::Value* x, llvm::Value* y);
llvm::Value* emit_fma(Builder& b, DType dtype, llvm::Value* x, llvm::Value* y, llvm::Value* z);
llvm::Value* emit_reinterpret(Builder& b, DType from, DType to, llvm::Value* x);
/// All lanes joined by halving.
llvm::Value* emit_vector_reduce(Builder& b, BinaryOp op, DType dtype, llvm::Value* x);

/// Conversions between element types.
llvm::Value* emit_cast(Builder& b, DType from, DType to, llvm::Value* x);
/// A float rounded to the nearest value of `dtype` (float16 or bfloat16; others pass).
llvm::Value* round_to_storage(Builder& b, DType dtype, llvm::Value* x);

/// `value` in every lane; itself for one lane.
llvm::Value* splat(Builder& b, llvm::Value* value, int lanes);
/// Whether any lane of a mask (i1 or a vector of it) is set.
llvm::Value* any_of(Builder& b, llvm::Value* mask);

}  // namespace tenon::codegen
