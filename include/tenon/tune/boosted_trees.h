#pragma once

/// Gradient-boosted regression trees: what the cost model learns with.
///
/// Least squares, shrunken trees on random parts of the rows (Friedman, "Greedy function
/// approximation: a gradient boosting machine", 2001, and "Stochastic gradient boosting", 2002),
/// splits between quantiles found by histograms (Ke et al., "LightGBM", 2017). Small by intent:
/// some thousands of rows, tens of features. The same input gives the same trees on every machine
/// with IEEE arithmetic.

#include <cstdint>
#include <span>
#include <vector>

namespace tenon::tune {

struct BoostOptions {
  int num_trees = 100;
  int max_depth = 5;
  double learning_rate = 0.15;
  int min_rows = 4;            ///< of a leaf
  double row_share = 0.8;      ///< that a tree sees, drawn by the seed
  double feature_share = 0.6;  ///< that a tree may split on; at least one
  int max_bins = 64;           ///< 2 to 256 per feature
  double shrinkage = 1;  ///< a leaf of n rows gives the sum of its residuals over n + shrinkage
  std::uint64_t seed = 0;
};

/// A function of some numbers, learnt from values at some points.
class BoostedTrees {
 public:
  /// Forgets what was learnt and learns `targets` at the rows of `features` (row-major,
  /// targets.size() x num_features, all finite). Without rows it predicts 0.
  void fit(std::span<const double> features, int num_features, std::span<const double> targets,
           const BoostOptions& options = {});
  /// The value at a point of as many numbers as `fit` had features.
  double predict(std::span<const double> row) const;
  /// By how much splits on each feature lowered the squared error, over all trees.
  const std::vector<double>& gains() const { return gains_; }

 private:
  struct Node {
    int feature = -1;      ///< -1: a leaf
    double threshold = 0;  ///< values up to it go to `left`, others to the node after that
    int left = 0;
    double value = 0;  ///< of a leaf
  };
  class Grower;
  static double value_in(const std::vector<Node>& tree, std::span<const double> row);

  int num_features_ = 0;
  double mean_ = 0;
  std::vector<std::vector<Node>> trees_;
  std::vector<double> gains_;
};

}  // namespace tenon::tune
