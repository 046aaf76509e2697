#include "autodiff/read_adjoint.h"

#include <algorithm>

#include "autodiff/index_equations.h"
#include "autodiff/scalar_derivative.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon::autodiff {
namespace {

/// Reverse mode over the operations of one element.
class ReverseSweep {
 public:
  ReverseSweep(const Expr& root, const Expr& result, const IsActive& is_active)
      : root_(root), result_(result), is_active_(is_active) {
    sort();
  }

  std::vector<ReadAdjoint> run(const Expr& cotangent) {
    cotangents_[root_.get()] = cotangent;
    for (std::size_t i = order_.size(); i-- > 0;) {
      const Expr& e = order_[i];
      const auto found = cotangents_.find(e.get());
      if (found == cotangents_.end()) continue;
      const Expr g = found->second;
      if (e.as<LoadNode>() != nullptr) {
        add_read(e, g);
        continue;
      }
      for (const Partial& p : nodes_.at(e.get()).partials) {
        if (!nodes_.at(p.operand.get()).active) continue;
        Expr& sum = cotangents_[p.operand.get()];
        sum = add_masked(sum, pull_back(p, g));
      }
    }
    std::reverse(reads_.begin(), reads_.end());  // in the order of evaluation
    return std::move(reads_);
  }

 private:
  struct NodeState {
    std::vector<Partial> partials;
    bool active = false;
  };

  /// Operands before operations, on a stack of our own.
  void sort() {
    std::vector<std::pair<Expr, bool>> stack{{root_, false}};
    while (!stack.empty()) {
      auto [e, finished] = stack.back();
      stack.pop_back();
      if (!finished) {
        if (nodes_.count(e.get()) != 0) continue;
        NodeState& state = nodes_[e.get()];
        state.partials = partials(e, e.same_as(root_) && result_ ? result_ : e);
        stack.emplace_back(e, true);
        for (std::size_t i = state.partials.size(); i-- > 0;)
          stack.emplace_back(state.partials[i].operand, false);
        continue;
      }
      NodeState& state = nodes_[e.get()];
      if (const auto* l = e.as<LoadNode>())
        state.active = l->dtype.is_float() && is_active_(te::as_tensor(l->buffer));
      for (const Partial& p : state.partials) state.active |= nodes_.at(p.operand.get()).active;
      order_.push_back(e);
    }
  }

  void add_read(const Expr& e, const Expr& g) {
    const auto* l = e.as<LoadNode>();
    for (ReadAdjoint& known : reads_) {
      const auto* other = known.load.as<LoadNode>();
      if (!other->buffer.same_as(l->buffer)) continue;
      bool equal = true;
      for (std::size_t d = 0; d < l->indices.size(); ++d)
        equal = equal && structural_equal(l->indices[d], other->indices[d]);
      if (!equal) continue;
      known.cotangent = add_masked(g, known.cotangent);
      return;
    }
    reads_.push_back({e, g});
  }

  const Expr root_;
  const Expr result_;
  const IsActive& is_active_;
  std::vector<Expr> order_;
  std::unordered_map<const ExprNode*, NodeState> nodes_;
  std::unordered_map<const ExprNode*, Expr> cotangents_;
  std::vector<ReadAdjoint> reads_;
};

/// Where every dimension of p is an iteration variable of its own over its whole extent: the reads
/// of element-wise operations. Cheaper than solving, with the same result.
bool reads_own_place(const Element& e, const LoadNode& load) {
  if (!e.reduce_axes.empty() || load.indices.size() != e.axes.size()) return false;
  for (std::size_t d = 0; d < e.axes.size(); ++d) {
    if (!load.indices[d].same_as(e.axes[d].var)) return false;
    const Expr& extent = e.axes[d].domain.extent;
    const Expr& size = load.buffer->shape[d];
    if (!extent.same_as(size) && (!as_int(extent) || as_int(extent) != as_int(size))) return false;
  }
  return true;
}

/// The name of the first variable that the index of dimension d uses.
std::string name_of_dimension(const Element& e, const LoadNode& load, std::size_t d) {
  for (const IterVar& axis : e.domain()) {
    const auto is_axis = [&](const VarNode& v) { return &v == axis.var.get(); };
    if (uses_var(load.indices[d], is_axis)) return axis.var.as<VarNode>()->name;
  }
  return "p" + std::to_string(d);
}

/// "C(i, -, k)".
std::string mirrors_text(const std::string& reader, const std::vector<Expr>& origins) {
  std::string out = reader + "(";
  for (std::size_t d = 0; d < origins.size(); ++d)
    out += (d > 0 ? ", " : "") + (origins[d] ? origins[d].as<VarNode>()->name : std::string("-"));
  return out + ")";
}

/// The axes are the dimensions of p, in their order.
bool is_direct(const IndexSolution& s, const IndexProblem& problem) {
  if (!s.outside.empty() || s.axes.size() != problem.position.size()) return false;
  for (std::size_t d = 0; d < s.axes.size(); ++d) {
    const Range& domain = s.axes[d].axis.domain;
    const Expr& size = problem.shape[d];
    const bool whole =
        is_int(domain.min, 0) &&
        (domain.extent.same_as(size) || (as_int(size) && as_int(size) == as_int(domain.extent)));
    if (!whole || !s.axes[d].position.same_as(problem.position[d])) return false;
  }
  return true;
}

}  // namespace

