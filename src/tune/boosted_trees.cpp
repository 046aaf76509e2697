#include "tenon/tune/boosted_trees.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "tenon/support/error.h"

namespace tenon::tune {
namespace {

/// The features as numbers of bins; a bin holds the values up to its bound.
struct Bins {
  std::vector<std::vector<double>> bounds;  ///< by feature; the last bin has none
  std::vector<std::uint8_t> of;             ///< by feature, then row
  std::size_t num_rows = 0;

  std::uint8_t at(std::size_t feature, std::size_t row) const {
    return of[feature * num_rows + row];
  }
};

/// Bounds half way between neighbouring values, at most `max_bins` - 1 of them, by quantiles.
std::vector<double> bounds_of(std::vector<double> values, int max_bins) {
  std::sort(values.begin(), values.end());
  std::vector<double> bounds;
  const std::size_t n = values.size();
  for (int b = 1; b < max_bins; ++b) {
    // The first change of value at or after the quantile.
    std::size_t i = std::max<std::size_t>(
        1, n * static_cast<std::size_t>(b) / static_cast<std::size_t>(max_bins));
    while (i < n && values[i] == values[i - 1]) ++i;
    if (i >= n) break;
    const double bound = values[i - 1] + (values[i] - values[i - 1]) / 2;
    if (bounds.empty() || bound > bounds.back()) bounds.push_back(bound);
  }
  return bounds;
}

Bins make_bins(std::span<const double> features, std::size_t num_features, std::size_t num_rows,
               int max_bins) {
  Bins bins;
  bins.num_rows = num_rows;
  bins.of.resize(num_features * num_rows);
  std::vector<double> column(num_rows);
  for (std::size_t f = 0; f < num_features; ++f) {
    for (std::size_t r = 0; r < num_rows; ++r) column[r] = features[r * num_features + f];
    bins.bounds.push_back(bounds_of(column, max_bins));
    const std::vector<double>& bounds = bins.bounds.back();
    for (std::size_t r = 0; r < num_rows; ++r) {
      const auto at = std::lower_bound(bounds.begin(), bounds.end(), column[r]);
      bins.of[f * num_rows + r] = static_cast<std::uint8_t>(at - bounds.begin());
    }
  }
  return bins;
}

/// `count` of the numbers below `n`, ascending; the draws are the same everywhere.
std::vector<std::uint32_t> draw(std::size_t n, std::size_t count, std::mt19937_64* random) {
  std::vector<std::uint32_t> all(n);
  std::iota(all.begin(), all.end(), 0U);
  for (std::size_t i = 0; i < count && count < n; ++i)
    std::swap(all[i], all[i + static_cast<std::size_t>((*random)() % (n - i))]);
  all.resize(count);
  std::sort(all.begin(), all.end());
  return all;
}

std::size_t share_of(std::size_t n, double share) {
  const auto part = static_cast<std::size_t>(std::ceil(share * static_cast<double>(n)));
  return std::clamp<std::size_t>(part, 1, n);
}

struct Sum {
  double residual = 0;
  std::int64_t rows = 0;
};

struct Split {
  double gain = 0;
  std::size_t feature = 0;
  std::size_t bin = 0;  ///< the last one of the left side
};

}  // namespace

/// One tree on the residuals of some rows.
class BoostedTrees::Grower {
 public:
  Grower(const Bins& bins, const std::vector<double>& residuals, const BoostOptions& options,
         std::vector<std::uint32_t> features, std::vector<double>* gains)
      : bins_(bins),
        residuals_(residuals),
        options_(options),
        features_(std::move(features)),
        gains_(*gains) {}

  std::vector<Node> grow(std::vector<std::uint32_t> rows) {
    nodes_.emplace_back();
    grow(0, rows, 0);
    return std::move(nodes_);
  }

 private:
  /// What a side explains: its part of the squared error that its leaf takes away.
  double explained(const Sum& sum) const {
    return sum.residual * sum.residual / (static_cast<double>(sum.rows) + options_.shrinkage);
  }

  void grow(std::size_t at, std::span<std::uint32_t> rows, int depth) {
    Sum total;
    for (const std::uint32_t r : rows) total.residual += residuals_[r];
    total.rows = static_cast<std::int64_t>(rows.size());
    const Split best = depth < options_.max_depth ? best_split(rows, total) : Split{};
    if (best.gain <= 0) {
      nodes_[at].value = options_.learning_rate * total.residual /
                         (static_cast<double>(total.rows) + options_.shrinkage);
      return;
    }
    gains_[best.feature] += best.gain;
    const auto middle = std::stable_partition(rows.begin(), rows.end(), [&](std::uint32_t r) {
      return bins_.at(best.feature, r) <= best.bin;
    });
    const auto left = static_cast<std::size_t>(middle - rows.begin());
    const std::size_t children = nodes_.size();
    nodes_.resize(children + 2);
    nodes_[at].feature = static_cast<int>(best.feature);
    nodes_[at].threshold = bins_.bounds[best.feature][best.bin];
    nodes_[at].left = static_cast<int>(children);
    grow(children, rows.first(left), depth + 1);
    grow(children + 1, rows.subspan(left), depth + 1);
  }

