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
  const bool pipelined = loop.attrs.annotations.count("software_pipeline") != 0;
  if (loop.attrs.kind == ForKind::kSerial && !pipelined) return;
  step.blame(loop.var);
  step.fail(requirement, "E0205",
            detail::concat("loop '", loop.var.as<VarNode>()->name, "' is ",
                           pipelined ? "pipelined" : to_string(loop.attrs.kind),
                           " already and should be serial"));
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

Buffer only_written_buffer(Step& step, const BlockNode& block, int requirement) {
  std::vector<Buffer> buffers;
  for (const BufferRegion& w : block.writes) {
    if (std::none_of(buffers.begin(), buffers.end(),
                     [&](const Buffer& b) { return b.same_as(w.buffer); })) {
      buffers.push_back(w.buffer);
    }
  }
  TENON_REQUIRE(step, buffers.size() == 1, requirement, ScheduleError, "E0226", "block '",
                block.name, "' writes ", buffers.size(), " buffers and should write exactly one");
  return buffers[0];
}

Buffer accessed_buffer(Step& step, const BlockNode& block, const std::string& name,
                       int requirement) {
  std::string names;
  for (const auto* regions : {&block.reads, &block.writes}) {
    for (const BufferRegion& r : *regions) {
      if (r.buffer->name == name) return r.buffer;
      if (names.find(r.buffer->name) == std::string::npos)
        names += (names.empty() ? "" : ", ") + r.buffer->name;
    }
  }
  step.suggest("the block uses " + names);
  step.fail(requirement, "E0232",
            detail::concat("block '", block.name, "' does not use a buffer '", name, "'"));
}

std::size_t top_level_position(const Path& path) {
  std::size_t top = 0;
  while (path[top].as<AllocateNode>() != nullptr) ++top;
  return path[top].as<SeqNode>() != nullptr ? top + 1 : top;
}

Path path_up_to(const Path& path, std::size_t last) {
  return {path.begin(), path.begin() + static_cast<std::ptrdiff_t>(last) + 1};
}

void consume_loops_around(Step& step, const Path& path, const std::string& why) {
  for (const ForNode* f : loops_on(path)) {
    if (blocks_under(f->body).size() == 1) step.consume({f->var}, why);
  }
}

void remove_allocation(Step& step, const Buffer& buffer) {
  RootBody parts = split_root(step.root());
  std::erase_if(parts.allocations,
                [&](const Stmt& a) { return a.as<AllocateNode>()->buffer.same_as(buffer); });
  step.set_root(join_root(parts));
}

}  // namespace tenon
