#include "tenon/te/scan.h"

#include <unordered_set>

#include "te/checks.h"
#include "te/reduction.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/te/expr.h"
#include "tenon/te/renew.h"

namespace tenon::te {
namespace {

Tensor state_of(const Tensor& init, const std::string& name) {
  auto* node = new TensorNode;
  Tensor t(node);
  node->kind = TensorKind::kState;
  node->name = name;
  node->dtype = init->dtype;
  node->shape = init->shape;
  node->span = SpanScope::current();
  return t;
}

bool uses(const TensorNode& t, const Expr& step) {
  const auto is_step = [&](const VarNode& v) { return &v == step.get(); };
  if (t.body && uses_var(t.body, is_step)) return true;
  for (const Expr& index : t.indices) {
    if (uses_var(index, is_step)) return true;
  }
  if (t.scan) {
    for (const Tensor& inner : t.scan->body) {
      if (uses(*inner, step)) return true;
    }
  }
  return false;
}

/// Divides what the next states are computed from into the step's own tensors and others.
void divide(Scan* scan) {
  std::unordered_set<const BufferNode*> inside, listed;
  for (const Tensor& state : scan->states) inside.insert(state.get());
  for (const Tensor& t : in_order(scan->next)) {
    if (inside.count(t.get()) != 0) continue;
    bool depends = uses(*t, scan->step.var);
    for (const Tensor& operand : operands_of(t)) depends |= inside.count(operand.get()) != 0;
    if (!depends) continue;
    inside.insert(t.get());
    scan->body.push_back(t);
  }
  const auto add_operand = [&](const Tensor& t) {
    if (inside.count(t.get()) == 0 && listed.insert(t.get()).second) scan->operands.push_back(t);
  };
  for (const Tensor& t : scan->body) {
    for (const Tensor& operand : operands_of(t)) add_operand(operand);
  }
  for (const Tensor& t : scan->next) add_operand(t);
}

void check_next(const Scan& scan) {
  TENON_USER_CHECK(scan.next.size() == scan.init.size(), ExpressionError, "E0116",
                   "the step of scan '", scan.name, "' gives ", scan.next.size(),
                   " tensors, expected ", scan.init.size(), ": one for each state");
  for (std::size_t s = 0; s < scan.next.size(); ++s) {
    const TensorNode& next = *scan.next[s].get();
    const TensorNode& init = *scan.init[s].get();
    TENON_USER_CHECK(same_extents(next.shape, init.shape), ShapeError, "E0408", "state ", s,
                     " of scan '", scan.name, "' has shape ", describe_shape(next.shape),
                     " after a step, expected ", describe_shape(init.shape), ", that of its init");
    TENON_USER_CHECK(next.dtype == init.dtype, DTypeError, "E0509", "state ", s, " of scan '",
                     scan.name, "' has dtype ", to_string(next.dtype), " after a step, expected ",
                     to_string(init.dtype), ", that of its init\n  hint: convert with te.cast");
  }
}

}  // namespace

std::vector<Tensor> scan(const Expr& steps, const std::vector<Tensor>& init,
                         const StepFunction& step, const std::string& name) {
  check_shape({steps}, name);
  TENON_USER_CHECK(!init.empty(), ExpressionError, "E0116", "scan '", name, "' has no state");
  const auto numbered = [&](std::size_t s) {
    return init.size() == 1 ? name : name + "_" + std::to_string(s);
  };
  auto scan = std::make_shared<Scan>();
  scan->step = {var("t"), {imm(0), steps}, IterKind::kOrdered};
  scan->name = name;
  scan->init = init;
  for (std::size_t s = 0; s < init.size(); ++s)
    scan->states.push_back(state_of(init[s], numbered(s) + "_before"));
  {
    const StepScope scope(scan->step);
    scan->next = step(scan->step.var, scan->states);
  }
  check_next(*scan);
  divide(scan.get());
  std::vector<Tensor> results;
  for (std::size_t s = 0; s < init.size(); ++s) results.push_back(scan_result(scan, s));
  return results;
}

Tensor scan_result(const std::shared_ptr<const Scan>& scan, std::size_t state) {
  const Tensor& init = scan->init[state];
  auto* node = new TensorNode;
  Tensor result(node);
  node->kind = TensorKind::kScan;
  node->name = scan->init.size() == 1 ? scan->name : scan->name + "_" + std::to_string(state);
  node->span = SpanScope::current();
  node->dtype = init->dtype;
  node->shape = {scan->step.domain.extent};
  node->shape.insert(node->shape.end(), init->shape.begin(), init->shape.end());
  node->scan = scan;
  node->state = state;
  return result;
}

Tensor last_state(const Tensor& states) {
  TENON_CHECK(states->kind == TensorKind::kScan, "'", states->name, "' is no result of a scan");
  const Tensor init = states->scan->init[states->state];
  const Expr steps = states->shape[0];
  return compute(
      init->shape,
      [&](const std::vector<Expr>& element) {
        if (is_int(steps, 0)) return read(init, element);
        std::vector<Expr> last{steps - 1};
        last.insert(last.end(), element.begin(), element.end());
        if (as_int(steps)) return read(states, last);
        return te::select(gt(steps, imm(0)), read(states, last), read(init, element));
      },
      states->name + "_last");
}

Tensor cumsum(const Tensor& x, int axis, const std::string& name) {
  const int rank = static_cast<int>(x->shape.size());
  TENON_USER_CHECK(axis >= -rank && axis < rank, ShapeError, "E0409", "cumsum '", name, "': axis ",
                   axis, " does not exist in tensor '", x->name, "' of shape ",
                   describe_shape(x->shape));
  TENON_USER_CHECK(!x->dtype.is_bool(), DTypeError, "E0504", "cumsum '", name,
                   "' needs numbers, got bool\n  hint: convert with te.cast");
  const auto along = static_cast<std::ptrdiff_t>(axis < 0 ? axis + rank : axis);
  const DType accumulator = accumulator_dtype(ReduceOp::kSum, x->dtype);
  std::vector<Expr> rest = x->shape;
  rest.erase(rest.begin() + along);
  // -0 + x is x, whatever the sign of a zero.
  const Tensor zeros = compute(
      rest, [&](const std::vector<Expr>&) { return const_like(accumulator, -0.0); },
      name + "_zero");
  const auto step = [&](const Expr& t, const std::vector<Tensor>& before) {
    const auto sum = [&](const std::vector<Expr>& element) {
      std::vector<Expr> place = element;
      place.insert(place.begin() + along, t);
      return read(before[0], element) + te::cast(accumulator, read(x, place));
    };
    return std::vector<Tensor>{compute(rest, sum, name + "_step")};
  };
  const Expr steps = x->shape[static_cast<std::size_t>(along)];
  const Tensor sums =
      scan(steps, {zeros}, step, along == 0 && accumulator == x->dtype ? name : name + "_sums")[0];
  if (along == 0 && accumulator == x->dtype) return sums;
  return compute(
      x->shape,
      [&](const std::vector<Expr>& element) {
        std::vector<Expr> place = element;
        place.erase(place.begin() + along);
        place.insert(place.begin(), element[static_cast<std::size_t>(along)]);
        return te::cast(x->dtype, read(sums, place));
      },
      name);
}

}  // namespace tenon::te
