// Field numbers are those of onnx.proto.

#include <algorithm>
#include <array>
#include <limits>

#include "graph/onnx/model.h"
#include "graph/onnx/wire.h"
#include "tenon/support/error.h"

namespace tenon::onnx {
namespace {

constexpr int kMaxDepth = 64;  ///< of graphs in attributes, and of types

/// One more element, whose memory is counted: a growing vector holds its old and its new elements.
template <typename T>
T& add(Source& source, std::vector<T>* list) {
  source.charge(3 * sizeof(T));
  return list->emplace_back();
}

void add_text(Wire& wire, std::vector<std::string>* list) {
  add(wire.source(), list) = wire.text();
}

void add_raw_text(Wire& wire, std::vector<std::string>* list) {
  add(wire.source(), list) = wire.raw_text();
}

void check_depth(const Wire& wire, int depth) {
  if (depth > kMaxDepth)
    wire.fail("E0873", detail::concat("graphs or types are nested deeper than ", kMaxDepth));
}

std::pair<std::string, std::string> read_entry(Source& source, std::string_view bytes) {
  std::pair<std::string, std::string> entry;
  for (Wire wire(source, bytes); wire.next();) {
    if (wire.field() == 1)
      entry.first = wire.text();
    else if (wire.field() == 2)
      entry.second = wire.text();
    else
      wire.skip();
  }
  return entry;
}

/// A number of bytes that is given as text.
std::int64_t read_count(const Wire& wire, const std::string& key, const std::string& text) {
  const bool is_number =
      !text.empty() && text.size() <= 18 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!is_number) {
    wire.fail("E0871", detail::concat("external data has the ", key, " '", text.substr(0, 40),
                                      "', expected a number of bytes"));
  }
  return std::stoll(text);
}

void read_external(Wire& wire, ExternalData* external) {
  auto [key, value] = read_entry(wire.source(), wire.bytes());
  if (key == "location")
    external->location = std::move(value);
  else if (key == "offset")
    external->offset = read_count(wire, key, value);
  else if (key == "length")
    external->length = read_count(wire, key, value);
}

Tensor read_tensor(Source& source, std::string_view bytes) {
  Tensor tensor;
  ExternalData external;
  bool is_external = false;
  Wire wire(source, bytes);
  while (wire.next()) {
    switch (wire.field()) {
      case 1:
        wire.append_to(&tensor.dims);
        break;
      case 2:
        tensor.type = static_cast<DataType>(wire.integer());
        break;
      case 3:
        wire.fail("E0871", "a tensor is stored in segments, which ONNX does not use");
      case 4:
        wire.append_to(&tensor.floats);
        break;
      case 5:
        wire.append_to(&tensor.int32s);
        break;
      case 6:
        add_raw_text(wire, &tensor.strings);
        break;
      case 7:
        wire.append_to(&tensor.int64s);
        break;
      case 8:
        tensor.name = wire.text();
        break;
      case 9:
        tensor.raw = wire.bytes();
        break;
      case 10:
        wire.append_to(&tensor.doubles);
        break;
      case 11:
        wire.append_to(&tensor.uint64s);
        break;
      case 13:
        read_external(wire, &external);
        break;
      case 14:
        is_external = wire.integer() == 1;
        break;
      default:
        wire.skip();
    }
  }
  for (const std::int64_t dim : tensor.dims) {
    if (dim < 0)
      wire.fail("E0871", detail::concat("tensor '", tensor.name, "' has a dimension of ", dim));
  }
  if (is_external) {
    if (external.location.empty())
      wire.fail("E0871",
                detail::concat("tensor '", tensor.name, "' is external, but says not where"));
    tensor.external = std::move(external);
  }
  return tensor;
}

SparseTensor read_sparse_tensor(Source& source, std::string_view bytes) {
  SparseTensor tensor;
  for (Wire wire(source, bytes); wire.next();) {
    switch (wire.field()) {
      case 1:
        tensor.values = read_tensor(source, wire.bytes());
        break;
      case 2:
        tensor.indices = read_tensor(source, wire.bytes());
        break;
      case 3:
        wire.append_to(&tensor.dims);
        break;
      default:
        wire.skip();
    }
  }
  return tensor;
}

Dim read_dim(Source& source, std::string_view bytes) {
  Dim dim;
  for (Wire wire(source, bytes); wire.next();) {
    if (wire.field() == 1)
      dim = wire.integer();
    else if (wire.field() == 2)
      dim = wire.text();
    else
      wire.skip();
  }
  if (const auto* size = std::get_if<std::int64_t>(&dim); size != nullptr && *size < 0)
    return std::monostate();  // exporters write -1 for what they do not know
  if (const auto* name = std::get_if<std::string>(&dim); name != nullptr && name->empty())
    return std::monostate();
  return dim;
}

std::vector<Dim> read_shape(Source& source, std::string_view bytes) {
  std::vector<Dim> shape;
  for (Wire wire(source, bytes); wire.next();) {
    if (wire.field() == 1)
      add(source, &shape) = read_dim(source, wire.bytes());
    else
      wire.skip();
  }
  return shape;
}

void read_tensor_type(Source& source, std::string_view bytes, Type* type) {
  for (Wire wire(source, bytes); wire.next();) {
    if (wire.field() == 1)
      type->data_type = static_cast<DataType>(wire.integer());
    else if (wire.field() == 2)
      type->shape = read_shape(source, wire.bytes());
    else
      wire.skip();
  }
}

Type read_type(Source& source, std::string_view bytes, int depth);

std::shared_ptr<const Type> read_element_type(Source& source, std::string_view bytes, int depth) {
  for (Wire wire(source, bytes); wire.next();) {
    if (wire.field() == 1) {
      source.charge(sizeof(Type));
      return std::make_shared<const Type>(read_type(source, wire.bytes(), depth + 1));
    }
    wire.skip();
  }
  return nullptr;
}

Type read_type(Source& source, std::string_view bytes, int depth) {
  Type type;
  Wire wire(source, bytes);
  while (wire.next()) {
    check_depth(wire, depth);
    switch (wire.field()) {
      case 1:
        type.kind = Type::Kind::kTensor;
        read_tensor_type(source, wire.bytes(), &type);
        break;
      case 4:
        type.kind = Type::Kind::kSequence;
        type.element = read_element_type(source, wire.bytes(), depth);
        break;
      case 5:
        type.kind = Type::Kind::kMap;
        wire.skip();
        break;
      case 8:
        type.kind = Type::Kind::kSparseTensor;
        read_tensor_type(source, wire.bytes(), &type);
        break;
      case 9:
        type.kind = Type::Kind::kOptional;
        type.element = read_element_type(source, wire.bytes(), depth);
        break;
      default:
        wire.skip();
    }
  }
  return type;
}

ValueInfo read_value_info(Source& source, std::string_view bytes) {
  ValueInfo value;
  for (Wire wire(source, bytes); wire.next();) {
    if (wire.field() == 1)
      value.name = wire.text();
    else if (wire.field() == 2)
      value.type = read_type(source, wire.bytes(), 1);
    else
      wire.skip();
  }
  return value;
}

Graph read_graph(Source& source, std::string_view bytes, int depth);

std::shared_ptr<const Graph> read_subgraph(const Wire& parent, std::string_view bytes, int depth) {
  check_depth(parent, depth + 1);
  parent.source().charge(sizeof(Graph));
  return std::make_shared<const Graph>(read_graph(parent.source(), bytes, depth + 1));
}

/// AttributeProto.AttributeType.
enum class AttributeType : std::int64_t {
  kUndefined = 0,
  kFloat = 1,
  kInt = 2,
  kString = 3,
  kTensor = 4,
  kGraph = 5,
  kFloats = 6,
  kInts = 7,
  kStrings = 8,
  kTensors = 9,
  kGraphs = 10,
  kSparseTensor = 11,
  kType = 13,
};

/// All that an attribute may hold, of which its type says what counts.
struct AttributeFields {
  AttributeType type = AttributeType::kUndefined;
  AttributeType found = AttributeType::kUndefined;  ///< of the last value
  float f = 0;
  std::int64_t i = 0;
  std::string s;
  Tensor t;
  SparseTensor sparse;
  Type tp;
  std::shared_ptr<const Graph> g;
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string> strings;
  std::vector<Tensor> tensors;
  std::vector<std::shared_ptr<const Graph>> graphs;
};

bool read_attribute_value(Wire& wire, AttributeFields* fields, int depth) {
  Source& source = wire.source();
  switch (wire.field()) {
    case 2:
      fields->f = wire.float32();
      fields->found = AttributeType::kFloat;
      return true;
    case 3:
      fields->i = wire.integer();
      fields->found = AttributeType::kInt;
      return true;
    case 4:
      fields->s = wire.raw_text();
      fields->found = AttributeType::kString;
      return true;
    case 5:
      fields->t = read_tensor(source, wire.bytes());
      fields->found = AttributeType::kTensor;
      return true;
    case 6:
      fields->g = read_subgraph(wire, wire.bytes(), depth);
      fields->found = AttributeType::kGraph;
      return true;
    case 7:
      wire.append_to(&fields->floats);
      fields->found = AttributeType::kFloats;
      return true;
    case 8:
      wire.append_to(&fields->ints);
      fields->found = AttributeType::kInts;
      return true;
    case 9:
      add_raw_text(wire, &fields->strings);
      fields->found = AttributeType::kStrings;
      return true;
    case 10:
      add(source, &fields->tensors) = read_tensor(source, wire.bytes());
      fields->found = AttributeType::kTensors;
      return true;
    case 11:
      add(source, &fields->graphs) = read_subgraph(wire, wire.bytes(), depth);
      fields->found = AttributeType::kGraphs;
      return true;
    case 14:
      fields->tp = read_type(source, wire.bytes(), 1);
      fields->found = AttributeType::kType;
      return true;
    case 22:
      fields->sparse = read_sparse_tensor(source, wire.bytes());
      fields->found = AttributeType::kSparseTensor;
      return true;
    default:
      return false;
  }
}

void take_value(const Wire& wire, AttributeFields fields, Attribute* attribute) {
  const AttributeType type = fields.type == AttributeType::kUndefined ? fields.found : fields.type;
  switch (type) {
    case AttributeType::kUndefined:
      return;
    case AttributeType::kFloat:
      attribute->value = fields.f;
      return;
    case AttributeType::kInt:
      attribute->value = fields.i;
      return;
    case AttributeType::kString:
      attribute->value = std::move(fields.s);
      return;
    case AttributeType::kTensor:
      attribute->value = std::move(fields.t);
      return;
    case AttributeType::kGraph:
      if (!fields.g)
        wire.fail("E0871", detail::concat("attribute '", attribute->name, "' has no graph"));
      attribute->value = std::move(fields.g);
      return;
    case AttributeType::kFloats:
      attribute->value = std::move(fields.floats);
      return;
    case AttributeType::kInts:
      attribute->value = std::move(fields.ints);
      return;
    case AttributeType::kStrings:
      attribute->value = std::move(fields.strings);
      return;
    case AttributeType::kTensors:
      attribute->value = std::move(fields.tensors);
      return;
    case AttributeType::kGraphs:
      attribute->value = std::move(fields.graphs);
      return;
    case AttributeType::kSparseTensor:
      attribute->value = std::move(fields.sparse);
      return;
    case AttributeType::kType:
      attribute->value = std::move(fields.tp);
      return;
  }
  wire.fail("E0871",
            detail::concat("attribute '", attribute->name, "' has the type ",
                           static_cast<std::int64_t>(type), ", which Tenon does not know"));
}

Attribute read_attribute(Source& source, std::string_view bytes, int depth) {
  Attribute attribute;
  AttributeFields fields;
  Wire wire(source, bytes);
  while (wire.next()) {
    if (wire.field() == 1)
      attribute.name = wire.text();
    else if (wire.field() == 20)
      fields.type = static_cast<AttributeType>(wire.integer());
    else if (wire.field() == 21)
      attribute.ref = wire.text();
    else if (!read_attribute_value(wire, &fields, depth))
      wire.skip();
  }
  if (attribute.ref.empty()) take_value(wire, std::move(fields), &attribute);
  return attribute;
}

Node read_node(Source& source, std::string_view bytes, int depth) {
  Node node;
  for (Wire wire(source, bytes); wire.next();) {
    switch (wire.field()) {
      case 1:
        add_text(wire, &node.inputs);
        break;
      case 2:
        add_text(wire, &node.outputs);
        break;
      case 3:
        node.name = wire.text();
        break;
      case 4:
        node.op_type = wire.text();
        break;
      case 5:
        add(source, &node.attributes) = read_attribute(source, wire.bytes(), depth);
        break;
      case 7:
        node.domain = wire.text();
        break;
      case 8:
        node.overload = wire.text();
        break;
      default:
        wire.skip();
    }
  }
  if (node.domain == "ai.onnx") node.domain = "";
  return node;
}

Graph read_graph(Source& source, std::string_view bytes, int depth) {
  Graph graph;
  for (Wire wire(source, bytes); wire.next();) {
    switch (wire.field()) {
      case 1:
        add(source, &graph.nodes) = read_node(source, wire.bytes(), depth);
        break;
      case 2:
        graph.name = wire.text();
        break;
      case 5:
        add(source, &graph.initializers) = read_tensor(source, wire.bytes());
        break;
      case 11:
        add(source, &graph.inputs) = read_value_info(source, wire.bytes());
        break;
      case 12:
        add(source, &graph.outputs) = read_value_info(source, wire.bytes());
        break;
      case 13:
        add(source, &graph.values) = read_value_info(source, wire.bytes());
        break;
      case 15:
        add(source, &graph.sparse_initializers) = read_sparse_tensor(source, wire.bytes());
        break;
      default:
        wire.skip();
    }
  }
  return graph;
}

void read_opset(Wire& wire, std::map<std::string, std::int64_t>* opsets) {
  std::string domain;
  std::int64_t version = 0;
  for (Wire opset(wire.source(), wire.bytes()); opset.next();) {
    if (opset.field() == 1)
      domain = opset.text();
    else if (opset.field() == 2)
      version = opset.integer();
    else
      opset.skip();
  }
  if (domain == "ai.onnx") domain = "";
  wire.source().charge(sizeof(*opsets->begin()));
  (*opsets)[domain] = version;
}

Function read_function(Source& source, std::string_view bytes) {
  Function function;
  for (Wire wire(source, bytes); wire.next();) {
    switch (wire.field()) {
      case 1:
        function.name = wire.text();
        break;
      case 4:
        add_text(wire, &function.inputs);
        break;
      case 5:
        add_text(wire, &function.outputs);
        break;
      case 6:
        add_text(wire, &function.attributes);
        break;
      case 7:
        add(source, &function.nodes) = read_node(source, wire.bytes(), 1);
        break;
      case 9:
        read_opset(wire, &function.opsets);
        break;
      case 10:
        function.domain = wire.text();
        break;
      case 11:
        add(source, &function.default_attributes) = read_attribute(source, wire.bytes(), 1);
        break;
      case 13:
        function.overload = wire.text();
        break;
      default:
        wire.skip();
    }
  }
  return function;
}

}  // namespace

