// Float sums and products along rows have the bits of their definition (design 3a (b)), which is
// written here once more, term by term.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "rules/comparison.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/runtime/c_api.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;
using Shape = std::vector<std::int64_t>;

/// Term (o, p) joins lane p mod 64 of block (o's block, p div 4096), ascending; lanes join by
/// halving, blocks left to right. o's block is max(1, 4096 div L) steps of its outermost axis, L
/// being the product of the other extents.
template <typename T, typename Join>
T row_result(const std::vector<T>& terms, const Shape& o_extents, std::int64_t p_extent, T identity,
             Join join) {
  std::int64_t inner = 1;  // steps of o for one step of its outermost axis
  for (std::size_t d = 1; d < o_extents.size(); ++d) inner *= o_extents[d];
  const std::int64_t steps = std::max<std::int64_t>(1, 4096 / (inner * p_extent));
  std::map<std::pair<std::int64_t, std::int64_t>, std::array<T, 64>> blocks;
  const auto num_terms = static_cast<std::int64_t>(terms.size());
  for (std::int64_t t = 0; t < num_terms; ++t) {
    const std::int64_t o = t / p_extent, p = t % p_extent;
    const std::int64_t o_block = o_extents.empty() ? 0 : o / inner / steps;
    auto [block, is_new] = blocks.try_emplace({o_block, p / 4096});
    if (is_new) block->second.fill(identity);
    T& lane = block->second[static_cast<std::size_t>(p % 64)];
    lane = join(lane, terms[static_cast<std::size_t>(t)]);
  }
  T total = identity;
  for (auto& [key, lanes] : blocks) {
    for (std::size_t half = 32; half > 0; half /= 2) {
      for (std::size_t l = 0; l < half; ++l) lanes[l] = join(lanes[l], lanes[l + half]);
    }
    total = join(total, lanes[0]);
  }
  return total;
}

/// A tensor with `num_rows` rows in front, if any, reduced over its other dimensions.
struct Row {
  Shape kept;      ///< leading dimensions that stay
  Shape reduced;   ///< the others
  int middle = 0;  ///< so many dimensions of `reduced` stand before `kept`
  bool is_product = false;
  DType dtype = kFloat32;
  bool is_symbolic = false;

  /// The dimensions in the tensor's order, and which of them stay.
  std::pair<Shape, std::vector<bool>> dimensions() const {
    Shape shape(reduced.begin(), reduced.begin() + middle);
    std::vector<bool> stays(shape.size(), false);
    shape.insert(shape.end(), kept.begin(), kept.end());
    stays.resize(shape.size(), true);
    shape.insert(shape.end(), reduced.begin() + middle, reduced.end());
    stays.resize(shape.size(), false);
    return {shape, stays};
  }
  Shape shape() const { return dimensions().first; }

  Function function() const {
    const auto [shape, stays] = dimensions();
    Indices extents, kept_extents;
    std::vector<IterVar> axes;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      extents.push_back(is_symbolic ? te::symbol("n" + std::to_string(d)) : imm(shape[d]));
      if (stays[d]) {
        kept_extents.push_back(extents.back());
      } else {
        axes.push_back(te::reduce_axis(extents.back(), "k" + std::to_string(d)));
      }
    }
    te::Tensor a = te::placeholder(extents, dtype, "A");
    te::Tensor c = te::compute(
        kept_extents,
        [&, stays = stays](const Indices& v) {
          Indices at;
          std::size_t next_kept = 0, next_axis = 0;
          for (const bool stay : stays) at.push_back(stay ? v[next_kept++] : axes[next_axis++].var);
          const Expr term = te::read(a, at);
          return is_product ? te::prod(term, axes) : te::sum(term, axes);
        },
        "C");
    return te::function({a}, {c}, "row");
  }
};

/// The terms of each row in ascending order of the reduced dimensions.
template <typename T>
std::vector<std::vector<T>> rows_of(const Array& a, const Row& row) {
  std::int64_t num_kept = 1, front = 1, back = 1;
  for (const std::int64_t e : row.kept) num_kept *= e;
  for (std::size_t d = 0; d < row.reduced.size(); ++d)
    (static_cast<int>(d) < row.middle ? front : back) *= row.reduced[d];
  std::vector<std::vector<T>> rows(static_cast<std::size_t>(num_kept));
  for (std::int64_t f = 0; f < front; ++f) {
    for (std::int64_t r = 0; r < num_kept; ++r) {
      for (std::int64_t b = 0; b < back; ++b)
        rows[static_cast<std::size_t>(r)].push_back(a.data<T>()[(f * num_kept + r) * back + b]);
    }
  }
  return rows;
}

