#pragma once

/// Equality and hashing by structure.
///
/// Both are alpha-equivalent over definitions (variables and buffers that a node defines), ignore
/// names and spans, and do not recurse.

#include <cstdint>

#include "tenon/ir/function.h"

namespace tenon {

/// Free variables and buffers are equal only if they are the same object. Null equals null.
bool structural_equal(const Expr& a, const Expr& b);
bool structural_equal(const Stmt& a, const Stmt& b);
/// Functions are equal when their parameters (dtype, shape, strides), symbols, level and bodies
/// are; function names count, others do not.
bool structural_equal(const Function& a, const Function& b);

std::uint64_t structural_hash(const Expr& e);
std::uint64_t structural_hash(const Stmt& s);
std::uint64_t structural_hash(const Function& f);

}  // namespace tenon
