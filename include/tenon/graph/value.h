#pragma once

/// Networks as graphs: operators over symbolic values.
///
/// **Memory model.** A value knows the operator that makes it and that operator's operands, so that
/// a graph is the DAG behind its outputs and needs no registry. Values are immutable and shared.
/// Constants are arrays of the runtime and are not copied.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/array.h"

namespace tenon::graph {

/// An attribute of an operator: axes, sizes (with symbols), a scale, a dtype.
using OpAttr = std::variant<bool, std::int64_t, double, std::string, DType,
                            std::vector<std::int64_t>, std::vector<Expr>>;
using OpAttrs = std::map<std::string, OpAttr>;

struct CustomGradient;
struct Control;
struct Expression;
struct ValueNode;
using Value = std::shared_ptr<const ValueNode>;

/// The result of one operator, or an input, or a constant.
struct ValueNode {
  std::string op;  ///< the operator's name; "input" and "constant" for the others
  std::vector<Value> inputs;
  OpAttrs attrs;
  /// Of an operator that is defined by a tensor expression (expression.h); else null.
  std::shared_ptr<const Expression> expression;
  std::shared_ptr<const CustomGradient> gradient;  ///< of "custom_vjp" (transform.h)
  /// Of a branch or loop (control.h), whose results are "item" values of it; else null.
  std::shared_ptr<const Control> control;
  std::vector<Expr> shape;  ///< int64 expressions of constants and te symbols
  DType dtype;
  std::string name;                      ///< of an input or constant; may be empty
  Array data;                            ///< of a constant
  Span span;                             ///< the user's line that made it
  std::uint64_t serial = next_serial();  ///< values made later have larger ones

  ValueNode() = default;
  ValueNode(const ValueNode&) = default;
  ValueNode& operator=(const ValueNode&) = delete;
  /// Does not recurse: graphs may be chains of any length.
  ~ValueNode();

  /// Whether this is Tenon's operator of that name, not a user's that is called so.
  bool is_op(const char* wanted) const { return !expression && !control && op == wanted; }
  bool is_input() const { return is_op("input"); }
  bool is_constant() const { return is_op("constant"); }

  /// What the next value that is made gets at least.
  static std::uint64_t next_serial();
};

/// An input of a network.
Value make_input(std::vector<Expr> shape, DType dtype, std::string name);
/// A constant; `data` is kept, not copied (a strided array is made row-major).
Value make_constant(const Array& data, std::string name = "");
/// The operator `op` of `inputs`. ExpressionError [E0150] for an unknown operator or a wrong number
/// of operands; ShapeError [E0411 to E0418] and DTypeError [E0521] that name the operator and its
/// operands.
Value make_op(const std::string& op, std::vector<Value> inputs, OpAttrs attrs = {});
/// Names of all operators, sorted.
std::vector<std::string> operator_names();

/// "float32[batch, 384]".
std::string type_str(const ValueNode& value);
/// Whether two sizes are the same for all values of their symbols, as far as the simplifier sees.
bool same_extent(const Expr& a, const Expr& b);
bool same_shape(const std::vector<Expr>& a, const std::vector<Expr>& b);

}  // namespace tenon::graph
