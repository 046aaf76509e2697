#pragma once

/// Operators that draw random numbers.
///
/// They are functions: equal sources and shapes give equal numbers, on every machine, for any
/// number of threads, and in each call. What changes from call to call is `step`, an operand.

#include <cstdint>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::graph {

/// Where numbers come from: Philox 4x32-10 (te/philox.h) under the key `seed`. Element i in
/// row-major order of random bits is word i % 4 of the counter (i // 4 mod 2^32, i // 2^34, stream,
/// step mod 2^32), as in tn.random.bits.
struct RandomSource {
  Value seed;                ///< uint32 [2], the low word first
  std::uint32_t stream = 0;  ///< a number of its own for each use
  Value step;                ///< an int64 scalar
};

/// Uniform numbers of [low, high): the upper 24 bits, scaled in float64, then rounded to `dtype`, a
/// float.
Value random_uniform(const RandomSource& source, const std::vector<Expr>& shape, DType dtype,
                     double low, double high);
/// Normally distributed numbers, computed in float64 (G. Box, M. Muller: A note on the generation
/// of random normal deviates, 1958) from bits 2i and 2i + 1, then rounded to `dtype`, a float.
Value random_normal(const RandomSource& source, const std::vector<Expr>& shape, DType dtype,
                    double mean, double std);
/// Bools of the shape of `p`, floats: true with this probability (a uniform number is below it).
Value bernoulli(const RandomSource& source, const Value& p);
/// Bools, false at the share `rate` of places: where the first word of the counter (i mod 2^32,
/// i // 2^32, stream, step) of element i is below rate * 2^32.
Value dropout_mask(const RandomSource& source, const std::vector<Expr>& shape, double rate);
/// For each row of `scores` [N, C], floats, `count` classes, int64 [N, count], drawn with
/// probabilities proportional to exp(score): where score + g is largest, the g's distributed as
/// exp(-exp(-g)) (E. Gumbel, 1954).
Value categorical(const RandomSource& source, const Value& scores, const Expr& count);

}  // namespace tenon::graph
