#include "graph/transform/differentiate.h"

namespace tenon::graph {

Active active_values(const std::vector<Value>& order, const std::vector<Value>& inputs) {
  Active active;
  for (const Value& x : inputs) active.insert(x.get());
  for (const Value& v : order) {
    const bool has_derivative = v->control || v->dtype.is_float();
    if (!has_derivative || v->is_op("stop_gradient")) continue;
    for (const Value& x : v->inputs) {
      if (active.count(x.get()) != 0) active.insert(v.get());
    }
  }
  return active;
}

void check_differentiable(const std::vector<Value>& outputs, const std::vector<Value>& inputs) {
  for (const Value& x : inputs) {
    TENON_USER_CHECK(x->dtype.is_float(), DTypeError, "E0541", "the derivative with respect to '",
                     x->name, "' of type ", type_str(*x), " does not exist, expected floats",
                     "\n  hint: convert with .cast(\"float32\") before");
  }
  for (const Value& y : outputs) {
    TENON_USER_CHECK(y->dtype.is_float(), DTypeError, "E0541", "the derivative of a ", type_str(*y),
                     " does not exist, expected floats");
  }
}

void check_like(const char* kind, const Value& given, const Value& primal) {
  TENON_USER_CHECK(same_shape(given->shape, primal->shape), ShapeError, "E0488", "the ", kind,
                   " of a ", type_str(*primal), " has to have its shape, got ", type_str(*given));
  TENON_USER_CHECK(given->dtype == primal->dtype, DTypeError, "E0542", "the ", kind, " of a ",
                   type_str(*primal), " has to have its dtype, got ", type_str(*given));
}

std::vector<te::Tensor> named_errors(
    const ValueNode& v, const std::function<std::vector<te::Tensor>()>& differentiate) {
  try {
    return differentiate();
  } catch (const UserError& e) {
    const std::string what = e.what();
    const std::string line = v.span.str();
    detail::raise<ExpressionError>(
        "E0185",
        detail::concat("operator '", v.op, "'", line.empty() ? "" : " at " + line,
                       " has no derivative: ", what.substr(0, what.rfind(" [")),
                       "\n  hint: tn.custom_vjp, or def_vjp of an operator, gives it one"));
  }
}

Value add(const Value& a, const Value& b) {
  if (!a || !b) return a ? a : b;
  return make_op("add", {a, b});
}

}  // namespace tenon::graph
