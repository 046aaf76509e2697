#pragma once

/// Sizes for which the operands of a node fit each other.

#include <optional>
#include <string>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::onnx {

/// What is demanded of a named dimension.
struct Dimension {
  SymbolRange range = {};
  std::string same_as = "";  ///< another dimension, whose size it has; empty: none
};

/// Thrown through an import: the model has a meaning only for these sizes of a dimension.
struct NeedsSizes {
  std::string name;
  Dimension dimension;
};

/// The demand under which two dimensions of operands that stand at the same place, counted from the
/// last one, are equal, when they are not yet: a bound, where one is the smaller of a size and a
/// constant (a part of a table, as long as the input); else two symbols are one. Nothing when there
/// is no such demand. For a node that was refused, of which each size would be refused otherwise.
std::optional<NeedsSizes> agreeing_sizes(const std::vector<graph::Value>& operands);

}  // namespace tenon::onnx
