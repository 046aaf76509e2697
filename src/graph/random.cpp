#include "tenon/graph/random.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "tenon/graph/expression.h"
#include "tenon/ir/builder.h"
#include "tenon/te/arg_reduction.h"
#include "tenon/te/expr.h"
#include "tenon/te/philox.h"

namespace tenon::graph {
namespace {

constexpr DType kWord = DType::uint(32);

using Words = std::array<Expr, 4>;

/// The operands of a source as placeholders, and what is computed from them.
class Draw {
 public:
  explicit Draw(const RandomSource& source)
      : inputs_{source.seed, source.step},
        placeholders_{te::placeholder({imm(2)}, kWord, "seed"),
                      te::placeholder({}, kInt64, "step")},
        stream_(source.stream) {}

  te::Tensor operand(const Value& v, const char* name) {
    inputs_.push_back(v);
    placeholders_.push_back(te::placeholder(v->shape, v->dtype, name));
    return placeholders_.back();
  }

  /// The words of the counter whose lower half is `place`, an int64.
  Words words(const Expr& place) const {
    const Expr step = te::read(placeholders_[1], {});
    const Expr upper = binary(BinaryOp::kShr, place, imm(32));
    return te::philox4x32(
        {cast(kWord, place), cast(kWord, upper), int_imm(kWord, std::int64_t{stream_}),
         cast(kWord, step)},
        {te::read(placeholders_[0], {imm(0)}), te::read(placeholders_[0], {imm(1)})});
  }

  /// Random bits number `i`.
  Expr bits(const Expr& i) const {
    const Words w = words(floordiv(i, imm(4)));
    const Expr word = floormod(i, imm(4));
    const auto is = [&](std::int64_t n) { return eq(word, imm(n)); };
    return te::select(is(0), w[0], te::select(is(1), w[1], te::select(is(2), w[2], w[3])));
  }

  /// Of [0, 1), float64: a multiple of 2^-24.
  Expr fraction(const Expr& i) const {
    const Expr upper = binary(BinaryOp::kShr, bits(i), int_imm(kWord, 8));
    return cast(kFloat64, upper) * float_imm(kFloat64, 0x1p-24);
  }

  Value make(const std::string& name, const std::vector<Expr>& shape,
             const std::function<Expr(const std::vector<Expr>&)>& element) const {
    return make_expression(name, inputs_, placeholders_, {te::compute(shape, element, name)})[0];
  }

 private:
  std::vector<Value> inputs_;
  std::vector<te::Tensor> placeholders_;
  std::uint32_t stream_;
};

/// The number of an element in row-major order.
Expr number_of(const std::vector<Expr>& at, const std::vector<Expr>& shape) {
  Expr number = imm(0);
  for (std::size_t d = 0; d < at.size(); ++d) number = number * shape[d] + at[d];
  return number;
}

Expr wide(double v) { return float_imm(kFloat64, v); }

/// A word as one of the 2^32 numbers (word + shift) * 2^-32, float64.
Expr part_of_one(const Expr& word, double shift) {
  return (cast(kFloat64, word) + wide(shift)) * wide(0x1p-32);
}

}  // namespace

Value random_uniform(const RandomSource& source, const std::vector<Expr>& shape, DType dtype,
                     double low, double high) {
  const Draw draw(source);
  return draw.make("random_uniform", shape, [&](const std::vector<Expr>& at) {
    // Rounded twice, as written: a product and a sum.
    return cast(dtype, wide(low) + wide(high - low) * draw.fraction(number_of(at, shape)));
  });
}

Value random_normal(const RandomSource& source, const std::vector<Expr>& shape, DType dtype,
                    double mean, double std) {
  const Draw draw(source);
  return draw.make("random_normal", shape, [&](const std::vector<Expr>& at) {
    const Expr i = number_of(at, shape);
    const Words w = draw.words(floordiv(i, imm(2)));
    const Expr is_even = eq(floormod(i, imm(2)), imm(0));
    const Expr first = te::select(is_even, w[0], w[2]), second = te::select(is_even, w[1], w[3]);
    const Expr logarithm = te::math("log", {part_of_one(first, 1)});
    const Expr radius = unary(UnaryOp::kSqrt, wide(-2) * logarithm);
    const Expr turn = cast(kFloat64, second) * wide(2 * std::numbers::pi * 0x1p-32);
    return cast(dtype, wide(mean) + wide(std) * radius * te::math("cos", {turn}));
  });
}

Value bernoulli(const RandomSource& source, const Value& p) {
  Draw draw(source);
  const te::Tensor probability = draw.operand(p, "p");
  return draw.make("bernoulli", p->shape, [&](const std::vector<Expr>& at) {
    return lt(draw.fraction(number_of(at, p->shape)), cast(kFloat64, te::read(probability, at)));
  });
}

Value dropout_mask(const RandomSource& source, const std::vector<Expr>& shape, double rate) {
  const Draw draw(source);
  const double most = 0x1p32 - 1;
  const Expr threshold =
      int_imm(kWord, static_cast<std::int64_t>(std::min(std::nearbyint(rate * 0x1p32), most)));
  return draw.make("dropout_mask", shape, [&](const std::vector<Expr>& at) {
    return ge(draw.words(number_of(at, shape))[0], threshold);
  });
}

Value categorical(const RandomSource& source, const Value& scores, const Expr& count) {
  Draw draw(source);
  const te::Tensor score = draw.operand(scores, "scores");
  const Expr& rows = scores->shape[0];
  const Expr& classes = scores->shape[1];
  return draw.make("categorical", {rows, count}, [&](const std::vector<Expr>& at) {
    const IterVar c = te::reduce_axis(classes, "c");
    const Expr place = number_of({at[0], at[1], c.var}, {rows, count, classes});
    const Expr u = part_of_one(draw.bits(place), 0.5);
    const Expr gumbel = -te::math("log", {-te::math("log", {u})});
    return te::argmax(cast(kFloat64, te::read(score, {at[0], c.var})) + gumbel, c);
  });
}

}  // namespace tenon::graph
