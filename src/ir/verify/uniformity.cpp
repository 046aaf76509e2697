#include "ir/verify/uniformity.h"

#include <algorithm>

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::verify_rules {

void Uniformity::define_thread(const Launch& launch, const ForNode& loop) {
  const ThreadAxis axis = *axis_of(loop);
  std::int64_t faster = 1;  // threads that differ in faster axes alone
  for (const ForNode* n : launch.thread_loops) {
    if (*axis_of(*n) < axis) faster *= as_int(n->extent).value_or(1);
  }
  const std::int64_t own = as_int(loop.extent).value_or(0);
  if (own == 1) return define(loop.var, Spread::kBlock);
  define(loop.var, faster % kWarpSize == 0 ? Spread::kWarp : Spread::kThread);
  const bool is_alone = launch.thread_loops.size() == 1;
  if (axis == ThreadAxis::kThreadX && (own % kWarpSize == 0 || is_alone))
    lane_var_ = loop.var.get();
}

Spread Uniformity::spread(const Expr& e) {
  memo_.clear();
  return compute(*e.get());
}

Spread Uniformity::compute(const ExprNode& e) {
  if (const auto found = memo_.find(&e); found != memo_.end()) return found->second;
  const auto known = [&](Spread s) { return memo_[&e] = s; };
  if (e.kind == NodeKind::kVar) {
    const auto found = vars_.find(&e);
    return found == vars_.end() ? Spread::kBlock : found->second;
  }
  if (e.kind == NodeKind::kBinary) {
    const auto& n = static_cast<const BinaryNode&>(e);
    const auto divisor = as_int(n.b);
    if (n.op == BinaryOp::kFloorDiv && n.a.get() == lane_var_ && divisor && *divisor > 0 &&
        *divisor % kWarpSize == 0)
      return known(Spread::kWarp);
  }
  if (e.kind == NodeKind::kLet) {
    const auto& n = static_cast<const LetNode&>(e);
    vars_[n.var.get()] = compute(*n.value.get());
    return known(compute(*n.body.get()));
  }
  if (e.kind == NodeKind::kLoad) {
    const Scope scope = static_cast<const LoadNode&>(e).buffer->scope;
    if (scope != Scope::kGlobal && scope != Scope::kShared) return known(Spread::kThread);
  }
  if (e.kind == NodeKind::kCall) {
    const auto& n = static_cast<const CallNode&>(e);
    if (thread_call(n.name) == ThreadCall::kShuffle && n.args.size() == 2)
      return known(std::max(Spread::kWarp, compute(*n.args[1].get())));
  }
  Spread out = Spread::kBlock;
  with_stack([&] {
    visit_expr(e, [&](const auto& n) {
      for_each_field(n, [&](const auto& field, const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if (field.role == FieldRole::kDef) return;
        if constexpr (std::is_same_v<T, Expr>) {
          if (value) out = std::max(out, compute(*value.get()));
        } else if constexpr (std::is_same_v<T, std::vector<Expr>>) {
          for (const Expr& x : value) out = std::max(out, compute(*x.get()));
        }
      });
    });
  });
  return known(out);
}

}  // namespace tenon::verify_rules
