#pragma once

/// What is done to a graph before kernels are made.

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "graph/kernel_builder.h"
#include "tenon/graph/rewrite.h"
#include "tenon/graph/value.h"
#include "tenon/runtime/plan.h"

namespace tenon::graph {

/// All values that the outputs need, operands first.
std::vector<Value> in_order(const std::vector<Value>& outputs);
/// The graph with every operator on new operands; `rewrite` may return null to leave one as it is.
std::vector<Value> rewrite_graph(
    const std::vector<Value>& outputs,
    const std::function<Value(const Value& old, std::vector<Value> inputs)>& rewrite);

// Passes write what they did to operators into `log`, unless it is null.

/// One value for each operator with equal operands and attributes. Dead code does not come along.
std::vector<Value> share_equal_values(const std::vector<Value>& outputs, RewriteLog* log = nullptr);

/// The graph without operators that only gradients see (stop_gradient, custom_vjp).
std::vector<Value> erase_gradient_marks(const std::vector<Value>& outputs,
                                        RewriteLog* log = nullptr);
/// Applies a pass to the graph and to all graphs within it, outer ones first.
std::vector<Value> everywhere(
    const std::vector<Value>& outputs,
    const std::function<std::vector<Value>(const std::vector<Value>&)>& pass);

/// Loops of the same operands that differ in their stacked results alone become one: a loop, and
/// the one that keeps what its gradient needs.
std::vector<Value> merge_loops(const std::vector<Value>& outputs, RewriteLog* log = nullptr);

/// What loops compute in each iteration from captured values alone is computed before them.
std::vector<Value> hoist_invariants(const std::vector<Value>& outputs, RewriteLog* log = nullptr);

/// Branches and loops without results that nothing uses, states that do not change, operands that
/// bodies do not read or that are constants (these move into the bodies).
std::vector<Value> simplify_control(const std::vector<Value>& outputs, RewriteLog* log = nullptr);

/// Right operands of products that lie in memory with rows and columns exchanged (weights [N, K]
/// that are no constants, transposed views) are copied into the order in which products read them:
/// that is far less work than reading across it for each row. Constants are packed instead.
std::vector<Value> lay_out_products(const std::vector<Value>& outputs, RewriteLog* log = nullptr);

/// Convolutions and pooling have their channels last; where a model has them first, transposes are
/// around each. Those behind move through what follows (element-wise operators, concat, slices,
/// reductions, reshapes that divide or join axes) until they meet those in front of the next one,
/// or the end. Values that are read in both layouts are computed in one and read across.
std::vector<Value> choose_layouts(const std::vector<Value>& outputs, RewriteLog* log = nullptr);

/// A batch_norm with constant statistics after a convolution or linear with constant weights (and a
/// constant bias) becomes part of these weights and of a bias. Changes the rounding (design 3a
/// (d)); `num_folded` counts them.
std::vector<Value> fold_batch_norms(const std::vector<Value>& outputs, int* num_folded,
                                    RewriteLog* log = nullptr);

/// Linears of one input with constant weights become one, with its biases, followed by slices (Q, K
/// and V of attention).
std::vector<Value> merge_linears(const std::vector<Value>& outputs, RewriteLog* log = nullptr);

/// How a graph is divided into kernels.
struct Fusion {
  /// Values that kernels write to memory or that are there: inputs, constants, results of groups.
  KernelBuilder::Stored stored;
  struct Group {
    Value root;  ///< the operator that fixes the loops; null for one of light operators only
    std::vector<Value> epilogue;  ///< element-wise operators after it, in order
    Value result;
  };
  std::unordered_map<const ValueNode*, Group> group_of;  ///< by result
};
/// Groups: an operator with loops of its own and the element-wise operators that follow it alone;
/// light operators (element-wise, gather, movement) are computed where they are read when that is
/// once, and never inside a contraction. With `keeps_products` nothing follows a product in its
/// kernel.
Fusion fuse(const std::vector<Value>& outputs, bool keeps_products = false);

/// An array [K..., N] as a matrix in panels of 64 columns, [ceil(N / 64)][K][64], filled up with
/// zeros. `is_transposed`: given as [N, K...].
Array pack_panels(const Array& matrix, bool is_transposed);

/// A temporary of the network: steps that write it first and read it last.
struct Temporary {
  PlanRegister bytes = 0;    ///< a multiple of 64
  std::int64_t typical = 0;  ///< bytes for typical sizes; decides what shares memory
  std::size_t first = 0;
  std::size_t last = 0;
};
struct MemoryPlan {
  std::vector<PlanRegister> offsets;  ///< of each temporary
  PlanRegister arena_bytes = 0;
};
/// Temporaries that are not needed at one time share memory. Slots are as large as the largest that
/// they hold, whatever the sizes are.
MemoryPlan plan_memory(const std::vector<Temporary>& temporaries, PlanProgram* program);

}  // namespace tenon::graph