std::string to_string(DataType type) {
  static constexpr std::array<const char*, 25> kNames = {
      "undefined",      "float32",  "uint8",        "int8",           "uint16",
      "int16",          "int32",    "int64",        "string",         "bool",
      "float16",        "float64",  "uint32",       "uint64",         "complex64",
      "complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
      "float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",     "float8e8m0"};
  const auto number = static_cast<std::int32_t>(type);
  const bool has_name = number >= 0 && static_cast<std::size_t>(number) < kNames.size();
  return has_name ? kNames.at(static_cast<std::size_t>(number)) : detail::concat("type ", number);
}

Model read_model(std::string_view bytes, const std::string& name) {
  Source source(name, bytes);
  Model model;
  bool has_graph = false;
  Wire wire(source, bytes);
  while (wire.next()) {
    switch (wire.field()) {
      case 1:
        model.ir_version = wire.integer();
        break;
      case 2:
        model.producer = wire.text();
        break;
      case 7:
        if (has_graph) wire.fail("E0871", "a second graph");
        has_graph = true;
        model.graph = read_graph(source, wire.bytes(), 1);
        break;
      case 8:
        read_opset(wire, &model.opsets);
        break;
      case 14: {
        source.charge(sizeof(*model.metadata.begin()));
        model.metadata.insert(read_entry(source, wire.bytes()));
        break;
      }
      case 25:
        add(source, &model.functions) = read_function(source, wire.bytes());
        break;
      default:
        wire.skip();
    }
  }
  if (!has_graph)
    source.fail("E0871", bytes.data(), "there is no graph in it, so it is no ONNX model");
  return model;
}

Tensor read_tensor(std::string_view bytes, const std::string& name) {
  Source source(name, bytes);
  return read_tensor(source, bytes);
}

}  // namespace tenon::onnx
