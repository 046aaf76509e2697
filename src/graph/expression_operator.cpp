#include "graph/expression_operator.h"

#include <algorithm>

#include "graph/kernel_builder.h"
#include "graph/tensors.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"

namespace tenon::graph {
namespace {

/// Beyond so many reads of operands for one element it is computed in a kernel of its own.
constexpr int kMaxLightReads = 16;
constexpr std::size_t kMaxLightTensors = 64;

std::size_t operand_of(const Expression& e, const te::Tensor& placeholder) {
  const auto it = std::find_if(e.placeholders.begin(), e.placeholders.end(),
                               [&](const te::Tensor& p) { return p.same_as(placeholder); });
  TENON_CHECK(it != e.placeholders.end(), "placeholder '", placeholder->name, "'");
  return static_cast<std::size_t>(it - e.placeholders.begin());
}

void infer(ValueNode* v) {
  v->shape = v->expression->output()->shape;
  v->dtype = v->expression->output()->dtype;
}

/// The element of `t` on the spot: tensors before it are computed where they are read.
Expr inlined(const Expression& e, const te::Tensor& t, const Indices& indices,
             const ElementReader& read) {
  return element_of(t, indices, [&](const te::Tensor& x, const Indices& at) {
    if (x->kind == te::TensorKind::kPlaceholder) return read(operand_of(e, x), at);
    return inlined(e, x, at, read);
  });
}

Expr element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  return inlined(*v.expression, v.expression->output(), indices, read);
}

void space(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  *lead = v.shape;
  *is_flat = false;
}

void build(KernelBuilder& b, const Value& v) {
  const Expression& e = *v->expression;
  TensorMap built;
  te::ScanMap scans;
  for (const te::Tensor& t : e.tensors) {
    const auto read = [&](const te::Tensor& x, const Indices& at) {
      if (x->kind == te::TensorKind::kPlaceholder) return b.read(v->inputs[operand_of(e, x)], at);
      return te::read(built.at(x.get()), at);
    };
    const auto whole = [&](const te::Tensor& x) {
      return x->kind == te::TensorKind::kPlaceholder ? b.whole(v->inputs[operand_of(e, x)])
                                                     : built.at(x.get());
    };
    built[t.get()] =
        b.add([&] { return renew(t, {.read = read, .whole = whole, .scans = &scans}); });
  }
  b.define(v, built.at(e.output().get()));
}

bool rereads(const ValueNode& v, std::size_t operand) { return v.expression->rereads[operand]; }

Operator light(OperatorKind kind) {
  return {.name = "expression",
          .kind = kind,
          .min_inputs = 0,
          .max_inputs = -1,
          .infer = infer,
          .element = element,
          .rereads = rereads};
}

Operator heavy(OperatorKind kind) {
  return {.name = "expression",
          .kind = kind,
          .min_inputs = 0,
          .max_inputs = -1,
          .infer = infer,
          .space = space,
          .build = build,
          .rereads = rereads};
}

const Operator* operator_of_kind(OperatorKind kind) {
  static const Operator elementwise = light(OperatorKind::kElementwise),
                        gather = light(OperatorKind::kGather),
                        movement = light(OperatorKind::kMovement),
                        contraction = heavy(OperatorKind::kContraction),
                        row = heavy(OperatorKind::kRow);
  switch (kind) {
    case OperatorKind::kElementwise:
      return &elementwise;
    case OperatorKind::kGather:
    case OperatorKind::kConcat:
      return &gather;
    case OperatorKind::kMovement:
      return &movement;
    case OperatorKind::kContraction:
      return &contraction;
    case OperatorKind::kRow:
      return &row;
  }
  return nullptr;
}

/// What is found by looking at each read of an expression.
class Analysis {
 public:
  explicit Analysis(Expression* e) : e_(e), reads_(e->placeholders.size()) {}

  /// Fills in all but the function.
  void run() {
    e_->rereads.resize(reads_.size());
    e_->num_reads.resize(reads_.size());
    for (const te::Tensor& p : e_->placeholders) add_symbols(p->shape);
    for (const te::Tensor& t : e_->tensors) {
      visit(t, {});
    }
    for (std::size_t i = 0; i < reads_.size(); ++i) e_->rereads[i] = reads_[i].size() > 1;
    e_->op = operator_of_kind(is_light() ? light_kind() : heavy_kind());
  }

