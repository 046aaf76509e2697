#pragma once

/// The element of a tensor in the form in which it is differentiated.

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tenon/te/tensor.h"

namespace tenon::autodiff {

/// Either `element` at `axes`, or `reduce` of it. No reduction is inside `element`: those that were
/// are tensors of their own. Arithmetic is in float32 or wider.
struct Element {
  std::vector<IterVar> axes;
  const ReduceNode* reduce = nullptr;  ///< at the top of the tensor's body, kept alive by it
  std::vector<IterVar> reduce_axes;
  Expr condition;  ///< of the reduction; may be null
  Expr element;
  /// Every iteration variable: axes, then reduce_axes.
  std::vector<IterVar> domain() const;
};

/// Makes and remembers them, so that one pass divides each tensor once.
class Elements {
 public:
  const Element& of(const te::Tensor& tensor);
  /// Whether `t` is a reduction that was inside a tensor.
  bool is_lifted(const te::Tensor& t) const { return lifted_.count(t.get()) != 0; }

 private:
  std::unordered_set<const te::TensorNode*> lifted_;
  std::unordered_map<const te::TensorNode*, std::unique_ptr<Element>> known_;
};

/// The tensor named `name` with the given element over `axes` (rectangular hull of their domains,
/// from 0), and how it is read at their variables.
struct Materialised {
  te::Tensor tensor;
  std::vector<Expr> indices;
};
Materialised materialise(const std::string& name, const std::vector<IterVar>& axes,
                         const Expr& element);

/// For each of `axes`, which follow `outer` and may depend on them and on each other, a range that
/// holds its domain and depends on none.
std::vector<Range> hulls_of(const std::vector<IterVar>& outer, const std::vector<IterVar>& axes);

/// `element` over `axes` as a tensor of that shape and dtype; the axes start at 0.
te::Tensor define(const std::string& name, const std::vector<IterVar>& axes, const Expr& element,
                  DType dtype);

/// Another tensor with the values of `t`.
te::Tensor copy_of(const te::Tensor& t, const std::string& name);

}  // namespace tenon::autodiff
