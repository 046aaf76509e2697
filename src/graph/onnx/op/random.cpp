// Random numbers, and dropout, which draws them in training mode.

#include "tenon/graph/random.h"

#include <bit>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// A number for a name, so that nodes draw other numbers (FNV-1a).
std::uint32_t number_of(const std::string& name) {
  std::uint32_t hash = 0x811C9DC5;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
  return hash;
}

/// ONNX leaves the generator open. Here the numbers are a function of the attribute `seed`, or of
/// the name of the result where there is none; each call gives the same.
/// Seeds are floats, that of Dropout an integer.
graph::RandomSource source_of(const NodeView& n, bool has_integer_seed = false) {
  if (n.is_in_body())
    n.unsupported("random numbers in a body, where each iteration would draw the same");
  graph::RandomSource source;
  const bool has_seed = n.has_attr("seed");
  std::uint64_t seed = 0;
  if (has_seed) {
    const std::uint64_t given =
        has_integer_seed
            ? static_cast<std::uint64_t>(n.int_attr("seed"))
            : std::bit_cast<std::uint32_t>(static_cast<float>(n.float_attr("seed", 0)));
    seed = given + (std::uint64_t{1} << 32U);  // no key of a node without seed
  }
  const std::vector<std::uint32_t> key{static_cast<std::uint32_t>(seed),
                                       static_cast<std::uint32_t>(seed >> 32U)};
  const std::int64_t size = 2;
  source.seed = graph::make_constant(
      Array::from_values<std::uint32_t>(std::span(&size, 1), DType::uint(32), key));
  source.stream = has_seed ? 0 : number_of(n.node().outputs[0]);
  source.step = scalar(kInt64, 0);
  return source;
}

/// The dtype of the attribute, or else of the operand, or float32.
DType dtype_of(const NodeView& n) {
  const DType dtype = n.has_attr("dtype") ? n.dtype_attr("dtype")
                      : n.has(0)          ? n.in(0)->dtype
                                          : kFloat32;
  if (!dtype.is_float()) n.invalid("random numbers should be floats");
  return dtype;
}

std::vector<Expr> shape_of(const NodeView& n) {
  if (n.has(0)) return n.in(0)->shape;
  std::vector<Expr> shape;
  for (const std::int64_t size : n.ints_attr("shape")) {
    if (size < 0 || size > kFar) n.invalid(detail::concat("a dimension of size ", size));
    shape.push_back(imm(size));
  }
  return shape;
}

std::vector<Value> convert_uniform(const NodeView& n) {
  return {graph::random_uniform(source_of(n), shape_of(n), dtype_of(n), n.float_attr("low", 0),
                                n.float_attr("high", 1))};
}

std::vector<Value> convert_normal(const NodeView& n) {
  return {graph::random_normal(source_of(n), shape_of(n), dtype_of(n), n.float_attr("mean", 0),
                               n.float_attr("scale", 1))};
}

std::vector<Value> convert_bernoulli(const NodeView& n) {
  const Value& p = n.in(0);
  if (!p->dtype.is_float()) n.invalid("probabilities should be floats");
  const DType dtype = n.has_attr("dtype") ? n.dtype_attr("dtype") : p->dtype;
  return {cast_to(graph::bernoulli(source_of(n), p), dtype)};
}

std::vector<Value> convert_multinomial(const NodeView& n) {
  const Value& scores = n.in(0);
  const std::int64_t count = n.int_attr("sample_size", 1);
  if (scores->shape.size() != 2 || !scores->dtype.is_float())
    n.invalid("expected logarithms of probabilities [N, C]");
  if (count < 1 || count > kFar) n.invalid(detail::concat("the sample size is ", count));
  return {cast_to(graph::categorical(source_of(n), scores, imm(count)),
                  n.dtype_attr("dtype", DataType::kInt32))};
}

/// The share of elements that are dropped; 0 in inference.
double rate_of(const NodeView& n) {
  double rate = 0;
  if (n.version() < 7) {
    if (n.int_attr("is_test", 0) == 0) rate = n.float_attr("ratio", 0.5);
  } else if (n.version() >= 12 && n.has(2) && n.floats(2) != std::vector<double>{0}) {
    rate = n.has(1) ? n.floats(1).at(0) : 0.5;
  }
  if (!(rate >= 0 && rate < 1)) n.invalid(detail::concat("the ratio is ", rate));
  return rate;
}

/// The identity, with a mask that keeps everything, where nothing is dropped.
std::vector<Value> convert_dropout(const NodeView& n) {
  const Value& x = n.in(0);
  const double rate = rate_of(n);
  const Value mask = rate > 0 ? graph::dropout_mask(source_of(n, true), x->shape, rate)
                              : broadcast(bool_scalar(true), x->shape);
  std::vector<Value> results{x};
  if (rate > 0) {
    const Value scaled = op("mul", {x, scalar(x->dtype, 1 / (1 - rate))});
    results[0] = op("where", {mask, scaled, scalar(x->dtype, 0)});
  }
  if (n.wants(1)) results.push_back(n.version() < 10 ? cast_to(mask, x->dtype) : mask);
  return results;
}

}  // namespace

std::vector<Conversion> random_conversions() {
  return {
      {"Bernoulli", 15, kNative, convert_bernoulli},
      {"Dropout", 1, kNative, convert_dropout},
      {"Multinomial", 7, kNative, convert_multinomial},
      {"RandomNormal", 1, kNative, convert_normal},
      {"RandomNormalLike", 1, kNative, convert_normal},
      {"RandomUniform", 1, kNative, convert_uniform},
      {"RandomUniformLike", 1, kNative, convert_uniform},
  };
}

}  // namespace tenon::onnx
