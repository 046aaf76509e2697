#pragma once

/// Spaces: all schedules of one function that a tuner chooses from.

#include <functional>
#include <memory>
#include <vector>

#include "tenon/runtime/target.h"
#include "tenon/schedule/schedule.h"

namespace tenon::tune {

/// What a set of decisions makes.
struct Point {
  Schedule schedule;
  std::vector<Decision> decisions;  ///< all that were asked for, in the order taken
};

/// A generator of schedules that asks for decisions. Which decisions a point has depends on those
/// taken before.
class Space {
 public:
  virtual ~Space() = default;
  virtual const Function& function() const = 0;
  virtual const Target& target() const = 0;
  /// The schedule with these decisions; those not named are the preferred ones. The same values
  /// give the same schedule. Names that nothing asks for are ignored. Raises ScheduleError where
  /// a value is no option (E1403) or the schedule cannot be written so (E1404, or what a primitive
  /// refused).
  virtual Point generate(const DecisionValues& values) const = 0;
};

/// What the default rules can write; `generate({})` is the function of `rule_schedule`. Any thread
/// may generate.
std::unique_ptr<Space> rule_space(const Function& f, const Target& target);

/// What `generator` writes, which asks with the sample primitives. Threads may generate at once if
/// the generator may run so.
std::unique_ptr<Space> generator_space(const Function& f, const Target& target,
                                       std::function<void(Schedule&)> generator);

}  // namespace tenon::tune
