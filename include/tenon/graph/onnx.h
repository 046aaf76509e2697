#pragma once

/// ONNX models as networks. docs/design/onnx.md.
///
/// **Memory model.** A model keeps its file mapped; constants are views of it where the elements
/// lie there as they are used, and keep it alive.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::graph {

/// How a model is understood.
struct OnnxOptions {
  /// Inputs that are constants, by name: those whose elements decide shapes have to be.
  std::map<std::string, Array> values = {};
  /// Sizes of named dimensions, which otherwise are symbols.
  std::map<std::string, std::int64_t> sizes = {};
  /// Shapes of inputs, by name, for models that do not say them; -1 for a size that stays open.
  std::map<std::string, std::vector<std::int64_t>> shapes = {};
};

/// A model as a graph.
struct OnnxNetwork {
  std::string name;
  std::vector<Value> inputs;  ///< without those that are constants, in the model's order
  std::vector<Value> outputs;
  std::vector<std::string> output_names;
  /// Inputs whose elements decide shapes and are not given: then there are no outputs.
  std::vector<std::string> needed_values;
};

/// One kind of operator of a model.
struct OnnxOperatorReport {
  std::string domain, name;
  std::int64_t version = 0;  ///< of its domain in the model
  int count = 0;             ///< nodes, those in bodies and functions included
  std::string status;        ///< "native", "decomposed" or "unsupported"
  std::string reason;        ///< why it is not supported, or into what it is decomposed
};

/// A model that was read.
class OnnxModel {
 public:
  /// Reads a file. External data are opened beneath its folder, or beneath `external_data_root`.
  /// ModelError [E0870 to E0877] for a file that is no ONNX model or contradicts itself.
  static OnnxModel open(const std::string& path,
                        const std::optional<std::string>& external_data_root = std::nullopt);
  /// Reads a model in memory, which is copied; `name` stands in messages. External data are refused
  /// unless `external_data_root` is given.
  static OnnxModel parse(const std::string& bytes, const std::string& name,
                         const std::optional<std::string>& external_data_root = std::nullopt);

  /// The network. UnsupportedError [E0880] for the first operator that is not supported, with the
  /// reason, [E0883] for an input that is no tensor of a known rank, [E0886] for an opset that is
  /// not known; ModelError [E0881, E0882] for a node that does not fit its operator's definition,
  /// [E0884] for functions that use themselves, [E0885] for a model that grows without bounds when
  /// its functions are expanded; ShapeError and DTypeError with the node in front.
  OnnxNetwork network(const OnnxOptions& options = {}) const;
  /// Every operator of the model. What depends on an operator that is not supported is judged by
  /// its name alone.
  std::vector<OnnxOperatorReport> check(const OnnxOptions& options = {}) const;

  /// Names of inputs (without constants), in order.
  std::vector<std::string> input_names() const;
  std::string name() const;

 private:
  struct State;
  explicit OnnxModel(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace tenon::graph
