#include "ir/transform/mark_device_stores.h"

#include <cmath>
#include <functional>

#include "ir/transform/unify_threads.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool is_positive_zero(const Expr& e) {
  if (is_int(e, 0)) return true;
  const auto* f = e.as<FloatImmNode>();
  return f != nullptr && f->value == 0 && !std::signbit(f->value);
}

/// A load that gives 0 where the condition does not hold, for a choice between a load and zero.
Expr as_load(const Expr& value) {
  const auto* choice = value.as<SelectNode>();
  if (choice == nullptr || !is_positive_zero(choice->false_value)) return value;
  const auto* l = choice->true_value.as<LoadNode>();
  if (l == nullptr) return value;
  const SpanScope span(value->span);
  return load(l->buffer, l->indices, and_predicate(choice->condition, l->predicate));
}

Stmt with_values(const Stmt& body, const std::function<Expr(const StoreNode&)>& value_of) {
  return rewrite_stmts(body, [&](const Stmt& s) -> Stmt {
    const auto* n = s.as<StoreNode>();
    if (n == nullptr) return nullptr;
    const Expr value = value_of(*n);
    if (value.same_as(n->value)) return nullptr;
    const SpanScope span(n->span);
    return store(n->buffer, n->indices, value, n->predicate);
  });
}

}  // namespace

Stmt mark_device_stores(const BlockNode& block) {
  if (block.annotations.count(kAsyncCopyBlock) != 0) {
    return with_values(block.body, [](const StoreNode& n) {
      return n.buffer->scope == Scope::kShared ? async_copy(as_load(n.value)) : n.value;
    });
  }
  const auto threads = block.annotations.find(kThreadReduction);
  if (threads == block.annotations.end()) return block.body;
  const Expr count = imm(std::get<std::int64_t>(threads->second));
  return with_values(block.body, [&](const StoreNode& n) {
    return call(n.value->dtype, kThreadReduction, {n.value, count});
  });
}

}  // namespace tenon
