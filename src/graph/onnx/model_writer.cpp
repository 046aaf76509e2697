#include "graph/onnx/model_writer.h"

#include <algorithm>

#include "graph/onnx/tensor_data.h"
#include "graph/operator.h"
#include "graph/pass/pass.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"

namespace tenon::onnx {
namespace {

using graph::OnnxBytes;
using graph::OnnxFiles;

// The numbers of onnx.proto.
constexpr std::uint32_t kModelIrVersion = 1, kModelProducer = 2, kModelGraph = 7, kModelOpset = 8;
constexpr std::uint32_t kOpsetVersion = 2;
constexpr std::uint32_t kGraphNode = 1, kGraphName = 2, kGraphConstant = 5, kGraphInput = 11,
                        kGraphOutput = 12;
constexpr std::uint32_t kNodeInput = 1, kNodeOutput = 2, kNodeName = 3, kNodeOp = 4,
                        kNodeAttribute = 5;
constexpr std::uint32_t kAttributeName = 1, kAttributeFloat = 2, kAttributeInt = 3,
                        kAttributeInts = 8, kAttributeType = 20;
constexpr std::uint32_t kTensorDims = 1, kTensorType = 2, kTensorName = 8, kTensorRaw = 9,
                        kTensorExternal = 13, kTensorLocation = 14;
constexpr std::int64_t kFloatAttribute = 1, kIntAttribute = 2, kIntsAttribute = 7;
constexpr std::int64_t kIrVersion = 8, kOpset = 18;
constexpr std::uint64_t kDataAlignment = 64;

OnnxBytes text_bytes(std::string text) { return {std::move(text), {}}; }

ProtobufWriter entry(const std::string& key, const std::string& value) {
  ProtobufWriter pair;
  pair.text(1, key);
  pair.text(2, value);
  return pair;
}

}  // namespace

int data_type_of(DType dtype) {
  for (int type = 1; type <= 16; ++type) {
    if (dtype_of(static_cast<DataType>(type)) == dtype) return type;
  }
  detail::raise<UnsupportedError>("E0893",
                                  "ONNX has no tensors of " + to_string(dtype) + " as Tenon has");
}

Attributes& Attributes::integer(const std::string& name, std::int64_t value) {
  ProtobufWriter a;
  a.text(kAttributeName, name);
  a.integer(kAttributeInt, value);
  a.integer(kAttributeType, kIntAttribute);
  list_.push_back(std::move(a));
  return *this;
}

Attributes& Attributes::real(const std::string& name, double value) {
  ProtobufWriter a;
  a.text(kAttributeName, name);
  a.float32(kAttributeFloat, static_cast<float>(value));
  a.integer(kAttributeType, kFloatAttribute);
  list_.push_back(std::move(a));
  return *this;
}

Attributes& Attributes::integers(const std::string& name, const std::vector<std::int64_t>& values) {
  ProtobufWriter a;
  a.text(kAttributeName, name);
  for (const std::int64_t value : values) a.integer(kAttributeInts, value);
  a.integer(kAttributeType, kIntsAttribute);
  list_.push_back(std::move(a));
  return *this;
}

std::string ModelWriter::unique(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; name.empty() || !used_.insert(name).second; ++i)
    name = (wanted.empty() ? "v" : wanted) + "_" + std::to_string(i);
  return name;
}

std::string ModelWriter::node(const std::string& op, const std::vector<std::string>& inputs,
                              const Attributes& attributes, std::string result) {
  if (result.empty()) result = unique(op + "_" + std::to_string(nodes_.size()));
  ProtobufWriter n;
  for (const std::string& input : inputs) n.text(kNodeInput, input);
  n.text(kNodeOutput, result);
  n.text(kNodeName, result);
  n.text(kNodeOp, op);
  for (const ProtobufWriter& a : attributes.list()) n.message(kNodeAttribute, a);
  nodes_.push_back(std::move(n));
  return result;
}

