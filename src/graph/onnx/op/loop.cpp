// Loop. The body becomes that of a loop of the graph; where that cannot be (sequences, states that
// change their shape, shapes that the iteration decides), iterations are imported one by one.

#include <algorithm>
#include <limits>

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"

namespace tenon::onnx {
namespace {

constexpr std::int64_t kUnbounded = std::numeric_limits<std::int64_t>::max();
/// Iterations that are imported one by one at most, and where that is tried first.
constexpr std::int64_t kMaxUnrolled = 1024, kFewIterations = 64;
constexpr std::size_t kSmallState = 16;

/// A value of the rank that the body says for it: iteration and condition may be vectors of one.
Value as_declared(const Value& scalar, const ValueInfo& info) {
  const bool is_vector = info.type.shape && info.type.shape->size() == 1;
  return is_vector ? reshape(scalar, {imm(1)}) : scalar;
}

/// Stacks of no rows of what `row` is like.
Value no_rows(const Value& row) {
  std::vector<Expr> shape = row->shape;
  shape.insert(shape.begin(), imm(0));
  return broadcast(scalar(row->dtype, 0), shape);
}

class LoopImport {
 public:
  explicit LoopImport(const NodeView& n) : n_(n), body_(n.graph_attr("body")) {
    if (n.num_inputs() < 2) n.invalid("a loop has at least 2 inputs");
    num_states_ = n.num_inputs() - 2;
    if (body_.inputs.size() != 2 + num_states_)
      n.invalid(detail::concat("the body has ", body_.inputs.size(), " inputs, expected ",
                               2 + num_states_));
    if (body_.outputs.size() < 1 + num_states_)
      n.invalid(detail::concat("the body has ", body_.outputs.size(), " outputs, expected ",
                               1 + num_states_, " or more"));
    num_scans_ = body_.outputs.size() - 1 - num_states_;
    if (n.has(0)) {
      const Value& m = n.in(0);
      const bool is_one = m->shape.empty() || (m->shape.size() == 1 && is_int(m->shape[0], 1));
      if (!is_one || !m->dtype.is_int())
        n.invalid("the number of iterations should be one integer, got " + graph::type_str(*m));
      trips_ = reshape(cast_to(m, kInt64), {});
      if (const auto known = n.known(trips_)) count_ = (*known)[0];
    }
    if (n.has(1)) {
      condition_ = condition_scalar(n, n.in(1), "the condition");
      if (const auto known = n.known(condition_)) first_ = as_int((*known)[0]);
    } else {
      first_ = 1;
    }
    if (!trips_ && !condition_)
      n.unsupported("a loop without a number of iterations and without a condition");
    for (std::size_t i = 0; i < num_states_; ++i) init_.push_back(n.entry(2 + i));
  }

  std::vector<Entry> import() const {
    if (first_ == 0 || (count_ && as_int(count_) && *as_int(count_) <= 0)) return no_iteration();
    if (prefers_unrolled()) {
      try {
        return n_.attempt([&] { return unrolled(kFewIterations); });
      } catch (const UserError&) {  // a loop, then
      }
    }
    try {
      return n_.attempt([&] { return rolled(); });
    } catch (const ModelError&) {
      throw;
    } catch (const UserError&) {
      try {
        return n_.attempt([&] { return unrolled(kMaxUnrolled); });
      } catch (const UserError&) {
        return rolled();  // fails again, with the reason that says more
      }
    }
  }

 private:
  /// Whether the states are counters, on which shapes may depend: then iterations are imported one
  /// by one if they are few.
  bool prefers_unrolled() const {
    if (!first_ || init_.empty()) return false;
    if (trips_ && (!count_ || !as_int(count_) || *as_int(count_) > kFewIterations)) return false;
    for (const Entry& e : init_) {
      if (!e.value) return true;
      const auto known = e.value->dtype.is_int() ? n_.known(e.value) : std::nullopt;
      if (!known || known->size() > kSmallState) return false;
    }
    return true;
  }

  std::vector<Entry> run(const Value& iteration, const std::vector<Entry>& states) const {
    // An iteration that runs has had a condition that holds.
    std::vector<Entry> inputs{{as_declared(iteration, body_.inputs[0])},
                              {as_declared(bool_scalar(true), body_.inputs[1])}};
    inputs.insert(inputs.end(), states.begin(), states.end());
    return n_.run(body_, inputs);
  }

  const Value& tensor(const Entry& e, const char* what) const {
    if (!e.value) n_.unsupported(std::string(what) + " of the loop is no tensor");
    return e.value;
  }

  /// The condition after an iteration; null where none is looked at.
  Value condition_after(const std::vector<Entry>& made) const {
    if (!condition_) return nullptr;
    return condition_scalar(n_, tensor(made[0], "the condition"), "the condition of the body");
  }

  /// States that have to be like `a`, for each iteration is the same code.
  void check_state(std::size_t i, const Value& a, const Value& b) const {
    if (graph::same_shape(a->shape, b->shape) && a->dtype == b->dtype) return;
    n_.unsupported(detail::concat("state ", i, " is ", graph::type_str(*a), " at first and ",
                                  graph::type_str(*b), " after an iteration"));
  }