 private:
  /// Reductions of a tensor, and the axes that each read has around it: `steps` of scans first.
  void visit(const te::Tensor& t, const std::vector<Expr>& steps) {
    add_symbols(t->shape);
    add_symbols(t->body ? std::vector{t->body} : t->indices);
    if (t->scan) {
      visit_scan(*t->scan, steps);
      return;
    }
    std::vector<const ReduceNode*> reductions;
    if (t->body) {
      post_order_visit(t->body, [&](const Node& n) {
        if (n.kind == NodeKind::kReduce) reductions.push_back(&static_cast<const ReduceNode&>(n));
      });
    }
    has_loops_ = has_loops_ || !reductions.empty() || t->kind == te::TensorKind::kScatter;
    for (const LoadNode* l : loads_of(t)) {
      const te::Tensor x = te::as_tensor(l->buffer);
      if (!is_operand(x)) continue;
      ++e_->num_reads[operand_of(*e_, x)];
      std::vector<const LoadNode*>& reads = reads_[operand_of(*e_, x)];
      const bool is_known = std::any_of(reads.begin(), reads.end(), [&](const LoadNode* other) {
        return structural_equal(Expr(other), Expr(l));
      });
      if (!is_known) reads.push_back(l);
      is_aligned_ = is_aligned_ && is_aligned(*t, *l);
      is_gather_ = is_gather_ || l->predicate;
      std::vector<Expr> around = steps;
      for (const IterVar& axis : t->axes) around.push_back(axis.var);
      for (const ReduceNode* r : reductions) {
        const auto inside = loads_of(Expr(r));
        if (std::find(inside.begin(), inside.end(), l) == inside.end()) continue;
        for (const IterVar& axis : r->axes) around.push_back(axis.var);
      }
      for (const Expr& axis : around) {
        const bool is_index = std::any_of(l->indices.begin(), l->indices.end(),
                                          [&](const Expr& i) { return i.same_as(axis); });
        if (!is_index) repeats_.push_back(operand_of(*e_, x));
      }
    }
  }

  /// The tensors of a scan's step; each is computed once for each step.
  void visit_scan(const te::Scan& scan, std::vector<Expr> steps) {
    has_loops_ = true;
    if (!seen_.insert(&scan).second) return;
    for (const te::Tensor& x : scan.init) add_whole(x);
    steps.push_back(scan.step.var);
    for (const te::Tensor& t : scan.body) visit(t, steps);
    for (const te::Tensor& x : scan.next) add_whole(x);
  }

  static bool is_operand(const te::Tensor& x) { return x->kind == te::TensorKind::kPlaceholder; }

  /// An operand that is read as a whole.
  void add_whole(const te::Tensor& x) {
    if (!is_operand(x)) return;
    ++e_->num_reads[operand_of(*e_, x)];
    repeats_.push_back(operand_of(*e_, x));
  }

  /// Whether the read is at the place of the element, after NumPy's broadcasting. Operands of lower
  /// rank may be read anywhere: no element-wise chain is of their shape.
  static bool is_aligned(const te::TensorNode& t, const LoadNode& l) {
    if (l.indices.size() < t.axes.size()) return true;
    for (std::size_t d = 0; d < t.axes.size(); ++d) {
      const bool is_broadcast = is_int(l.buffer->shape[d], 1) && is_int(l.indices[d], 0);
      if (!is_broadcast && !l.indices[d].same_as(t.axes[d].var)) return false;
    }
    return l.indices.size() == t.axes.size();
  }

  /// How many operands one element reads when everything is computed on the spot; at most one more
  /// than the limit.
  int num_reads(const te::Tensor& t) const {
    int count = 0;
    for (const LoadNode* l : loads_of(t)) {
      const te::Tensor x = te::as_tensor(l->buffer);
      count += x->kind == te::TensorKind::kPlaceholder ? 1 : num_reads(x);
      if (count > kMaxLightReads) break;
    }
    return count;
  }