Expr without_masks(Expr e, std::vector<Expr>* conditions) {
  while (const auto* s = e.as<SelectNode>()) {
    const bool when_true = is_zero(s->false_value);
    if (!when_true && !is_zero(s->true_value)) break;
    const Expr condition = when_true ? s->condition : logical_not(s->condition);
    for (const Expr& c : conjuncts(condition)) conditions->push_back(c);
    e = when_true ? s->true_value : s->false_value;
  }
  return e;
}

void annotate(const te::Tensor& t, const std::string& mirrors) {
  if (!mirrors.empty()) const_cast<te::TensorNode*>(t.get())->block_annotations[kMirrors] = mirrors;
}

te::Tensor tensor_in_place(const te::Tensor& t, const AdjointTerm& term) {
  const auto* l = term.element.as<LoadNode>();
  if (l == nullptr || l->predicate || l->dtype != t->dtype || l->indices.size() != term.axes.size())
    return nullptr;
  for (std::size_t d = 0; d < l->indices.size(); ++d) {
    if (!l->indices[d].same_as(term.axes[d].var)) return nullptr;
  }
  for (std::size_t d = 0; d < l->indices.size(); ++d) {
    const Expr& size = l->buffer->shape[d];
    const Expr& wanted = term.axes[d].domain.extent;
    if (!size.same_as(wanted) && (!as_int(size) || as_int(size) != as_int(wanted))) return nullptr;
  }
  return te::as_tensor(l->buffer);
}

std::vector<ReadAdjoint> pull_back_to_reads(const Expr& element, const Expr& cotangent,
                                            const Expr& result, const IsActive& is_active) {
  return ReverseSweep(element, result, is_active).run(cotangent);
}

AdjointTerm gather(const Element& e, const std::string& reader, const ReadAdjoint& read,
                   const std::string& name) {
  const auto& load = *read.load.as<LoadNode>();
  if (reads_own_place(e, load)) {
    std::vector<Expr> origins;
    for (const IterVar& axis : e.axes) origins.push_back(axis.var);
    return {e.axes, read.cotangent, mirrors_text(reader, origins)};
  }
  IndexProblem problem;
  problem.domain = e.domain();
  problem.indices = load.indices;
  problem.shape = load.buffer->shape;
  AdjointTerm out;
  for (std::size_t d = 0; d < problem.shape.size(); ++d) {
    problem.position.push_back(var(name_of_dimension(e, load, d)));
    out.axes.push_back({problem.position[d], {imm(0), problem.shape[d]}, IterKind::kSpatial});
  }
  problem.conditions = conjuncts(e.condition);
  problem.term = without_masks(read.cotangent, &problem.conditions);
  const IndexSolution solution = solve(problem);
  const Expr term = substitute(problem.term, solution.values);
  VarMap positions;
  for (const SolvedAxis& a : solution.axes) positions[a.axis.var.get()] = a.position;

  if (solution.free.empty()) {
    std::vector<Expr> conditions = solution.outside;
    for (const Expr& c : solution.where) conditions.push_back(substitute(c, positions));
    out.element = substitute(term, positions);
    if (const Expr all = all_of(conditions))
      out.element = select(all, out.element, zero(term->dtype));
    return out;
  }
  const Expr sum = te::sum(term, solution.free, all_of(solution.where), load.dtype);
  std::vector<Expr> origins;
  for (const SolvedAxis& a : solution.axes) origins.push_back(a.origin);
  origins.insert(origins.end(), solution.free_origins.begin(), solution.free_origins.end());
  const std::string mirrors = mirrors_text(reader, origins);
  if (is_direct(solution, problem)) {
    out.axes.clear();
    for (const SolvedAxis& a : solution.axes) out.axes.push_back(a.axis);
    out.element = sum;
    out.mirrors = mirrors;
    return out;
  }
  std::vector<IterVar> axes;
  for (const SolvedAxis& a : solution.axes) axes.push_back(a.axis);
  Materialised part = materialise(name, axes, sum);
  annotate(part.tensor, mirrors);
  for (Expr& index : part.indices) index = substitute(index, positions);
  out.element = te::read(part.tensor, part.indices);
  if (const Expr all = all_of(solution.outside))
    out.element = select(all, out.element, zero(out.element->dtype));
  return out;
}

}  // namespace tenon::autodiff