  std::vector<Entry> rolled() const {
    graph::LoopParts parts;
    parts.op = "while_loop";
    parts.iteration = graph::make_input({}, kInt64, "iteration");
    std::vector<Entry> states;
    for (const Entry& e : init_) {
      const Value& v = tensor(e, "a state");
      parts.init.push_back(v);
      parts.states.push_back(graph::make_input(v->shape, v->dtype, "state"));
      states.push_back({parts.states.back()});
    }
    const std::vector<Entry> made = run(parts.iteration, states);
    for (std::size_t i = 0; i < num_states_; ++i) {
      parts.next.push_back(tensor(made[1 + i], "a state"));
      check_state(i, parts.init[i], parts.next[i]);
    }
    for (std::size_t i = 0; i < num_scans_; ++i)
      parts.results.push_back(tensor(made[1 + num_states_ + i], "a result"));
    add_condition(condition_after(made), &parts);
    add_count(&parts);
    std::vector<Entry> results;
    const std::vector<Value> values = graph::make_loop(parts);
    const std::size_t first = parts.init.size() - num_states_;
    for (std::size_t i = first; i < values.size(); ++i) results.push_back({values[i]});
    return results;
  }

  /// Whether the loop goes on is one more state.
  void add_condition(const Value& after, graph::LoopParts* parts) const {
    if (!after) return;
    const auto known = n_.known(after);
    if (first_ == 1 && known && is_int((*known)[0], 1)) return;
    if (num_scans_ > 0)
      n_.unsupported("the loop ends by a condition that depends on data, and it stacks results");
    parts->init.insert(parts->init.begin(), condition_);
    parts->states.insert(parts->states.begin(), graph::make_input({}, kBoolType, "condition"));
    parts->next.insert(parts->next.begin(), after);
    parts->condition = parts->states[0];
  }

  void add_count(graph::LoopParts* parts) const {
    parts->count = imm(kUnbounded);
    if (!trips_) {
      if (num_scans_ > 0) n_.unsupported("a loop without a number of iterations stacks results");
      return;
    }
    if (!count_ && num_scans_ > 0)
      n_.elements(trips_, "the number of iterations, which is that of stacked results,");
    if (!count_) {
      parts->limit = trips_;
    } else {
      parts->count = simplify(count_);
      if (parts->count.as<VarNode>() == nullptr && !as_int(parts->count))
        parts->count = simplify(max(parts->count, imm(0)));
    }
  }

  std::vector<Entry> unrolled(std::int64_t limit) const {
    const std::int64_t count = trips_ ? known_int(trips_, "the number of iterations") : kUnbounded;
    if (trips_ && !condition_ && count > limit)
      n_.unsupported(detail::concat(count, " iterations that differ"));
    bool goes_on = !condition_ || known_int(condition_, "the first condition") != 0;
    std::vector<Entry> states = init_;
    std::vector<std::vector<Value>> rows(num_scans_);
    for (std::int64_t i = 0; i < count && goes_on; ++i) {
      if (i >= limit)
        n_.unsupported(detail::concat("more than ", limit, " iterations that differ"));
      const std::vector<Entry> made = run(reshape(int_vector({i}), {}), states);
      for (std::size_t k = 0; k < num_states_; ++k) states[k] = folded(made[1 + k]);
      for (std::size_t k = 0; k < num_scans_; ++k) {
        const Value& row = tensor(made[1 + num_states_ + k], "a result");
        std::vector<Expr> shape = row->shape;
        shape.insert(shape.begin(), imm(1));
        rows[k].push_back(reshape(row, shape));
      }
      if (const Value after = condition_after(made))
        goes_on = known_int(after, "the condition of the loop") != 0;
    }
    if (num_scans_ > 0 && rows[0].empty()) return no_iteration();
    for (const std::vector<Value>& r : rows)
      states.push_back({r.size() == 1 ? r[0] : op("concat", r, {{"axis", std::int64_t{0}}})});
    return states;
  }

  std::int64_t known_int(const Value& v, const std::string& what) const {
    const std::vector<Expr> known = n_.elements(v, what);
    if (!as_int(known[0])) n_.unsupported(what + " depends on a size that is not fixed");
    return *as_int(known[0]);
  }

  /// A state whose elements are known, as a constant: counters stay short.
  Entry folded(const Entry& e) const {
    if (!e.value || e.value->dtype != kInt64 || e.value->shape.size() > 1) return e;
    const auto known = n_.known(e.value);
    if (!known || known->size() > kSmallState) return e;
    std::vector<std::int64_t> elements;
    for (const Expr& x : *known) {
      if (!as_int(x)) return e;
      elements.push_back(*as_int(x));
    }
    return {reshape(int_vector(elements), e.value->shape)};
  }

  /// The first states, and stacks of no rows; the body says what a row is like.
  std::vector<Entry> no_iteration() const {
    std::vector<Entry> results = init_;
    if (num_scans_ == 0) return results;
    const std::vector<Entry> made = run(reshape(int_vector({0}), {}), init_);
    for (std::size_t i = 0; i < num_scans_; ++i)
      results.push_back({no_rows(tensor(made[1 + num_states_ + i], "a result"))});
    return results;
  }

  const NodeView& n_;
  const Graph& body_;
  std::size_t num_states_ = 0, num_scans_ = 0;
  Value trips_;                        ///< an int64 scalar; null: not limited
  Expr count_;                         ///< the same where it is known
  Value condition_;                    ///< a bool scalar; null: not looked at
  std::optional<std::int64_t> first_;  ///< the first condition where it is known
  std::vector<Entry> init_;
};

std::vector<Entry> convert_loop(const NodeView& n) { return LoopImport(n).import(); }

}  // namespace

std::vector<Conversion> loop_conversions() {
  return {{"Loop", 1, Support::kNative, nullptr, "", "", convert_loop}};
}

}  // namespace tenon::onnx
