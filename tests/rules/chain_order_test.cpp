// Float sums in chains have the bits of their definition (design 3a (b)), which is written here
// once more, term by term.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rules/comparison.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/runtime/c_api.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;
using Shape = std::vector<std::int64_t>;

/// The sum over `extents`, outermost axis first: ascending within a block of 4096 indices of a
/// single axis, or of max(1, 4096 div L) steps of the first of several; the blocks are added left
/// to right. `next(sum, position)` adds a term.
template <typename T, typename Next>
T chain_result(const Shape& extents, const Next& next) {
  std::int64_t inner = 1;
  for (std::size_t d = 1; d < extents.size(); ++d) inner *= extents[d];
  const std::int64_t steps = std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(inner, 1));
  T total = 0;
  for (std::int64_t first = 0; first < extents[0]; first += steps) {
    T block = 0;
    const std::int64_t end = std::min(first + steps, extents[0]) * inner;
    for (std::int64_t t = first * inner; t < end; ++t) block = next(block, t);
    total += block;
  }
  return total;
}

/// Targets whose results must be the same: both vector widths, and numbers of cores for which
/// threads share columns, rows or blocks of terms.
std::vector<Target> targets() {
  std::vector<Target> out;
  for (const auto& [name, cores] : {std::pair{"cpu", 1}, {"cpu", 2}, {"cpu -mcpu=x86-64-v3", 3}}) {
    out.push_back(Target::parse(name));
    out.back().num_cores = cores;
  }
  return out;
}

template <typename T>
void expect_elements(const Array& got, const std::vector<T>& expected) {
  ASSERT_EQ(got.size(), static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(got.data<T>()[i], expected[i]) << "element " << i;
}

template <typename T>
struct Case {
  std::vector<Array> inputs;
  std::vector<T> expected;
};

/// On every target, with 1, 2 and 3 threads.
template <typename T>
void expect_everywhere(const Function& f, const std::vector<Case<T>>& cases) {
  for (const Target& target : targets()) {
    SCOPED_TRACE(f->name + " for " + target.mcpu + ", " + std::to_string(target.num_cores) +
                 " cores");
    const Schedule s = default_schedule(f, target);
    const Executable kernel = build(s.function(), target, {.use_cache = false});
    for (const int threads : {1, 2, 3}) {
      ASSERT_EQ(tenon_set_num_threads(threads), TENON_OK);
      for (const Case<T>& c : cases) expect_elements<T>(kernel.call(c.inputs)[0], c.expected);
      if (testing::Test::HasFailure()) std::cerr << print(s.function());
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
  ASSERT_EQ(tenon_set_num_threads(0), TENON_OK);
}

template <typename T>
void expect_everywhere(const Function& f, const std::vector<Array>& inputs,
                       const std::vector<T>& expected) {
  expect_everywhere<T>(f, {Case<T>{inputs, expected}});
}

/// Of a product of m x k by k x n, either operand stored transposed; with `is_fused`, a bias and
/// ReLU follow.
struct Product {
  std::int64_t m, n, k;
  bool a_transposed = false, b_transposed = false, is_fused = false, is_symbolic = false;

  Shape a_shape() const { return a_transposed ? Shape{k, m} : Shape{m, k}; }
  Shape b_shape() const { return b_transposed ? Shape{n, k} : Shape{k, n}; }

  Function function(DType dtype = kFloat32) const {
    const Expr rows = imm(m), columns = imm(n), terms = is_symbolic ? te::symbol("K") : imm(k);
    IterVar at = te::reduce_axis(terms, "k");
    te::Tensor a =
        te::placeholder(a_transposed ? Indices{terms, rows} : Indices{rows, terms}, dtype, "A");
    te::Tensor b = te::placeholder(b_transposed ? Indices{columns, terms} : Indices{terms, columns},
                                   dtype, "B");
    te::Tensor bias = te::placeholder({columns}, dtype, "bias");
    te::Tensor c = te::compute(
        {rows, columns},
        [&](const Indices& v) {
          const Expr x = te::read(a, a_transposed ? Indices{at.var, v[0]} : Indices{v[0], at.var});
          const Expr y = te::read(b, b_transposed ? Indices{v[1], at.var} : Indices{at.var, v[1]});
          return te::sum(x * y, {at});
        },
        "C");
    if (!is_fused) return te::function({a, b}, {c}, "product");
    te::Tensor d = te::compute(
        {rows, columns},
        [&](const Indices& v) {
          return max(te::read(c, v) + te::read(bias, {v[1]}), float_imm(dtype, 0));
        },
        "D");
    return te::function({a, b, bias}, {d}, "product_bias_relu");
  }

  template <typename T>
  std::vector<T> expected(const Array& a, const Array& b, const T* bias) const {
    std::vector<T> out;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        const auto next = [&](T sum, std::int64_t t) {
          return std::fma(a.data<T>()[a_transposed ? t * m + i : i * k + t],
                          b.data<T>()[b_transposed ? j * k + t : t * n + j], sum);
        };
        const T sum = chain_result<T>({k}, next);
        out.push_back(bias == nullptr ? sum : std::max(sum + bias[j], T{0}));
      }
    }
    return out;
  }

  template <typename T = float>
  Case<T> random_case(DType dtype = kFloat32) const {
    std::vector<Array> inputs{random_array(a_shape(), 1, dtype), random_array(b_shape(), 2, dtype)};
    const Array bias = random_array({n}, 3, dtype);
    if (is_fused) inputs.push_back(bias);
    return {inputs, expected<T>(inputs[0], inputs[1], is_fused ? bias.data<T>() : nullptr)};
  }

  template <typename T = float>
  void check(DType dtype = kFloat32) const {
    SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) +
                 (a_transposed ? ", A transposed" : "") + (b_transposed ? ", B transposed" : ""));
    expect_everywhere<T>(function(dtype), {random_case<T>(dtype)});
  }
};

