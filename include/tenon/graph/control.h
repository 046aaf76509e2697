#pragma once

/// Control flow: operators whose operands are graphs. docs/design/control_flow.md.
///
/// Such an operator has any number of results: the value of the operator itself has no shape, and
/// "item" values take its results one by one.

#include <string>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::graph {

/// A graph of its own: it uses no inputs but these.
struct SubGraph {
  std::vector<Value> inputs;
  std::vector<Value> outputs;
};

enum class ControlKind { kIf, kLoop };

/// What makes a value a branch or a loop.
///
/// **If**: bodies are then and else. The operands are the predicate and what stands for the bodies'
/// inputs, which are alike in number; the results are the bodies' outputs.
///
/// **Loop**: one body. The operands are [limit], initial states, stacked arrays, captured values;
/// the body's inputs iteration, states, slices, captured values; its outputs [condition], next
/// states, slices of stacked results; the results last states, then stacked results.
struct Control {
  ControlKind kind = ControlKind::kLoop;
  std::vector<SubGraph> bodies;

  Expr count;                      ///< a loop: at most so many iterations
  bool has_limit = false;          ///< an int64 operand says so too
  bool has_condition = false;      ///< the loop goes on while it holds, looked at in front
  bool is_reverse = false;         ///< slices are taken from the last to the first
  std::size_t num_states = 0;      ///< carried from one iteration to the next
  std::size_t num_slices = 0;      ///< inputs that are slices of stacked arrays
  std::vector<std::string> names;  ///< of the states, for messages; may be fewer

  const SubGraph& body() const { return bodies[0]; }
  /// Where lists of a loop begin: operands, inputs and outputs of the body.
  std::size_t first_state_operand() const { return has_limit ? 1 : 0; }
  std::size_t first_next() const { return has_condition ? 1 : 0; }
  std::size_t num_results() const {
    return kind == ControlKind::kIf ? bodies[0].outputs.size()
                                    : bodies[0].outputs.size() - first_next();
  }
};

/// A loop as a program traces it: the body's graph may use any value of the graph around it.
struct LoopParts {
  std::string op;  ///< "scan", "fori_loop", "while_loop": for messages and reports
  Expr count;
  Value limit;  ///< an int64 scalar, or null
  bool is_reverse = false;
  std::vector<std::string> names;     ///< of the states
  std::vector<Value> init, stacked;   ///< operands
  Value iteration;                    ///< the body's inputs: an int64 scalar,
  std::vector<Value> states, slices;  ///< one for each of `init` and `stacked`
  Value condition;                    ///< the body's outputs: a scalar bool, or null,
  std::vector<Value> next, results;   ///< one for each of `init`, and what is stacked
};

/// The last states, then the stacked results. What the body uses and does not depend on its inputs
/// is computed once, before the loop.
/// ShapeError [E0423] and DTypeError [E0522] for a state that changes its type, [E0424] for a
/// stacked array of another length, [E0425] and [E0523] for a condition or limit that is no scalar.
std::vector<Value> make_loop(const LoopParts& parts);

/// The results of `then` where the scalar bool `predicate` holds, of `otherwise` where not; only
/// one is computed. Operators made from `serial` on (see ValueNode::serial) belong to the branches,
/// what was made before to the graph around them. `operands` stand for the branches' inputs.
/// ShapeError [E0425, E0426] and DTypeError [E0523, E0524] for a predicate that is no scalar bool,
/// and results that differ.
std::vector<Value> make_if(const Value& predicate, const std::vector<Value>& operands,
                           const SubGraph& then, const SubGraph& otherwise, std::uint64_t serial);

/// Result `index` of a branch or loop.
Value make_item(const Value& control, std::size_t index);

}  // namespace tenon::graph
