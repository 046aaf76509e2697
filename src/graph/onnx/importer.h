#pragma once

/// From a model's structures to the values of a graph.

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "graph/known.h"
#include "graph/onnx/agreeing_sizes.h"
#include "graph/onnx/node_view.h"
#include "graph/onnx/tensor_data.h"
#include "tenon/graph/onnx.h"

namespace tenon::onnx {

/// Thrown through an import: these inputs of the network decide shapes and have to be constants.
struct NeedsValues {
  std::vector<std::string> inputs;
};

/// Thrown through a check: an operand is the result of an operator that is not supported.
struct Unavailable {
  std::string why;
};

/// The names of a graph or function, and of those around it.
struct Scope {
  const Scope* around = nullptr;
  std::unordered_map<std::string, Entry> names = {};
  /// Of the opsets that the nodes mean; a function has its own.
  const std::map<std::string, std::int64_t>* opsets = nullptr;
  /// What attributes that refer to the attributes of a function stand for.
  std::map<std::string, const Attribute*> attributes = {};
  int depth = 0;
  bool is_in_body = false;  ///< it may be that the nodes do not run

  const Entry* find(const std::string& name) const;
};

class Importer {
 public:
  /// All outlive the importer.
  /// `dimensions`: the named ones of which not every size has a meaning.
  Importer(const Model& model, const TensorSource& source, const graph::OnnxOptions& options,
           const std::map<std::string, Dimension>& dimensions);

  /// The network; throws `NeedsSizes`.
  graph::OnnxNetwork import_model();
  /// The same as far as it goes.
  std::vector<graph::OnnxOperatorReport> check();

  std::vector<Entry> run_body(const Graph& body, const std::vector<Entry>& inputs,
                              const Scope& around);
  std::vector<Entry> attempt(const std::function<std::vector<Entry>()>& f);
  std::optional<std::vector<Expr>> known(const Value& v) { return known_.elements(v); }
  /// The inputs on which the elements that `known` was last asked for depend; empty when giving
  /// them would not be enough.
  std::vector<std::string> deciding_inputs() const;
  const TensorSource& source() const { return source_; }
  /// "model.onnx: node 3 'conv1' (Conv): ".
  std::string place(const Node& node) const;

 private:
  void define_inputs(Scope* scope, std::vector<Value>* inputs);
  Value make_network_input(const ValueInfo& info);
  void define_constants(const Graph& graph, Scope* scope);
  void import_nodes(const std::vector<Node>& nodes, Scope* scope);
  void import_node(const Node& node, Scope* scope);
  /// What the row of an operator makes of a node.
  std::vector<Entry> apply(const Conversion& conversion, const NodeView& view, const Scope& scope);
  /// Follows the conversion or function.
  std::vector<Entry> convert(const Node& node, Scope* scope);
  std::vector<Entry> expand(const Function& function, const Node& node, Scope* scope);
  const Function* find_function(const Node& node) const;
  std::int64_t version_of(const Node& node, const Scope& scope) const;
  std::vector<Entry> results(const std::vector<std::string>& names, const Scope& scope,
                             const char* what) const;
  /// The row of the report for the operator of `node`.
  graph::OnnxOperatorReport& use_of(const Node& node, const Scope& scope);
  void fail_in_check(const Node& node, Scope* scope, const std::string& why, bool is_final);

  const Model& model_;
  const TensorSource& source_;
  const graph::OnnxOptions& options_;
  const std::map<std::string, Dimension>& dimensions_;
  graph::Known known_;
  std::map<std::string, Expr> symbols_;
  std::vector<const Function*> open_functions_;
  std::unordered_set<const graph::ValueNode*> network_inputs_;
  std::unordered_set<const Graph*> counted_bodies_;
  std::int64_t num_nodes_ = 0;
  bool is_check_ = false;
  bool is_counting_ = true;  ///< in a check: a body that is run again is not counted again
  int num_attempts_ = 0;     ///< that are open
  std::vector<graph::OnnxOperatorReport> report_;
};

/// The conversion of an operator for a version of its domain, or null; `reason` then says why not.
const Conversion* find_conversion(const std::string& domain, const std::string& op,
                                  std::int64_t version, std::string* reason);

/// ModelError [E0881] for a node of a standard operator with fewer or more inputs than any version
/// of it takes.
void check_num_inputs(const NodeView& n);
/// Likewise with inputs of dtypes that no version takes, or of different dtypes where all versions
/// want one.
void check_dtypes(const NodeView& n);

}  // namespace tenon::onnx
