// Recurrent layers, as loops of the graph: the part of the inputs is one product for all steps.

#include <algorithm>
#include <cctype>

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

Value add(const Value& a, const Value& b) { return op("add", {a, b}); }
Value mul(const Value& a, const Value& b) { return op("mul", {a, b}); }

/// Rows [begin, begin + size) along `axis`; of a constant a constant.
Value part(const Value& x, std::size_t axis, std::int64_t begin, std::int64_t size) {
  if (x->is_constant() && axis == 0)
    return graph::make_constant(x->data.contiguous().slice(0, begin, begin + size), x->name);
  std::vector<Expr> begins(x->shape.size(), imm(0)), extents = x->shape;
  begins[axis] = imm(begin);
  extents[axis] = imm(size);
  return op("slice", {x}, {{"begins", begins}, {"extents", extents}});
}

/// Element `index` of the first axis.
Value row(const Value& x, std::int64_t index) {
  const Value one = part(x, 0, index, 1);
  if (one->is_constant()) {
    const auto shape = one->data.shape().subspan(1);
    return graph::make_constant(one->data.reshape(shape), one->name);
  }
  return reshape(one, {x->shape.begin() + 1, x->shape.end()});
}

// --- activations

struct ActivationKind {
  const char* name;
  int num_settings;    ///< 1: alpha, 2: alpha and beta
  double alpha, beta;  ///< where the node does not say
};
constexpr ActivationKind kKinds[] = {
    {"relu", 0, 0, 0},         {"tanh", 0, 0, 0},
    {"sigmoid", 0, 0, 0},      {"affine", 2, 1, 0},
    {"leakyrelu", 1, 0.01, 0}, {"thresholdedrelu", 1, 1, 0},
    {"scaledtanh", 2, 1, 1},   {"hardsigmoid", 2, 0.2, 0.5},
    {"elu", 1, 1, 0},          {"softsign", 0, 0, 0},
    {"softplus", 0, 0, 0},
};

struct Activation {
  std::string name;
  double alpha = 0, beta = 0;

  Value operator()(const Value& x) const {
    const auto number = [&](double value) { return scalar(x->dtype, value); };
    if (name == "relu" || name == "tanh" || name == "sigmoid" || name == "softplus")
      return op(name, {x});
    if (name == "affine") return add(mul(x, number(alpha)), number(beta));
    if (name == "scaledtanh") return mul(op("tanh", {mul(x, number(beta))}), number(alpha));
    if (name == "hardsigmoid") {
      const Value line = add(mul(x, number(alpha)), number(beta));
      return op("minimum", {op("maximum", {line, number(0)}), number(1)});
    }
    if (name == "softsign") return op("div", {x, add(op("abs", {x}), number(1))});
    if (name == "thresholdedrelu")
      return op("where", {op("greater_equal", {x, number(alpha)}), x, number(0)});
    const Value low =
        name == "elu"
            ? mul(op("sub", {op("exp", {op("minimum", {x, number(0)})}), number(1)}), number(alpha))
            : mul(x, number(alpha));
    return op("where", {op("greater_equal", {x, number(0)}), x, low});
  }
};

/// The activations of all directions; `otherwise` for each direction.
std::vector<Activation> activations_of(const NodeView& n, std::int64_t directions,
                                       const std::vector<std::string>& otherwise) {
  std::vector<std::string> names = n.strings_attr("activations");
  if (names.empty()) {
    for (std::int64_t d = 0; d < directions; ++d)
      names.insert(names.end(), otherwise.begin(), otherwise.end());
  }
  const auto wanted = otherwise.size() * static_cast<std::size_t>(directions);
  if (names.size() < wanted)
    n.invalid(detail::concat("expected ", wanted, " activations, got ", names.size()));
  const std::vector<float> alphas = n.floats_attr("activation_alpha"),
                           betas = n.floats_attr("activation_beta");
  std::size_t next_alpha = 0, next_beta = 0;
  std::vector<Activation> all;
  for (std::size_t i = 0; i < wanted; ++i) {
    std::string name = names[i];
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto* const kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                          [&](const ActivationKind& k) { return name == k.name; });
    if (kind == std::end(kKinds)) n.invalid("there is no activation '" + names[i] + "'");
    Activation a{name, kind->alpha, kind->beta};
    if (kind->num_settings > 0 && next_alpha < alphas.size()) a.alpha = alphas[next_alpha++];
    if (kind->num_settings > 1 && next_beta < betas.size()) a.beta = betas[next_beta++];
    all.push_back(a);
  }
  return all;
}

