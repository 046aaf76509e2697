#include "schedule/rewrite.h"

#include <algorithm>

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

class RewriteBlocks : public Mutator {
 public:
  explicit RewriteBlocks(const std::function<Stmt(const BlockNode&)>& f) : f_(f) {}

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const BlockNode& n) override { return f_(n); }

 private:
  const std::function<Stmt(const BlockNode&)>& f_;
};

}  // namespace

Stmt rewrite_blocks(const Stmt& s, const std::function<Stmt(const BlockNode&)>& f) {
  return RewriteBlocks(f)(s);
}

Stmt add_predicate(const Stmt& s, const Expr& condition) {
  return rewrite_blocks(s, [&](const BlockNode& b) {
    BlockParts parts = parts_of(b);
    parts.predicate = and_predicate(parts.predicate, condition);
    return make_block(std::move(parts));
  });
}

BlockParts parts_of(const BlockNode& b) {
  return {b.name, b.iters, b.bindings, b.predicate, b.init, b.body, b.annotations, b.span};
}

Stmt make_block(BlockParts parts) {
  const SpanScope scope(parts.span);
  return make_block(std::move(parts.name), std::move(parts.iters), std::move(parts.bindings),
                    std::move(parts.predicate), std::move(parts.init), std::move(parts.body),
                    std::move(parts.annotations));
}

std::vector<std::string> part_names(const std::string& name, std::size_t count) {
  if (count == 2) return {name + "o", name + "i"};
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(name + std::to_string(i));
  return names;
}

void require_serial(Step& step, const ForNode& loop, int requirement) {
  if (loop.attrs.kind == ForKind::kSerial) return;
  step.blame(loop.var);
  step.fail(requirement, "E0205",
            detail::concat("loop '", loop.var.as<VarNode>()->name, "' is ",
                           to_string(loop.attrs.kind), " already and should be serial"));
}

void set_loop_kind(Step& step, const Path& path, ForKind kind) {
  const auto* loop = path.back().as<ForNode>();
  ForAttrs attrs = loop->attrs;
  attrs.kind = kind;
  step.set_root(replace_at(path, with_attrs(*loop, std::move(attrs))));
}

std::optional<std::int64_t> unit_extent(const ForNode& loop) {
  if (const auto value = as_int(loop.extent)) return value;
  if (const auto* s = loop.extent.as<SelectNode>()) {
    const auto a = as_int(s->true_value), b = as_int(s->false_value);
    if (a && b) return std::max(*a, *b);
  }
  const auto* m = loop.extent.as<BinaryNode>();
  if (m != nullptr && m->op == BinaryOp::kMin) return as_int(m->a);
  return std::nullopt;
}

}  // namespace tenon
