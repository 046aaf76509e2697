// Fourier transforms and windows. Complex numbers are pairs of real ones in the last dimension.

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

constexpr std::int64_t kMaxLength = 1 << 20;  ///< of a transform
constexpr std::int64_t kDirect = 32;          ///< up to here it is one product of matrices
constexpr std::int64_t kMaxDirect = 2048;     ///< of a length that cannot be divided

/// Real and imaginary parts; the latter is null where all are zero.
struct Complex {
  Value re, im;
};

/// A constant float matrix.
Value matrix(DType dtype, std::int64_t rows, std::int64_t columns,
             const std::function<double(std::int64_t, std::int64_t)>& f) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) values.push_back(f(i, j));
  }
  const std::array<std::int64_t, 2> shape{rows, columns};
  if (dtype == kFloat64)
    return graph::make_constant(Array::from_values<double>(shape, kFloat64, values));
  return graph::make_constant(
      Array::from_values<float>(shape, kFloat32, std::vector<float>(values.begin(), values.end())));
}

/// cos or sin of 2 pi k / n, exact where it is a simple number.
double turn(bool is_sine, std::int64_t k, std::int64_t n) {
  std::int64_t eighths = (k % n) * 8;
  if (eighths % (2 * n) == 0) {  // a quarter turn
    const std::int64_t quarter = eighths / (2 * n);
    constexpr std::array<double, 4> kCos{1, 0, -1, 0};
    return kCos[static_cast<std::size_t>((is_sine ? quarter + 3 : quarter) % 4)];
  }
  const double angle = 2 * std::numbers::pi * static_cast<double>(k % n) / static_cast<double>(n);
  return is_sine ? std::sin(angle) : std::cos(angle);
}

Value add(const Value& a, const Value& b) { return op("add", {a, b}); }
Value sub(const Value& a, const Value& b) { return op("sub", {a, b}); }
Value mul(const Value& a, const Value& b) { return op("mul", {a, b}); }

/// x (c + i s) for a function that multiplies by a real part.
Complex times(const Complex& x, const Value& c, const Value& s,
              const std::function<Value(const Value&, const Value&)>& product) {
  if (!x.im) return {product(x.re, c), product(x.re, s)};
  return {sub(product(x.re, c), product(x.im, s)), add(product(x.re, s), product(x.im, c))};
}

/// The largest divisor of n that is not above its root.
std::int64_t divisor(std::int64_t n) {
  for (auto d = static_cast<std::int64_t>(std::sqrt(static_cast<double>(n))) + 1; d > 1; --d) {
    if (d * d <= n && n % d == 0) return d;
  }
  return 1;
}

/// The transforms of the rows of [rows, n], with exp(sign 2 pi i j k / n), by Cooley and Tukey:
/// n = m * l, element k = l * k1 + k2 goes to j = j1 + m * j2.
Complex transform(const NodeView& n, const Complex& x, std::int64_t length, int sign) {
  const DType dtype = x.re->dtype;
  const Expr rows = x.re->shape[0];
  const std::int64_t m = length <= kDirect ? 1 : divisor(length), l = length / m;
  const auto apply = [&](const Complex& v, std::int64_t size) {
    const auto entry = [&](bool is_sine) {
      return matrix(dtype, size, size, [&](std::int64_t j, std::int64_t k) {
        const double value = turn(is_sine, j * k, size);
        return is_sine ? sign * value : value;
      });
    };
    return times(v, entry(false), entry(true),
                 [](const Value& a, const Value& b) { return op("matmul", {a, b}); });
  };
  if (m == 1) {
    if (length > kMaxDirect)
      n.unsupported(
          detail::concat("a Fourier transform of length ", length, ", which has no divisors"));
    return apply(x, length);
  }
  const auto each = [&](const Complex& v, const std::function<Value(const Value&)>& f) {
    return Complex{f(v.re), v.im ? f(v.im) : nullptr};
  };
  const Expr many = simplify_size(rows * l), more = simplify_size(rows * m);
  Complex v = each(x, [&](const Value& e) {  // [rows, m, l] -> [rows * l, m]
    return reshape(transpose(reshape(e, {rows, imm(m), imm(l)}), {0, 2, 1}), {many, imm(m)});
  });
  v = each(apply(v, m), [&](const Value& e) { return reshape(e, {rows, imm(l), imm(m)}); });
  const auto twiddle = [&](bool is_sine) {
    return matrix(dtype, l, m, [&](std::int64_t k, std::int64_t j) {
      const double value = turn(is_sine, j * k, length);
      return is_sine ? sign * value : value;
    });
  };
  v = times(v, twiddle(false), twiddle(true), mul);
  v = each(v, [&](const Value& e) {  // [rows, l, m] -> [rows * m, l]
    return reshape(transpose(e, {0, 2, 1}), {more, imm(l)});
  });
  v = transform(n, v, l, sign);
  return each(v, [&](const Value& e) {  // [rows, j1, j2] -> j1 + m * j2
    return reshape(transpose(reshape(e, {rows, imm(m), imm(l)}), {0, 2, 1}), {rows, imm(length)});
  });
}