// --- what the three layers share

struct Layer {
  std::int64_t num_gates = 1, hidden = 0, directions = 1;
  std::vector<Activation> activations;  ///< of one direction
  double clip = 0;                      ///< 0: none
  bool is_linear_before_reset = false, couples_forget = false;
};

/// One direction: the parts of the operands.
struct Direction {
  Value recurrent;       ///< R [gates * hidden, hidden]
  Value recurrent_bias;  ///< [hidden], of a GRU's hidden gate where it is not in the inputs' part
  Value peepholes;       ///< [3 * hidden], or null
};

Value gate(const Layer& layer, const Value& gates, std::int64_t index) {
  return part(gates, gates->shape.size() - 1, index * layer.hidden, layer.hidden);
}

Value clipped(const Layer& layer, const Value& x) {
  if (layer.clip <= 0) return x;
  return op("minimum",
            {op("maximum", {x, scalar(x->dtype, -layer.clip)}), scalar(x->dtype, layer.clip)});
}

/// The states after a step, from those before it and the part of the inputs.
using Step = std::vector<Value> (*)(const Layer& layer, const Direction& d,
                                    const std::vector<Value>& states, const Value& inputs);

std::vector<Value> rnn_step(const Layer& layer, const Direction& d,
                            const std::vector<Value>& states, const Value& inputs) {
  const Value total = add(op("linear", {states[0], d.recurrent}), inputs);
  return {layer.activations[0](clipped(layer, total))};
}

std::vector<Value> lstm_step(const Layer& layer, const Direction& d,
                             const std::vector<Value>& states, const Value& inputs) {
  const Value& c = states[1];
  const Value total = add(op("linear", {states[0], d.recurrent}), inputs);
  const auto input_of = [&](std::int64_t index, const Value& cell, std::int64_t peephole) {
    Value x = gate(layer, total, index);
    if (cell && d.peepholes) x = add(x, mul(cell, gate(layer, d.peepholes, peephole)));
    return clipped(layer, x);
  };
  const Activation &f = layer.activations[0], &g = layer.activations[1], &h = layer.activations[2];
  const Value in = f(input_of(0, c, 0));
  const Value forget =
      layer.couples_forget ? op("sub", {scalar(in->dtype, 1), in}) : f(input_of(2, c, 2));
  const Value cell = add(mul(forget, c), mul(in, g(input_of(3, nullptr, 0))));
  const Value out = f(input_of(1, cell, 1));
  return {mul(out, h(cell)), cell};
}

std::vector<Value> gru_step(const Layer& layer, const Direction& d,
                            const std::vector<Value>& states, const Value& inputs) {
  const Value& h = states[0];
  const Activation &f = layer.activations[0], &g = layer.activations[1];
  const auto activated = [&](const Activation& a, const Value& x) { return a(clipped(layer, x)); };
  const Value& weight = d.recurrent;
  if (layer.is_linear_before_reset) {
    const Value total = op("linear", {h, weight});
    const auto both = [&](std::int64_t i) {
      return activated(f, add(gate(layer, inputs, i), gate(layer, total, i)));
    };
    const Value update = both(0), reset = both(1);
    Value hidden = gate(layer, total, 2);
    if (d.recurrent_bias) hidden = add(hidden, d.recurrent_bias);
    hidden = activated(g, add(gate(layer, inputs, 2), mul(reset, hidden)));
    return {add(mul(op("sub", {scalar(h->dtype, 1), update}), hidden), mul(update, h))};
  }
  const Value total = op("linear", {h, part(weight, 0, 0, 2 * layer.hidden)});
  const auto both = [&](std::int64_t i) {
    return activated(f, add(gate(layer, inputs, i), gate(layer, total, i)));
  };
  const Value update = both(0), reset = both(1);
  const Value product =
      op("linear", {mul(reset, h), part(weight, 0, 2 * layer.hidden, layer.hidden)});
  const Value hidden = activated(g, add(gate(layer, inputs, 2), product));
  return {add(mul(op("sub", {scalar(h->dtype, 1), update}), hidden), mul(update, h))};
}

