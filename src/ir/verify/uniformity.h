#pragma once

/// Which values are the same in all threads of a block or of a warp.

#include <unordered_map>

#include "tenon/ir/launch.h"

namespace tenon::verify_rules {

/// Within what a value is sure to be the same.
enum class Spread : std::uint8_t {
  kBlock,   ///< all threads of the block
  kWarp,    ///< all lanes of a warp
  kThread,  ///< nothing is known
};

/// Follows values through expressions. What memory that threads share holds is the same for all
/// that read one element (without a race); what private memory holds is known of nothing.
class Uniformity {
 public:
  void define(const Expr& var, Spread spread) { vars_[var.get()] = spread; }
  /// A coordinate of the thread: one for each warp where the faster axes fill warps.
  void define_thread(const Launch& launch, const ForNode& loop);
  Spread spread(const Expr& e);

 private:
  Spread compute(const ExprNode& e);
  std::unordered_map<const ExprNode*, Spread> vars_;
  /// threadIdx.x // 32 is the same in a warp, where warps do not cross rows.
  const ExprNode* lane_var_ = nullptr;
  std::unordered_map<const ExprNode*, Spread> memo_;  ///< of one expression
};

}  // namespace tenon::verify_rules
