#pragma once

/// An ONNX model as plain structures (onnx.proto of ONNX 1.22, without training information).
///
/// **Memory model.** Texts and numbers are owned; the bytes of tensors stay where the model was
/// read from, which must outlive the structures.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tenon::onnx {

/// TensorProto.DataType.
enum class DataType : std::int32_t {
  kUndefined = 0,
  kFloat = 1,
  kUInt8 = 2,
  kInt8 = 3,
  kUInt16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUInt32 = 12,
  kUInt64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBFloat16 = 16,
  kFloat8E4M3FN = 17,
  kFloat8E4M3FNUZ = 18,
  kFloat8E5M2 = 19,
  kFloat8E5M2FNUZ = 20,
  kUInt4 = 21,
  kInt4 = 22,
  kFloat4E2M1 = 23,
  kFloat8E8M0 = 24,
};
/// "float16"; "type 99" for a number without a name.
std::string to_string(DataType type);

/// Where the bytes of a tensor lie in another file.
struct ExternalData {
  std::string location;
  std::int64_t offset = 0;
  std::optional<std::int64_t> length;
};

struct Tensor {
  std::string name;
  std::vector<std::int64_t> dims;
  DataType type = DataType::kUndefined;
  std::optional<std::string_view> raw;  ///< little-endian elements
  std::vector<float> floats;            ///< float, complex64
  std::vector<std::int64_t> int32s;     ///< int32 and narrower, float16 and bfloat16 as bits, bool
  std::vector<std::int64_t> int64s;
  std::vector<double> doubles;         ///< double, complex128
  std::vector<std::uint64_t> uint64s;  ///< uint32, uint64
  std::vector<std::string> strings;
  std::optional<ExternalData> external;
};

struct SparseTensor {
  Tensor values, indices;
  std::vector<std::int64_t> dims;
};

/// One size of a shape: a number, a name, or nothing known.
using Dim = std::variant<std::monostate, std::int64_t, std::string>;

/// The type of a value. Element types of sequences and optionals stand in `element`.
struct Type {
  enum class Kind : std::uint8_t { kNone, kTensor, kSparseTensor, kSequence, kOptional, kMap };
  Kind kind = Kind::kNone;
  DataType data_type = DataType::kUndefined;
  std::optional<std::vector<Dim>> shape;  ///< nothing: not even the rank is known
  std::shared_ptr<const Type> element;
};

struct ValueInfo {
  std::string name;
  Type type;
};

struct Graph;
/// An attribute, whose kind is that of its value; nothing for one that a function's caller gives
/// (`ref`).
struct Attribute {
  std::string name;
  std::string ref;
  std::variant<std::monostate, float, std::int64_t, std::string, Tensor, SparseTensor, Type,
               std::shared_ptr<const Graph>, std::vector<float>, std::vector<std::int64_t>,
               std::vector<std::string>, std::vector<Tensor>,
               std::vector<std::shared_ptr<const Graph>>>
      value;
};

struct Node {
  std::string name;
  std::string op_type;
  std::string domain;  ///< "" for the standard operators
  std::string overload;
  std::vector<std::string> inputs;  ///< "" for one that is left out
  std::vector<std::string> outputs;
  std::vector<Attribute> attributes;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<SparseTensor> sparse_initializers;  ///< named as their values
  std::vector<ValueInfo> inputs, outputs, values;
};

struct Function {
  std::string domain, name, overload;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> attributes;        ///< names that a caller must give
  std::vector<Attribute> default_attributes;  ///< others, with their values
  std::vector<Node> nodes;
  std::map<std::string, std::int64_t> opsets;
};

struct Model {
  std::int64_t ir_version = 0;
  std::string producer;
  std::map<std::string, std::int64_t> opsets;  ///< version by domain
  Graph graph;
  std::vector<Function> functions;
  std::map<std::string, std::string> metadata;
};

/// Reads a model. `name` stands in messages. ModelError [E0870] for bytes that are no protobuf
/// message, [E0871] for a message that is no ONNX model (a graph is missing, a field contradicts
/// another), [E0872] for one whose structures would take more than four times its size and 256 MiB,
/// [E0873] for graphs or types nested deeper than 64.
Model read_model(std::string_view bytes, const std::string& name);
/// Reads a tensor alone (the test data of ONNX are such files).
Tensor read_tensor(std::string_view bytes, const std::string& name);

}  // namespace tenon::onnx