std::int64_t fixed_size(const NodeView& n, std::size_t i, std::size_t axis) {
  const auto size = as_int(n.in(i)->shape[axis]);
  if (!size) n.unsupported("weights whose shape is not fixed; give sizes= or shapes=");
  return *size;
}

void check_shape(const NodeView& n, std::size_t i, const std::vector<Expr>& shape) {
  if (n.has(i) && !graph::same_shape(n.in(i)->shape, shape))
    n.invalid(detail::concat("input ", i, " does not have the shape that W, R and X ask for"));
  if (n.has(i) && n.in(i)->dtype != n.in(0)->dtype)
    n.invalid(detail::concat("input ", i, " should have the dtype of X"));
}

/// Checks the operands and says what kind of layer the node is.
Layer layer_of(const NodeView& n, std::int64_t num_gates,
               const std::vector<std::string>& activations) {
  Layer layer;
  layer.num_gates = num_gates;
  if (n.rank(0) != 3 || n.rank(1) != 3 || n.rank(2) != 3)
    n.invalid("X, W and R should have 3 axes");
  if (!n.in(0)->dtype.is_float()) n.invalid("expected floats");
  layer.hidden = fixed_size(n, 2, 2);
  const std::string direction = n.string_attr("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    n.invalid("direction is '" + direction + "'");
  layer.directions = direction == "bidirectional" ? 2 : 1;
  if (layer.hidden < 1 || layer.hidden > (std::int64_t{1} << 31))
    n.invalid(detail::concat("a hidden size of ", layer.hidden));
  if (n.has_attr("hidden_size") && n.int_attr("hidden_size") != layer.hidden)
    n.invalid("hidden_size differs from the shape of R");
  const Expr directions = imm(layer.directions), rows = imm(num_gates * layer.hidden);
  check_shape(n, 1, {directions, rows, n.in(0)->shape[2]});
  check_shape(n, 2, {directions, rows, imm(layer.hidden)});
  check_shape(n, 3, {directions, imm(2 * num_gates * layer.hidden)});
  layer.activations = activations_of(n, layer.directions, activations);
  layer.clip = n.float_attr("clip", 0);
  return layer;
}

/// Whether a step is within its sequence: [length, batch, 1].
Value within(const NodeView& n, const Value& x) {
  const Value& lengths = n.in(4);
  if (lengths->shape.size() != 1 || !lengths->dtype.is_int() ||
      !graph::same_extent(lengths->shape[0], x->shape[1]))
    n.invalid("sequence_lens should be one integer for each sequence");
  return computed("within", {lengths}, {x->shape[0], x->shape[1], imm(1)},
                  [](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    return lt(at[0], te::cast(kInt64, read(0, {at[1]})));
                  });
}

/// What one direction gives: its h after each step, then the last states.
std::vector<Value> run(const NodeView& n, const Layer& all, std::int64_t d, Step step,
                       const Value& x, const std::vector<Value>& first, const Value& peepholes) {
  Layer layer = all;
  const auto per_direction = static_cast<std::ptrdiff_t>(all.activations.size()) / layer.directions;
  layer.activations.assign(all.activations.begin() + d * per_direction,
                           all.activations.begin() + (d + 1) * per_direction);
  Direction parts;
  parts.recurrent = row(n.in(2), d);
  if (peepholes) parts.peepholes = row(peepholes, d);
  Value inputs = op("linear", {x, row(n.in(1), d)});
  const std::int64_t rows = layer.num_gates * layer.hidden;
  if (n.has(3)) {
    const Value bias = row(n.in(3), d);
    const Value of_inputs = part(bias, 0, 0, rows);
    inputs = add(inputs, of_inputs);
    if (layer.is_linear_before_reset) {
      const Value of_state = part(bias, 0, rows, rows - layer.hidden);
      parts.recurrent_bias = part(bias, 0, 2 * rows - layer.hidden, layer.hidden);
      inputs =
          add(inputs, op("concat", {of_state, broadcast(scalar(x->dtype, 0), {imm(layer.hidden)})},
                         {{"axis", std::int64_t{0}}}));
    } else {
      inputs = add(inputs, part(bias, 0, rows, rows));
    }
  }
  graph::LoopParts loop;
  loop.op = n.node().op_type;
  loop.count = x->shape[0];
  loop.is_reverse = d == 1 || n.string_attr("direction", "forward") == "reverse";
  loop.iteration = graph::make_input({}, kInt64, "t");
  const auto input_like = [](const Value& v, std::size_t axes) {
    return graph::make_input({v->shape.begin() + static_cast<std::ptrdiff_t>(axes), v->shape.end()},
                             v->dtype, "x");
  };
  for (const Value& state : first) {
    loop.init.push_back(row(state, d));
    loop.states.push_back(input_like(loop.init.back(), 0));
  }
  loop.stacked = {inputs};
  if (n.has(4)) loop.stacked.push_back(within(n, x));
  for (const Value& v : loop.stacked) loop.slices.push_back(input_like(v, 1));
  loop.next = step(layer, parts, loop.states, loop.slices[0]);
  loop.results = {loop.next[0]};
  if (n.has(4)) {
    const Value& is_within = loop.slices[1];
    loop.results = {op("where", {is_within, loop.next[0], scalar(x->dtype, 0)})};
    for (std::size_t i = 0; i < loop.next.size(); ++i)
      loop.next[i] = op("where", {is_within, loop.next[i], loop.states[i]});
  }
  std::vector<Value> results = graph::make_loop(loop);
  std::rotate(results.begin(), results.end() - 1, results.end());
  return results;
}

/// Values of all directions along a new axis.
Value together(const std::vector<Value>& parts, std::size_t axis) {
  std::vector<Value> with_axis;
  for (const Value& v : parts) {
    std::vector<Expr> shape = v->shape;
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), imm(1));
    with_axis.push_back(reshape(v, shape));
  }
  if (with_axis.size() == 1) return with_axis[0];
  return op("concat", with_axis, {{"axis", static_cast<std::int64_t>(axis)}});
}

