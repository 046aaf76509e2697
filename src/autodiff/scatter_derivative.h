#pragma once

/// Derivatives of reads and writes at places that data decide.

#include <utility>

#include "autodiff/read_adjoint.h"

namespace tenon::autodiff {

/// Whether an index of the load was checked because data decide it.
bool depends_on_data(const LoadNode& load);

/// The part of the adjoint of the tensor that `read` reads, at an index that depends on data, which
/// comes from it: what has the same index is summed first (as in gather), then added by
/// te::scatter.
te::Tensor scatter_adjoint(const Element& e, const ReadAdjoint& read, const std::string& name);

/// The cotangents of init and updates of a te::scatter from its own. Ties of kMin and kMax go to
/// init first, then to the first update.
std::pair<te::Tensor, te::Tensor> pull_back_scatter(const te::Tensor& t,
                                                    const te::Tensor& cotangent);

/// The tangent of a te::scatter from those of init and updates; null stands for zero.
te::Tensor push_forward_scatter(const te::Tensor& t, const te::Tensor& init_tangent,
                                const te::Tensor& updates_tangent);

/// A scatter with other operands to the places of `t`.
te::Tensor scatter_like(const te::Tensor& t, const te::Tensor& init, const te::Tensor& updates,
                        te::ScatterMode mode, const std::string& name);

/// An index without its check, which te::read and te::scatter add again.
Expr unchecked(const Expr& index);

/// A tensor of zeros.
te::Tensor zeros(const std::vector<Expr>& shape, DType dtype, const std::string& name);

}  // namespace tenon::autodiff
