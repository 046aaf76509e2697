#pragma once

/// What an operator is.

#include <functional>
#include <string>
#include <vector>

#include "tenon/graph/value.h"
#include "tenon/support/error.h"

namespace tenon::graph {

class KernelBuilder;
using Indices = std::vector<Expr>;
/// The element of an operand.
using ElementReader = std::function<Expr(std::size_t operand, const Indices&)>;

enum class OperatorKind {
  kElementwise,  ///< each element from the same places of the operands (broadcasting)
  kGather,       ///< likewise, but reads where data say
  kMovement,     ///< each element is one of the operand's
  kConcat,       ///< each element is one of several operands'
  kContraction,  ///< reads each operand many times: operands are made first
  kRow,          ///< reductions of rows: operands may be computed in the same kernel
};

struct Operator {
  const char* name;
  OperatorKind kind;
  int min_inputs;
  int max_inputs;  ///< -1: any number
  /// Fills shape and dtype from operands and attributes.
  void (*infer)(ValueNode* v);
  /// The element at indices; null for contractions and rows.
  Expr (*element)(const ValueNode& v, const Indices& indices, const ElementReader& read) = nullptr;
  /// The number of leading dimensions of the result that are alike for all its rows, and whether
  /// they can be one loop.
  void (*space)(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) = nullptr;
  /// Adds the computations; defines `v`.
  void (*build)(KernelBuilder& builder, const Value& v) = nullptr;
  /// Whether elements of an operand are read more than once, so that computing them on the spot
  /// would repeat work; null: those of contractions are.
  bool (*rereads)(const ValueNode& v, std::size_t operand) = nullptr;
  /// The cotangents of the operands (null: none) for the cotangent of `v`, where that is better
  /// than what follows from the definition: more stable, from the result, or of operators that
  /// passes know. Linear in the cotangent.
  std::vector<Value> (*vjp)(const Value& v, const Value& cotangent) = nullptr;
  /// The operator on batches: operands have a leading dimension of `extent` where `is_batched`, and
  /// so has the result. Null, or a null result: follows from the definition.
  Value (*vmap)(const ValueNode& v, const std::vector<Value>& operands,
                const std::vector<bool>& is_batched, const Expr& extent) = nullptr;
};

/// The operator of that name or null.
const Operator* find_operator(const std::string& name);
/// The operator that makes `v`; null for inputs and constants.
const Operator* operator_of(const ValueNode& v);
/// The families (op/*.cpp).
std::vector<Operator> elementwise_operators();
std::vector<Operator> movement_operators();
std::vector<Operator> matmul_operators();
std::vector<Operator> reduce_operators();
std::vector<Operator> softmax_operators();
std::vector<Operator> layer_norm_operators();
std::vector<Operator> embedding_operators();
std::vector<Operator> attention_operators();
std::vector<Operator> gradient_marks();
std::vector<Operator> convolution_operators();
std::vector<Operator> pooling_operators();
std::vector<Operator> batch_norm_operators();

/// The operator of `v` with other operands.
Value with_inputs(const ValueNode& v, std::vector<Value> inputs);

/// Matrices [..., M, N] as [..., N, M].
Value transposed(const Value& matrices);
/// The product of sizes.
Expr product(const std::vector<Expr>& sizes);
/// A scalar constant of a float dtype.
Value number(DType dtype, double value);

/// "linear of float32[2, 3] 'x' and float32[4, 5] 'w'": the start of messages.
std::string describe(const ValueNode& v);
template <typename T>
const T& attr(const ValueNode& v, const std::string& name) {
  const auto it = v.attrs.find(name);
  TENON_CHECK(it != v.attrs.end() && std::holds_alternative<T>(it->second), "attribute '", name,
              "' of ", v.op);
  return std::get<T>(it->second);
}
template <typename T>
T attr_or(const ValueNode& v, const std::string& name, const T& otherwise) {
  return v.attrs.count(name) == 0 ? otherwise : attr<T>(v, name);
}
/// An axis counted from the front. ShapeError [E0411] when it is out of range.
std::size_t normal_axis(const ValueNode& v, std::int64_t axis, std::size_t rank);
void check_float(const ValueNode& v, const Value& operand);

}  // namespace tenon::graph
