#pragma once

/// Builds the tensor expressions of one group of operators.

#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "graph/operator.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

/// A parameter of a kernel: a value in memory, perhaps in another form.
struct KernelParam {
  te::Tensor tensor;
  Value value;
  bool is_packed = false;      ///< in panels of 64 columns, see pack_panels
  bool is_transposed = false;  ///< packed from rows that are columns ([N, K])
};

/// The values of a group, and how its loops run. The results of the operators of a group share
/// leading dimensions (`lead`); when these are flat they are one loop over their product, which the
/// kernel takes as a symbol of its own, so that rows of any shape run in one kernel.
class KernelBuilder {
 public:
  using Stored = std::unordered_set<const ValueNode*>;
  /// `stored`: values that are in memory when the kernel runs. `splits_rows`: rows are the product
  /// of the leading dimensions rather than a symbol (needed when something is read by a leading
  /// index). `packs_constants`: constant weights are read in panels.
  KernelBuilder(const Stored& stored, std::vector<Expr> lead, bool is_flat, bool splits_rows,
                bool packs_constants);

  /// A tensor over the leading dimensions and `inner`; `f` gets the indices of both.
  te::Tensor compute(const std::string& name, const std::vector<Expr>& inner,
                     const std::function<Expr(const Indices& lead, const Indices& inner)>& f);
  /// The element of a tensor made by `compute`, at the leading indices that the caller's element
  /// has.
  Expr at_row(const te::Tensor& tensor, const Indices& lead, const Indices& inner);
  /// The element of a value: of the group, of memory, or computed on the spot.
  Expr read(const Value& v, const Indices& indices);
  /// A tensor that holds the value.
  te::Tensor whole(const Value& v);
  /// Adds what `make` makes, a tensor of any shape, and returns it.
  te::Tensor add(const std::function<te::Tensor()>& make);
  /// Computes what is not in memory once, when more than a read.
  void hold(const Value& v, const std::string& name);
  /// `tensor` holds `v`, whose shape is lead and inner.
  void define(const Value& v, const te::Tensor& tensor) { local_[v.get()] = tensor; }
  const te::Tensor* local(const ValueNode* v) const;
  /// Whether the weight `v` is to be read by `packed`.
  bool is_packable(const Value& v) const { return packs_constants_ && v->is_constant(); }
  /// The constant `v` in panels: [ceil(N / 64)][K][64]. N is its last axis (its first when
  /// transposed), K the product of the others.
  const te::Tensor& packed(const Value& v, bool is_transposed);
  /// A tensor of any shape; nothing about rows.
  te::Tensor compute_whole(const std::string& name, const std::vector<Expr>& shape,
                           const std::function<Expr(const Indices&)>& f);

  const std::vector<Expr>& lead() const { return lead_; }
  /// Something was read by a leading index, which a symbol for the rows does not permit.
  bool needs_split_rows() const { return needs_split_rows_; }
  /// Symbols that the tensors use.
  std::vector<Expr> used_symbols() const;
  /// Adds a parameter that is not read, for the symbols that its shape defines.
  void anchor(const Value& input) { param(input, input->shape); }
  const std::vector<KernelParam>& params() const { return params_; }
  /// The symbol that stands for the product of the leading dimensions, or null.
  const Expr& rows_symbol() const { return rows_symbol_; }

 private:
  /// What `read` returns of a value that is computed on the spot.
  Expr computed_at(const Value& v, const Indices& indices);
  /// The value in memory that has the elements of `v` in their order: itself, or what it reshapes
  /// where the place of an element would take divisions; null when there is none.
  Value memory_of(const Value& v) const;
  /// The parameter for `v`, which is in memory, as an array of that shape.
  const te::Tensor& param(const Value& v, const std::vector<Expr>& shape);
  bool starts_with_lead(const std::vector<Expr>& shape) const;
  bool is_lead(const Indices& indices) const;
  Expr row_of(const Indices& indices) const;

  const Stored& stored_;
  std::vector<Expr> lead_;
  bool is_flat_;
  bool splits_rows_;
  bool packs_constants_;
  bool needs_split_rows_ = false;
  Expr rows_;  ///< extent of the flat loop
  Expr rows_symbol_;
  std::vector<Expr> lead_vars_;  ///< stand for the leading indices while an element is built
  Expr row_;                     ///< index of the flat loop of the tensor that is built
  /// Elements computed on the spot for the tensor that is built, so that what is read twice is one
  /// expression. The indices are kept, because they are compared by identity.
  std::map<std::pair<const ValueNode*, std::vector<const ExprNode*>>, std::pair<Expr, Indices>>
      elements_;
  std::unordered_map<const ValueNode*, te::Tensor> local_;
  std::vector<KernelParam> params_;
  std::vector<te::Tensor> computed_;
};

/// A constant of one element as a scalar.
Expr scalar_of(const ValueNode& constant);

}  // namespace tenon::graph
