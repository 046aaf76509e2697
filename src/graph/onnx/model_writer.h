#pragma once

/// A model that is being written: names, nodes and constants.

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "graph/onnx/protobuf_writer.h"
#include "tenon/graph/onnx_writer.h"

namespace tenon::onnx {

using graph::Value;
using graph::ValueNode;

/// Attributes of a node, in AttributeProto's terms.
class Attributes {
 public:
  Attributes& integer(const std::string& name, std::int64_t value);
  Attributes& real(const std::string& name, double value);
  Attributes& integers(const std::string& name, const std::vector<std::int64_t>& values);
  const std::vector<ProtobufWriter>& list() const { return list_; }

 private:
  std::vector<ProtobufWriter> list_;
};

class ModelWriter {
 public:
  ModelWriter(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
              const graph::OnnxWriteOptions& options)
      : inputs_(inputs), outputs_(outputs), options_(options) {}

  graph::OnnxFiles write();

  // --- for the operators (write_operators.cpp)

  /// The name of an operand, which is written already.
  const std::string& name(const Value& v) const { return names_.at(v.get()); }
  /// Adds a node; the name of its result, which is made up unless it is given.
  std::string node(const std::string& op, const std::vector<std::string>& inputs,
                   const Attributes& attributes = {}, std::string result = "");
  /// A constant vector of int64.
  std::string ints(const std::vector<std::int64_t>& values);
  /// A constant scalar.
  std::string scalar(DType dtype, double value);
  std::string constant(const Array& data, const std::string& name = "");
  /// Sizes as a vector of int64, computed from the shapes of inputs where they have symbols.
  std::string sizes(const std::vector<Expr>& sizes);
  std::string cast(const std::string& x, DType from, DType to);

 private:
  std::string unique(const std::string& wanted);
  /// A vector of one int64.
  std::string size(const Expr& e);
  ProtobufWriter value_info(const std::string& name, const ValueNode& v) const;
  void write_constants(graph::OnnxFiles* files, std::vector<graph::OnnxBytes>* tail,
                       std::uint64_t* tail_bytes);

  const std::vector<Value>& inputs_;
  const std::vector<Value>& outputs_;
  const graph::OnnxWriteOptions& options_;
  std::unordered_map<const ValueNode*, std::string> names_;
  std::unordered_set<std::string> used_;
  std::map<std::vector<std::int64_t>, std::string> int_constants_;
  std::vector<ProtobufWriter> nodes_;
  std::vector<std::pair<std::string, Array>> constants_;
};

/// Writes the nodes of one operator; the name of its result. UnsupportedError [E0892, E0893].
std::string write_operator(ModelWriter& w, const Value& v, const std::string& result);

/// TensorProto.DataType. UnsupportedError [E0893] for a dtype that ONNX does not have.
int data_type_of(DType dtype);

}  // namespace tenon::onnx