std::string ModelWriter::constant(const Array& data, const std::string& name) {
  constants_.emplace_back(unique(name.empty() ? "constant" : name), data);
  return constants_.back().first;
}

std::string ModelWriter::ints(const std::vector<std::int64_t>& values) {
  std::string& name = int_constants_[values];
  if (!name.empty()) return name;
  const auto size = static_cast<std::int64_t>(values.size());
  name = constant(Array::from_values<std::int64_t>(std::span(&size, 1), kInt64, values), "sizes");
  return name;
}

std::string ModelWriter::scalar(DType dtype, double value) {
  Array a = Array::empty({}, kFloat64);
  a.mutable_data<double>()[0] = value;
  if (dtype == kFloat64) return constant(a, "scalar");
  if (dtype != kFloat32) return cast(scalar(kFloat64, value), kFloat64, dtype);
  Array narrow = Array::empty({}, kFloat32);
  narrow.mutable_data<float>()[0] = static_cast<float>(value);
  return constant(narrow, "scalar");
}

std::string ModelWriter::cast(const std::string& x, DType from, DType to) {
  return from == to ? x : node("Cast", {x}, Attributes().integer("to", data_type_of(to)));
}

std::string ModelWriter::size(const Expr& e) {
  if (const auto value = as_int(e)) return ints({*value});
  for (const Value& input : inputs_) {
    for (std::size_t d = 0; d < input->shape.size(); ++d) {
      if (!input->shape[d].same_as(e)) continue;
      const auto axis = static_cast<std::int64_t>(d);
      return node("Shape", {name(input)},
                  Attributes().integer("start", axis).integer("end", axis + 1));
    }
  }
  if (const auto* b = e.as<BinaryNode>()) {
    static const std::map<BinaryOp, const char*> ops{{BinaryOp::kAdd, "Add"},
                                                     {BinaryOp::kSub, "Sub"},
                                                     {BinaryOp::kMul, "Mul"},
                                                     {BinaryOp::kMin, "Min"},
                                                     {BinaryOp::kMax, "Max"}};
    if (const auto it = ops.find(b->op); it != ops.end())
      return node(it->second, {size(b->a), size(b->b)});
    // Rounds down as Tenon does: Mod takes the divisor's sign.
    if (b->op == BinaryOp::kFloorMod) return node("Mod", {size(b->a), size(b->b)});
    if (b->op == BinaryOp::kFloorDiv) {
      const std::string x = size(b->a), y = size(b->b);
      return node("Div", {node("Sub", {x, node("Mod", {x, y})}), y});
    }
  }
  detail::raise<UnsupportedError>("E0893", "the size " + print(e) + " cannot be written to ONNX");
}

std::string ModelWriter::sizes(const std::vector<Expr>& sizes) {
  std::vector<std::int64_t> constants;
  for (const Expr& e : sizes) {
    if (const auto value = as_int(e)) constants.push_back(*value);
  }
  if (constants.size() == sizes.size()) return ints(constants);
  std::vector<std::string> parts;
  for (const Expr& e : sizes) parts.push_back(size(simplify(e)));
  return parts.size() == 1 ? parts[0] : node("Concat", parts, Attributes().integer("axis", 0));
}

ProtobufWriter ModelWriter::value_info(const std::string& name, const ValueNode& v) const {
  ProtobufWriter shape, tensor, type, info;
  for (const Expr& e : v.shape) {
    ProtobufWriter dim;
    if (const auto size = as_int(e)) {
      dim.integer(1, *size);
    } else {
      dim.text(2, print(e));
    }
    shape.message(1, dim);
  }
  tensor.integer(1, data_type_of(v.dtype));
  tensor.message(2, shape);
  type.message(1, tensor);
  info.text(1, name);
  info.message(2, type);
  return info;
}

