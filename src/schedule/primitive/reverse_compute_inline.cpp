#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// The consumer, the producer and the buffer between them.
struct Pair {
  Path producer_path, consumer_path;
  const BlockNode* producer;
  const BlockNode* consumer;
  const StoreNode* made;
  const StoreNode* used;
};

/// The only intermediate buffer that the consumer reads and some block writes.
Buffer intermediate(Step& step, const BlockNode& consumer, const std::vector<Access>& all) {
  std::vector<Buffer> found;
  for (const BufferRegion& r : consumer.reads) {
    const bool written = std::any_of(all.begin(), all.end(), [&](const Access& a) {
      return a.is_write && a.buffer.same_as(r.buffer);
    });
    const bool known = std::any_of(found.begin(), found.end(),
                                   [&](const Buffer& b) { return b.same_as(r.buffer); });
    if (written && !known) found.push_back(r.buffer);
  }
  TENON_REQUIRE(step, found.size() == 1, 2, ScheduleError, "E0238", "block '", consumer.name,
                "' reads ", found.size(), " buffers that blocks make and should read exactly one");
  TENON_REQUIRE(step, !step.is_parameter(found[0]), 2, ScheduleError, "E0233", "buffer '",
                found[0]->name, "' is an output");
  return found[0];
}

const StoreNode* plain_store(Step& step, const BlockNode& b) {
  const auto* s = b.body.as<StoreNode>();
  const bool plain = s != nullptr && !s->predicate && !b.init &&
                     !has_kind(b, IterKind::kReduction) && !has_kind(b, IterKind::kOrdered);
  TENON_REQUIRE(step, plain, 1, ScheduleError, "E0236", "block '", b.name,
                "' should have one store as its body and no reduction");
  return s;
}

Pair find_pair(Step& step, const BlockRef& consumer_ref) {
  Pair p{{}, step.path_to(consumer_ref), nullptr, nullptr, nullptr, nullptr};
  p.consumer = p.consumer_path.back().as<BlockNode>();
  p.used = plain_store(step, *p.consumer);
  const std::vector<Access> all = accesses_under(step.root());
  const Buffer buffer = intermediate(step, *p.consumer, all);
  for (const Access& a : accesses_of(all, buffer)) {
    const bool second = a.is_write ? p.producer != nullptr : a.block != p.consumer;
    TENON_REQUIRE(step, !second, 2, ScheduleError, "E0238", "block '", a.block->name, "' ",
                  a.is_write ? "writes" : "reads", " buffer '", buffer->name, "' too");
    if (a.is_write) p.producer = a.block;
  }
  p.producer_path = step.path_to(BlockRef{p.producer->name});
  p.made = plain_store(step, *p.producer);
  return p;
}

/// The consumer's iters in terms of the producer's: each read index is one iter, and the iters
/// cover the same domain.
VarMap iters_of_consumer(Step& step, const Pair& p) {
  const BufferRegion* read = nullptr;
  for (const BufferRegion& r : p.consumer->reads) {
    if (!r.buffer.same_as(p.made->buffer)) continue;
    TENON_REQUIRE(step, read == nullptr, 3, ScheduleError, "E0239", "block '", p.consumer->name,
                  "' reads buffer '", r.buffer->name, "' at more than one place");
    read = &r;
  }
  VarMap map;
  for (std::size_t d = 0; d < read->ranges.size(); ++d) {
    const Expr& index = read->ranges[d].min;
    for (const IterVar& i : p.consumer->iters) {
      if (!i.var.same_as(index) || map.count(index.get()) != 0) continue;
      const bool whole =
          is_int(i.domain.min, 0) && structural_equal(i.domain.extent, p.made->buffer->shape[d]);
      if (whole) map[index.get()] = p.made->indices[d];
    }
    TENON_REQUIRE(step, map.count(index.get()) != 0, 3, ScheduleError, "E0239", "dimension ", d,
                  " of buffer '", p.made->buffer->name, "' is not read once by an iter of block '",
                  p.consumer->name, "' over the whole dimension");
  }
  TENON_REQUIRE(step, map.size() == p.consumer->iters.size(), 3, ScheduleError, "E0239", "block '",
                p.consumer->name, "' has ", p.consumer->iters.size(), " iters and reads ",
                map.size(), " dimensions");
  return map;
}

ScheduleValue apply(Step& step) {
  const auto& consumer_ref = step.argument<BlockRef>(0);
  const Pair p = find_pair(step, consumer_ref);
  const VarMap map = iters_of_consumer(step, p);
  const Expr value = rewrite_exprs(substitute(p.used->value, map), [&](const Expr& e) -> Expr {
    const auto* l = e.as<LoadNode>();
    return l != nullptr && l->buffer.same_as(p.made->buffer) ? p.made->value : Expr();
  });
  std::vector<Expr> indices;
  for (const Expr& e : p.used->indices) indices.push_back(substitute(e, map));
  BlockParts parts = parts_of(*p.producer);
  parts.body = store(p.used->buffer, indices, value);
  parts.name = p.consumer->name;
  const Buffer between = p.made->buffer;
  consume_loops_around(step, p.consumer_path,
                       "reverse_compute_inline removed block '" + consumer_ref.name + "'");
  step.set_root(replace_at(p.consumer_path, nullptr));
  const Path producer_path = step.path_to(BlockRef{p.producer->name});
  step.set_root(replace_at(producer_path, make_block(std::move(parts))));
  remove_allocation(step, between);
  return {};
}

}  // namespace

extern const Primitive kReverseComputeInline;
const Primitive kReverseComputeInline = {
    "reverse_compute_inline",
    "Computes an element-wise block where its operand is made: the producer's loops stay, the "
    "merged block has the consumer's name.",
    {{"block", ParameterKind::kBlock}},
    {"the block and its producer have one store each as their bodies, without reduction",
     "the block reads one buffer that a block makes, which nothing else reads or writes and which "
     "is no output",
     "it reads one element of it, each dimension by an iter of its own over the whole dimension"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
