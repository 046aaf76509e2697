#pragma once

/// Tensor expressions: what users write.
///
/// **Memory model.** A tensor is a buffer that knows how it is computed. Tensors are immutable and
/// shared; a load of a tensor keeps its producer alive, so an expression is a DAG of tensors that
/// needs no registry.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon::te {

enum class TensorKind : std::uint8_t {
  kPlaceholder,
  kCompute,
  kScatter,
  kScan,   ///< the states of a recurrence after each step (scan.h)
  kState,  ///< within a step: a state before it
};

/// What an update does to the element that it meets: takes its place, or joins it.
enum class ScatterMode : std::uint8_t { kSet, kAdd, kMul, kMin, kMax };
const char* to_string(ScatterMode mode);

struct Scan;
struct VjpRule;

struct TensorNode : BufferNode {
  TensorKind kind = TensorKind::kPlaceholder;
  /// Compute: one spatial axis per dimension. Scatter: one axis per dimension of `updates`, spatial
  /// where different values of it meet different elements, else ordered. Empty for placeholders.
  std::vector<IterVar> axes;
  Expr body;  ///< compute: the element at `axes`; else null
  // Scatter (scatter.h): a copy of `init`, to which the update at `axes` is applied at `indices`.
  Ref<TensorNode> init, updates;  ///< null for other kinds
  std::vector<Expr> indices;      ///< one per dimension of `init`, over `axes`
  ScatterMode mode = ScatterMode::kSet;
  /// Takes the place of the derivative of what the tensor is computed by; null: none does.
  std::shared_ptr<const VjpRule> vjp_rule;
  std::shared_ptr<const Scan> scan;  ///< null for other kinds
  std::size_t state = 0;             ///< which state of the scan this is
  Attrs block_annotations;           ///< of the block that computes the tensor
};
using Tensor = Ref<TensorNode>;

/// A gradient written by hand.
struct VjpRule {
  std::vector<Tensor> inputs;  ///< what the tensor depends on, as far as derivatives go
  /// From the tensor and its cotangent to the cotangents of `inputs`, null for zero; linear in the
  /// cotangent. Empty: there is no derivative, and it is meant so (stop_gradient).
  std::function<std::vector<Tensor>(const Tensor& output, const Tensor& cotangent)> pull_back;
};

/// A recurrence. Its results, one tensor of kind kScan for each state, share it.
struct Scan {
  IterVar step;  ///< over [0, number of steps), ordered
  std::string name;
  std::vector<Tensor> init;      ///< the states before the first step
  std::vector<Tensor> states;    ///< kState: what a step reads; shapes of init
  std::vector<Tensor> next;      ///< the states after a step
  std::vector<Tensor> body;      ///< all that depends on step or states, producers first
  std::vector<Tensor> operands;  ///< what the body uses from outside, init not included
};

/// The tensor that a buffer is, or null.
Tensor as_tensor(const Buffer& buffer);

/// The tensors that `tensor` is computed from, each once, in order of first use.
std::vector<Tensor> operands_of(const Tensor& tensor);

/// A symbolic size: an int64 variable that shapes may use. A function is valid for every value in
/// [min, max] that is a multiple of multiple_of; values are checked when arguments are bound.
/// ExpressionError [E0110] for an empty range.
Expr symbol(std::string name, std::int64_t min = 0, std::optional<std::int64_t> max = std::nullopt,
            std::int64_t multiple_of = 1);

/// An input of the given shape (int64 expressions of constants and symbols). Row-major unless
/// `strides` (in elements) are given. ShapeError [E0401] for a negative extent, [E0402] when
/// strides and shape have different ranks.
Tensor placeholder(std::vector<Expr> shape, DType dtype, std::string name,
                   std::vector<Expr> strides = {});

/// The tensor whose element at (i, j, ...) is fcompute({i, j, ...}). `axis_names` name the loops
/// (default: i, j, k, ... or ax0...). ExpressionError [E0103] when a reduction axis is used outside
/// its reduction.
Tensor compute(std::vector<Expr> shape,
               const std::function<Expr(const std::vector<Expr>&)>& fcompute, std::string name,
               std::vector<std::string> axis_names = {});

/// An axis to reduce over [0, extent).
IterVar reduce_axis(const Expr& extent, std::string name = "k");
IterVar reduce_axis(const Range& domain, std::string name);

/// tensor[indices]. Indices are integers (converted to int64); an index that depends on data is
/// checked at run time. ExpressionError [E0102] when the number of indices differs from the rank,
/// IndexError [E0601] when a constant index is out of range, DTypeError [E0503] for an index that
/// is no integer.
Expr read(const Tensor& tensor, const std::vector<Expr>& indices);

/// Reductions over `axes`, ascending. Terms whose `where` (bool) is false are not part of the
/// reduction. `dtype` is the result's; sums and products accumulate in float32 for bfloat16 and
/// float16, in int32 for 8- and 16-bit integers, and round once to the result's dtype. min of
/// nothing is +inf (the largest integer), max of nothing -inf (the smallest).
Expr sum(const Expr& source, std::vector<IterVar> axes, const Expr& where = nullptr,
         std::optional<DType> dtype = std::nullopt);
Expr prod(const Expr& source, std::vector<IterVar> axes, const Expr& where = nullptr,
          std::optional<DType> dtype = std::nullopt);
Expr min(const Expr& source, std::vector<IterVar> axes, const Expr& where = nullptr);
Expr max(const Expr& source, std::vector<IterVar> axes, const Expr& where = nullptr);

/// The loop IR of `outputs` as a function of `inputs`: one block per computed tensor, names kept
/// (made unique); a reduction inside a larger expression becomes its own block `<name>_sum`.
/// ExpressionError [E0104] when a placeholder is missing from inputs, [E0105] when an output is a
/// placeholder or an input is computed, [E0106] when a symbol is not a whole dimension of an input.
Function function(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                  std::string name);

}  // namespace tenon::te
