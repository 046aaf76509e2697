// Samples: what they offer, take, refuse, and leave in the trace.

#include <gtest/gtest.h>

#include "schedule/refusal.h"
#include "schedule/workloads.h"
#include "tenon/ir/structural.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

using testing::refusal;

TEST(SampleTest, takes_what_is_preferred_or_wanted) {
  Schedule s(testing::matmul(12, 32, 8));
  s.use_decisions({{"rows", {6}}, {"nobody asks", {1}}});
  EXPECT_EQ(s.sample_categorical("rows", {4, 6, 8}, 4), 6);
  EXPECT_EQ(s.sample_categorical("other", {4, 6, 8}, 8), 8);
  ASSERT_EQ(s.decisions().size(), 2U);
  EXPECT_EQ(s.decisions()[0].name, "rows");
  EXPECT_EQ(s.decisions()[0].preferred, 0U);
  EXPECT_EQ(s.decisions()[0].chosen, 1U);
  EXPECT_STREQ(to_string(s.decisions()[1].kind), "categorical");
  const DecisionValues expected = {{"rows", {6}}, {"other", {8}}};
  EXPECT_EQ(values_of(s.decisions()), expected);
  EXPECT_EQ(values_of(s.trace()), expected);
}

TEST(SampleTest, tiles_are_all_products_with_a_small_last_factor) {
  Schedule s(testing::matmul(12, 32, 8));
  const Factors factors = s.sample_tile("i", s.loops("C")[0], 2, 6);
  EXPECT_EQ(factors, (Factors{2, 6}));
  const std::vector<std::vector<std::int64_t>> options = {{2, 6}, {3, 4}, {4, 3}, {6, 2}, {12, 1}};
  EXPECT_EQ(s.decisions()[0].options, options);
  EXPECT_EQ(s.sample_tile("j", s.loops("C")[1], 3, 4, {2, 4, 4}), (Factors{2, 4, 4}));
  for (const auto& option : s.decisions()[1].options) {
    EXPECT_EQ(option[0] * option[1] * option[2], 32);
    EXPECT_LE(option[2], 4);
  }
  EXPECT_EQ(s.decisions()[1].options.size(), 15U);  // 6 + 5 + 4 ways for a last factor of 1, 2, 4
}

TEST(SampleTest, places_are_those_where_the_block_may_go) {
  Schedule s(testing::elementwise_chain(16));
  s.use_decisions({{"T", {0}}});
  EXPECT_EQ(s.sample_compute_location("T", {"T"}), 0);
  const std::vector<std::vector<std::int64_t>> options = {{-1}, {-2}, {0}};
  EXPECT_EQ(s.decisions()[0].options, options);
  s.compute_at({"T"}, s.loops("C")[0]);
  // A reduction is not inlined; nothing reads C.
  Schedule sums(testing::softmax_chain(4, 8));
  sums.sample_compute_location("S", {"S"});
  for (const auto& option : sums.decisions()[0].options) EXPECT_NE(option[0], -2);
  EXPECT_EQ(sums.decisions()[0].options.size(), 3U);
  sums.sample_compute_location("C", {"C"});
  EXPECT_EQ(sums.decisions()[1].options.size(), 1U);
}