constexpr std::int64_t kLengths[] = {4096, 4097, 5000, 8192, 10000};

class ChainLengthTest : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(Lengths, ChainLengthTest, testing::Values(4096, 4097, 5000, 8192, 10000));

TEST_P(ChainLengthTest, products) {
  Product{.m = 25, .n = 66, .k = GetParam()}.check();
  Product{.m = 5, .n = 128, .k = GetParam(), .is_fused = true}.check();
}

TEST_P(ChainLengthTest, products_of_transposed_operands) {
  Product{.m = 9, .n = 65, .k = GetParam(), .a_transposed = true}.check();
  Product{.m = 27, .n = 65, .k = GetParam(), .b_transposed = true}.check();
  Product{.m = 2, .n = 33, .k = GetParam(), .a_transposed = true, .b_transposed = true}.check();
}

TEST(ChainOrderTest, products_of_symbolic_length) {
  for (const bool b_transposed : {false, true}) {
    Product product{.m = 7,
                    .n = 70,
                    .k = 0,
                    .b_transposed = b_transposed,
                    .is_fused = b_transposed,
                    .is_symbolic = true};
    const Function f = product.function();
    std::vector<Case<float>> cases{product.random_case()};  // no term
    for (const std::int64_t k : kLengths) {
      product.k = k;
      cases.push_back(product.random_case());
    }
    expect_everywhere(f, cases);
  }
}

/// Sums of the columns of A, or a vector times A.
Function over_columns(const Expr& terms, std::int64_t n, bool has_vector) {
  te::Tensor a = te::placeholder({terms, imm(n)}, kFloat32, "A");
  te::Tensor x = te::placeholder({terms}, kFloat32, "x");
  IterVar at = te::reduce_axis(terms, "k");
  te::Tensor c = te::compute(
      {imm(n)},
      [&](const Indices& v) {
        const Expr element = te::read(a, {at.var, v[0]});
        return te::sum(has_vector ? te::read(x, {at.var}) * element : element, {at});
      },
      "C");
  return te::function(has_vector ? std::vector{x, a} : std::vector{a}, {c}, "columns");
}

Case<float> random_columns(std::int64_t k, std::int64_t n, bool has_vector) {
  const Array a = random_array({k, n}, 1), x = random_array({k}, 2);
  std::vector<float> expected;
  for (std::int64_t j = 0; j < n; ++j) {
    expected.push_back(chain_result<float>({k}, [&](float sum, std::int64_t t) {
      const float element = a.data<float>()[t * n + j];
      return has_vector ? std::fma(x.data<float>()[t], element, sum) : sum + element;
    }));
  }
  return {has_vector ? std::vector{x, a} : std::vector{a}, expected};
}

TEST_P(ChainLengthTest, columns) {
  for (const std::int64_t n : {40, 300}) {
    for (const bool has_vector : {false, true})
      expect_everywhere<float>(over_columns(imm(GetParam()), n, has_vector),
                               {random_columns(GetParam(), n, has_vector)});
  }
}

