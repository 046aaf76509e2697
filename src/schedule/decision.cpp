#include "schedule/decision.h"

#include <algorithm>

#include "tenon/schedule/trace.h"

namespace tenon {
namespace {

std::string text_of(const std::vector<std::int64_t>& value) {
  return argument_text(Factors(value.begin(), value.end()));
}

/// The options as text; of many only the first.
std::string text_of(const std::vector<std::vector<std::int64_t>>& options) {
  constexpr std::size_t kShown = 12;
  std::string text;
  for (std::size_t i = 0; i < options.size() && i < kShown; ++i)
    text += (i == 0 ? "" : ", ") + text_of(options[i]);
  if (options.size() > kShown) text += detail::concat(" and ", options.size() - kShown, " more");
  return text;
}

}  // namespace

const char* to_string(DecisionKind kind) {
  switch (kind) {
    case DecisionKind::kCategorical:
      return "categorical";
    case DecisionKind::kTile:
      return "tile";
    case DecisionKind::kComputeLocation:
      return "compute_location";
  }
  return "";
}

DecisionValues values_of(const std::vector<Decision>& decisions) {
  DecisionValues values;
  for (const Decision& d : decisions) values[d.name] = d.options[d.chosen];
  return values;
}

DecisionValues values_of(const Trace& trace) {
  DecisionValues values;
  for (const TraceStep& step : trace.steps) {
    if (step.primitive.rfind("sample_", 0) != 0) continue;
    const std::string* name = nullptr;
    const Factors* decision = nullptr;
    for (const auto& [key, value] : step.arguments) {
      if (key == "name") name = std::get_if<std::string>(&value);
      if (key == "decision") decision = std::get_if<Factors>(&value);
    }
    if (name != nullptr && decision != nullptr) values[*name] = numbers_of(*decision);
  }
  return values;
}

bool refuses_decision(const ScheduleError& error) { return error.code() == "E1403"; }

std::vector<std::int64_t> numbers_of(const Factors& factors) {
  std::vector<std::int64_t> numbers;
  for (const auto& f : factors) {
    if (!f) return {};
    numbers.push_back(*f);
  }
  return numbers;
}

std::optional<std::size_t> place_of(const std::vector<std::vector<std::int64_t>>& options,
                                    const std::vector<std::int64_t>& value) {
  const auto at = std::find(options.begin(), options.end(), value);
  if (at == options.end()) return std::nullopt;
  return static_cast<std::size_t>(at - options.begin());
}

std::vector<std::int64_t> decide(Step& step, DecisionKind kind,
                                 std::vector<std::vector<std::int64_t>> options,
                                 std::optional<std::size_t> preferred, std::size_t decision) {
  const auto& name = step.argument<std::string>(0);
  std::vector<Decision> known;
  if (step.state().decisions) known = *step.state().decisions;
  const bool is_taken =
      std::any_of(known.begin(), known.end(), [&](const Decision& d) { return d.name == name; });
  TENON_REQUIRE(step, !name.empty() && !is_taken, 1, ScheduleError, "E1400",
                name.empty() ? std::string("the name should not be empty")
                             : "a decision '" + name + "' was taken before");
  TENON_REQUIRE(step, preferred.has_value(), 3, ScheduleError, "E1402", "the preferred value of '",
                name, "' is none of its options, ", text_of(options));
  std::optional<std::size_t> chosen = preferred;
  const auto& given = step.argument<Factors>(decision);
  const DecisionValues* wanted = step.state().wanted.get();
  const bool is_wanted = given.empty() && wanted != nullptr && wanted->count(name) != 0;
  if (!given.empty() || is_wanted) {
    const auto value = is_wanted ? wanted->at(name) : numbers_of(given);
    chosen = place_of(options, value);
    TENON_REQUIRE(step, chosen.has_value(), 4, ScheduleError, "E1403", "the decision ",
                  is_wanted ? text_of(value) : argument_text(given), " for '", name,
                  "' is none of its options, ", text_of(options));
  }
  std::vector<std::int64_t> taken = options[*chosen];
  known.push_back({name, kind, std::move(options), *preferred, *chosen});
  step.set_decisions(std::move(known));
  step.set_argument(decision, Factors(taken.begin(), taken.end()));
  return taken;
}

}  // namespace tenon
