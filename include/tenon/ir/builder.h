#pragma once

/// Functions that build expressions and statements.
///
/// Integer constants fold and neutral integer operands vanish (x + 0, x * 1, x * 0, x // 1); floats
/// are built as written. Operands of unequal lanes are broadcast; dtypes must agree (an
/// InternalError otherwise: te checks and converts for users).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tenon/ir/stmt.h"

namespace tenon {

Expr int_imm(DType t, std::int64_t v);
/// An int64 constant.
Expr imm(std::int64_t v);
Expr float_imm(DType t, double v);
Expr bool_imm(bool v);
/// A constant of any scalar dtype (broadcast when t has lanes); the value is converted as `cast`
/// would.
Expr const_like(DType t, double v);
/// Zero (false) of any dtype.
Expr zero(DType t);
/// A fresh int64 variable.
Expr var(std::string name, DType t = kInt64);

/// The value of an integer (or bool) constant, broadcast constants included.
std::optional<std::int64_t> as_int(const Expr& e);
bool is_int(const Expr& e, std::int64_t v);

Expr cast(DType t, const Expr& e);
Expr reinterpret(DType t, const Expr& e);
Expr unary(UnaryOp op, const Expr& a);
Expr binary(BinaryOp op, const Expr& a, const Expr& b);
Expr fma(const Expr& a, const Expr& b, const Expr& c);
Expr select(const Expr& c, const Expr& t, const Expr& f);
Expr call(DType t, std::string name, std::vector<Expr> args);
Expr let(const Expr& variable, const Expr& value, const Expr& body);
Expr load(const Buffer& buffer, std::vector<Expr> indices, const Expr& predicate = nullptr);
/// Lanes 1 gives the base.
Expr ramp(const Expr& base, const Expr& stride, int lanes);
/// Lanes 1, or a value that has these lanes already, gives the value.
Expr broadcast(const Expr& value, int lanes);
Expr vector_reduce(BinaryOp op, const Expr& value);
/// The neutral element of a reduction: 0, 1, +inf or the largest value, -inf or the smallest.
Expr identity_element(ReduceOp op, DType t);
BinaryOp combiner(ReduceOp op);

Expr operator+(const Expr& a, const Expr& b);
Expr operator-(const Expr& a, const Expr& b);
Expr operator*(const Expr& a, const Expr& b);
Expr operator/(const Expr& a, const Expr& b);  ///< floats
Expr operator-(const Expr& a);
Expr operator+(const Expr& a, std::int64_t b);
Expr operator-(const Expr& a, std::int64_t b);
Expr operator*(const Expr& a, std::int64_t b);
Expr floordiv(const Expr& a, const Expr& b);
Expr floormod(const Expr& a, const Expr& b);
Expr ceildiv(const Expr& a, const Expr& b);
Expr min(const Expr& a, const Expr& b);
Expr max(const Expr& a, const Expr& b);
Expr eq(const Expr& a, const Expr& b);
Expr ne(const Expr& a, const Expr& b);
Expr lt(const Expr& a, const Expr& b);
Expr le(const Expr& a, const Expr& b);
Expr gt(const Expr& a, const Expr& b);
Expr ge(const Expr& a, const Expr& b);
Expr logical_and(const Expr& a, const Expr& b);
Expr logical_or(const Expr& a, const Expr& b);
Expr logical_not(const Expr& a);
/// a and b, where a null handle stands for true.
Expr and_predicate(const Expr& a, const Expr& b);

Stmt store(const Buffer& buffer, std::vector<Expr> indices, const Expr& value,
           const Expr& predicate = nullptr);
Stmt make_for(const Expr& var, const Expr& min, const Expr& extent, const Stmt& body,
              ForAttrs attrs = {});
Stmt make_let(const Expr& var, const Expr& value, const Stmt& body);
Stmt make_if(const Expr& condition, const Stmt& then_case, const Stmt& else_case = nullptr);
Stmt make_allocate(const Buffer& buffer, const Stmt& body);
/// One statement stays itself; nested sequences are flattened; null handles are left out.
Stmt make_seq(std::vector<Stmt> stmts);
/// A copy of the node with another body (or attributes), same identity of loop or block, span kept.
Stmt with_body(const ForNode& n, Stmt body);
Stmt with_attrs(const ForNode& n, ForAttrs attrs);
Stmt with_body(const BlockNode& n, Stmt body);
Stmt with_body(const AllocateNode& n, Stmt body);

/// A block whose reads and writes are computed from init and body (see detect_regions in
/// regions.h).
Stmt make_block(std::string name, std::vector<IterVar> iters, std::vector<Expr> bindings,
                Expr predicate, Stmt init, Stmt body, Attrs annotations = {});

}  // namespace tenon
