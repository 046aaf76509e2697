#pragma once

/// The meaning of scalar operations, once: used by constant folding and by the interpreter.

#include <cstdint>

#include "tenon/ir/expr.h"

namespace tenon {

/// v wrapped to the integer type's width, sign- or zero-extended; for bool 0 or 1 of the lowest
/// bit.
std::int64_t wrap_int(DType t, std::int64_t v);
std::int64_t max_int(DType t);
std::int64_t min_int(DType t);
/// v rounded to the float type (half to even); float64 unchanged.
double round_to(DType t, double v);
/// x op y in the integer (or bool) type t; comparisons give 0 or 1. Values are stored as wrap_int
/// gives them.
std::int64_t eval_int(BinaryOp op, DType t, std::int64_t x, std::int64_t y);
/// Float operations on values already rounded to t; not for comparisons.
double eval_float(BinaryOp op, DType t, double x, double y);
bool eval_compare(BinaryOp op, double x, double y);
double eval_float(UnaryOp op, DType t, double x);
/// Truncates, saturates, NaN gives 0.
std::int64_t float_to_int(DType to, double v);
/// An integer of type `from` as a float of type `to`, rounded once.
double int_to_float(DType from, std::int64_t v, DType to);

}  // namespace tenon
