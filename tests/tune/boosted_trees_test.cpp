// What boosted trees learn, and that they learn the same each time.

#include "tenon/tune/boosted_trees.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "tenon/support/error.h"

namespace tenon::tune {
namespace {

constexpr int kWidth = 6;
using Row = std::vector<double>;

struct Points {
  std::vector<double> features, targets;
  std::span<const double> row(std::size_t i) const {
    return std::span(features).subspan(i * kWidth, kWidth);
  }
};

double uniform(std::mt19937_64* random) { return static_cast<double>((*random)() >> 11) * 0x1p-53; }

Points sample(std::size_t n, std::uint64_t seed, const std::function<double(const double*)>& f) {
  std::mt19937_64 random(seed);
  Points points;
  for (std::size_t i = 0; i < n; ++i) {
    for (int d = 0; d < kWidth; ++d) points.features.push_back(uniform(&random));
    points.targets.push_back(f(&points.features[i * kWidth]));
  }
  return points;
}

/// A cost with an optimum inside, a cliff, and a product of two features; three do not matter.
double cost(const double* x) {
  const double cliff = x[2] > 0.7 ? 1.5 : 0;
  return std::pow(x[0] - 0.4, 2) * 8 + x[0] * x[1] * 2 + cliff;
}

/// The share of the variance at fresh points that is explained.
double explained(const BoostedTrees& trees, const Points& points) {
  const double mean = std::accumulate(points.targets.begin(), points.targets.end(), 0.0) /
                      static_cast<double>(points.targets.size());
  double error = 0, variance = 0;
  for (std::size_t i = 0; i < points.targets.size(); ++i) {
    error += std::pow(points.targets[i] - trees.predict(points.row(i)), 2);
    variance += std::pow(points.targets[i] - mean, 2);
  }
  return 1 - error / variance;
}

TEST(BoostedTrees, a_planted_cost_is_learnt) {
  const Points known = sample(400, 1, cost), fresh = sample(400, 2, cost);
  BoostedTrees trees;
  trees.fit(known.features, kWidth, known.targets);
  EXPECT_GT(explained(trees, fresh), 0.9);
  // Of 400 fresh points the ten that look cheapest are cheap.
  std::vector<std::size_t> order(400);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return trees.predict(fresh.row(a)) < trees.predict(fresh.row(b));
  });
  std::vector<double> sorted = fresh.targets;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < 10; ++i) EXPECT_LT(fresh.targets[order[i]], sorted[80]);
}

TEST(BoostedTrees, what_does_not_matter_gains_little) {
  const Points known = sample(400, 1, cost);
  BoostedTrees trees;
  trees.fit(known.features, kWidth, known.targets);
  const std::vector<double>& gains = trees.gains();
  ASSERT_EQ(gains.size(), kWidth);
  const double least = std::min({gains[0], gains[1], gains[2]});
  for (int f = 3; f < kWidth; ++f) EXPECT_LT(gains[static_cast<std::size_t>(f)], least);
}

TEST(BoostedTrees, noise_does_not_break_the_order) {
  std::mt19937_64 random(9);
  const Points known =
      sample(400, 1, [&](const double* x) { return cost(x) + 0.3 * (uniform(&random) - 0.5); });
  BoostedTrees trees;
  trees.fit(known.features, kWidth, known.targets);
  EXPECT_GT(explained(trees, sample(400, 2, cost)), 0.85);
}

TEST(BoostedTrees, equal_input_gives_equal_trees_and_the_seed_counts) {
  const Points known = sample(100, 1, cost);
  BoostedTrees a, b, other;
  a.fit(known.features, kWidth, known.targets);
  b.fit(sample(50, 3, cost).features, kWidth, sample(50, 3, cost).targets);  // forgotten
  b.fit(known.features, kWidth, known.targets);
  other.fit(known.features, kWidth, known.targets, {.seed = 5});
  bool differs = false;
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(a.predict(known.row(i)), b.predict(known.row(i)));
    differs = differs || a.predict(known.row(i)) != other.predict(known.row(i));
  }
  EXPECT_TRUE(differs);
}

TEST(BoostedTrees, a_step_is_found_between_its_neighbours) {
  const std::vector<double> x = {1, 2, 3, 4, 10, 11, 12, 13}, y = {0, 0, 0, 0, 1, 1, 1, 1};
  BoostedTrees trees;
  trees.fit(x, 1, y, {.num_trees = 60, .row_share = 1, .shrinkage = 0});
  EXPECT_NEAR(trees.predict(Row{6.9}), 0, 1e-3);
  EXPECT_NEAR(trees.predict(Row{7.1}), 1, 1e-3);
}

TEST(BoostedTrees, leaves_are_no_smaller_than_asked) {
  // Four rows make no two leaves of three: all that is known is their mean.
  const std::vector<double> x = {1, 2, 3, 4}, y = {0, 0, 1, 1};
  BoostedTrees trees;
  trees.fit(x, 1, y, {.min_rows = 3, .row_share = 1});
  for (const double at : x) EXPECT_DOUBLE_EQ(trees.predict(Row{at}), 0.5);
}

TEST(BoostedTrees, few_or_equal_rows_give_their_mean) {
  BoostedTrees trees;
  trees.fit({}, kWidth, {});
  EXPECT_EQ(trees.predict(Row(kWidth, 0.5)), 0);
  trees.fit(Row(kWidth, 0.5), kWidth, Row{3});
  EXPECT_DOUBLE_EQ(trees.predict(Row(kWidth, 0.5)), 3);
  trees.fit(Row(kWidth * 20, 0.5), kWidth, Row(20, 0.1));
  EXPECT_NEAR(trees.predict(Row(kWidth, 7)), 0.1, 1e-12);
  for (const double gain : trees.gains()) EXPECT_EQ(gain, 0);
}

TEST(BoostedTrees, nonsense_is_refused) {
  BoostedTrees trees;
  EXPECT_THROW(trees.fit(Row{1, 2, 3}, 2, Row{1}), InternalError);
  EXPECT_THROW(trees.fit(Row{NAN}, 1, Row{1}), InternalError);
  EXPECT_THROW(trees.fit(Row{1}, 1, Row{INFINITY}), InternalError);
  trees.fit(Row{1, 2}, 1, Row{1, 2});
  EXPECT_THROW(trees.predict(Row{1, 2}), InternalError);
}

}  // namespace
}  // namespace tenon::tune
