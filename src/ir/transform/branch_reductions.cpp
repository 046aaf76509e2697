#include "ir/transform/branch_reductions.h"

#include <algorithm>

#include "ir/transform/conditions.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool is_load_of_target(const Expr& e, const StoreNode& s) {
  const auto* l = e.as<LoadNode>();
  if (l == nullptr || !l->buffer.same_as(s.buffer) || l->predicate) return false;
  return std::equal(l->indices.begin(), l->indices.end(), s.indices.begin(), s.indices.end(),
                    [](const Expr& a, const Expr& b) { return structural_equal(a, b); });
}

class BranchReductions : public Mutator {
 public:
  BranchReductions() { memoise_ = false; }  // the loops around decide

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    const bool is_vector = n.attrs.kind == ForKind::kVectorized;
    if (is_vector) lanes_.push_back(n.var);
    Stmt body = (*this)(n.body);
    if (is_vector) lanes_.pop_back();
    return body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
  }
  Stmt rewrite(const StoreNode& n) override {
    // A condition of the term may stand inside one of its loop's tail.
    Expr value = n.value, condition;
    while (const auto* choice = value.as<SelectNode>()) {
      if (!is_load_of_target(choice->false_value, n) || !may_branch(choice->condition)) break;
      condition = and_predicate(condition, choice->condition);
      value = choice->true_value;
    }
    if (!condition || n.predicate) return Stmt(&n);
    Stmt out = store(n.buffer, n.indices, value);
    keep_span(n, *out.get());
    return make_if(condition, out);
  }
  Stmt rewrite(const EvaluateNode& n) override { return Stmt(&n); }

 private:
  bool may_branch(const Expr& condition) const {
    return !reads_memory(condition) &&
           std::none_of(lanes_.begin(), lanes_.end(),
                        [&](const Expr& lane) { return uses(condition, lane); });
  }

  std::vector<Expr> lanes_;
};

}  // namespace

Function branch_reductions(const Function& f) { return with_body(f, BranchReductions{}(f->body)); }

}  // namespace tenon
