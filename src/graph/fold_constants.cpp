#include "graph/fold_constants.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "graph/expression_operator.h"
#include "graph/operator.h"
#include "graph/pass/pass.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kMostOfOne = 64 * kMiB, kMostOfAll = 256 * kMiB, kTimesWeights = 8;
constexpr std::int64_t kAddressable = std::int64_t{1} << 47;

bool is_view(const ValueNode& v) {
  const Operator* op = operator_of(v);
  return op == nullptr || op->kind == OperatorKind::kMovement;
}

/// The bytes of a value of constant shape, at most the largest number; 0 where a size is symbolic.
std::int64_t bytes_of(const ValueNode& v) {
  std::int64_t bytes = v.dtype.bytes();
  bool overflows = false, is_empty = false;
  for (const Expr& e : v.shape) {
    const auto size = as_int(e);
    if (!size) return 0;
    is_empty = is_empty || *size == 0;
    overflows = __builtin_mul_overflow(bytes, *size, &bytes) || overflows;
  }
  if (is_empty) return 0;
  return overflows ? std::numeric_limits<std::int64_t>::max() : bytes;
}

void visit_all(const std::vector<Value>& outputs, const std::function<void(const ValueNode&)>& f) {
  for (const Value& v : in_order(outputs)) {
    f(*v);
    if (!v->control) continue;
    for (const SubGraph& body : v->control->bodies) visit_all(body.outputs, f);
  }
}

std::int64_t constant_bytes(const std::vector<Value>& graph) {
  std::unordered_set<const void*> seen;
  std::int64_t bytes = 0;
  visit_all(graph, [&](const ValueNode& v) {
    if (v.is_constant() && seen.insert(v.data.raw()).second) bytes += v.data.nbytes();
  });
  return bytes;
}

/// Whether the operator can be computed now, given that its operands are constants.
bool is_fixed(const ValueNode& v) {
  if (v.control) return false;
  const auto is_number = [](const Expr& e) { return as_int(e).has_value(); };
  for (const auto& [name, attr] : v.attrs) {
    const auto* sizes = std::get_if<std::vector<Expr>>(&attr);
    if (sizes != nullptr && !std::all_of(sizes->begin(), sizes->end(), is_number)) return false;
  }
  if (v.expression && !v.expression->symbols.empty()) return false;
  return std::all_of(v.shape.begin(), v.shape.end(), is_number);
}

}  // namespace

ConstantFolding::ConstantFolding(const std::vector<Value>& graph, const Target& target,
                                 const CompileOptions& options, RewriteLog* log)
    : target_(target), options_(options), log_(log) {
  const std::int64_t weights = kTimesWeights * constant_bytes(graph);
  most_of_one_ = kMostOfOne + weights;
  left_ = kMostOfAll + weights;
}

/// The largest parts of the graph that use no input; views of constants stay what they are.
std::vector<Value> ConstantFolding::constant_parts(const std::vector<Value>& outputs) {
  std::unordered_set<const ValueNode*> fixed, large, needed;
  const std::vector<Value> order = in_order(outputs);
  for (const Value& v : order) {
    if (v->is_constant()) fixed.insert(v.get());
    if (v->is_constant() || v->is_input() || !is_fixed(*v)) continue;
    bool is_constant = true, is_large = bytes_of(*v) > most_of_one_;
    for (const Value& x : v->inputs) {
      is_constant = is_constant && (fixed.count(x.get()) != 0 || large.count(x.get()) != 0);
      is_large = is_large || large.count(x.get()) != 0;
    }
    if (!is_constant) continue;
    (is_large ? large : fixed).insert(v.get());
    if (is_large && !is_view(*v))
      note(log_, "fold_constants", *v, "left",
           "it uses no input, but it, or what it reads, is large");
  }
  for (const Value& v : outputs) needed.insert(v.get());
  for (const Value& v : order) {
    if (fixed.count(v.get()) != 0 && !is_view(*v)) continue;
    for (const Value& x : v->inputs) needed.insert(x.get());
  }
  std::vector<Value> parts;
  for (const Value& v : order) {
    if (is_view(*v) || fixed.count(v.get()) == 0 || needed.count(v.get()) == 0) continue;
    if (bytes_of(*v) > left_) {
      note(log_, "fold_constants", *v, "left", "it uses no input, but others have taken the room");
      continue;
    }
    left_ -= bytes_of(*v);
    parts.push_back(v);
  }
  return parts;
}

std::vector<Value> ConstantFolding::fold(const std::vector<Value>& part) {
  const std::vector<Value> parts = constant_parts(part);
  if (parts.empty()) return part;
  for (const Value& v : in_order(parts)) {
    if (!v->is_constant())
      note(log_, "fold_constants", *v, "computed", "it uses no input: once, at compile time");
  }
  CompileOptions as_it_is = options_;
  as_it_is.fold_constants = false;
  as_it_is.in_place.clear();
  as_it_is.result_names.clear();
  const std::vector<Array> results =
      compile({}, parts, "constants", target_, as_it_is).executable.call({});
  std::unordered_map<const ValueNode*, Value> folded;
  for (std::size_t i = 0; i < parts.size(); ++i) folded[parts[i].get()] = make_constant(results[i]);
  return rewrite_graph(part, [&](const Value& v, const std::vector<Value>&) -> Value {
    const auto it = folded.find(v.get());
    return it == folded.end() ? nullptr : it->second;
  });
}

void check_sizes(const std::vector<Value>& graph) {
  const auto check = [](const ValueNode& v) {
    TENON_USER_CHECK(bytes_of(v) < kAddressable, ShapeError, "E1160", "the result of '", v.op,
                     "' is ", type_str(v),
                     ", which is more than the 2^47 bytes that a machine can address",
                     v.span ? "  at " : "", v.span.str(),
                     "\n  hint: a size that the model computes is wrong: give the inputs their "
                     "sizes, or correct the operator that makes this shape");
  };
  visit_all(graph, [&](const ValueNode& v) {
    if (!v.is_input() && !v.is_constant() && !v.control && !is_view(v)) check(v);
  });
  for (const Value& v : graph) check(*v);
}

}  // namespace tenon::graph