std::vector<Value> recurrent(const NodeView& n, const Layer& layer, Step step,
                             std::size_t num_states, const Value& peepholes) {
  const bool is_batch_first = n.int_attr("layout", 0) != 0;
  const Value x = is_batch_first ? transpose(n.in(0), {1, 0, 2}) : n.in(0);
  std::vector<Value> first;
  const std::vector<Expr> shape{imm(layer.directions), x->shape[1], imm(layer.hidden)};
  for (std::size_t i = 0; i < num_states; ++i) {
    Value state = n.maybe(5 + i);
    if (state && is_batch_first && state->shape.size() == 3) state = transpose(state, {1, 0, 2});
    if (!state) state = broadcast(scalar(x->dtype, 0), shape);
    if (!graph::same_shape(state->shape, shape) || state->dtype != x->dtype)
      n.invalid("an initial state does not have the shape or dtype that X and R ask for");
    first.push_back(state);
  }
  std::vector<std::vector<Value>> parts(num_states + 1);
  for (std::int64_t d = 0; d < layer.directions; ++d) {
    const std::vector<Value> results = run(n, layer, d, step, x, first, peepholes);
    for (std::size_t i = 0; i < results.size(); ++i) parts[i].push_back(results[i]);
  }
  std::vector<Value> results;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Value all = together(parts[i], i == 0 ? 1 : 0);  // [length, directions, batch, hidden]
    if (is_batch_first) all = i == 0 ? transpose(all, {2, 0, 1, 3}) : transpose(all, {1, 0, 2});
    results.push_back(all);
  }
  return results;
}

std::vector<Value> convert_rnn(const NodeView& n) {
  return recurrent(n, layer_of(n, 1, {"Tanh"}), rnn_step, 1, nullptr);
}

std::vector<Value> convert_gru(const NodeView& n) {
  Layer layer = layer_of(n, 3, {"Sigmoid", "Tanh"});
  layer.is_linear_before_reset = n.int_attr("linear_before_reset", 0) != 0;
  return recurrent(n, layer, gru_step, 1, nullptr);
}

std::vector<Value> convert_lstm(const NodeView& n) {
  Layer layer = layer_of(n, 4, {"Sigmoid", "Tanh", "Tanh"});
  layer.couples_forget = n.int_attr("input_forget", 0) != 0;
  check_shape(n, 7, {imm(layer.directions), imm(3 * layer.hidden)});
  return recurrent(n, layer, lstm_step, 2, n.maybe(7));
}

}  // namespace

std::vector<Conversion> recurrent_conversions() {
  return {
      {"GRU", 1, kNative, convert_gru},
      {"LSTM", 1, kNative, convert_lstm},
      {"RNN", 1, kNative, convert_rnn},
  };
}

}  // namespace tenon::onnx