template <typename T>
void expect_definition(const Row& row) {
  Array a = random_array(row.shape(), 7, row.dtype);
  if (row.is_product) {
    for (std::int64_t i = 0; i < a.size(); ++i)
      a.mutable_data<T>()[i] = T{1} + a.data<T>()[i] / T{64};
  }
  // Only where no dimension that stays comes between do several axes count as one.
  const auto num_outer = static_cast<std::ptrdiff_t>(row.kept.empty() ? 0 : row.middle);
  const Shape o(row.reduced.begin(), row.reduced.begin() + num_outer);
  std::int64_t p = 1;
  for (std::size_t d = o.size(); d < row.reduced.size(); ++d) p *= row.reduced[d];
  const std::vector<std::vector<T>> rows = rows_of<T>(a, row);
  const Function f = row.function();
  for (const char* target : {"cpu", "cpu -mcpu=x86-64-v3"}) {
    const Array c = call_default(f, Target::parse(target), {a})[0];
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const T expected = row.is_product
                             ? row_result<T>(rows[i], o, p, T{1}, [](T x, T y) { return x * y; })
                             : row_result<T>(rows[i], o, p, T{0}, [](T x, T y) { return x + y; });
      ASSERT_EQ(c.data<T>()[i], expected) << target << ", row " << i << " of " << p << " terms";
    }
  }
}

void expect_definition(Row row) {
  for (const bool is_symbolic : {false, true}) {
    row.is_symbolic = is_symbolic;
    SCOPED_TRACE(is_symbolic ? "symbolic extents" : "constant extents");
    if (row.dtype == kFloat64) {
      expect_definition<double>(row);
    } else {
      expect_definition<float>(row);
    }
  }
}

class RowLengthTest : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(Lengths, RowLengthTest,
                         testing::Values(1, 63, 64, 65, 4095, 4096, 4097, 10000));

TEST_P(RowLengthTest, float32_sums) {
  expect_definition({.kept = {3}, .reduced = {GetParam()}});
  expect_definition({.kept = {}, .reduced = {GetParam()}});
}

TEST_P(RowLengthTest, float64_sums_and_products) {
  expect_definition({.kept = {2}, .reduced = {GetParam()}, .dtype = kFloat64});
  expect_definition({.kept = {2}, .reduced = {GetParam()}, .is_product = true});
}

TEST(RowOrderTest, trailing_axes_count_as_one) {
  expect_definition({.kept = {}, .reduced = {7, 33, 50}});
  expect_definition({.kept = {2}, .reduced = {7, 33, 50}});
  expect_definition({.kept = {2}, .reduced = {3, 5}});
  expect_definition({.kept = {1}, .reduced = {90, 91}, .dtype = kFloat64});
}

TEST(RowOrderTest, axes_before_the_rows_are_divided_by_steps) {
  expect_definition({.kept = {3}, .reduced = {100, 70}, .middle = 1});     // 58 steps of the first
  expect_definition({.kept = {2}, .reduced = {5, 4, 300}, .middle = 2});   // 3 steps of 4 x 300
  expect_definition({.kept = {2}, .reduced = {3, 2, 5000}, .middle = 2});  // one; two blocks of p
}

TEST(RowOrderTest, one_symbolic_axis_before_the_rows) {
  const Expr n = te::symbol("n");
  te::Tensor a = te::placeholder({n, imm(3), imm(70)}, kFloat32, "A");
  IterVar k = te::reduce_axis(n, "k"), l = te::reduce_axis(imm(70), "l");
  te::Tensor c = te::compute(
      {imm(3)},
      [&](const Indices& v) { return te::sum(te::read(a, {k.var, v[0], l.var}), {k, l}); }, "C");
  const Function f = te::function({a}, {c}, "batch");
  for (const std::int64_t size : {0, 1, 58, 59, 200}) {
    const Row row{.kept = {3}, .reduced = {size, 70}, .middle = 1};
    const Array x = random_array(row.shape(), 3);
    const std::vector<std::vector<float>> rows = rows_of<float>(x, row);
    const Array sums = call_default(f, Target::host(), {x})[0];
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(sums.data<float>()[i], row_result<float>(rows[i], {size}, 70, 0.0F,
                                                         [](float u, float v) { return u + v; }))
          << size;
    }
  }
}