TEST(ChainOrderTest, columns_of_symbolic_length) {
  for (const bool has_vector : {false, true}) {
    std::vector<Case<float>> cases;
    for (const std::int64_t k : kLengths) cases.push_back(random_columns(k, 300, has_vector));
    expect_everywhere(over_columns(te::symbol("K"), 300, has_vector), cases);
  }
}

TEST(ChainOrderTest, float64_and_products_of_terms) {
  Product{.m = 3, .n = 20, .k = 9000}.check<double>(kFloat64);
  const std::int64_t k = 9000, n = 20;
  Array a = random_array({k, n}, 1);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a.mutable_data<float>()[i] = 1 + a.data<float>()[i] / 64;
  te::Tensor ta = te::placeholder({imm(k), imm(n)}, kFloat32, "A");
  IterVar at = te::reduce_axis(imm(k), "k");
  te::Tensor c = te::compute(
      {imm(n)}, [&](const Indices& v) { return te::prod(te::read(ta, {at.var, v[0]}), {at}); },
      "C");
  std::vector<float> expected(static_cast<std::size_t>(n), 1.0F);
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t first = 0; first < k; first += 4096) {
      float block = 1;
      for (std::int64_t t = first; t < std::min(first + 4096, k); ++t)
        block *= a.data<float>()[t * n + j];
      expected[static_cast<std::size_t>(j)] *= block;
    }
  }
  expect_everywhere(te::function({ta}, {c}, "column_products"), {a}, expected);
}

/// Sums over several leading axes (what the gradient of a bias is), `num_symbolic` of them
/// symbolic: blocks are steps of the first.
Function over_leading_axes(const Shape& shape, int num_symbolic) {
  Indices extents;
  std::vector<IterVar> axes;
  for (int d = 0; d < 3; ++d) {
    extents.push_back(d < num_symbolic ? te::symbol("n" + std::to_string(d))
                                       : imm(shape[static_cast<std::size_t>(d)]));
    axes.push_back(te::reduce_axis(extents.back(), "k" + std::to_string(d)));
  }
  extents.push_back(imm(shape[3]));
  te::Tensor a = te::placeholder(extents, kFloat32, "A");
  te::Tensor c = te::compute(
      {imm(shape[3])},
      [&](const Indices& v) {
        return te::sum(te::read(a, {axes[0].var, axes[1].var, axes[2].var, v[0]}), axes);
      },
      "C");
  return te::function({a}, {c}, "bias_gradient");
}

TEST(ChainOrderTest, several_axes) {
  std::vector<Case<float>> cases;
  const std::int64_t n = 33;
  for (const Shape& shape : {Shape{9, 30, 35, n}, Shape{3, 70, 70, n}, Shape{50, 7, 1, n}}) {
    const Array a = random_array(shape, 4);
    std::vector<float> expected;
    for (std::int64_t j = 0; j < n; ++j)
      expected.push_back(chain_result<float>(
          {shape[0], shape[1], shape[2]},
          [&](float s, std::int64_t t) { return s + a.data<float>()[t * n + j]; }));
    cases.push_back({{a}, expected});
    for (const int num_symbolic : {0, 1})
      expect_everywhere<float>(over_leading_axes(shape, num_symbolic), {cases.back()});
  }
  expect_everywhere(over_leading_axes({0, 0, 0, n}, 3), cases);
}

/// Images of h x w pixels and c channels, windows of k x k with padding of k / 2, oc results.
struct Images {
  std::int64_t n, h, w, c, oc, k;
  bool is_symbolic = false;  ///< the number of images

  Expr images() const { return is_symbolic ? te::symbol("N") : imm(n); }
  Expr inside(const Expr& i, const Expr& j) const {
    return logical_and(logical_and(ge(i, imm(0)), lt(i, imm(h))),
                       logical_and(ge(j, imm(0)), lt(j, imm(w))));
  }
  bool inside(std::int64_t i, std::int64_t j) const { return i >= 0 && i < h && j >= 0 && j < w; }

