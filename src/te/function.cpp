#include <unordered_map>
#include <unordered_set>

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
    for (const Tensor& t : outputs) check_output(t);
    for (const Tensor& t : outputs) order(t);
    std::unordered_set<const BufferNode*> out;
    for (const Tensor& t : outputs) out.insert(t.get());
    for (const Tensor& t : order_) add_compute(t, out.count(t.get()) != 0);
    for (const Tensor& t : outputs) outputs_.push_back(buffers_.at(t.get()));
  }

  Function build(std::string name) {
    Stmt body = make_seq(std::move(nests_));
    for (std::size_t i = allocated_.size(); i-- > 0;) body = make_allocate(allocated_[i], body);
    Attrs attrs;
    body = number_index_sites(body, &attrs);
    return make_function(std::move(name), inputs_, outputs_, symbols(body), body, Level::kBlock,
                         std::move(attrs));
  }

 private:
  void add_input(const Tensor& t) {
    TENON_USER_CHECK(t->kind == TensorKind::kPlaceholder, ExpressionError, "E0105", "input '",
                     t->name, "' of tn.function is computed, expected a placeholder");
    TENON_USER_CHECK(buffers_.count(t.get()) == 0, ExpressionError, "E0105", "input '", t->name,
                     "' of tn.function is listed twice");
    inputs_.push_back(fresh_buffer(t->name, *t));
    buffers_[t.get()] = inputs_.back();
  }

  void check_output(const Tensor& t) {
    TENON_USER_CHECK(t->kind == TensorKind::kCompute, ExpressionError, "E0105", "output '", t->name,
                     "' of tn.function is a placeholder, expected a computed tensor");
    TENON_USER_CHECK(outputs_seen_.insert(t.get()).second, ExpressionError, "E0105", "output '",
                     t->name, "' of tn.function is listed twice");
  }

  Buffer fresh_buffer(const std::string& name, const TensorNode& t) {
    Buffer b = make_buffer(names_.fresh(name), t.dtype, t.shape);
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
      if (finished) {
        if (done_.insert(t.get()).second) order_.push_back(t);
        continue;
      }
      if (done_.count(t.get()) != 0) continue;
      stack.emplace_back(t, true);
      post_order_visit(t->body, [&](const Node& n) {
        if (n.kind == NodeKind::kLoad)
          stack.emplace_back(as_tensor(static_cast<const LoadNode&>(n).buffer), false);
      });
    }
  }

  void add_compute(const Tensor& t, bool is_output) {
    SpanScope span(t->span);
    Buffer buffer = fresh_buffer(t->name, *t);
    Expr body = in_buffers(t->body);
    if (const auto* reduce = body.as<ReduceNode>(); reduce != nullptr) {
      add_reduction(buffer, t->axes, *reduce);
    } else {
      body = hoist_reductions(body, t->axes, buffer->name);
      add_nest(buffer, t->axes, {}, nullptr, rounded(t->dtype, widen_narrow_floats(body)), {});
    }
    buffers_[t.get()] = buffer;
    if (!is_output) allocated_.push_back(buffer);
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
      const auto found = buffers_.find(l->buffer.get());
      return found == buffers_.end() ? nullptr : load(found->second, l->indices, l->predicate);
    });
  }

  /// Each reduction inside a larger expression becomes a block of its own and is read back.
  Expr hoist_reductions(const Expr& body, const std::vector<IterVar>& axes,
                        const std::string& name) {
    return rewrite_exprs(body, [&](const Expr& e) -> Expr {
      const auto* reduce = e.as<ReduceNode>();
      if (reduce == nullptr) return nullptr;
      std::vector<Expr> shape, indices;
      for (const IterVar& axis : axes) {
        shape.push_back(axis.domain.extent);
        indices.push_back(axis.var);
      }
      Buffer partial =
          make_buffer(names_.fresh(name + "_" + to_string(reduce->op)), reduce->dtype, shape);
      add_reduction(partial, axes, *reduce);
      allocated_.push_back(partial);
      return load(partial, indices);
    });
  }

  void add_reduction(const Buffer& buffer, const std::vector<IterVar>& axes,
                     const ReduceNode& reduce) {
    ReduceNode inner(reduce.op, reduce.axes,
                     hoist_reductions(reduce.source, joined(axes, reduce.axes), buffer->name),
                     reduce.condition);
    Attrs annotations;
    const ReductionOrder order = reduction_order(inner, axes);
    if (!order.name.empty()) annotations["reduction_order"] = order.name;
    if (order.row_axes > 1) annotations["row_axes"] = std::int64_t{order.row_axes};
    std::vector<Expr> indices;
    for (const IterVar& axis : axes) indices.push_back(axis.var);
    add_nest(buffer, axes, inner.axes, identity_element(inner.op, inner.dtype),
             reduction_step(inner, load(buffer, indices)), std::move(annotations));
  }

  static std::vector<IterVar> joined(std::vector<IterVar> a, const std::vector<IterVar>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  /// Loops over spatial and reduction axes around one block that stores `value` (after `identity`)
  /// to `buffer`.
  void add_nest(const Buffer& buffer, const std::vector<IterVar>& spatial,
                const std::vector<IterVar>& reduction, const Expr& identity, const Expr& value,
                Attrs annotations) {
    VarMap fresh, looped;  // an axis as this function's own block iter, and as its loop
    std::vector<IterVar> iters;
    std::vector<Expr> loops, indices;
    std::vector<Range> ranges;
    for (const IterVar& axis : joined(spatial, reduction)) {
      const std::string& name = axis.var.as<VarNode>()->name;
      Expr iter = var("v" + name);
      // A domain may depend on axes before it.
      iters.push_back({iter,
                       {substitute(axis.domain.min, fresh), substitute(axis.domain.extent, fresh)},
                       // A reduction inside a reduction has the outer one's axes as its own.
                       iters.size() < spatial.size() ? IterKind::kSpatial : IterKind::kReduction});
      ranges.push_back(
          {substitute(axis.domain.min, looped), substitute(axis.domain.extent, looped)});
      loops.push_back(var(name));
      fresh[axis.var.get()] = iter;
      looped[axis.var.get()] = loops.back();
      if (iters.size() <= spatial.size()) indices.push_back(iter);
    }
    Stmt init = identity ? store(buffer, indices, identity) : nullptr;
    Stmt nest =
        make_block(buffer->name, iters, loops, nullptr, init,
                   store(buffer, indices, substitute(value, fresh)), std::move(annotations));
    for (std::size_t d = loops.size(); d-- > 0;) {
      nest = make_for(loops[d], ranges[d].min, ranges[d].extent, nest);
    }
    nests_.push_back(nest);
  }

  /// Gives each data-dependent access its number and describes it in the attribute
  /// index_site_<number>.
  static Stmt number_index_sites(const Stmt& body, Attrs* attrs) {
    std::int64_t next = 0;
    return rewrite_exprs(body, [&](const Expr& e) -> Expr {
      const auto* l = e.as<LoadNode>();
      if (l == nullptr || !l->predicate) return nullptr;
      VarMap numbered;
      std::vector<Expr> indices = l->indices;
      Expr predicate;
      for (std::size_t d = 0; d < indices.size(); ++d) {
        const auto* c = indices[d].as<CallNode>();
        if (c == nullptr || c->name != "checked_index") continue;
        (*attrs)["index_site_" + std::to_string(next)] =
            detail::concat(l->buffer->name, "\n", d, "\n", l->span.str());
        indices[d] = call(kInt64, c->name, {c->args[0], c->args[1], imm(next++)});
        predicate = and_predicate(predicate, ge(indices[d], imm(0)));
      }
      return load(l->buffer, indices, predicate);
    });
  }

  /// Every symbol that parameters or `body` use, each a whole dimension of an input.
  std::vector<Symbol> symbols(const Stmt& body) const {
    std::vector<Symbol> found;
    std::unordered_set<const ExprNode*> seen;
    for (const Buffer& b : inputs_) {
      for (const Expr& e : b->shape) {
        const auto* v = e.as<VarNode>();
        if (v == nullptr || v->symbol == nullptr || !seen.insert(v).second) continue;
        found.push_back({e, v->symbol->min, v->symbol->max, v->symbol->multiple_of});
      }
    }
    const auto is_unknown = [&](const VarNode& v) {
      TENON_USER_CHECK(v.symbol == nullptr || seen.count(&v) != 0, ExpressionError, "E0106",
                       "symbol '", v.name,
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
    return found;
  }

  Names names_;
  std::vector<Buffer> inputs_, outputs_, allocated_;
  std::vector<Stmt> nests_;
  std::vector<Tensor> order_;
  std::unordered_map<const BufferNode*, Buffer> buffers_;
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
