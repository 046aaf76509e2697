#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "te/check_reads.h"
#include "te/checks.h"
#include "te/hoist.h"
#include "te/index_sites.h"
#include "te/reduction.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/te/tensor.h"

namespace tenon::te {
namespace {

/// Names that are unique in a function: "C", then "C_1".
class Names {
 public:
  std::string fresh(const std::string& wanted) {
    std::string name = wanted.empty() ? "T" : wanted;
    for (int i = 1; !taken_.insert(name).second; ++i) name = wanted + "_" + std::to_string(i);
    return name;
  }

 private:
  std::unordered_set<std::string> taken_;
};

/// Builds one function: tensors in order of computation, a buffer and a loop nest for each.
class FunctionBuilder {
 public:
  FunctionBuilder(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
    for (const Tensor& t : inputs) add_input(t);
    find_symbols();
    for (const Tensor& t : outputs) check_output(t);
    for (const Tensor& t : outputs) order(t);
    for (const Tensor& t : order_) add_tensor(t);
    for (const Tensor& t : outputs) outputs_.push_back(place_of(t).buffer);
  }

  Function build(std::string name) {
    Stmt body = make_seq(std::move(nests_));
    for (std::size_t i = allocated_.size(); i-- > 0;) body = make_allocate(allocated_[i], body);
    Attrs attrs;
    body = number_index_sites(body, &attrs);
    check_symbols(body);
    return make_function(std::move(name), inputs_, outputs_, symbols_, body, Level::kBlock,
                         std::move(attrs));
  }

 private:
  void add_input(const Tensor& t) {
    TENON_USER_CHECK(t->kind == TensorKind::kPlaceholder, ExpressionError, "E0105", "input '",
                     t->name, "' of tn.function is computed, expected a placeholder");
    TENON_USER_CHECK(buffers_.count(t.get()) == 0, ExpressionError, "E0105", "input '", t->name,
                     "' of tn.function is listed twice");
    inputs_.push_back(fresh_buffer(t->name, *t));
    buffers_[t.get()] = {inputs_.back(), 0};
  }

  void check_output(const Tensor& t) {
    TENON_USER_CHECK(t->kind != TensorKind::kPlaceholder, ExpressionError, "E0105", "output '",
                     t->name, "' of tn.function is a placeholder, expected a computed tensor");
    TENON_USER_CHECK(outputs_seen_.insert(t.get()).second, ExpressionError, "E0105", "output '",
                     t->name, "' of tn.function is listed twice");
  }

  /// A buffer and the number of its leading dimensions that are steps of the scans around it.
  struct Place {
    Buffer buffer;
    std::size_t num_steps;
  };
  /// A scan whose step is being built.
  struct Step {
    IterVar axis;
    Expr loop;
  };

  const Place& place_of(const Tensor& t) const {
    return t->kind == TensorKind::kScan ? scans_.at(t->scan.get())[t->state] : buffers_.at(t.get());
  }

  /// The index of an element in a buffer with `num_steps` leading steps.
  std::vector<Expr> at_step(std::size_t num_steps, const std::vector<Expr>& element) const {
    std::vector<Expr> index;
    for (std::size_t d = 0; d < num_steps; ++d) index.push_back(steps_[d].axis.var);
    index.insert(index.end(), element.begin(), element.end());
    return index;
  }
  std::vector<Expr> at_step(const std::vector<Expr>& element) const {
    return at_step(steps_.size(), element);
  }
  Expr read_tensor(const Tensor& t, const std::vector<Expr>& element) const {
    const Place& place = place_of(t);
    return load(place.buffer, at_step(place.num_steps, element));
  }

  /// `shape` with a leading dimension for each scan around.
  std::vector<Expr> over_steps(const std::vector<Expr>& shape) const {
    std::vector<Expr> out;
    for (const Step& step : steps_) out.push_back(step.axis.domain.extent);
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
  }