  Function forward() const {
    const Expr images = this->images();
    te::Tensor x = te::placeholder({images, imm(h), imm(w), imm(c)}, kFloat32, "x");
    te::Tensor f = te::placeholder({imm(k), imm(k), imm(c), imm(oc)}, kFloat32, "w");
    te::Tensor bias = te::placeholder({imm(oc)}, kFloat32, "bias");
    IterVar kh = te::reduce_axis(imm(k), "kh"), kw = te::reduce_axis(imm(k), "kw"),
            ic = te::reduce_axis(imm(c), "ic");
    te::Tensor y = te::compute(
        {images, imm(h), imm(w), imm(oc)},
        [&](const Indices& v) {
          const Expr i = v[1] + kh.var - k / 2, j = v[2] + kw.var - k / 2;
          return te::sum(
              te::read(x, {v[0], i, j, ic.var}) * te::read(f, {kh.var, kw.var, ic.var, v[3]}),
              {kh, kw, ic}, inside(i, j));
        },
        "y");
    te::Tensor z = te::compute(
        {images, imm(h), imm(w), imm(oc)},
        [&](const Indices& v) {
          return max(te::read(y, v) + te::read(bias, {v[3]}), float_imm(kFloat32, 0));
        },
        "z");
    return te::function({x, f, bias}, {z}, "conv");
  }

  /// The gradient by the weight, of x and the gradient of the result.
  Function weight_gradient() const {
    const Expr images = this->images();
    te::Tensor x = te::placeholder({images, imm(h), imm(w), imm(c)}, kFloat32, "x");
    te::Tensor dy = te::placeholder({images, imm(h), imm(w), imm(oc)}, kFloat32, "dy");
    IterVar at = te::reduce_axis(images, "n"), y = te::reduce_axis(imm(h), "y"),
            z = te::reduce_axis(imm(w), "z");
    te::Tensor dw = te::compute(
        {imm(k), imm(k), imm(c), imm(oc)},
        [&](const Indices& v) {
          const Expr i = y.var + v[0] - k / 2, j = z.var + v[1] - k / 2;
          return te::sum(
              te::read(x, {at.var, i, j, v[2]}) * te::read(dy, {at.var, y.var, z.var, v[3]}),
              {at, y, z}, inside(i, j));
        },
        "dw");
    return te::function({x, dy}, {dw}, "conv_dw");
  }

  /// x is [n, h, w, c], f [k, k, c, oc].
  std::vector<float> forward(const Array& x, const Array& f, const Array& bias) const {
    std::vector<float> out;
    for (std::int64_t pixel = 0; pixel < n * h * w; ++pixel) {
      const std::int64_t image = pixel / (h * w), row = pixel / w % h, column = pixel % w;
      for (std::int64_t o = 0; o < oc; ++o) {
        const auto next = [&](float sum, std::int64_t t) {
          const std::int64_t i = row + t / (k * c) - k / 2, j = column + t / c % k - k / 2;
          if (!inside(i, j)) return sum;
          return std::fma(x.data<float>()[((image * h + i) * w + j) * c + t % c],
                          f.data<float>()[t * oc + o], sum);
        };
        out.push_back(std::max(chain_result<float>({k, k, c}, next) + bias.data<float>()[o], 0.0F));
      }
    }
    return out;
  }

  std::vector<float> weight_gradient(const Array& x, const Array& dy) const {
    std::vector<float> out;
    for (std::int64_t e = 0; e < k * k * c * oc; ++e) {
      const std::int64_t kh = e / (k * c * oc), kw = e / (c * oc) % k, ic = e / oc % c, o = e % oc;
      const auto next = [&](float sum, std::int64_t t) {
        const std::int64_t image = t / (h * w), i = t / w % h + kh - k / 2, j = t % w + kw - k / 2;
        if (!inside(i, j)) return sum;
        return std::fma(x.data<float>()[((image * h + i) * w + j) * c + ic],
                        dy.data<float>()[t * oc + o], sum);
      };
      out.push_back(chain_result<float>({n, h, w}, next));
    }
    return out;
  }

  void check_forward() const {
    const Array x = random_array({n, h, w, c}, 1), f = random_array({k, k, c, oc}, 2),
                bias = random_array({oc}, 3);
    expect_everywhere(forward(), {x, f, bias}, forward(x, f, bias));
  }
  /// With a constant and with a symbolic number of images.
  void check_weight_gradient() const {
    const Array x = random_array({n, h, w, c}, 1), dy = random_array({n, h, w, oc}, 2);
    const std::vector<float> expected = weight_gradient(x, dy);
    Images symbolic = *this;
    symbolic.is_symbolic = true;
    for (const Images& images : {*this, symbolic})
      expect_everywhere(images.weight_gradient(), {x, dy}, expected);
  }
};

TEST(ChainOrderTest, convolutions_of_many_channels) {
  Images{.n = 1, .h = 5, .w = 7, .c = 512, .oc = 40, .k = 3}.check_forward();  // 2 steps of kh
  Images{.n = 2, .h = 2, .w = 9, .c = 1500, .oc = 8, .k = 3}.check_forward();  // 1 step
  Images{.n = 3, .h = 3, .w = 4, .c = 512, .oc = 33, .k = 3, .is_symbolic = true}.check_forward();
}

