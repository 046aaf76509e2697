#pragma once

/// The trace of a schedule: its steps as data, as JSON and as Python text, and replayable on
/// another function.

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tenon/schedule/handle.h"

namespace tenon {

class Schedule;

/// A loop by its name in the trace, unique there.
struct TracedLoop {
  std::string name;
};
/// An index map as text: names of the variables, and the results over them.
struct TracedIndexMap {
  std::vector<std::string> vars, results;
};
using TracedValue = std::variant<std::int64_t, double, std::string, TracedLoop, BlockRef,
                                 std::vector<TracedLoop>, Factors, TracedIndexMap>;

/// One step: a primitive, or the look-up "loops" that gives names to the loops around a block.
struct TraceStep {
  std::string primitive;
  std::vector<std::pair<std::string, TracedValue>>
      arguments;                     ///< in the primitive's order, defaults left out
  std::vector<std::string> results;  ///< loops by their names in the trace, or one block
  std::vector<std::string>
      kinds;                  ///< of "loops": spatial, reduction, ordered or mixed, one per result
  bool reassociates = false;  ///< the step may change the bits of a float sum or product
};

/// The steps that made a schedule, in order.
///
/// The text forms are versioned (kVersion) and diffable: one step a line. A trace read from JSON is
/// checked for its form only; whether it fits a function shows when it is replayed.
class Trace {
 public:
  static constexpr int kVersion = 1;

  std::string function;  ///< name of the function that the schedule was made for
  std::vector<TraceStep> steps;

  /// Whether any step reassociates.
  bool reassociates() const;
  /// JSON with one step a line.
  std::string to_json() const;
  /// Raises ScheduleError: E0271 for text that is no trace, E0272 for another version.
  static Trace from_json(const std::string& text);
  /// A Python program that applies the steps to a schedule `s`.
  std::string to_python() const;
  /// Applies the steps to a fresh schedule of another function. Loops are found by block, position,
  /// name and kind; where they do not match, E0273 names the step; where a primitive refuses, its
  /// own error does, its first line starting with the step.
  void replay(Schedule* schedule) const;
};

}  // namespace tenon
