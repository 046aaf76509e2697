#pragma once

/// Decisions: the choices that a schedule leaves open to a tuner.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tenon/support/error.h"

namespace tenon {

class Trace;

enum class DecisionKind : std::uint8_t { kCategorical, kTile, kComputeLocation };
/// "categorical", "tile" or "compute_location".
const char* to_string(DecisionKind kind);

/// One choice, as a sample primitive met it.
struct Decision {
  std::string name;  ///< "C.rows"; unique in one schedule
  DecisionKind kind = DecisionKind::kCategorical;
  /// Every value that may be taken, all different: one number, or one factor for each loop.
  std::vector<std::vector<std::int64_t>> options;
  std::size_t preferred = 0;  ///< the place in `options` of what is taken without further word
  std::size_t chosen = 0;     ///< the place of what was taken
};

/// What is to be taken, by name.
using DecisionValues = std::map<std::string, std::vector<std::int64_t>>;

/// What the decisions took: with these a generator makes the same schedule again.
DecisionValues values_of(const std::vector<Decision>& decisions);
/// The same from the sample steps of a trace.
DecisionValues values_of(const Trace& trace);

/// Whether a sample refused what was to be taken, because it is no option.
bool refuses_decision(const ScheduleError& error);

}  // namespace tenon
