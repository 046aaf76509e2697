#pragma once

/// Handles to parts of a scheduled function, and the values that primitives take and return.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon {

/// A loop: the identity of its variable. Stays valid until a primitive consumes the loop; later use
/// raises and names what replaced it.
struct LoopRef {
  Expr var;  ///< VarNode
  std::string name() const { return var ? var.as<VarNode>()->name : std::string(); }
};

/// A block: its name, which is unique in a function.
struct BlockRef {
  std::string name;
};

/// Factors of a split; the one that is absent is computed.
using Factors = std::vector<std::optional<std::int64_t>>;

/// `results` over `vars`: where an element of a buffer goes.
struct IndexMap {
  std::vector<Expr> vars;
  std::vector<Expr> results;
};

/// What a primitive takes and returns. The first alternative means "nothing".
using ScheduleValue = std::variant<std::monostate, std::int64_t, double, std::string, LoopRef,
                                   BlockRef, std::vector<LoopRef>, Factors, IndexMap>;

}  // namespace tenon
