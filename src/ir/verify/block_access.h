#pragma once

/// What blocks read and write.

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon::verify_rules {

/// A rule that a block's accesses break.
struct AccessFault {
  const char* rule;
  std::string message;
};

/// Checks that the declared regions cover the accesses ("regions"), that every spatial variable
/// tells the written elements apart
/// ("spatial"), and that no element is read after its write in another iteration ("in_place").
/// Blocks that hold blocks are passed over.
std::optional<AccessFault> find_access_fault(const BlockNode& block, const Function& f);

/// Which loops each buffer is used under.
class SharedBuffers {
 public:
  explicit SharedBuffers(const Function& f);
  /// Whether the buffer lives longer than an iteration of the loop: it is a parameter, or used
  /// outside of the loop.
  bool is_shared_across(const BufferNode* buffer, const ExprNode* loop_var) const;
  /// The number of blocks that write the buffer.
  int num_writers(const BufferNode* buffer) const;

 private:
  struct Use {
    std::vector<const ExprNode*> loops;
  };
  std::unordered_set<const BufferNode*> params_;
  std::unordered_map<const BufferNode*, std::vector<Use>> uses_;
  std::unordered_map<const BufferNode*, int> num_writers_;
  friend class UseCollector;
};

}  // namespace tenon::verify_rules
