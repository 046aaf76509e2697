#include "tenon/graph/expression.h"

#include <algorithm>

#include "graph/expression_operator.h"
#include "graph/tensors.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"

namespace tenon::graph {
namespace {

/// What symbols of placeholders stand for, after checking that operands fit.
VarMap bind(const std::string& name, const std::vector<Value>& inputs,
            const std::vector<te::Tensor>& placeholders) {
  VarMap symbols;
  const auto size_of = [&](const Expr& e) { return simplify(substitute(e, symbols)); };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const te::Tensor& p = placeholders[i];
    const bool fits = p->shape.size() == inputs[i]->shape.size();
    for (std::size_t d = 0; fits && d < p->shape.size(); ++d) {
      const auto* v = p->shape[d].as<VarNode>();
      if (v == nullptr || v->symbol == nullptr || p->shape[d].same_as(inputs[i]->shape[d]))
        continue;
      symbols.emplace(v, inputs[i]->shape[d]);
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const te::Tensor& p = placeholders[i];
    std::vector<Expr> shape;
    for (const Expr& e : p->shape) shape.push_back(size_of(e));
    TENON_USER_CHECK(same_shape(shape, inputs[i]->shape), ShapeError, "E0486", "operator '", name,
                     "': operand ", i, " is ", type_str(*inputs[i]), ", but its placeholder '",
                     p->name, "' has another shape");
    TENON_USER_CHECK(p->dtype == inputs[i]->dtype, DTypeError, "E0540", "operator '", name,
                     "': operand ", i, " is ", type_str(*inputs[i]), ", but its placeholder '",
                     p->name, "' is ", to_string(p->dtype));
  }
  return symbols;
}

void check_placeholders(const std::string& name, const std::vector<Value>& inputs,
                        const std::vector<te::Tensor>& placeholders) {
  TENON_USER_CHECK(inputs.size() == placeholders.size(), ExpressionError, "E0180", "operator '",
                   name, "' has ", inputs.size(), " operands and ", placeholders.size(),
                   " placeholders for them");
  std::unordered_set<const BufferNode*> known;
  for (const te::Tensor& p : placeholders) {
    TENON_USER_CHECK(p->kind == te::TensorKind::kPlaceholder && known.insert(p.get()).second,
                     ExpressionError, "E0180", "operator '", name, "': '", p->name,
                     "' is computed or listed twice, expected one placeholder for each operand");
  }
}

/// The output that each tensor is computed for: itself when several need it.
std::unordered_map<const BufferNode*, te::Tensor> owners(const std::vector<te::Tensor>& order,
                                                         const std::vector<te::Tensor>& outputs) {
  std::unordered_map<const BufferNode*, te::Tensor> owner;
  for (const te::Tensor& t : outputs) owner[t.get()] = t;
  for (std::size_t i = order.size(); i-- > 0;) {
    const te::Tensor mine = owner.at(order[i].get());  // readers came before
    for (const te::Tensor& x : te::operands_of(order[i])) {
      const auto [it, is_new] = owner.emplace(x.get(), mine);
      if (!is_new && !it->second.same_as(mine)) it->second = x;
    }
  }
  return owner;
}

/// `outputs` with results of one scan that several of them need taken from one tensor that holds
/// them all, so that the scan is computed once: a value has one result. Results of different types
/// are left as they are.
std::vector<te::Tensor> with_packed_scans(const std::vector<te::Tensor>& outputs) {
  const std::vector<te::Tensor> order = computed_tensors(outputs);
  const auto owner = owners(order, outputs);
  std::unordered_map<const te::Scan*, std::vector<te::Tensor>> results;
  std::vector<const te::Scan*> scans;
  for (const te::Tensor& t : order) {
    if (!t->scan) continue;
    std::vector<te::Tensor>& known = results[t->scan.get()];
    if (known.empty()) scans.push_back(t->scan.get());
    const bool fits =
        known.empty() || (known[0]->dtype == t->dtype && same_shape(known[0]->shape, t->shape));
    if (fits) known.push_back(t);
  }
  TensorMap views;
  for (const te::Scan* scan : scans) {
    const std::vector<te::Tensor>& parts = results.at(scan);
    const te::Tensor& first = owner.at(parts[0].get());
    const bool is_one = std::all_of(parts.begin(), parts.end(), [&](const te::Tensor& t) {
      return owner.at(t.get()).same_as(first);
    });
    if (is_one) continue;
    std::vector<Expr> shape{imm(static_cast<std::int64_t>(parts.size()))};
    shape.insert(shape.end(), parts[0]->shape.begin(), parts[0]->shape.end());
    const auto element = [&](const std::vector<Expr>& i) {
      const std::vector<Expr> place{i.begin() + 1, i.end()};
      Expr e = te::read(parts.back(), place);
      for (std::size_t k = parts.size() - 1; k-- > 0;)
        e = select(eq(i[0], imm(static_cast<std::int64_t>(k))), te::read(parts[k], place), e);
      return e;
    };
    const te::Tensor packed = te::compute(shape, element, scan->name);
    for (std::size_t k = 0; k < parts.size(); ++k) {
      const auto view = [&](const std::vector<Expr>& i) {
        std::vector<Expr> place{imm(static_cast<std::int64_t>(k))};
        place.insert(place.end(), i.begin(), i.end());
        return te::read(packed, place);
      };
      views[parts[k].get()] = te::compute(parts[k]->shape, view, parts[k]->name);
    }
  }
  return views.empty() ? outputs : te::replace(outputs, views);
}

/// Whether the tensor is the placeholder.
bool is_copy(const te::TensorNode& t, const std::vector<te::Tensor>& placeholders) {
  const auto* l = t.body ? t.body.as<LoadNode>() : nullptr;
  if (l == nullptr || placeholders.size() != 1 || !same_shape(t.shape, placeholders[0]->shape))
    return false;
  return std::equal(l->indices.begin(), l->indices.end(), t.axes.begin(), t.axes.end(),
                    [](const Expr& i, const IterVar& axis) { return i.same_as(axis.var); });
}

class ExpressionMaker {
 public:
  ExpressionMaker(std::string name, const std::vector<Value>& inputs,
                  const std::vector<te::Tensor>& placeholders, VarMap symbols)
      : name_(std::move(name)), symbols_(std::move(symbols)) {
    for (std::size_t i = 0; i < inputs.size(); ++i) value_of_[placeholders[i].get()] = inputs[i];
  }