/// `size` elements from the front of the last dimension, zeros behind its end.
Value fitted(const Value& x, std::int64_t size) {
  std::vector<Expr> shape = x->shape;
  const Expr have = shape.back();
  shape.back() = imm(size);
  if (graph::same_extent(have, imm(size))) return x;
  return computed("fit", {x}, shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    return te::select(lt(at.back(), have), read(0, at), zero(x->dtype));
                  });
}

/// Parts as pairs in a new last dimension.
Value paired(const Complex& x) {
  std::vector<Expr> shape = x.re->shape;
  shape.push_back(imm(1));
  Value re = reshape(x.re, shape);
  if (!x.im) return re;
  return op("concat", {re, reshape(x.im, shape)}, {{"axis", std::int64_t{-1}}});
}

/// The real or imaginary parts of [..., 1 or 2]; null for those that are not there.
Value part(const Value& x, std::int64_t which) {
  std::vector<Expr> begins(x->shape.size(), imm(0)), extents = x->shape, left = x->shape;
  if (which > 0 && is_int(x->shape.back(), 1)) return nullptr;
  begins.back() = imm(which);
  extents.back() = imm(1);
  left.pop_back();
  return reshape(op("slice", {x}, {{"begins", begins}, {"extents", extents}}), left);
}

/// What a one-sided spectrum [rows, n / 2 + 1] stands for: element n - j is the conjugate of j.
Complex both_sides(const Complex& x, std::int64_t length) {
  const Expr half = imm(length / 2 + 1);
  const auto mirrored = [&](const Value& v, bool is_conjugate) {
    return computed("mirror", {v}, {v->shape[0], imm(length)},
                    [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                      const Expr is_given = lt(at[1], half);
                      const Expr place = te::select(is_given, at[1], imm(length) - at[1]);
                      const Expr e = read(0, {at[0], place});
                      return is_conjugate ? te::select(is_given, e, zero(v->dtype) - e) : e;
                    });
  };
  return {mirrored(x.re, false), x.im ? mirrored(x.im, true) : nullptr};
}

std::int64_t checked_length(const NodeView& n, std::int64_t length) {
  if (length < 1 || length > kMaxLength)
    n.invalid(detail::concat("a Fourier transform of length ", length));
  return length;
}

/// The first elements of the last dimension.
Value first_of(const Value& x, std::int64_t count) {
  std::vector<Expr> begins(x->shape.size(), imm(0)), extents = x->shape;
  extents.back() = imm(count);
  return op("slice", {x}, {{"begins", begins}, {"extents", extents}});
}

void check_signal(const NodeView& n, const Value& x) {
  if (!x->dtype.is_float() || x->shape.size() < 2 ||
      (!is_int(x->shape.back(), 1) && !is_int(x->shape.back(), 2)))
    n.invalid(detail::concat("a signal ", graph::type_str(*x),
                             ": floats whose last dimension is 1 or 2 are expected"));
}

