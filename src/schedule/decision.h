#pragma once

/// What the three sample primitives share.

#include <optional>
#include <vector>

#include "schedule/step.h"

namespace tenon {

/// Decides for the sample that `step` applies, whose argument 0 is the name: the argument at
/// `decision` (a trace has it), or what use_decisions named, or `preferred` (a place in
/// `decision.options`; none: the preferred one was no option). Records it, also in the arguments.
/// Returns what is taken. Refusals cite requirements (1), (3) and (4) of the primitive.
std::vector<std::int64_t> decide(Step& step, DecisionKind kind,
                                 std::vector<std::vector<std::int64_t>> options,
                                 std::optional<std::size_t> preferred, std::size_t decision);

/// The place of a value; nothing where it is no option.
std::optional<std::size_t> place_of(const std::vector<std::vector<std::int64_t>>& options,
                                    const std::vector<std::int64_t>& value);

/// Factors without one to be computed, as numbers; empty where one is.
std::vector<std::int64_t> numbers_of(const Factors& factors);

}  // namespace tenon
