// Scan: a loop over the slices of arrays.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

/// An attribute with one number for each of `count` arrays, 0 where it is absent.
std::vector<std::int64_t> one_each(const NodeView& n, const std::string& name, std::size_t count) {
  std::vector<std::int64_t> values = n.ints_attr(name);
  if (values.empty()) values.assign(count, 0);
  if (values.size() != count)
    n.invalid(detail::concat("'", name, "' has ", values.size(), " numbers, expected ", count));
  return values;
}

std::vector<std::int64_t> directions(const NodeView& n, const std::string& name,
                                     std::size_t count) {
  std::vector<std::int64_t> values = one_each(n, name, count);
  for (const std::int64_t d : values) {
    if (d != 0 && d != 1) n.invalid(detail::concat("'", name, "' holds ", d, ", expected 0 or 1"));
  }
  return values;
}

/// Axis `from` of `x` is moved to `to`.
Value move_axis(const Value& x, std::size_t from, std::size_t to) {
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < x->shape.size(); ++d) {
    if (d != from) axes.push_back(static_cast<std::int64_t>(d));
  }
  axes.insert(axes.begin() + static_cast<std::ptrdiff_t>(to), static_cast<std::int64_t>(from));
  return transpose(x, axes);
}

Value like_row(const Value& x, const char* name) {
  return graph::make_input({x->shape.begin() + 1, x->shape.end()}, x->dtype, name);
}

const Value& tensor(const NodeView& n, const Entry& e) {
  if (!e.value) n.unsupported("the body of the scan gives a sequence");
  return e.value;
}

/// Where the operands are, and what the body has.
struct Shape {
  std::size_t first = 0;  ///< operand that is a state
  std::size_t num_states = 0, num_inputs = 0, num_outputs = 0;
};

Shape shape_of(const NodeView& n, const Graph& body, std::size_t first) {
  Shape s;
  s.first = first;
  const std::int64_t inputs = n.int_attr("num_scan_inputs");
  if (n.num_inputs() < first || inputs < 1 ||
      inputs > static_cast<std::int64_t>(n.num_inputs() - first))
    n.invalid(detail::concat("'num_scan_inputs' is ", inputs, " and there are ", n.num_inputs(),
                             " inputs"));
  s.num_inputs = static_cast<std::size_t>(inputs);
  s.num_states = n.num_inputs() - first - s.num_inputs;
  if (body.outputs.size() < s.num_states)
    n.invalid(detail::concat("the body has ", body.outputs.size(), " outputs and there are ",
                             s.num_states, " states"));
  s.num_outputs = body.outputs.size() - s.num_states;
  return s;
}

/// One loop over the first axes of `stacked`.
std::vector<Value> make_scan(const NodeView& n, const Graph& body, const std::vector<Value>& init,
                             const std::vector<Value>& stacked, bool is_reverse) {
  graph::LoopParts parts;
  parts.op = "scan";
  parts.is_reverse = is_reverse;
  parts.init = init;
  parts.stacked = stacked;
  parts.count = stacked[0]->shape[0];
  parts.iteration = graph::make_input({}, kInt64, "iteration");
  std::vector<Entry> inputs;
  for (const Value& v : init) {
    parts.states.push_back(graph::make_input(v->shape, v->dtype, "state"));
    inputs.push_back({parts.states.back()});
  }
  for (const Value& v : stacked) {
    parts.slices.push_back(like_row(v, "slice"));
    inputs.push_back({parts.slices.back()});
  }
  const std::vector<Entry> made = n.run(body, inputs);
  for (std::size_t i = 0; i < made.size(); ++i)
    (i < init.size() ? parts.next : parts.results).push_back(tensor(n, made[i]));
  return graph::make_loop(parts);
}

std::vector<Value> convert_scan(const NodeView& n) {
  const Graph& body = n.graph_attr("body");
  const Shape s = shape_of(n, body, 0);
  const auto input_axes = one_each(n, "scan_input_axes", s.num_inputs);
  const auto input_directions = directions(n, "scan_input_directions", s.num_inputs);
  const auto output_axes = one_each(n, "scan_output_axes", s.num_outputs);
  const auto output_directions = directions(n, "scan_output_directions", s.num_outputs);
  const auto all_are = [&](std::int64_t d) {
    const auto is_other = [d](std::int64_t x) { return x != d; };
    return std::none_of(input_directions.begin(), input_directions.end(), is_other) &&
           std::none_of(output_directions.begin(), output_directions.end(), is_other);
  };
  const bool is_reverse = all_are(1);
  std::vector<Value> init, stacked;
  for (std::size_t i = 0; i < s.num_states; ++i) init.push_back(n.in(i));
  for (std::size_t i = 0; i < s.num_inputs; ++i) {
    const Value& x = n.in(s.num_states + i);
    const std::int64_t axis = normal_axis(n, input_axes[i], x->shape.size());
    const Value moved = move_axis(x, static_cast<std::size_t>(axis), 0);
    stacked.push_back(input_directions[i] == 1 && !is_reverse ? reversed(moved) : moved);
  }
  std::vector<Value> results = make_scan(n, body, init, stacked, is_reverse);
  for (std::size_t i = 0; i < s.num_outputs; ++i) {
    Value& y = results[s.num_states + i];
    if (output_directions[i] == 1 && !is_reverse) y = reversed(y);
    const std::int64_t axis = normal_axis(n, output_axes[i], y->shape.size());
    y = move_axis(y, 0, static_cast<std::size_t>(axis));
  }
  return results;
}

/// Opset 8 has batches: a loop over them, in which each example is scanned.
std::vector<Value> convert_scan_of_batches(const NodeView& n) {
  const Graph& body = n.graph_attr("body");
  const Shape s = shape_of(n, body, 1);
  if (n.has(0)) n.unsupported("lengths of the sequences of a batch");
  const auto input_directions = directions(n, "directions", s.num_inputs);
  graph::LoopParts batches;
  batches.op = "scan";
  batches.iteration = graph::make_input({}, kInt64, "example");
  std::vector<Value> init, stacked;
  for (std::size_t i = 0; i < s.num_states + s.num_inputs; ++i) {
    const Value& x = n.in(s.first + i);
    if (x->shape.size() < (i < s.num_states ? 1 : 2))
      n.invalid("a state or input of a scan has no axis for the batch or the sequence");
    batches.stacked.push_back(x);
    batches.slices.push_back(like_row(x, "example"));
    Value row = batches.slices.back();
    if (i >= s.num_states && input_directions[i - s.num_states] == 1) row = reversed(row);
    (i < s.num_states ? init : stacked).push_back(row);
  }
  batches.count = batches.stacked[0]->shape[0];
  batches.results = make_scan(n, body, init, stacked, false);
  return graph::make_loop(batches);
}

}  // namespace

std::vector<Conversion> scan_conversions() {
  return {{"Scan", 8, Support::kNative, convert_scan_of_batches},
          {"Scan", 9, Support::kNative, convert_scan}};
}

}  // namespace tenon::onnx