  Buffer fresh_buffer(const std::string& name, const TensorNode& t) {
    Buffer b = make_buffer(names_.fresh(name), t.dtype, over_steps(t.shape));
    auto* node = const_cast<BufferNode*>(b.get());  // nobody else has seen it yet
    node->strides = t.strides;
    node->span = t.span;
    return b;
  }

  /// Producers first, on a stack of our own.
  void order(const Tensor& root) {
    std::vector<std::pair<Tensor, bool>> stack{{root, false}};
    while (!stack.empty()) {
      auto [t, finished] = stack.back();
      stack.pop_back();
      if (t->kind == TensorKind::kPlaceholder) {
        TENON_USER_CHECK(buffers_.count(t.get()) != 0, ExpressionError, "E0104", "placeholder '",
                         t->name,
                         "' is used but is not among the inputs of tn.function\n  hint: add it to "
                         "the list of inputs");
        continue;
      }
      TENON_USER_CHECK(t->kind != TensorKind::kState, ExpressionError, "E0117", "'", t->name,
                       "', a state within a scan, is used outside of the scan's step"
                       "\n  hint: use the results of te.scan");
      if (finished) {
        check_step(t);
        if (done_.insert(t.get()).second) order_.push_back(t);
        continue;
      }
      if (done_.count(t.get()) != 0) continue;
      stack.emplace_back(t, true);
      for (const Tensor& operand : operands_of(t)) stack.emplace_back(operand, false);
    }
  }

  /// Outside of scans no tensor uses a step.
  static void check_step(const Tensor& t) {
    if (t->body) check_axes(t->axes, t->body);
    for (const Expr& index : t->indices) check_axes(t->axes, index);
  }

  void add_tensor(const Tensor& t) {
    SpanScope span(t->span);
    if (t->kind == TensorKind::kScan) {
      if (scans_.count(t->scan.get()) == 0) add_scan(*t->scan);
      return;
    }
    Buffer buffer = fresh_buffer(t->name, *t);
    buffers_[t.get()] = {buffer, steps_.size()};
    if (t->kind == TensorKind::kScatter) {
      add_scatter(*t, buffer);
    } else {
      add_compute(*t, buffer, IterKind::kSpatial);
    }
    if (outputs_seen_.count(t.get()) == 0) allocated_.push_back(buffer);
  }

  /// `step_kind`: ordered for the state of a scan, which may read what earlier steps wrote.
  void add_compute(const TensorNode& t, const Buffer& buffer, IterKind step_kind) {
    Expr body = in_buffers(t.body);
    // The step of a scan keeps its reductions apart: an element-wise block writes them back.
    const auto* reduce = steps_.empty() ? body.as<ReduceNode>() : nullptr;
    if (reduce != nullptr) {
      add_reduction(buffer, t.axes, *reduce, t.block_annotations);
      return;
    }
    body = hoist_reductions(body, t.axes, buffer->name);
    const Expr value = rounded(t.dtype, widen_narrow_floats(body));
    add_nest(buffer->name, t.axes, nullptr, store(buffer, at_step(vars_of(t.axes)), value),
             t.block_annotations, step_kind);
  }