  /// The first of the best ones, by feature and bin.
  Split best_split(std::span<const std::uint32_t> rows, const Sum& total) {
    Split best;
    const double whole = explained(total);
    // Rounding alone must not split what is equal.
    const double least = 1e-12 * (1 + std::abs(whole));
    for (const std::uint32_t f : features_) {
      const std::size_t num_bounds = bins_.bounds[f].size();
      if (num_bounds == 0) continue;
      histogram_.assign(num_bounds + 1, {});
      for (const std::uint32_t r : rows) {
        Sum& sum = histogram_[bins_.at(f, r)];
        sum.residual += residuals_[r];
        ++sum.rows;
      }
      Sum left;
      for (std::size_t b = 0; b < num_bounds; ++b) {
        left.residual += histogram_[b].residual;
        left.rows += histogram_[b].rows;
        const Sum right = {total.residual - left.residual, total.rows - left.rows};
        if (left.rows < options_.min_rows) continue;
        if (right.rows < options_.min_rows) break;
        const double gain = explained(left) + explained(right) - whole;
        if (gain > least && gain > best.gain) best = {gain, f, b};
      }
    }
    return best;
  }

  const Bins& bins_;
  const std::vector<double>& residuals_;
  const BoostOptions& options_;
  std::vector<std::uint32_t> features_;
  std::vector<double>& gains_;
  std::vector<Node> nodes_;
  std::vector<Sum> histogram_;
};

void BoostedTrees::fit(std::span<const double> features, int num_features,
                       std::span<const double> targets, const BoostOptions& options) {
  const std::size_t num_rows = targets.size();
  const auto width = static_cast<std::size_t>(num_features);
  TENON_CHECK(num_features > 0 && features.size() == num_rows * width, features.size(),
              " numbers for ", num_rows, " rows of ", num_features);
  TENON_CHECK(options.max_bins >= 2 && options.max_bins <= 256, options.max_bins, " bins");
  const auto is_finite = [](double x) { return std::isfinite(x); };
  TENON_CHECK(std::all_of(features.begin(), features.end(), is_finite) &&
                  std::all_of(targets.begin(), targets.end(), is_finite),
              "a feature or target is not finite");
  num_features_ = num_features;
  trees_.clear();
  gains_.assign(width, 0);
  mean_ = 0;
  if (num_rows == 0) return;
  mean_ = std::accumulate(targets.begin(), targets.end(), 0.0) / static_cast<double>(num_rows);

  const Bins bins = make_bins(features, width, num_rows, options.max_bins);
  std::vector<double> residuals(num_rows);
  for (std::size_t r = 0; r < num_rows; ++r) residuals[r] = targets[r] - mean_;
  std::mt19937_64 random(options.seed);
  for (int t = 0; t < options.num_trees; ++t) {
    std::vector<std::uint32_t> rows =
        draw(num_rows, share_of(num_rows, options.row_share), &random);
    std::vector<std::uint32_t> some = draw(width, share_of(width, options.feature_share), &random);
    Grower grower(bins, residuals, options, std::move(some), &gains_);
    trees_.push_back(grower.grow(std::move(rows)));
    const std::vector<Node>& tree = trees_.back();
    for (std::size_t r = 0; r < num_rows; ++r)
      residuals[r] -= value_in(tree, features.subspan(r * width, width));
  }
}

double BoostedTrees::value_in(const std::vector<Node>& tree, std::span<const double> row) {
  std::size_t at = 0;
  while (tree[at].feature >= 0) {
    const bool is_left = row[static_cast<std::size_t>(tree[at].feature)] <= tree[at].threshold;
    at = static_cast<std::size_t>(tree[at].left) + (is_left ? 0 : 1);
  }
  return tree[at].value;
}

double BoostedTrees::predict(std::span<const double> row) const {
  TENON_CHECK(trees_.empty() || row.size() == static_cast<std::size_t>(num_features_), row.size(),
              " numbers for ", num_features_, " features");
  double value = mean_;
  for (const std::vector<Node>& tree : trees_) value += value_in(tree, row);
  return value;
}

}  // namespace tenon::tune
