#include "te/hoist.h"

#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

class ReplaceReductions : public Mutator {
 public:
  explicit ReplaceReductions(const std::function<Expr(const ReduceNode&)>& f) : f_(f) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const ReduceNode& n) override { return f_(n); }

 private:
  const std::function<Expr(const ReduceNode&)>& f_;
};

bool uses(const Expr& e, const Expr& axis) {
  return e && uses_var(e, [&](const VarNode& v) { return &v == axis.get(); });
}

}  // namespace

Expr replace_reductions(const Expr& e, const std::function<Expr(const ReduceNode&)>& f) {
  return ReplaceReductions(f)(e);
}

std::vector<IterVar> axes_of(const ReduceNode& reduce, const std::vector<IterVar>& axes) {
  std::vector<IterVar> needed = reduce.axes;  // and then those of `axes`, innermost first
  for (std::size_t d = axes.size(); d-- > 0;) {
    const Expr& v = axes[d].var;
    bool is_used = uses(reduce.source, v) || uses(reduce.condition, v);
    for (const IterVar& axis : needed)
      is_used = is_used || uses(axis.domain.min, v) || uses(axis.domain.extent, v);
    if (is_used) needed.push_back(axes[d]);
  }
  return {needed.rbegin(), needed.rend() - static_cast<std::ptrdiff_t>(reduce.axes.size())};
}

}  // namespace tenon::te