TEST(RowOrderTest, products_are_joined_by_fma_in_long_rows) {
  te::Tensor a = te::placeholder({imm(2), imm(9000)}, kFloat32, "A");
  te::Tensor x = te::placeholder({imm(9000)}, kFloat32, "x");
  IterVar k = te::reduce_axis(imm(9000), "k");
  te::Tensor c = te::compute(
      {imm(2)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], k.var}) * te::read(x, {k.var}), {k});
      },
      "C");
  const Array m = random_array({2, 9000}, 1), y = random_array({9000}, 2);
  const Array got = call_default(te::function({a, x}, {c}, "matvec"), Target::host(), {m, y})[0];
  for (std::int64_t i = 0; i < 2; ++i) {
    float total = 0;
    for (std::int64_t block = 0; block < 9000; block += 4096) {
      std::array<float, 64> lanes{};
      for (std::int64_t p = block; p < std::min<std::int64_t>(9000, block + 4096); ++p) {
        float& lane = lanes[static_cast<std::size_t>(p % 64)];
        lane = std::fma(m.data<float>()[i * 9000 + p], y.data<float>()[p], lane);
      }
      for (std::size_t half = 32; half > 0; half /= 2) {
        for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
      }
      total += lanes[0];
    }
    EXPECT_EQ(got.data<float>()[i], total);
  }
}

TEST(RowOrderTest, threads_change_no_bit) {
  const Row row{.kept = {}, .reduced = {300, 301}};
  const Array a = random_array(row.shape(), 5);
  const Schedule s = default_schedule(row.function(), Target::host());
  const Executable kernel = build(s.function(), Target::host(), {.use_cache = false});
  std::vector<float> totals;
  for (const int threads : {1, 2, 3}) {
    ASSERT_EQ(tenon_set_num_threads(threads), TENON_OK);
    totals.push_back(kernel.call(std::vector<Array>{a})[0].data<float>()[0]);
  }
  ASSERT_EQ(tenon_set_num_threads(0), TENON_OK);
  EXPECT_EQ(totals[0], totals[1]);
  EXPECT_EQ(totals[0], totals[2]);
}

/// Rows of a softmax longer than one block: the sum and the division in one loop over rows.
TEST(RowOrderTest, chains_over_long_rows) {
  const Expr rows = te::symbol("rows"), n = te::symbol("n");
  te::Tensor a = te::placeholder({rows, n}, kFloat32, "A");
  IterVar k = te::reduce_axis(n, "k");
  te::Tensor square = te::compute(
      {rows, n}, [&](const Indices& v) { return te::math("exp", {te::read(a, v)}); }, "E");
  te::Tensor total = te::compute(
      {rows}, [&](const Indices& v) { return te::sum(te::read(square, {v[0], k.var}), {k}); },
      "total");
  te::Tensor p = te::compute(
      {rows, n}, [&](const Indices& v) { return te::read(square, v) / te::read(total, {v[0]}); },
      "P");
  const Function both = te::function({a}, {square, total, p}, "terms");
  const Function chain = te::function({a}, {p}, "softmax");
  const std::string text = print(default_schedule(chain, Target::host()).function());
  EXPECT_EQ(text.find("parallel for"), text.rfind("parallel for")) << text;
  for (const std::int64_t size : {1, 100, 4096, 4097, 9000}) {
    const Array x = random_array({2, size}, 6);
    const std::vector<Array> parts = call_default(both, Target::host(), {x});
    const Array got = call_default(chain, Target::host(), {x})[0];
    for (std::int64_t i = 0; i < 2; ++i) {
      const float* terms = parts[0].data<float>() + i * size;
      const auto sum = row_result<float>({terms, terms + size}, {}, size, 0.0F,
                                         [](float u, float v) { return u + v; });
      EXPECT_EQ(parts[1].data<float>()[i], sum) << size;
      for (std::int64_t j = 0; j < size; ++j)
        ASSERT_EQ(got.data<float>()[i * size + j], terms[j] / sum) << size << ", " << j;
    }
  }
}

}  // namespace
}  // namespace tenon
