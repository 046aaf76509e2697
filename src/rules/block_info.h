#pragma once

/// What the rules want to know of a block, found from its expression.

#include <string>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon::rules {

struct BlockInfo {
  const BlockNode* block = nullptr;
  const StoreNode* store = nullptr;    ///< the body, when it is a single store
  std::vector<const LoadNode*> loads;  ///< of the body, the accumulator's left out
  int num_context = 0;  ///< leading iters whose loops hold other blocks too: steps of a scan
  int num_spatial = 0;  ///< those of the context included
  int num_reduction = 0;
  int num_ordered = 0;     ///< ascending iters, of scatters and of scans that are one block
  bool has_calls = false;  ///< float functions, which cost more than a load

  const std::string& name() const { return block->name; }
  bool is_reduction() const { return num_reduction > 0; }
  bool is_ordered() const { return num_ordered > 0; }
  const Buffer& output() const { return store->buffer; }
};

/// The blocks in program order. Pointers are valid while the function lives.
std::vector<BlockInfo> blocks_of(const Function& f);

/// The block of that name; null when there is none.
const BlockInfo* find_block(const std::vector<BlockInfo>& blocks, const std::string& name);

/// Whether the block's body is a float sum or product whose order design 3a calls "row" (or a
/// reduction without an order that runs along the last index of what it reads).
bool is_row_reduction(const BlockInfo& info);

/// How many of the last reduction axes of a row reduction count as one axis.
int row_axes(const BlockInfo& info);

/// Whether another order would give other bits: a float sum or product.
bool has_order(const BlockInfo& info);

/// How many elements apart two neighbouring iterations of iter `i` (spatial first, then reduction)
/// read or write: 0, 1, or something else (given as -1). Neighbours are taken inside an aligned
/// group of `group` iterations.
int lane_stride(const BlockInfo& info, const Buffer& buffer, const std::vector<Expr>& indices,
                int iter, int group);

/// Whether the expression, or an index of the load, depends on an iter, given by its variable.
bool uses_iter(const Expr& e, const ExprNode* iter);
bool uses_iter(const LoadNode& l, const ExprNode* iter);

/// Whether some operand is read at a combination of a spatial and a reduction iter, as x + kx.
bool slides(const BlockInfo& info, int spatial, int reduction);

/// The extent of iter `i` when it is constant, else -1.
std::int64_t extent_of(const BlockInfo& info, int iter);

/// How many iterations the iters [first, last) have together; -1 when that is not constant.
std::int64_t num_iterations(const BlockInfo& info, int first, int last);

}  // namespace tenon::rules
