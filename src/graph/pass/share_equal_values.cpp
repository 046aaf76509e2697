#include <functional>
#include <map>
#include <unordered_set>

#include "graph/expression_operator.h"
#include "graph/pass/pass.h"
#include "tenon/ir/structural.h"

namespace tenon::graph {
namespace {

bool equal(const OpAttr& a, const OpAttr& b) {
  if (a.index() != b.index()) return false;
  const auto* x = std::get_if<std::vector<Expr>>(&a);
  if (x == nullptr) {
    return std::visit(
        [&](const auto& value) {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, std::vector<Expr>>) {
            return false;
          } else {
            return value == std::get<T>(b);
          }
        },
        a);
  }
  return same_shape(*x, std::get<std::vector<Expr>>(b));
}

bool equal(const OpAttrs& a, const OpAttrs& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.first == y.first && equal(x.second, y.second);
         });
}

bool computes_the_same(const ValueNode& a, const ValueNode& b) {
  return a.expression ? same_expression(*a.expression, *b.expression) : equal(a.attrs, b.attrs);
}

}  // namespace

std::vector<Value> in_order(const std::vector<Value>& outputs) {
  std::vector<Value> order;
  std::unordered_set<const ValueNode*> done;
  std::vector<std::pair<Value, bool>> stack;
  for (std::size_t i = outputs.size(); i-- > 0;) stack.emplace_back(outputs[i], false);
  while (!stack.empty()) {
    auto [v, is_finished] = stack.back();
    stack.pop_back();
    if (is_finished) {
      if (done.insert(v.get()).second) order.push_back(v);
      continue;
    }
    if (done.count(v.get()) != 0) continue;
    stack.emplace_back(v, true);
    for (std::size_t i = v->inputs.size(); i-- > 0;) stack.emplace_back(v->inputs[i], false);
  }
  return order;
}

std::vector<Value> rewrite_graph(
    const std::vector<Value>& outputs,
    const std::function<Value(const Value&, std::vector<Value>)>& rewrite) {
  std::unordered_map<const ValueNode*, Value> renewed;
  for (const Value& v : in_order(outputs)) {
    std::vector<Value> inputs;
    bool changed = false;
    for (const Value& x : v->inputs) {
      inputs.push_back(renewed.at(x.get()));
      changed = changed || inputs.back() != x;
    }
    Value now = rewrite(v, inputs);
    if (!now) now = changed ? with_inputs(*v, std::move(inputs)) : v;
    renewed[v.get()] = now;
  }
  std::vector<Value> result;
  for (const Value& v : outputs) result.push_back(renewed.at(v.get()));
  return result;
}

std::vector<Value> share_equal_values(const std::vector<Value>& outputs, RewriteLog* log) {
  std::map<std::pair<std::string, std::vector<const ValueNode*>>, std::vector<Value>> known;
  std::map<std::tuple<const void*, int, std::vector<std::int64_t>>, Value> constants;
  return rewrite_graph(outputs, [&](const Value& v, std::vector<Value> inputs) -> Value {
    if (v->is_input()) return v;
    if (v->is_constant()) {
      const std::vector<std::int64_t> shape(v->data.shape().begin(), v->data.shape().end());
      const int code = static_cast<int>(v->dtype.code) * 256 + v->dtype.bits;
      return constants.emplace(std::make_tuple(v->data.raw(), code, shape), v).first->second;
    }
    if (v->control) return nullptr;
    std::vector<const ValueNode*> key;
    for (const Value& x : inputs) key.push_back(x.get());
    std::vector<Value>& candidates = known[{v->expression ? "" : v->op, key}];
    for (const Value& candidate : candidates) {
      if (!computes_the_same(*candidate, *v)) continue;
      note(log, "share_equal_values", *v, "removed",
           "an earlier operator computes the same of the same operands");
      return candidate;
    }
    candidates.push_back(inputs == v->inputs ? v : with_inputs(*v, std::move(inputs)));
    return candidates.back();
  });
}

}  // namespace tenon::graph
