#pragma once

/// What the functions that build tensors check, and how they name things.

#include <string>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::te {

/// "[4, n]".
std::string describe_shape(const std::vector<Expr>& shape);

/// Whether `e` reads memory.
bool depends_on_data(const Expr& e);

/// ShapeError [E0401, E0403, E0404] unless the shape is made of integers and symbols.
void check_shape(const std::vector<Expr>& shape, const std::string& name);

/// ExpressionError [E0103] unless `e` uses no axis but those of `axes`, and reduction axes inside
/// their own reductions only.
void check_axes(const std::vector<IterVar>& axes, const Expr& e);

/// While it lives, tensors may use the step variable of a scan.
class StepScope {
 public:
  explicit StepScope(IterVar step);
  /// A step of which nothing is known.
  explicit StepScope(const Expr& step) : StepScope(IterVar{step, {nullptr, nullptr}}) {}
  ~StepScope();
  StepScope(const StepScope&) = delete;
  StepScope& operator=(const StepScope&) = delete;
};

/// The steps that tensors may use, outermost scan first. Their domains may be null.
const std::vector<IterVar>& steps_in_scope();

/// Whether two shapes are proved equal.
bool same_extents(const std::vector<Expr>& a, const std::vector<Expr>& b);

/// The name of a loop that the user did not name: i, j, k, l, or ax0 and so on.
std::string default_axis_name(std::size_t d, std::size_t rank);

}  // namespace tenon::te
