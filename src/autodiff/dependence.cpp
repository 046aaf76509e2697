#include "autodiff/dependence.h"

#include "autodiff/element.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"

namespace tenon::autodiff {
namespace {

std::string shape_text(const te::TensorNode& t) {
  std::string out = "[";
  for (const Expr& e : t.shape) {
    if (out.size() > 1) out += ", ";
    const auto* v = e.as<VarNode>();
    const auto known = as_int(e);
    out += known ? std::to_string(*known) : v != nullptr ? v->name : std::string("?");
  }
  return out + "]";
}

}  // namespace

Dependence::Dependence(const std::vector<te::Tensor>& outputs,
                       const std::vector<te::Tensor>& variables) {
  std::unordered_set<const te::TensorNode*> is_variable, done;
  for (const te::Tensor& t : variables) is_variable.insert(t.get());
  std::vector<std::pair<te::Tensor, bool>> stack;  // a tensor, and whether its operands are done
  for (std::size_t i = outputs.size(); i-- > 0;) stack.emplace_back(outputs[i], false);
  std::unordered_map<const te::TensorNode*, std::vector<te::Tensor>> operands;
  while (!stack.empty()) {
    auto [t, finished] = stack.back();
    stack.pop_back();
    if (!finished) {
      if (!done.insert(t.get()).second) continue;
      stack.emplace_back(t, true);
      if (!t->body) continue;
      for (const te::Tensor& operand : operands[t.get()] = tensors_read(t->body))
        stack.emplace_back(operand, false);
      continue;
    }
    bool active = is_variable.count(t.get()) != 0;
    for (const te::Tensor& operand : operands[t.get()]) active |= is_active(operand);
    if (!active || !t->dtype.is_float()) continue;
    active_.insert(t.get());
    order_.push_back(t);
  }
}

void check_variables(const char* caller, const std::vector<te::Tensor>& inputs) {
  for (const te::Tensor& t : inputs) {
    TENON_USER_CHECK(t->dtype.is_float(), DTypeError, "E0530", caller, ": input '", t->name,
                     "' has dtype ", to_string(t->dtype),
                     ", but only floats have derivatives\n  hint: differentiate with respect to "
                     "float tensors, and give integers as they are");
  }
}

void check_seed(const char* caller, const char* what, const te::Tensor& tensor,
                const te::Tensor& seed) {
  TENON_USER_CHECK(seed->dtype == tensor->dtype, DTypeError, "E0531", caller, ": the ", what,
                   " of '", tensor->name, "' has dtype ", to_string(seed->dtype), ", expected ",
                   to_string(tensor->dtype));
  bool equal = seed->shape.size() == tensor->shape.size();
  Analyzer analyzer;
  for (std::size_t d = 0; equal && d < seed->shape.size(); ++d)
    equal = analyzer.can_prove_equal(seed->shape[d], tensor->shape[d]);
  TENON_USER_CHECK(equal, ShapeError, "E0430", caller, ": the ", what, " of '", tensor->name,
                   "' has shape ", shape_text(*seed), ", expected ", shape_text(*tensor));
}

}  // namespace tenon::autodiff
