#include "te/checks.h"

#include <array>
#include <unordered_set>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

bool is_index(const VarNode& v) { return v.symbol == nullptr; }

/// The step variables of the scans whose steps are being built, or walked.
thread_local std::vector<IterVar> step_scopes;

/// Every reduction axis is used inside its own reduction only.
class AxisScopes : public Walker {
 public:
  explicit AxisScopes(const std::vector<IterVar>& axes) {
    for (const IterVar& axis : axes) known_.insert(axis.var.get());
    for (const IterVar& step : step_scopes) known_.insert(step.var.get());
  }

 protected:
  using Walker::visit;
  void visit(const ReduceNode& n) override {
    for (const IterVar& axis : n.axes) known_.insert(axis.var.get());
    clear_visited();
    walk(n);
    for (const IterVar& axis : n.axes) known_.erase(axis.var.get());
    clear_visited();
  }
  void visit(const LetNode& n) override {
    known_.insert(n.var.get());
    walk(n);
  }
  void visit(const VarNode& n) override {
    TENON_USER_CHECK(known_.count(&n) != 0 || n.symbol != nullptr, ExpressionError, "E0103",
                     "axis '", n.name,
                     "' is used outside its reduction (or belongs to another tensor)",
                     "\n  hint: a reduction axis may be used only inside te.sum(..., axis=", n.name,
                     ") and the like");
  }

 private:
  std::unordered_set<const ExprNode*> known_;
};

}  // namespace

std::string describe_shape(const std::vector<Expr>& shape) {
  std::string out = "[";
  for (const Expr& e : shape) {
    if (out.size() > 1) out += ", ";
    const auto* v = e.as<VarNode>();
    const auto known = as_int(e);
    out += known ? std::to_string(*known) : v != nullptr ? v->name : std::string("?");
  }
  return out + "]";
}

bool depends_on_data(const Expr& e) {
  bool found = false;
  post_order_visit(e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad; });
  return found;
}

void check_shape(const std::vector<Expr>& shape, const std::string& name) {
  for (std::size_t d = 0; d < shape.size(); ++d) {
    TENON_USER_CHECK(shape[d]->dtype == kInt64, ShapeError, "E0403", "dimension ", d,
                     " of tensor '", name, "' has dtype ", to_string(shape[d]->dtype),
                     ", expected int64");
    TENON_USER_CHECK(as_int(shape[d]).value_or(0) >= 0, ShapeError, "E0401", "dimension ", d,
                     " of tensor '", name, "' is ", as_int(shape[d]).value_or(0),
                     ", expected at least 0");
    TENON_USER_CHECK(!depends_on_data(shape[d]) && !uses_var(shape[d], is_index), ShapeError,
                     "E0404", "dimension ", d, " of tensor '", name,
                     "' depends on data or on an index\n  hint: sizes are made of integers and "
                     "te.symbol");
  }
}

StepScope::StepScope(IterVar step) { step_scopes.push_back(std::move(step)); }
StepScope::~StepScope() { step_scopes.pop_back(); }

const std::vector<IterVar>& steps_in_scope() { return step_scopes; }

bool same_extents(const std::vector<Expr>& a, const std::vector<Expr>& b) {
  if (a.size() != b.size()) return false;
  Analyzer analyzer;
  for (std::size_t d = 0; d < a.size(); ++d) {
    if (!a[d].same_as(b[d]) && !analyzer.can_prove_equal(a[d], b[d])) return false;
  }
  return true;
}

void check_axes(const std::vector<IterVar>& axes, const Expr& e) { AxisScopes{axes}(e); }

std::string default_axis_name(std::size_t d, std::size_t rank) {
  constexpr std::array kNames = {"i", "j", "k", "l"};
  return rank <= kNames.size() ? kNames[d] : "ax" + std::to_string(d);
}

}  // namespace tenon::te