  /// One loop over the steps; in it the blocks of the step. A step reads the states before it from
  /// copies `<state>_before`, and writes the next ones to the results.
  void add_scan(const Scan& scan) {
    std::vector<Place>& results = scans_[&scan];
    for (const Tensor& state : scan.states) {
      std::vector<Expr> shape{scan.step.domain.extent};
      shape.insert(shape.end(), state->shape.begin(), state->shape.end());
      const std::string name =
          scan.states.size() == 1 ? scan.name : scan.name + "_" + std::to_string(results.size());
      results.push_back(
          {make_buffer(names_.fresh(name), state->dtype, over_steps(shape)), steps_.size()});
      if (!is_output(scan, results.size() - 1)) allocated_.push_back(results.back().buffer);
    }
    std::vector<Stmt> before = std::move(nests_);
    nests_.clear();
    steps_.push_back({scan.step, var("t")});
    std::unordered_map<const BufferNode*, std::size_t> state_of;  // a tensor that is a next state
    for (std::size_t s = 0; s < scan.states.size(); ++s) {
      add_state_before(scan, s, results[s].buffer);
      state_of.emplace(scan.next[s].get(), s);
    }
    std::vector<bool> is_written(scan.states.size());
    for (const Tensor& t : scan.body) {
      const auto state = state_of.find(t.get());
      if (state == state_of.end() || t->kind != TensorKind::kCompute) {
        add_tensor(t);
        continue;
      }
      SpanScope span(t->span);
      const Buffer& result = results[state->second].buffer;
      buffers_[t.get()] = {result, steps_.size()};
      add_compute(*t, result, IterKind::kOrdered);
      is_written[state->second] = true;
    }
    for (std::size_t s = 0; s < scan.states.size(); ++s) {
      if (is_written[s]) continue;
      const std::vector<IterVar> axes = axes_over(scan.states[s]->shape);
      const Expr value = read_tensor(scan.next[s], vars_of(axes));
      add_nest(results[s].buffer->name, axes, nullptr,
               store(results[s].buffer, at_step(vars_of(axes)), value), {}, IterKind::kOrdered);
    }
    const Expr loop = steps_.back().loop;
    steps_.pop_back();
    before.push_back(make_for(loop, imm(0), scan.step.domain.extent, make_seq(std::move(nests_))));
    nests_ = std::move(before);
  }

  bool is_output(const Scan& scan, std::size_t state) const {
    return std::any_of(outputs_seen_.begin(), outputs_seen_.end(), [&](const BufferNode* b) {
      const auto* t = static_cast<const TensorNode*>(b);
      return t->scan.get() == &scan && t->state == state;
    });
  }

  void add_state_before(const Scan& scan, std::size_t s, const Buffer& result) {
    const Tensor& state = scan.states[s];
    const Buffer buffer = fresh_buffer(state->name, *state);
    buffers_[state.get()] = {buffer, steps_.size()};
    allocated_.push_back(buffer);
    const std::vector<IterVar> axes = axes_over(state->shape);
    std::vector<Expr> previous = at_step(vars_of(axes));
    Expr& step = previous[steps_.size() - 1];
    const Expr is_later = gt(step, imm(0));
    step = step - 1;
    const Expr value =
        select(is_later, load(result, previous), read_tensor(scan.init[s], vars_of(axes)));
    add_nest(buffer->name, axes, nullptr, store(buffer, at_step(vars_of(axes)), value), {});
  }

  static std::vector<IterVar> axes_over(const std::vector<Expr>& shape) {
    std::vector<IterVar> axes;
    for (std::size_t d = 0; d < shape.size(); ++d)
      axes.push_back({var(default_axis_name(d, shape.size())), {imm(0), shape[d]}});
    return axes;
  }

  /// A block that copies what the updates meet, and one that applies them in ascending order.
  void add_scatter(const TensorNode& t, const Buffer& buffer) {
    const std::vector<IterVar> elements = axes_over(t.shape);
    const std::vector<Expr> element = vars_of(elements);
    add_nest(names_.fresh(buffer->name + "_init"), elements, nullptr,
             store(buffer, at_step(element), read_tensor(t.init, element)), {});
    std::vector<Expr> place;
    Expr is_inside;
    for (const Expr& index : t.indices) {
      place.push_back(in_buffers(index));
      if (place.back().as<CallNode>() != nullptr)
        is_inside = and_predicate(is_inside, ge(place.back(), imm(0)));
    }
    place = at_step(place);
    const Expr update = read_tensor(t.updates, vars_of(t.axes));
    const Expr value = scattered(t.mode, load(buffer, place, is_inside), update);
    add_nest(buffer->name, t.axes, nullptr, store(buffer, place, value, is_inside), {});
  }