std::vector<Value> convert_dft(const NodeView& n) {
  const Value& given = n.in(0);
  check_signal(n, given);
  const std::size_t rank = given->shape.size();
  const std::int64_t axis_given = n.version() < 20 ? n.int_attr("axis", 1)
                                  : n.has(2)       ? n.int_scalar(2)
                                                   : -2;
  const auto axis = static_cast<std::size_t>(normal_axis(n, axis_given, rank));
  if (axis == rank - 1) n.invalid("the last dimension holds real and imaginary parts");
  const bool is_inverse = n.int_attr("inverse", 0) != 0, is_half = n.int_attr("onesided", 0) != 0;
  // The parts of an inverse cancel each other.
  const bool is_wide = is_inverse || given->dtype == kFloat64;
  const Value x = cast_to(given, is_wide ? kFloat64 : kFloat32);
  std::int64_t length = 0;
  if (n.has(1)) {
    length = n.int_scalar(1);
  } else {
    const auto size = as_int(x->shape[axis]);
    if (!size) n.unsupported("a transform of a length that is not fixed; give sizes=");
    length = is_inverse && is_half ? 2 * (*size - 1) : *size;
  }
  checked_length(n, length);
  // [..., axis, ..., parts] -> [rows, length] for each part.
  std::vector<std::int64_t> order, back(rank - 1);
  for (std::size_t d = 0; d + 1 < rank; ++d) {
    if (d != axis) order.push_back(static_cast<std::int64_t>(d));
  }
  order.push_back(static_cast<std::int64_t>(axis));
  for (std::size_t d = 0; d < order.size(); ++d)
    back[static_cast<std::size_t>(order[d])] = static_cast<std::int64_t>(d);
  std::vector<Expr> lead;
  for (std::size_t d = 0; d + 2 < rank; ++d)
    lead.push_back(x->shape[static_cast<std::size_t>(order[d])]);
  const Expr rows = product(lead, 0, lead.size());
  const bool is_mirrored = is_inverse && is_half;
  const auto as_rows = [&](std::int64_t which) -> Value {
    const Value v = part(x, which);
    if (!v) return nullptr;
    const Value turned = transpose(v, order);
    const Value flat = reshape(turned, {rows, turned->shape.back()});
    return fitted(flat, is_mirrored ? length / 2 + 1 : length);
  };
  Complex v{as_rows(0), as_rows(1)};
  if (is_mirrored) v = both_sides(v, length);
  v = transform(n, v, length, is_inverse ? 1 : -1);
  if (is_mirrored) v.im = nullptr;
  const std::int64_t count = is_half && !is_inverse ? length / 2 + 1 : length;
  std::vector<Expr> shape = lead;
  shape.push_back(imm(count));
  for (Value* e : {&v.re, &v.im}) {
    if (!*e) continue;
    *e = count == length ? *e : first_of(*e, count);
    if (is_inverse) *e = mul(*e, scalar((*e)->dtype, 1.0 / static_cast<double>(length)));
    *e = transpose(reshape(*e, shape), back);
  }
  return {cast_to(paired(v), given->dtype)};
}

std::vector<Value> convert_stft(const NodeView& n) {
  const Value& given = n.in(0);
  check_signal(n, given);
  if (given->shape.size() != 3) n.invalid("the signal should be [batch, length, 1 or 2]");
  const Value x = cast_to(given, given->dtype == kFloat64 ? kFloat64 : kFloat32);
  const std::int64_t step = n.int_scalar(1);
  if (step < 1 || step > kMaxLength) n.invalid(detail::concat("'frame_step' is ", step));
  const Value window = n.has(2) ? cast_to(n.in(2), x->dtype) : nullptr;
  if (window && window->shape.size() != 1) n.invalid("the window should be a vector");
  const Expr size = n.has(3) ? imm(n.int_scalar(3)) : window ? window->shape[0] : x->shape[1];
  if (!as_int(size)) n.unsupported("frames of a length that is not fixed; give sizes=");
  const std::int64_t length = checked_length(n, *as_int(size));
  const std::int64_t wide = window ? as_int(window->shape[0]).value_or(-1) : length;
  if (wide < 0 || wide > length) n.unsupported("a window that is longer than the frames");
  const Expr over = simplify_size(x->shape[1] - length);
  if (as_int(over).value_or(0) < 0) n.invalid("the signal is shorter than a frame");
  if (!n.require_not_negative(over)) n.unsupported("a signal that may be shorter than a frame");
  const Expr frames = simplify_size(floordiv(over, imm(step)) + 1), batch = x->shape[0];
  std::vector<Value> inputs{x};
  if (window) inputs.push_back(window);
  const Expr rows = simplify_size(batch * frames);
  const auto framed = [&](std::int64_t which) -> Value {
    if (which > 0 && is_int(x->shape[2], 1)) return nullptr;
    const Value v = computed("frames", inputs, {batch, frames, imm(length)},
                             [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                               Expr e = read(0, {at[0], at[1] * step + at[2], imm(which)});
                               if (!window) return e;
                               const Expr weighted = e * read(1, {min(at[2], imm(wide - 1))});
                               return wide == length ? weighted
                                                     : te::select(lt(at[2], imm(wide)), weighted,
                                                                  zero(x->dtype));
                             });
    return reshape(v, {rows, imm(length)});
  };
  if (wide == 0) n.invalid("the window is empty");
  Complex v = transform(n, {framed(0), framed(1)}, length, -1);
  const std::int64_t count = n.int_attr("onesided", 1) != 0 ? length / 2 + 1 : length;
  for (Value* e : {&v.re, &v.im}) {
    if (!*e) continue;
    *e = reshape(count == length ? *e : first_of(*e, count), {batch, frames, imm(count)});
  }
  return {cast_to(paired(v), given->dtype)};
}

