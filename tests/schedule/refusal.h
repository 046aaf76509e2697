#pragma once

/// What a refused step says.

#include <string>

#include "tenon/schedule/schedule.h"

namespace tenon::testing {

/// The line of an error that begins with `start`; empty when there is none.
inline std::string line_of(const std::string& text, const std::string& start) {
  const std::size_t at = text.find(start);
  return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
}

/// The counter-example of the ScheduleError that `step` raises.
template <typename F>
std::string counter_example(const F& step) {
  try {
    step();
  } catch (const ScheduleError& e) {
    return line_of(e.what(), "counter-example: ");
  }
  return "nothing was raised";
}

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