  bool is_light() const {
    const auto is_rounded = [&](const te::Tensor& t) {
      return !t.same_as(e_->output()) && t->dtype.is_float() && t->dtype.bits < 32;
    };
    return !has_loops_ && e_->tensors.size() <= kMaxLightTensors &&
           num_reads(e_->output()) <= kMaxLightReads &&
           std::none_of(e_->tensors.begin(), e_->tensors.end(), is_rounded);
  }

  OperatorKind light_kind() const {
    const auto* load = e_->output()->body.as<LoadNode>();
    const bool is_alone = e_->tensors.size() == 1;
    if (load != nullptr && !load->predicate && is_alone) return OperatorKind::kMovement;
    const bool is_elementwise = is_aligned_ && !is_gather_ && is_alone;
    return is_elementwise ? OperatorKind::kElementwise : OperatorKind::kGather;
  }

  OperatorKind heavy_kind() {
    for (const std::size_t operand : repeats_) e_->rereads[operand] = true;
    const bool is_any = std::count(e_->rereads.begin(), e_->rereads.end(), true) > 0;
    return is_any ? OperatorKind::kContraction : OperatorKind::kRow;
  }

  void add_symbols(const std::vector<Expr>& exprs) {
    const auto add = [&](const VarNode& x) {
      const auto is_same = [&](const Expr& known) { return known.get() == &x; };
      const bool is_known = std::any_of(e_->symbols.begin(), e_->symbols.end(), is_same);
      if (x.symbol != nullptr && !is_known) e_->symbols.emplace_back(&x);
      return false;
    };
    for (const Expr& e : exprs) uses_var(e, add);
  }

  Expression* e_;
  std::unordered_set<const te::Scan*> seen_;
  std::vector<std::vector<const LoadNode*>> reads_;  ///< distinct, for each operand
  std::vector<std::size_t> repeats_;  ///< operands with a read that some axis does not move
  bool has_loops_ = false, is_aligned_ = true, is_gather_ = false;
};

/// The expression as a function, with parameters that define all its symbols.
Function comparable(const Expression& e) {
  std::vector<te::Tensor> inputs = e.placeholders;
  for (const Expr& symbol : e.symbols) {
    const auto defines = [&](const te::Tensor& t) {
      return std::any_of(t->shape.begin(), t->shape.end(),
                         [&](const Expr& size) { return size.same_as(symbol); });
    };
    if (std::none_of(inputs.begin(), inputs.end(), defines))
      inputs.push_back(te::placeholder({symbol}, kFloat32, "size"));
  }
  TensorMap renamed;  // names of blocks count
  te::ScanMap scans;
  for (const te::Tensor& t : e.tensors) renamed[t.get()] = renew(t, renamed, {}, "t", &scans);
  return te::function(inputs, {renamed.at(e.output().get())}, "expression");
}

}  // namespace

std::shared_ptr<const Expression> analyse_expression(std::vector<te::Tensor> placeholders,
                                                     std::vector<te::Tensor> tensors) {
  auto e = std::make_shared<Expression>();
  e->placeholders = std::move(placeholders);
  e->tensors = std::move(tensors);
  Analysis(e.get()).run();
  e->function = comparable(*e);
  e->hash = structural_hash(e->function);
  return e;
}

std::shared_ptr<const Expression> scheduled_expression(const Expression& e,
                                                       ScheduledKernel kernel) {
  auto copy = std::make_shared<Expression>(e);
  copy->scheduled = std::make_shared<const ScheduledKernel>(std::move(kernel));
  copy->rereads.assign(copy->placeholders.size(), true);
  copy->num_reads.resize(copy->placeholders.size(), 1);
  copy->op = operator_of_kind(OperatorKind::kContraction);
  return copy;
}

bool same_expression(const Expression& a, const Expression& b) {
  if (a.scheduled != b.scheduled) return false;
  if (a.hash != b.hash || a.symbols.size() != b.symbols.size()) return false;
  // The comparison is up to the names of symbols; these have to be the same.
  for (std::size_t i = 0; i < a.symbols.size(); ++i) {
    if (!a.symbols[i].same_as(b.symbols[i])) return false;
  }
  return structural_equal(a.function, b.function);
}

}  // namespace tenon::graph
