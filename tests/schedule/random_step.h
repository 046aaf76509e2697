#pragma once

/// Random steps of a schedule, for the fuzzer.

#include <map>
#include <optional>
#include <random>
#include <string>

#include "tenon/schedule/schedule.h"

namespace tenon::testing {

/// How often each primitive was drawn.
struct DrawCount {
  int legal = 0, refused = 0;
};
using DrawCounts = std::map<std::string, DrawCount>;

/// Draws a primitive, rarely drawn ones more often, and arguments for it that fit the function,
/// though not always its requirements. Nothing when the function has no place for it.
struct DrawnStep {
  std::string primitive;
  NamedArguments arguments;
};
/// Primitives of GPU schedules only, which draw_step leaves out.
bool is_for_gpu(const std::string& primitive);
std::optional<DrawnStep> draw_step(const Schedule& s, const DrawCounts& counts,
                                   std::mt19937* random);

}  // namespace tenon::testing