  static Expr scattered(ScatterMode mode, const Expr& element, const Expr& update) {
    const auto joined = [&](BinaryOp op) {
      return rounded(element->dtype, widen_narrow_floats(make<BinaryNode>(op, element, update)));
    };
    switch (mode) {
      case ScatterMode::kSet:
        return update;
      case ScatterMode::kAdd:
        return joined(BinaryOp::kAdd);
      case ScatterMode::kMul:
        return joined(BinaryOp::kMul);
      case ScatterMode::kMin:
        return joined(BinaryOp::kMin);
      case ScatterMode::kMax:
        return joined(BinaryOp::kMax);
    }
    return update;
  }

  /// `value` as dtype; what was only widened before (a copy, a cast) stays as it is.
  static Expr rounded(DType dtype, const Expr& value) {
    const auto* widened = value.as<CastNode>();
    const bool same = widened != nullptr && widened->value->dtype == dtype && dtype.is_float() &&
                      dtype.bits == 16;
    return same ? widened->value : cast(dtype, value);
  }

  /// Loads of tensors become loads of this function's buffers.
  Expr in_buffers(const Expr& e) {
    return rewrite_exprs(e, [&](const Expr& x) -> Expr {
      const auto* l = x.as<LoadNode>();
      if (l == nullptr) return nullptr;
      const Tensor t = as_tensor(l->buffer);
      if (!t) return nullptr;  // a buffer of this function already
      const Place& place = place_of(t);
      return load(place.buffer, at_step(place.num_steps, l->indices), l->predicate);
    });
  }

  /// Each reduction inside a larger expression becomes a block of its own, over the axes that it
  /// depends on, and is read back.
  Expr hoist_reductions(const Expr& body, const std::vector<IterVar>& axes,
                        const std::string& name) {
    return replace_reductions(body, [&](const ReduceNode& reduce) {
      const std::vector<IterVar> needed = axes_of(reduce, axes);
      std::vector<Expr> shape;
      for (const IterVar& axis : needed) shape.push_back(axis.domain.extent);
      Buffer partial = make_buffer(names_.fresh(name + "_" + to_string(reduce.op)), reduce.dtype,
                                   over_steps(shape));
      add_reduction(partial, needed, reduce, {});
      allocated_.push_back(partial);
      return load(partial, at_step(vars_of(needed)));
    });
  }

  void add_reduction(const Buffer& buffer, const std::vector<IterVar>& axes,
                     const ReduceNode& reduce, Attrs annotations) {
    ReduceNode inner(reduce.op, reduce.axes,
                     hoist_reductions(reduce.source, joined(axes, reduce.axes), buffer->name),
                     reduce.condition);
    const ReductionOrder order = reduction_order(inner, axes);
    if (!order.name.empty()) annotations["reduction_order"] = order.name;
    if (order.row_axes > 1) annotations["row_axes"] = std::int64_t{order.row_axes};
    const std::vector<Expr> element = at_step(vars_of(axes));
    add_nest(buffer->name, joined(as_spatial(axes), inner.axes),
             store(buffer, element, identity_element(inner.op, inner.dtype)),
             store(buffer, element, reduction_step(inner, load(buffer, element))),
             std::move(annotations));
  }

  /// A reduction inside a reduction has the outer one's axes as its own.
  static std::vector<IterVar> as_spatial(std::vector<IterVar> axes) {
    for (IterVar& axis : axes) axis.kind = IterKind::kSpatial;
    return axes;
  }

  static std::vector<Expr> vars_of(const std::vector<IterVar>& axes) {
    std::vector<Expr> vars;
    for (const IterVar& axis : axes) vars.push_back(axis.var);
    return vars;
  }

