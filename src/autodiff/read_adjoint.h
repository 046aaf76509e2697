#pragma once

/// From the cotangent of a tensor to the adjoints of what its elements read.

#include <functional>
#include <string>
#include <vector>

#include "autodiff/element.h"

namespace tenon::autodiff {

using IsActive = std::function<bool(const te::Tensor&)>;

/// A read inside an element and its cotangent there, over the element's variables.
struct ReadAdjoint {
  Expr load;
  Expr cotangent;
};

/// Reverse mode over one element: the cotangent of each read of an active tensor. Reads of one
/// tensor at equal indices are joined. `result`, when given, is the element's value at hand.
std::vector<ReadAdjoint> pull_back_to_reads(const Expr& element, const Expr& cotangent,
                                            const Expr& result, const IsActive& is_active);

/// Part of the adjoint of a tensor: an element over one axis per dimension.
struct AdjointTerm {
  std::vector<IterVar> axes;
  Expr element;         ///< a reduction only at the top
  std::string mirrors;  ///< the annotation kMirrors of its block; "" for none
};

/// Annotation of blocks of derivatives: "C(i, -, k)" says that the iters come from the axes i, none
/// and k of the tensor C. What mirror_schedule goes by.
inline constexpr const char* kMirrors = "mirrors";

/// The part of the adjoint of the tensor that `read` reads which comes from it: a gather over the
/// iterations of `e`, the element of `reader`, that read an element. `name` is for tensors that
/// this needs.
AdjointTerm gather(const Element& e, const std::string& reader, const ReadAdjoint& read,
                   const std::string& name);

/// Puts the annotation on a tensor that nobody else has seen yet.
void annotate(const te::Tensor& t, const std::string& mirrors);

/// The tensor whose elements the term reads in their places, if it is like `t` in shape and dtype;
/// else null.
te::Tensor tensor_in_place(const te::Tensor& t, const AdjointTerm& term);

/// `e` without the selects around it that give zero otherwise; their conditions are appended.
Expr without_masks(Expr e, std::vector<Expr>* conditions);

}  // namespace tenon::autodiff
