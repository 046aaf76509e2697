#pragma once

/// Where the allocations of a kernel live.

#include <unordered_map>

#include "tenon/ir/function.h"

namespace tenon::codegen {

enum class Place {
  kStack,   ///< in the frame of the function (kernel or task) around it
  kShared,  ///< in the call's workspace
  kWorker,  ///< in the worker's part of the workspace
};

struct Placement {
  Place place = Place::kStack;
  Expr offset_bytes;  ///< within the part of the workspace; null on the stack
};

/// Buffers never share memory, not even those of disjoint lifetime: the emitted alias information
/// says so.
struct StoragePlan {
  std::unordered_map<const BufferNode*, Placement> placements;
  Expr shared_bytes;
  Expr worker_bytes;
};

StoragePlan plan_storage(const Function& f);

/// The number of elements, when it is constant; else -1.
std::int64_t constant_size(const BufferNode& buffer);

}  // namespace tenon::codegen