void ModelWriter::write_constants(OnnxFiles* files, std::vector<OnnxBytes>* tail,
                                  std::uint64_t* tail_bytes) {
  std::uint64_t offset = 0;
  const auto add = [&](OnnxBytes piece, std::uint64_t size) {
    *tail_bytes += size;
    tail->push_back(std::move(piece));
  };
  for (const auto& [name, data] : constants_) {
    const auto size = static_cast<std::uint64_t>(data.nbytes());
    const bool is_outside = !options_.data_file.empty() && size >= 1024;
    ProtobufWriter tensor, around;
    for (const std::int64_t extent : data.shape()) tensor.integer(kTensorDims, extent);
    tensor.integer(kTensorType, data_type_of(data.dtype()));
    tensor.text(kTensorName, name);
    if (is_outside) {
      const std::uint64_t gap = (kDataAlignment - offset % kDataAlignment) % kDataAlignment;
      if (gap > 0) files->data.push_back(text_bytes(std::string(gap, '\0')));
      offset += gap;
      tensor.message(kTensorExternal, entry("location", options_.data_file));
      tensor.message(kTensorExternal, entry("offset", std::to_string(offset)));
      tensor.message(kTensorExternal, entry("length", std::to_string(size)));
      tensor.integer(kTensorLocation, 1);
      files->data.push_back({"", data});
      offset += size;
    } else {
      tensor.length(kTensorRaw, size);
    }
    around.length(kGraphConstant, tensor.bytes().size() + (is_outside ? 0 : size));
    const std::string start = around.bytes() + tensor.bytes();
    add(text_bytes(start), start.size());
    if (!is_outside && size > 0) add({"", data}, size);
  }
}

OnnxFiles ModelWriter::write() {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const bool is_named = i < options_.input_names.size();
    names_[inputs_[i].get()] = unique(is_named ? options_.input_names[i] : inputs_[i]->name);
  }
  std::vector<std::string> output_names;
  for (std::size_t i = 0; i < outputs_.size(); ++i)
    output_names.push_back(
        unique(i < options_.output_names.size() ? options_.output_names[i] : "output"));
  for (const Value& v : graph::in_order(outputs_)) {
    if (names_.count(v.get()) != 0) continue;
    std::string result;
    if (v->is_constant()) {
      result = constant(v->data, v->name);
    } else {
      const SpanScope span(v->span);
      result = write_operator(*this, v, unique(v->op));
    }
    names_[v.get()] = result;
  }
  ProtobufWriter ending;
  for (std::size_t i = 0; i < outputs_.size(); ++i)
    node("Identity", {name(outputs_[i])}, {}, output_names[i]);
  for (const ProtobufWriter& n : nodes_) ending.message(kGraphNode, n);
  ending.text(kGraphName, options_.name);
  for (const Value& v : inputs_) ending.message(kGraphInput, value_info(name(v), *v));
  for (std::size_t i = 0; i < outputs_.size(); ++i)
    ending.message(kGraphOutput, value_info(output_names[i], *outputs_[i]));

  OnnxFiles files;
  std::vector<OnnxBytes> tail;
  std::uint64_t tail_bytes = 0;
  write_constants(&files, &tail, &tail_bytes);
  ProtobufWriter opset, start;
  opset.integer(kOpsetVersion, kOpset);
  start.integer(kModelIrVersion, kIrVersion);
  start.text(kModelProducer, "tenon");
  start.message(kModelOpset, opset);
  start.length(kModelGraph, ending.bytes().size() + tail_bytes);
  files.model.push_back(text_bytes(start.bytes() + ending.bytes()));
  files.model.insert(files.model.end(), tail.begin(), tail.end());
  return files;
}

}  // namespace tenon::onnx

namespace tenon::graph {

OnnxFiles write_onnx(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                     const OnnxWriteOptions& options) {
  return onnx::ModelWriter(inputs, outputs, options).write();
}

std::int64_t constant_bytes(const std::vector<Value>& outputs) {
  std::int64_t total = 0;
  for (const Value& v : in_order(outputs)) {
    if (v->is_constant()) total += v->data.nbytes();
  }
  return total;
}

}  // namespace tenon::graph
