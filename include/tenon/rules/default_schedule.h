#pragma once

/// Default schedules: what every function gets that the user did not schedule.

#include <optional>
#include <string>
#include <unordered_set>

#include "tenon/runtime/target.h"
#include "tenon/schedule/schedule.h"

namespace tenon {

/// A schedule and where it comes from.
struct ChosenSchedule {
  Schedule schedule;
  /// "rule contraction", "rules scatter (C), elementwise (D)", or "tuned 2026-11-30, 1.34x". With
  /// what was wrong in brackets where a stored schedule could not be used.
  std::string source;
  bool is_stored = false;  ///< measured before, by the tuner
};

/// The schedule of `f` (block level) for the target that the tuner found, where the process'
/// ScheduleSource has one that still fits; else that of the rules. Never fails; never
/// changes what is computed except by the order of float sums that design 3a fixes.
ChosenSchedule choose_schedule(const Function& f, const Target& target);

/// What the tuner found and still fits; nothing else. `problem` is told what was wrong.
std::optional<ChosenSchedule> stored_schedule(const Function& f, const Target& target,
                                              std::string* problem = nullptr);

/// choose_schedule(f, target).schedule.
Schedule default_schedule(const Function& f, const Target& target);

/// A schedule built from the structure of the function's blocks alone: cheap element-wise blocks
/// are inlined; contractions get register tiles, their element-wise consumers at the tile;
/// reductions along rows run in 64 lanes (design 3a); chains of blocks over the same rows (softmax,
/// normalisation, attention) run row by row. A block without a rule keeps its loops, the outermost
/// in parallel. On a GPU every nest is bound to blocks and threads. Never fails.
ChosenSchedule rule_schedule(const Function& f, const Target& target);

/// The schedule that the rules write with these decisions: those of its `decisions()` that are not
/// named take the preferred value; with none it is the function of `rule_schedule`. A name that
/// nothing asks for is ignored. On a GPU there are no decisions yet. Raises ScheduleError: E1403
/// for a value that is no option, E1404 where a rule refuses what was decided.
Schedule rule_schedule_with(const Function& f, const Target& target,
                            const DecisionValues& decisions);

/// `rule_schedule` for a function that is scheduled in part: rules for every block that still has
/// the loops it was made with, block by block. Those in `done` stay as they are.
void schedule_remaining(Schedule* s, const std::unordered_set<std::string>& done,
                        const Target& target);

}  // namespace tenon