/// a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N).
std::vector<Value> window(const NodeView& n, double a0, double a1, double a2) {
  if (!is_int(product(n.in(0)->shape, 0, n.rank(0)), 1)) n.invalid("the size should be a number");
  const Expr size = simplify_size(n.sizes(0)[0]);
  if (const auto known = as_int(size); known && (*known < 0 || *known > (std::int64_t{1} << 40)))
    n.invalid(detail::concat("a window of size ", *known));
  const DType dtype = n.dtype_attr("output_datatype", DataType::kFloat);
  const Expr period = n.int_attr("periodic", 1) != 0 ? size : size - 1;
  const auto number = [](double v) { return float_imm(kFloat64, v); };
  return {
      computed("window", {}, {size}, [&](const std::vector<Expr>& at, const graph::ElementReader&) {
        const auto cosine = [&](double turns) {
          const Expr angle = te::cast(kFloat64, at[0]) * number(turns * 2 * std::numbers::pi);
          return te::math("cos", {angle / te::cast(kFloat64, period)});
        };
        Expr value = number(a0) - number(a1) * cosine(1);
        if (a2 != 0) value = value + number(a2) * cosine(2);
        return te::cast(dtype, value);
      })};
}
std::vector<Value> convert_hann(const NodeView& n) { return window(n, 0.5, 0.5, 0); }
std::vector<Value> convert_hamming(const NodeView& n) {
  return window(n, 25.0 / 46, 1 - 25.0 / 46, 0);
}
std::vector<Value> convert_blackman(const NodeView& n) { return window(n, 0.42, 0.5, 0.08); }

std::vector<Value> convert_mel_weights(const NodeView& n) {
  const std::int64_t bins = n.int_scalar(0), length = n.int_scalar(1), rate = n.int_scalar(2);
  const std::vector<double> low = n.floats(3), high = n.floats(4);
  if (bins < 0 || bins > kMaxLength || length < 0 || length > (std::int64_t{1} << 40) || rate < 1 ||
      low.size() != 1 || high.size() != 1)
    n.invalid(
        detail::concat(bins, " bins of a transform of length ", length, " at a rate of ", rate));
  const DType dtype = n.dtype_attr("output_datatype", DataType::kFloat);
  const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double begin = mel(low[0]), step = (mel(high[0]) - begin) / static_cast<double>(bins + 2);
  std::vector<std::int64_t> edges;
  for (std::int64_t i = 0; i < bins + 2; ++i) {
    const double hertz = 700 * (std::pow(10.0, (static_cast<double>(i) * step + begin) / 2595) - 1);
    const double edge =
        std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate));
    if (!(edge >= 0 && edge <= static_cast<double>(length / 2 + 1)))
      n.invalid(detail::concat("a frequency of ", hertz, " Hz is out of range"));
    edges.push_back(static_cast<std::int64_t>(edge));
  }
  return {computed("mel_weights", {int_vector(edges)}, {imm(length / 2 + 1), imm(bins)},
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const Expr left = read(0, {at[1]}), center = read(0, {at[1] + 1}),
                                right = read(0, {at[1] + 2});
                     const Expr& j = at[0];
                     const auto ratio = [](const Expr& a, const Expr& b) {
                       return te::cast(kFloat64, a) / te::cast(kFloat64, max(b, imm(1)));
                     };
                     const Expr nothing = float_imm(kFloat64, 0);
                     const Expr rising = te::select(eq(left, center), float_imm(kFloat64, 1),
                                                    ratio(j - left, center - left));
                     const Expr weight =
                         te::select(logical_and(ge(j, left), le(j, center)), rising,
                                    te::select(logical_and(gt(j, center), lt(j, right)),
                                               ratio(right - j, right - center), nothing));
                     return te::cast(dtype, weight);
                   })};
}

}  // namespace

std::vector<Conversion> signal_conversions() {
  return {
      {"BlackmanWindow", 17, kNative, convert_blackman},
      {"DFT", 17, kDecomposed, convert_dft, "", "products with matrices"},
      {"HammingWindow", 17, kNative, convert_hamming},
      {"HannWindow", 17, kNative, convert_hann},
      {"MelWeightMatrix", 17, kNative, convert_mel_weights},
      {"STFT", 17, kDecomposed, convert_stft, "", "products with matrices"},
  };
}

}  // namespace tenon::onnx
