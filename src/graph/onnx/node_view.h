#pragma once

/// One node of a model as its conversion sees it.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/onnx/model.h"
#include "tenon/graph/value.h"

namespace tenon::onnx {

using graph::Value;

class Importer;
struct Scope;

/// What a name stands for: a tensor, or what is resolved while a model is imported.
struct Entry {
  Value value;
  std::string failure = {};  ///< why there is nothing, in a check
  std::shared_ptr<const std::vector<Value>> sequence = nullptr;  ///< of a sequence of tensors
  bool is_absent = false;      ///< an optional without an element, or an operand that is left out
  bool may_be_absent = false;  ///< an optional that an input of the network gives
};

/// Operands, attributes and what is known of operands.
class NodeView {
 public:
  NodeView(Importer& importer, Scope& scope, const Node& node, std::int64_t version)
      : importer_(importer), scope_(scope), node_(node), version_(version) {}

  const Node& node() const { return node_; }
  /// The version of the operator's domain that the model asks for.
  std::int64_t version() const { return version_; }

  // --- operands

  std::size_t num_inputs() const { return node_.inputs.size(); }
  /// Whether operand `i` is there: operands that may be left out can have an empty name.
  bool has(std::size_t i) const;
  /// Operand `i`, a tensor; ModelError [E0881] when it is left out or a sequence.
  const Value& in(std::size_t i) const;
  /// Operand `i`, whatever it is; ModelError [E0881] when it has no name.
  const Entry& entry(std::size_t i) const;
  /// The elements of operand `i`; ModelError [E0881] when it is no sequence.
  const std::vector<Value>& sequence(std::size_t i) const;
  /// Operand `i`, or null when it is left out.
  Value maybe(std::size_t i) const;
  /// All operands; none may be left out.
  std::vector<Value> all() const;
  std::size_t rank(std::size_t i) const { return in(i)->shape.size(); }

  std::size_t num_outputs() const { return node_.outputs.size(); }
  /// Whether result `i` has a name.
  bool wants(std::size_t i) const;

  // --- attributes: ModelError [E0882] for one of another kind, or a missing one without default

  bool has_attr(const std::string& name) const { return find(name) != nullptr; }
  std::int64_t int_attr(const std::string& name) const;
  std::int64_t int_attr(const std::string& name, std::int64_t otherwise) const;
  double float_attr(const std::string& name, double otherwise) const;
  std::string string_attr(const std::string& name, const std::string& otherwise) const;
  std::vector<std::int64_t> ints_attr(const std::string& name) const;  ///< empty when absent
  std::vector<float> floats_attr(const std::string& name) const;
  std::vector<std::string> strings_attr(const std::string& name) const;
  Array tensor_attr(const std::string& name) const;
  const Graph& graph_attr(const std::string& name) const;
  /// An attribute that is a TensorProto.DataType. UnsupportedError [E0880] for a dtype that Tenon
  /// does not have.
  DType dtype_attr(const std::string& name, DataType otherwise = DataType::kUndefined) const;

  // --- what is known before the network runs

  /// The elements of operand `i`, integers, as int64 expressions of constants and symbols. When
  /// they depend on inputs of the network, the import ends and says that these have to be
  /// constants; UnsupportedError [E0880] when they cannot be known.
  std::vector<Expr> sizes(std::size_t i) const;
  /// The same, all of them constants.
  std::vector<std::int64_t> ints(std::size_t i) const;
  /// The one element of operand `i`, an integer.
  std::int64_t int_scalar(std::size_t i) const;
  /// The elements of operand `i`, numbers.
  std::vector<double> floats(std::size_t i) const;
  /// The elements of operand `i` where they are known, as they are; nothing otherwise.
  std::optional<std::vector<Expr>> known(std::size_t i) const;
  std::optional<std::vector<Expr>> known(const Value& v) const;
  /// The elements of `v`, which messages call `what`; otherwise as `sizes`.
  std::vector<Expr> elements(const Value& v, const std::string& what) const;

  // --- what has a meaning for some sizes only

