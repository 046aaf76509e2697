#include "schedule/decision.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

/// Appends all ways to write `extent` as `n` factors, the last at most `max_innermost`; those with
/// a larger last factor first.
void append_tiles(std::int64_t extent, std::int64_t n, std::int64_t max_innermost,
                  std::vector<std::int64_t>* inside,
                  std::vector<std::vector<std::int64_t>>* tiles) {
  if (n == 1) {
    tiles->push_back({extent});
    tiles->back().insert(tiles->back().end(), inside->rbegin(), inside->rend());
    return;
  }
  // The outermost factor takes what is left; where it is the innermost one's turn, its limit holds.
  const std::int64_t most = inside->empty() ? std::min(extent, max_innermost) : extent;
  const auto visit = [&](std::int64_t factor) {
    inside->push_back(factor);
    append_tiles(extent / factor, n - 1, max_innermost, inside, tiles);
    inside->pop_back();
  };
  std::vector<std::int64_t> large, small;  // divisors, descending and ascending
  for (std::int64_t d = 1; d * d <= extent; ++d) {
    if (extent % d != 0) continue;
    if (d <= most) small.push_back(d);
    if (d * d != extent && extent / d <= most) large.push_back(extent / d);
  }
  if (inside->empty()) {
    for (const std::int64_t d : large) visit(d);
    for (auto d = small.rbegin(); d != small.rend(); ++d) visit(*d);
  } else {
    for (const std::int64_t d : small) visit(d);
    for (auto d = large.rbegin(); d != large.rend(); ++d) visit(*d);
  }
}

ScheduleValue apply(Step& step) {
  const LoopRef loop = step.argument<LoopRef>(1);
  const auto n = step.argument<std::int64_t>(2), max_innermost = step.argument<std::int64_t>(3);
  const auto extent = as_int(step.path_to(loop).back().as<ForNode>()->extent);
  TENON_REQUIRE(step, extent && *extent >= 1, 2, ScheduleError, "E1401", "loop '", loop.name(),
                "' has ", extent ? "no iterations" : "a symbolic extent");
  TENON_REQUIRE(step, n >= 2 && n <= 4, 2, ScheduleError, "E1401", "n = ", n,
                " should be 2, 3 or 4");
  TENON_REQUIRE(step, max_innermost >= 1, 2, ScheduleError, "E1401",
                "max_innermost = ", max_innermost, " should be at least 1");
  std::vector<std::vector<std::int64_t>> options;
  std::vector<std::int64_t> inside;
  append_tiles(*extent, n, max_innermost, &inside, &options);
  const auto& wanted = step.argument<Factors>(4);
  const std::optional<std::size_t> preferred =
      wanted.empty() ? std::optional<std::size_t>(0) : place_of(options, numbers_of(wanted));
  const auto taken = decide(step, DecisionKind::kTile, std::move(options), preferred, 5);
  return Factors(taken.begin(), taken.end());
}

}  // namespace

extern const Primitive kSampleTile;
const Primitive kSampleTile = {
    "sample_tile",
    "Takes factors of a loop's extent, the preferred ones unless a tuner says otherwise; changes "
    "nothing.",
    {{"name", ParameterKind::kText},
     {"loop", ParameterKind::kLoop},
     {"n", ParameterKind::kInteger},
     {"max_innermost", ParameterKind::kInteger, "16"},
     {"preferred", ParameterKind::kFactors, "[]", true},
     {"decision", ParameterKind::kFactors, "[]", true}},
    {"the name is not empty, and no other sample's",
     "the loop has a constant extent of at least 1, n is 2 to 4 and max_innermost at least 1",
     "the preferred factors are an option: they multiply to the extent",
     "the decision is an option"},
    ResultKind::kFactors,
    apply};

}  // namespace tenon
