// Operators of the graph as nodes of ONNX, opset 18.

#include <functional>
#include <limits>
#include <unordered_map>

#include "graph/onnx/model_writer.h"
#include "graph/op/window.h"
#include "graph/operator.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"

namespace tenon::onnx {
namespace {

using graph::attr;
using graph::attr_or;
using Ints = std::vector<std::int64_t>;
using Names = std::vector<std::string>;

constexpr std::int64_t kBeforeFirst = std::numeric_limits<std::int64_t>::min() + 1;

[[noreturn]] void refuse(const Value& v, const std::string& why) {
  detail::raise<UnsupportedError>("E0893",
                                  graph::describe(*v) + " cannot be written to ONNX: " + why);
}

/// One operator and what is around it.
struct Writing {
  ModelWriter& w;
  const Value& v;
  const std::string& result;

  const Value& in(std::size_t i) const { return v->inputs[i]; }
  std::string name(std::size_t i) const { return w.name(v->inputs[i]); }
  std::size_t rank(std::size_t i) const { return in(i)->shape.size(); }
  std::string node(const std::string& op, const Names& inputs, const Attributes& a = {}) const {
    return w.node(op, inputs, a);
  }
  std::string last(const std::string& op, const Names& inputs, const Attributes& a = {}) const {
    return w.node(op, inputs, a, result);
  }
  std::string transpose(const std::string& x, const Ints& axes) const {
    return node("Transpose", {x}, Attributes().integers("perm", axes));
  }
};

/// Operands as they are, one node.
std::string write_plain(const Writing& o, const std::string& op) {
  Names names;
  const bool is_same = o.v->dtype.is_bool() || o.v->op == "pow";
  for (std::size_t i = 0; i < o.v->inputs.size(); ++i) {
    if (is_same && o.in(i)->dtype != o.in(0)->dtype) refuse(o.v, "the dtypes differ");
    names.push_back(is_same ? o.name(i) : o.w.cast(o.name(i), o.in(i)->dtype, o.v->dtype));
  }
  return o.last(op, names);
}

std::string write_div(const Writing& o) {
  if (!o.v->dtype.is_float()) refuse(o.v, "integers are divided otherwise there");
  return write_plain(o, "Div");
}

/// 0.5 x (1 + erf(x / sqrt(2))): Gelu itself is of opset 20.
std::string write_gelu(const Writing& o) {
  const DType t = o.v->dtype;
  const std::string x = o.name(0);
  const std::string e = o.node("Erf", {o.node("Mul", {x, o.w.scalar(t, 0.70710678118654752440)})});
  const std::string half = o.node("Mul", {x, o.w.scalar(t, 0.5)});
  return o.last("Mul", {half, o.node("Add", {e, o.w.scalar(t, 1)})});
}

std::string write_gelu_tanh(const Writing& o) {
  const DType t = o.v->dtype;
  const std::string x = o.name(0);
  const std::string cube = o.node("Mul", {o.node("Mul", {x, x}), x});
  const std::string inner = o.node("Add", {x, o.node("Mul", {cube, o.w.scalar(t, 0.044715)})});
  const std::string e =
      o.node("Tanh", {o.node("Mul", {inner, o.w.scalar(t, 0.79788456080286535588)})});
  const std::string half = o.node("Mul", {x, o.w.scalar(t, 0.5)});
  return o.last("Mul", {half, o.node("Add", {e, o.w.scalar(t, 1)})});
}

/// The elements of axis `d` of `x` that a slice takes: by index, so that a size that is open and a
/// constant axis stay two things (a slice would end at the axis' end).
std::string take_range(const Writing& o, const std::string& x, std::size_t d, const Expr& begin,
                       const Expr& extent, std::int64_t step) {
  const auto scalar = [&](const Expr& e) { return o.node("Squeeze", {o.w.sizes({simplify(e)})}); };
  const std::string range =
      o.node("Range", {scalar(begin), scalar(begin + extent * step), scalar(imm(step))});
  return o.node("Gather", {x, range}, Attributes().integer("axis", static_cast<std::int64_t>(d)));
}

std::string write_slice(const Writing& o) {
  const auto& begins = attr<std::vector<Expr>>(*o.v, "begins");
  const auto& extents = attr<std::vector<Expr>>(*o.v, "extents");
  const Ints steps = attr_or(*o.v, "steps", Ints(begins.size(), 1));
  std::string x = o.name(0);
  std::vector<Expr> starts, ends;
  Ints axes, strides;
  for (std::size_t d = 0; d < begins.size(); ++d) {
    if (is_int(begins[d], 0) && steps[d] == 1 && graph::same_extent(extents[d], o.in(0)->shape[d]))
      continue;
    if (!as_int(extents[d]) && as_int(o.in(0)->shape[d])) {
      x = take_range(o, x, d, begins[d], extents[d], steps[d]);
      continue;
    }
    Expr end = simplify(begins[d] + extents[d] * steps[d]);
    // An end before the first element would be counted from the back.
    if (steps[d] < 0 && !as_int(end)) refuse(o.v, "it goes backwards along a size that is open");
    if (steps[d] < 0 && *as_int(end) < 0) end = imm(kBeforeFirst);
    starts.push_back(begins[d]);
    ends.push_back(end);
    axes.push_back(static_cast<std::int64_t>(d));
    strides.push_back(steps[d]);
  }
  if (axes.empty()) return o.last("Identity", {x});
  return o.last("Slice",
                {x, o.w.sizes(starts), o.w.sizes(ends), o.w.ints(axes), o.w.ints(strides)});
}

std::string write_reduction(const Writing& o, const std::string& op) {
  return o.last(op, {o.name(0), o.w.ints(attr<Ints>(*o.v, "axes"))},
                Attributes().integer("keepdims", 0));
}

std::string write_layer_norm(const Writing& o) {
  Names names{o.name(0)};
  for (std::size_t i = 1; i < o.v->inputs.size(); ++i) names.push_back(o.name(i));
  if (names.size() == 1)
    names.push_back(o.node("Expand", {o.w.scalar(o.v->dtype, 1), o.w.sizes({o.v->shape.back()})}));
  return o.last("LayerNormalization", names,
                Attributes().integer("axis", -1).real("epsilon", attr<double>(*o.v, "eps")));
}

/// Weights are [N, K].
std::string write_linear(const Writing& o) {
  return o.last("MatMul", {o.name(0), o.transpose(o.name(1), {1, 0})});
}

/// Queries, keys and values [batch, length, heads * size]; the result [batch, heads, length, size].
std::string write_attention(const Writing& o) {
  const DType t = o.v->dtype;
  const std::string shape =
      o.w.ints({0, 0, attr<std::int64_t>(*o.v, "heads"), *as_int(o.v->shape[3])});
  const auto heads = [&](std::size_t i, const Ints& axes) {
    return o.transpose(o.node("Reshape", {o.name(i), shape}), axes);
  };
  const std::string products = o.node("MatMul", {heads(0, {0, 2, 1, 3}), heads(1, {0, 2, 3, 1})});
  std::string scores = o.node("Mul", {products, o.w.scalar(t, attr<double>(*o.v, "scale"))});
  if (o.v->inputs.size() > 3) {
    const std::string mask = o.w.cast(o.name(3), o.in(3)->dtype, kBoolType);
    scores = o.node("Where", {o.node("Unsqueeze", {mask, o.w.ints({1, 2})}), scores,
                              o.w.scalar(t, -std::numeric_limits<double>::infinity())});
  }
  const std::string weights = o.node("Softmax", {scores}, Attributes().integer("axis", -1));
  return o.last("MatMul", {weights, heads(2, {0, 2, 1, 3})});
}

/// Axes of channels-last arrays in ONNX's order, and back.
Ints channels_first(std::size_t rank) {
  Ints axes{0, static_cast<std::int64_t>(rank) - 1};
  for (std::size_t d = 1; d + 1 < rank; ++d) axes.push_back(static_cast<std::int64_t>(d));
  return axes;
}
Ints channels_last(std::size_t rank) {
  Ints axes{0};
  for (std::size_t d = 2; d < rank; ++d) axes.push_back(static_cast<std::int64_t>(d));
  axes.push_back(1);
  return axes;
}

Attributes window_attributes(const graph::Window& w, bool has_dilations) {
  Ints pads = w.before;
  pads.insert(pads.end(), w.after.begin(), w.after.end());
  Attributes a;
  a.integers("kernel_shape", w.extents).integers("strides", w.strides).integers("pads", pads);
  if (has_dilations) a.integers("dilations", w.dilations);
  return a;
}

std::string to_last(const Writing& o, const std::string& y) {
  return o.last("Transpose", {y}, Attributes().integers("perm", channels_last(o.rank(0))));
}

std::string write_conv(const Writing& o) {
  const std::size_t rank = o.rank(0);
  Ints extents,
      weight_axes{static_cast<std::int64_t>(rank) - 1, static_cast<std::int64_t>(rank) - 2};
  for (std::size_t d = 0; d + 2 < rank; ++d) {
    extents.push_back(*as_int(o.in(1)->shape[d]));
    weight_axes.push_back(static_cast<std::int64_t>(d));
  }
  const Attributes a = window_attributes(graph::window_of(*o.v, extents), true)
                           .integer("group", attr_or<std::int64_t>(*o.v, "groups", 1));
  return to_last(
      o, o.node("Conv",
                {o.transpose(o.name(0), channels_first(rank)), o.transpose(o.name(1), weight_axes)},
                a));
}

std::string write_pool(const Writing& o) {
  const graph::Window w = graph::window_of(*o.v, attr<Ints>(*o.v, "window"));
  const bool is_mean = o.v->op == "avg_pool";
  if (is_mean && (w.dilations != Ints(w.rank(), 1) || o.v->attrs.count("counted_after") != 0))
    refuse(o.v, "its windows have gaps, or count a part of the padding");
  Attributes a = window_attributes(w, !is_mean);
  if (is_mean) a.integer("count_include_pad", attr_or(*o.v, "count_padding", true) ? 1 : 0);
  return to_last(o, o.node(is_mean ? "AveragePool" : "MaxPool",
                           {o.transpose(o.name(0), channels_first(o.rank(0)))}, a));
}

/// Channels are the last axis, so that parameters are broadcast as they are.
std::string write_batch_norm(const Writing& o) {
  const std::string eps = o.w.scalar(o.v->dtype, attr<double>(*o.v, "eps"));
  const std::string deviation = o.node("Sqrt", {o.node("Add", {o.name(2), eps})});
  const std::string scale = o.node("Div", {o.name(3), deviation});
  const std::string centred = o.node("Sub", {o.name(0), o.name(1)});
  return o.last("Add", {o.node("Mul", {centred, scale}), o.name(4)});
}

using Writer = std::function<std::string(const Writing&)>;

Writer plain(const std::string& op) {
  return [op](const Writing& o) { return write_plain(o, op); };
}
Writer reduction(const std::string& op) {
  return [op](const Writing& o) { return write_reduction(o, op); };
}
Writer last_axis(const std::string& op) {
  return
      [op](const Writing& o) { return o.last(op, {o.name(0)}, Attributes().integer("axis", -1)); };
}

const std::unordered_map<std::string, Writer>& writers() {
  static const auto* const table = new std::unordered_map<std::string, Writer>{
      {"add", plain("Add")},
      {"sub", plain("Sub")},
      {"mul", plain("Mul")},
      {"div", write_div},
      {"minimum", plain("Min")},
      {"maximum", plain("Max")},
      {"equal", plain("Equal")},
      {"not_equal",
       [](const Writing& o) {
         if (o.in(0)->dtype != o.in(1)->dtype) refuse(o.v, "the dtypes differ");
         return o.last("Not", {o.node("Equal", {o.name(0), o.name(1)})});
       }},
      {"less", plain("Less")},
      {"less_equal", plain("LessOrEqual")},
      {"greater", plain("Greater")},
      {"greater_equal", plain("GreaterOrEqual")},
      {"logical_and", plain("And")},
      {"logical_or", plain("Or")},
      {"logical_not", plain("Not")},
      {"bitwise_and", plain("BitwiseAnd")},
      {"bitwise_or", plain("BitwiseOr")},
      {"bitwise_xor", plain("BitwiseXor")},
      {"bitwise_not", plain("BitwiseNot")},
      {"neg", plain("Neg")},
      {"abs", plain("Abs")},
      {"sqrt", plain("Sqrt")},
      {"floor", plain("Floor")},
      {"ceil", plain("Ceil")},
      {"round", plain("Round")},
      {"exp", plain("Exp")},
      {"log", plain("Log")},
      {"tanh", plain("Tanh")},
      {"erf", plain("Erf")},
      {"sigmoid", plain("Sigmoid")},
      {"sin", plain("Sin")},
      {"cos", plain("Cos")},
      {"softplus", plain("Softplus")},
      {"relu", plain("Relu")},
      {"pow", plain("Pow")},
      {"rsqrt",
       [](const Writing& o) { return o.last("Reciprocal", {o.node("Sqrt", {o.name(0)})}); }},
      {"gelu", write_gelu},
      {"gelu_tanh", write_gelu_tanh},
      {"where",
       [](const Writing& o) {
         if (!o.in(0)->dtype.is_bool()) refuse(o.v, "the condition is no bool");
         return o.last("Where", {o.name(0), o.w.cast(o.name(1), o.in(1)->dtype, o.v->dtype),
                                 o.w.cast(o.name(2), o.in(2)->dtype, o.v->dtype)});
       }},
      {"cast",
       [](const Writing& o) {
         return o.last("Cast", {o.name(0)}, Attributes().integer("to", data_type_of(o.v->dtype)));
       }},
      {"copy", plain("Identity")},
      {"stop_gradient", plain("Identity")},
      {"custom_vjp", [](const Writing& o) { return o.last("Identity", {o.name(0)}); }},
      {"transpose",
       [](const Writing& o) {
         return o.last("Transpose", {o.name(0)},
                       Attributes().integers("perm", attr<Ints>(*o.v, "axes")));
       }},
      {"reshape",
       [](const Writing& o) {
         return o.last("Reshape", {o.name(0), o.w.sizes(o.v->shape)},
                       Attributes().integer("allowzero", 1));
       }},
      {"slice", write_slice},
      {"broadcast_to",
       [](const Writing& o) { return o.last("Expand", {o.name(0), o.w.sizes(o.v->shape)}); }},
      {"concat",
       [](const Writing& o) {
         Names names;
         for (std::size_t i = 0; i < o.v->inputs.size(); ++i) names.push_back(o.name(i));
         return o.last("Concat", names,
                       Attributes().integer("axis", attr<std::int64_t>(*o.v, "axis")));
       }},
      {"linear", write_linear},
      {"matmul", plain("MatMul")},
      {"sum", reduction("ReduceSum")},
      {"mean", reduction("ReduceMean")},
      {"max", reduction("ReduceMax")},
      {"min", reduction("ReduceMin")},
      {"softmax", last_axis("Softmax")},
      {"log_softmax", last_axis("LogSoftmax")},
      {"layer_norm", write_layer_norm},
      {"embedding", [](const Writing& o) { return o.last("Gather", {o.name(0), o.name(1)}); }},
      {"attention", write_attention},
      {"conv", write_conv},
      {"max_pool", write_pool},
      {"avg_pool", write_pool},
      {"batch_norm", write_batch_norm},
  };
  return *table;
}

}  // namespace

std::string write_operator(ModelWriter& w, const Value& v, const std::string& result) {
  if (v->control || v->is_op("item"))
    detail::raise<UnsupportedError>("E0892", "branches and loops cannot be written to ONNX yet");
  const auto it = v->expression ? writers().end() : writers().find(v->op);
  TENON_USER_CHECK(it != writers().end(), UnsupportedError, "E0892", "operator '", v->op,
                   v->expression ? "' of a tensor expression" : "'", " cannot be written to ONNX");
  return it->second({w, v, result});
}

}  // namespace tenon::onnx
