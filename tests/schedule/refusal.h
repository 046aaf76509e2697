#pragma once

/// What a refused step says.

#include <string>

#include "tenon/schedule/schedule.h"

namespace tenon::testing {

/// The first line of the ScheduleError that `step` raises, and its requirement line if it has one;
/// "nothing was raised", or "the schedule changed" when the step left something behind.
template <typename F>
std::string refusal(const Schedule& s, const F& step) {
  const Function before = s.function();
  const std::size_t steps = s.trace().steps.size();
  try {
    step();
  } catch (const ScheduleError& e) {
    if (!s.function().same_as(before) || s.trace().steps.size() != steps)
      return "the schedule changed";
    const std::string text = e.what();
    const std::size_t first = text.find('\n');
    const std::size_t second = text.find('\n', first == std::string::npos ? first : first + 1);
    return text.find("\n  requires (") == first ? text.substr(0, second) : text.substr(0, first);
  }
  return "nothing was raised";
}

}  // namespace tenon::testing
