#pragma once

/// What a block's bindings do over the loops around it, found by running the loops where they are
/// constant and small.

#include <optional>
#include <string>
#include <vector>

#include "tenon/ir/stmt.h"

namespace tenon::verify_rules {

/// A loop or a let around a block, outermost first.
struct Surrounding {
  Expr var;
  Expr min, extent;       ///< of a loop
  Expr value;             ///< of a let; null for a loop
  bool parallel = false;  ///< its iterations may run at the same time
};

/// The first iteration found to break a rule about bindings.
struct BindingFault {
  const char* rule;
  std::string message;
};

/// Checks, for each group of bindings that share loop variables: that every value lies in the
/// iteration variable's domain ("domain"); that the values take in the whole domain, if
/// `must_cover` ("cover"); that no two iterations that may run at the same time have the same
/// values of the spatial and ordered variables ("parallel"). Iterations where `condition` (may be
/// null) is false do not count. Groups with symbolic or large ranges are passed over.
std::optional<BindingFault> find_binding_fault(const BlockNode& block, const Expr& condition,
                                               const std::vector<Surrounding>& around,
                                               bool must_cover);

}  // namespace tenon::verify_rules