TEST(SampleTest, refuses) {
  Schedule s(testing::matmul(12, 32, 8)), symbolic(testing::symbolic_matmul(8, 8));
  const auto categorical = [&](const char* name, const std::vector<std::int64_t>& options,
                               std::int64_t preferred) {
    return refusal(s, [&] { s.sample_categorical(name, options, preferred); });
  };
  EXPECT_EQ(categorical("", {1}, 1), R"(sample_categorical: the name should not be empty [E1400]
  requires (1): the name is not empty, and no other sample's)");
  EXPECT_EQ(categorical("a", {}, 1), R"(sample_categorical: there are no options [E1401]
  requires (2): there are options, all different integers)");
  EXPECT_EQ(categorical("a", {1, 1}, 1),
            R"(sample_categorical: the option 1 is given twice [E1401]
  requires (2): there are options, all different integers)");
  EXPECT_EQ(
      categorical("a", {1, 2}, 3),
      R"(sample_categorical: the preferred value of 'a' is none of its options, [1], [2] [E1402]
  requires (3): the preferred value is an option)");
  s.use_decisions({{"a", {5}}});
  EXPECT_EQ(categorical("a", {1, 2}, 1),
            R"(sample_categorical: the decision [5] for 'a' is none of its options, [1], [2] [E1403]
  requires (4): the decision is an option)");
  s.sample_categorical("b", {1, 2}, 1);
  EXPECT_EQ(categorical("b", {1, 2}, 1),
            R"(sample_categorical: a decision 'b' was taken before [E1400]
  requires (1): the name is not empty, and no other sample's)");
  const LoopRef i = s.loops("C")[0];
  const std::string tile_rule =
      "\n  requires (2): the loop has a constant extent of at least 1, n is 2 to 4 and "
      "max_innermost at least 1";
  EXPECT_EQ(refusal(s, [&] { s.sample_tile("t", i, 1); }),
            "sample_tile: n = 1 should be 2, 3 or 4 [E1401]" + tile_rule);
  EXPECT_EQ(refusal(s, [&] { s.sample_tile("t", i, 2, 0); }),
            "sample_tile: max_innermost = 0 should be at least 1 [E1401]" + tile_rule);
  EXPECT_EQ(refusal(symbolic, [&] { symbolic.sample_tile("t", symbolic.loops("C")[0], 2); }),
            "sample_tile: loop 'i' has a symbolic extent [E1401]" + tile_rule);
  EXPECT_EQ(
      refusal(s, [&] { s.sample_tile("t", i, 2, 2, {5, 2}); }),
      R"(sample_tile: the preferred value of 't' is none of its options, [6, 2], [12, 1] [E1402]
  requires (3): the preferred factors are an option: they multiply to the extent)");
  EXPECT_EQ(refusal(s, [&] { s.sample_compute_location("c", {"D"}); }),
            "sample_compute_location: no block 'D' in function 'matmul' [E0202]");
  EXPECT_EQ(
      refusal(s, [&] { s.sample_compute_location("c", {"C"}, 0); }),
      R"(sample_compute_location: the preferred value of 'c' is none of its options, [-1] [E1402]
  requires (3): the preferred place is legal)");
}

TEST(SampleTest, traces_replay_and_refuse_a_decision_that_is_no_option) {
  Schedule s(testing::matmul(12, 32, 8));
  s.use_decisions({{"j", {2, 4, 4}}});
  const LoopRef j = s.loops("C")[1];
  s.split(j, s.sample_tile("j", j, 3, 4), "mask");
  const std::string json = s.trace().to_json();
  EXPECT_NE(s.trace().to_python().find("s.sample_tile(\"j\", j, 3, 4, decision=[2, 4, 4])"),
            std::string::npos)
      << s.trace().to_python();
  Schedule replayed(testing::matmul(12, 32, 8));
  const Trace trace = Trace::from_json(json);
  EXPECT_EQ(values_of(trace), values_of(s.decisions()));
  trace.replay(&replayed);
  EXPECT_TRUE(structural_equal(replayed.function(), s.function()));
  EXPECT_EQ(values_of(replayed.decisions()), values_of(s.decisions()));

  const auto with_decision = [&](const std::string& text) {
    std::string changed = json;
    const std::size_t at = changed.find("\"decision\":[2,4,4]");
    changed.replace(at, 18, "\"decision\":" + text);
    return Trace::from_json(changed);
  };
  // Steps that follow are literal: another option is another note.
  Schedule noted(testing::matmul(12, 32, 8));
  with_decision("[8,2,2]").replay(&noted);
  EXPECT_TRUE(structural_equal(noted.function(), s.function()));
  Schedule refused(testing::matmul(12, 32, 8));
  try {
    with_decision("[5,2,2]").replay(&refused);
    FAIL() << "nothing was raised";
  } catch (const ScheduleError& e) {
    EXPECT_EQ(e.code(), "E1403");
    EXPECT_NE(std::string(e.what()).find("the decision [5, 2, 2] for 'j'"), std::string::npos);
  }
}

}  // namespace
}  // namespace tenon