  /// Whether `e`, a size minus what it has to be at least, is not negative for all sizes. Where it
  /// is not, but is from some size of one dimension on (or up to it), the import starts again, and
  /// the network takes these sizes alone: a call with others raises ShapeError. False when there is
  /// no such size, and in a body, which may not run.
  bool require_not_negative(const Expr& e) const;
  /// Likewise that the size is a multiple of `divisor` (> 0).
  bool require_multiple(const Expr& size, std::int64_t divisor) const;

  // --- bodies

  /// Whether the node is in a body: it may run several times, or not at all.
  bool is_in_body() const;

  /// The results of a body for its inputs; it sees the values around the node.
  std::vector<Entry> run(const Graph& body, const std::vector<Entry>& inputs) const;
  /// What `f` returns; failures are thrown in a check too, and then leave no trace in its report.
  std::vector<Entry> attempt(const std::function<std::vector<Entry>()>& f) const;

  // --- failures

  /// UnsupportedError [E0880]: the model is right, but Tenon does not do this.
  [[noreturn]] void unsupported(const std::string& why) const;
  /// ModelError [E0881]: the node contradicts the operator's definition.
  [[noreturn]] void invalid(const std::string& why) const;

 private:
  const Attribute* find(const std::string& name) const;
  template <typename T>
  const T* get(const std::string& name, const char* kind) const;
  std::vector<Expr> elements(std::size_t i) const;
  void need(const Expr& symbol, const SymbolRange& range) const;

  Importer& importer_;
  Scope& scope_;
  const Node& node_;
  std::int64_t version_;
};

/// Whether an operator is one of Tenon's, or several.
enum class Support : std::uint8_t { kNative, kDecomposed };

/// What an operator of ONNX becomes.
struct Conversion {
  const char* op;
  /// The first version of the opset in which the operator is as `convert` takes it; of several rows
  /// for one operator the one with the largest version that is not above the model's is taken.
  std::int64_t since;
  Support support;
  /// The results; those at the end that the node does not want may be missing.
  std::vector<Value> (*convert)(const NodeView& n);
  const char* domain = "";
  /// Into what it is decomposed, for reports; may be empty.
  const char* note = "";
  /// In place of `convert`, for operators that take or give sequences and optionals.
  std::vector<Entry> (*convert_any)(const NodeView& n) = nullptr;
};

// The families (op/*.cpp).
std::vector<Conversion> activation_conversions();
std::vector<Conversion> attention_conversions();
std::vector<Conversion> branch_conversions();
std::vector<Conversion> cast_conversions();
std::vector<Conversion> classical_conversions();
std::vector<Conversion> convolution_conversions();
std::vector<Conversion> cumulative_conversions();
std::vector<Conversion> deform_convolution_conversions();
std::vector<Conversion> determinant_conversions();
std::vector<Conversion> einsum_conversions();
std::vector<Conversion> elementwise_conversions();
std::vector<Conversion> gather_conversions();
std::vector<Conversion> generate_conversions();
std::vector<Conversion> image_conversions();
std::vector<Conversion> linear_attention_conversions();
std::vector<Conversion> loop_conversions();
std::vector<Conversion> loss_conversions();
std::vector<Conversion> matmul_conversions();
std::vector<Conversion> normalization_conversions();
std::vector<Conversion> pad_conversions();
std::vector<Conversion> pooling_conversions();
std::vector<Conversion> quantize_conversions();
std::vector<Conversion> quantized_convolution_conversions();
std::vector<Conversion> random_conversions();
std::vector<Conversion> rearrange_conversions();
std::vector<Conversion> recurrent_conversions();
std::vector<Conversion> reduce_conversions();
std::vector<Conversion> resize_conversions();
std::vector<Conversion> scan_conversions();
std::vector<Conversion> scatter_conversions();
std::vector<Conversion> select_conversions();
std::vector<Conversion> sequence_conversions();
std::vector<Conversion> shape_conversions();
std::vector<Conversion> signal_conversions();
std::vector<Conversion> slice_conversions();
std::vector<Conversion> softmax_conversions();
std::vector<Conversion> top_k_conversions();
std::vector<Conversion> training_conversions();
std::vector<Conversion> trigonometry_conversions();

}  // namespace tenon::onnx