  static std::vector<IterVar> joined(std::vector<IterVar> a, const std::vector<IterVar>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  /// Loops over the axes around one block of `body`, which is `init` before a reduction begins. The
  /// block runs within the steps of the scans around it.
  void add_nest(const std::string& name, const std::vector<IterVar>& axes, const Stmt& init,
                const Stmt& body, Attrs annotations, IterKind step_kind = IterKind::kSpatial) {
    VarMap fresh, looped;  // an axis as this function's own block iter, and as its loop
    std::vector<IterVar> iters;
    std::vector<Expr> loops, bindings;
    std::vector<Range> ranges;
    for (std::size_t d = 0; d < steps_.size(); ++d) {
      const bool is_innermost = d + 1 == steps_.size();
      iters.push_back(
          {var("vt"), steps_[d].axis.domain, is_innermost ? step_kind : IterKind::kSpatial});
      bindings.push_back(steps_[d].loop);
      fresh[steps_[d].axis.var.get()] = iters.back().var;
      looped[steps_[d].axis.var.get()] = steps_[d].loop;
    }
    for (const IterVar& axis : axes) {
      const std::string& axis_name = axis.var.as<VarNode>()->name;
      Expr iter = var("v" + axis_name);
      // A domain may depend on axes before it.
      iters.push_back({iter,
                       {substitute(axis.domain.min, fresh), substitute(axis.domain.extent, fresh)},
                       axis.kind});
      ranges.push_back(
          {substitute(axis.domain.min, looped), substitute(axis.domain.extent, looped)});
      loops.push_back(var(axis_name));
      fresh[axis.var.get()] = iter;
      looped[axis.var.get()] = loops.back();
    }
    bindings.insert(bindings.end(), loops.begin(), loops.end());
    const Stmt checked = check_reads(substitute(body, fresh), iters, symbols_);
    Stmt nest = make_block(name, iters, bindings, nullptr, init ? substitute(init, fresh) : nullptr,
                           checked, std::move(annotations));
    for (std::size_t d = loops.size(); d-- > 0;) {
      nest = make_for(loops[d], ranges[d].min, ranges[d].extent, nest);
    }
    nests_.push_back(nest);
  }

  /// Each symbol is a whole dimension of an input.
  void find_symbols() {
    for (const Buffer& b : inputs_) {
      for (const Expr& e : b->shape) {
        const auto* v = e.as<VarNode>();
        if (v == nullptr || v->symbol == nullptr || !symbols_seen_.insert(v).second) continue;
        symbols_.push_back({e, v->symbol->min, v->symbol->max, v->symbol->multiple_of});
      }
    }
  }

  /// Parameters and `body` use no other symbols.
  void check_symbols(const Stmt& body) const {
    const auto is_unknown = [&](const VarNode& v) {
      TENON_USER_CHECK(v.symbol == nullptr || symbols_seen_.count(&v) != 0, ExpressionError,
                       "E0106", "symbol '", v.name,
                       "' is not a whole dimension of any input\n  hint: its value is taken from "
                       "an argument's shape: use it "
                       "alone as a dimension of a placeholder");
      return false;
    };
    uses_var(body, is_unknown);
    for (const auto* buffers : {&inputs_, &outputs_}) {
      for (const Buffer& b : *buffers) {
        for (const Expr& e : b->shape) uses_var(e, is_unknown);
        for (const Expr& e : b->strides) uses_var(e, is_unknown);
      }
    }
  }

  Names names_;
  std::vector<Buffer> inputs_, outputs_, allocated_;
  std::vector<Symbol> symbols_;
  std::unordered_set<const ExprNode*> symbols_seen_;
  std::vector<Stmt> nests_;
  std::vector<Tensor> order_;
  std::unordered_map<const BufferNode*, Place> buffers_;
  std::unordered_map<const Scan*, std::vector<Place>> scans_;
  std::vector<Step> steps_;  // of the scans around what is being built
  std::unordered_set<const BufferNode*> done_, outputs_seen_;
};

}  // namespace

Function function(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                  std::string name) {
  TENON_USER_CHECK(!outputs.empty(), ExpressionError, "E0105",
                   "tn.function needs at least one output");
  FunctionBuilder builder(inputs, outputs);
  return builder.build(std::move(name));
}

}  // namespace tenon::te