TEST(ChainOrderTest, weight_gradients) {
  // 1 image a block; passes over rows, and over pixels.
  Images{.n = 8, .h = 30, .w = 34, .c = 3, .oc = 32, .k = 3}.check_weight_gradient();
  Images{.n = 8, .h = 56, .w = 56, .c = 8, .oc = 32, .k = 1}.check_weight_gradient();
  // 5 images a block, the last one of 3.
  Images{.n = 8, .h = 27, .w = 28, .c = 10, .oc = 70, .k = 1}.check_weight_gradient();
}

/// What the interpreter makes of the scheduled function.
Array interpreted(const Function& f, const std::vector<Array>& inputs, const Shape& result) {
  Array out = Array::empty(result, kFloat32);
  std::vector<ArrayView> views;
  const auto add_view = [&](const Array& a) {
    const auto dims = a.shape();
    views.push_back({const_cast<void*>(a.raw()), a.dtype(), {dims.begin(), dims.end()}});
  };
  for (const Array& a : inputs) add_view(a);
  add_view(out);
  interpret(f, views).check();
  return out;
}

TEST(ChainOrderTest, the_interpreter_agrees_on_the_scheduled_function) {
  for (const bool is_symbolic : {false, true}) {
    const Product product{.m = 2, .n = 5, .k = 8200, .is_symbolic = is_symbolic};
    const Array a = random_array(product.a_shape(), 1), b = random_array(product.b_shape(), 2);
    const std::vector<float> expected = product.expected<float>(a, b, nullptr);
    for (const Target& target : targets()) {
      const Schedule s = default_schedule(product.function(), target);
      expect_elements(interpreted(s.function(), {a, b}, {2, 5}), expected);
    }
  }
}

/// Softmax of the rows of A, and that times V.
struct Attention {
  Function weights, product;
};

Attention attention(std::int64_t rows, const Expr& n, std::int64_t d) {
  te::Tensor a = te::placeholder({imm(rows), n}, kFloat32, "A");
  te::Tensor v = te::placeholder({n, imm(d)}, kFloat32, "V");
  IterVar k = te::reduce_axis(n, "k"), l = te::reduce_axis(n, "l");
  te::Tensor e = te::compute(
      {imm(rows), n}, [&](const Indices& i) { return te::math("exp", {te::read(a, i)}); }, "E");
  te::Tensor total = te::compute(
      {imm(rows)}, [&](const Indices& i) { return te::sum(te::read(e, {i[0], k.var}), {k}); },
      "total");
  te::Tensor p = te::compute(
      {imm(rows), n}, [&](const Indices& i) { return te::read(e, i) / te::read(total, {i[0]}); },
      "P");
  te::Tensor c = te::compute(
      {imm(rows), imm(d)},
      [&](const Indices& i) {
        return te::sum(te::read(p, {i[0], l.var}) * te::read(v, {l.var, i[1]}), {l});
      },
      "C");
  return {te::function({a}, {p}, "weights"), te::function({a, v}, {c}, "attention")};
}

/// One loop over rows, with the sums of blocks inside.
TEST(ChainOrderTest, contractions_in_a_row) {
  const std::int64_t rows = 3, d = 70;
  const Attention symbolic = attention(rows, te::symbol("n"), d);
  std::vector<Case<float>> cases;
  for (const std::int64_t n : {100, 4096, 5000, 9000}) {
    const Array x = random_array({rows, n}, 1), y = random_array({n, d}, 2);
    const Array weights = call_default(symbolic.weights, Target::host(), {x})[0];
    std::vector<float> expected;
    for (std::int64_t i = 0; i < rows * d; ++i) {
      expected.push_back(chain_result<float>({n}, [&](float sum, std::int64_t t) {
        return std::fma(weights.data<float>()[i / d * n + t], y.data<float>()[t * d + i % d], sum);
      }));
    }
    cases.push_back({{x, y}, expected});
  }
  expect_everywhere(symbolic.product, cases);
  expect_everywhere<float>(attention(rows, imm(9000), d).product, {cases.back()});
  const std::string text = print(default_schedule(symbolic.product, Target::host()).function());
  EXPECT_EQ(text.find("parallel for"), text.rfind("parallel for")) << text;
}

}  // namespace
}  // namespace tenon
