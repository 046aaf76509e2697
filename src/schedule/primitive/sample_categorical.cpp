#include "schedule/decision.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  std::vector<std::vector<std::int64_t>> options;
  for (const auto& option : step.argument<Factors>(1)) {
    TENON_REQUIRE(step, option && !place_of(options, {*option}), 2, ScheduleError, "E1401",
                  option ? detail::concat("the option ", *option, " is given twice")
                         : std::string("an option is None"));
    options.push_back({*option});
  }
  TENON_REQUIRE(step, !options.empty(), 2, ScheduleError, "E1401", "there are no options");
  const auto preferred = place_of(options, {step.argument<std::int64_t>(2)});
  return decide(step, DecisionKind::kCategorical, std::move(options), preferred, 3)[0];
}

}  // namespace

extern const Primitive kSampleCategorical;
const Primitive kSampleCategorical = {
    "sample_categorical",
    "Takes one of some numbers, the preferred one unless a tuner says otherwise; changes nothing.",
    {{"name", ParameterKind::kText},
     {"options", ParameterKind::kFactors},
     {"preferred", ParameterKind::kInteger},
     {"decision", ParameterKind::kFactors, "[]", true}},
    {"the name is not empty, and no other sample's", "there are options, all different integers",
     "the preferred value is an option", "the decision is an option"},
    ResultKind::kInteger,
    apply};

}  // namespace tenon