  std::vector<Value> make(const std::vector<te::Tensor>& outputs) {
    const std::vector<te::Tensor> order = computed_tensors(outputs);
    const auto owner = owners(order, outputs);
    std::unordered_map<const BufferNode*, std::vector<te::Tensor>> parts;
    for (const te::Tensor& t : order) {
      const te::Tensor& mine = owner.at(t.get());
      parts[mine.get()].push_back(t);
      if (mine.same_as(t)) value_of_[t.get()] = make_value(parts.at(t.get()));
    }
    std::vector<Value> values;
    for (const te::Tensor& t : outputs) values.push_back(value_of(t));
    return values;
  }

 private:
  const Value& value_of(const te::Tensor& t) const {
    const auto it = value_of_.find(t.get());
    TENON_USER_CHECK(it != value_of_.end(), ExpressionError, "E0181", "operator '", name_,
                     "' reads '", t->name,
                     "', which is no operand of it\n  hint: tensors that an operator reads are its "
                     "arguments");
    return it->second;
  }

  /// The value of the last of `tensors`, which only it needs.
  Value make_value(const std::vector<te::Tensor>& tensors) {
    std::vector<Value> inputs;
    std::vector<te::Tensor> placeholders, computed;
    TensorMap replaced;
    te::ScanMap scans;
    for (const te::Tensor& t : tensors) {
      for (const te::Tensor& x : te::operands_of(t)) {
        if (replaced.count(x.get()) != 0) continue;
        const Value& value = value_of(x);
        const auto known = std::find(inputs.begin(), inputs.end(), value);
        const auto place = static_cast<std::size_t>(known - inputs.begin());
        if (known == inputs.end()) {
          inputs.push_back(value);
          placeholders.push_back(te::placeholder(value->shape, value->dtype, x->name));
        }
        replaced[x.get()] = placeholders[place];
      }
      computed.push_back(renew(t, replaced, symbols_, "", &scans));
      replaced[t.get()] = computed.back();
    }
    if (computed.size() == 1 && is_copy(*computed[0], placeholders)) return inputs[0];
    auto v = std::make_shared<ValueNode>();
    v->op = name_;
    v->inputs = std::move(inputs);
    v->span = SpanScope::current();
    v->expression = analyse_expression(std::move(placeholders), std::move(computed));
    v->expression->op->infer(v.get());
    for (Expr& extent : v->shape) extent = simplify(extent);
    return v;
  }

  std::string name_;
  VarMap symbols_;
  std::unordered_map<const BufferNode*, Value> value_of_;
};

}  // namespace

std::vector<Value> make_expression(const std::string& name, const std::vector<Value>& inputs,
                                   const std::vector<te::Tensor>& placeholders,
                                   const std::vector<te::Tensor>& outputs) {
  check_placeholders(name, inputs, placeholders);
  return ExpressionMaker(name, inputs, placeholders, bind(name, inputs, placeholders))
      .make(with_packed_scans(outputs));
}

Value make_scheduled(const std::string& name, const std::vector<Value>& inputs,
                     const std::vector<te::Tensor>& placeholders, const te::Tensor& output,
                     const Function& function, const std::vector<te::Tensor>& function_inputs) {
  Value plain = make_expression(name, inputs, placeholders, {output})[0];
  if (!plain->expression) return plain;  // it is an operand
  Expression e = *plain->expression;
  auto v = std::make_shared<ValueNode>(*plain);
  ScheduledKernel kernel{function, {}};
  for (const te::Tensor& p : function_inputs) {
    const auto place = std::find_if(placeholders.begin(), placeholders.end(),
                                    [&](const te::Tensor& x) { return x.same_as(p); });
    TENON_USER_CHECK(place != placeholders.end(), ExpressionError, "E0181", "operator '", name,
                     "' reads '", p->name, "', which is no operand of it");
    const Value& value = inputs[static_cast<std::size_t>(place - placeholders.begin())];
    const auto known = std::find(v->inputs.begin(), v->inputs.end(), value);
    kernel.operands.push_back(static_cast<std::size_t>(known - v->inputs.begin()));
    if (known != v->inputs.end()) continue;
    v->inputs.push_back(value);  // nothing reads it, but the kernel has a parameter for it
    e.placeholders.push_back(te::placeholder(value->shape, value->dtype, p->name));
  }
  v->expression = scheduled_expression(e, std::move(kernel));
  return v;
}

}  // namespace tenon::graph
