#include <algorithm>

#include "rules/rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {
namespace {

constexpr int kLanes = 32;

/// Whether every access runs through memory in the order of the loops, so that all loops (but those
/// of the context) can be one.
bool is_linear(const BlockInfo& info) {
  const auto same_order = [&](const std::vector<Expr>& indices, const Buffer& buffer) {
    if (indices.empty()) return true;
    if (!buffer->strides.empty() || indices.size() != info.block->iters.size()) return false;
    for (auto d = static_cast<std::size_t>(info.num_context); d < indices.size(); ++d) {
      const IterVar& iter = info.block->iters[d];
      const bool whole =
          buffer->shape[d].same_as(iter.domain.extent) ||
          (as_int(buffer->shape[d]) && as_int(buffer->shape[d]) == as_int(iter.domain.extent));
      if (!indices[d].same_as(iter.var) || !whole) return false;
    }
    return true;
  };
  return same_order(info.store->indices, info.store->buffer) &&
         std::all_of(info.loads.begin(), info.loads.end(),
                     [&](const LoadNode* l) { return same_order(l->indices, l->buffer); });
}

/// The modulus by which some read goes through an iter, 0 for none: the interleaved parts of the
/// adjoint of a strided read.
std::int64_t modulus_of(const BlockInfo& info, int iter) {
  constexpr std::int64_t kMaxParts = 8;
  const ExprNode* v = info.block->iters[static_cast<std::size_t>(iter)].var.get();
  std::int64_t modulus = 0;
  for (const LoadNode* l : info.loads) {
    for (const Expr& index : l->indices) {
      post_order_visit(index, [&](const Node& n) {
        if (n.kind != NodeKind::kBinary) return;
        const auto& b = static_cast<const BinaryNode&>(n);
        const std::int64_t c = as_int(b.b).value_or(0);
        if (b.op == BinaryOp::kFloorMod && uses_iter(b.a, v) && c > 1 && c <= kMaxParts)
          modulus = c;
      });
    }
  }
  return modulus;
}

/// Unrolls the residue classes of outer loops, so that quotients and remainders are constants.
void unroll_residues(Schedule& s, const BlockInfo& info, std::vector<LoopRef>* loops) {
  for (int d = 0; d + 1 < info.num_spatial; ++d) {
    const std::int64_t modulus = modulus_of(info, d), extent = extent_of(info, d);
    if (modulus == 0 || extent <= modulus) continue;
    LoopRef& loop = (*loops)[static_cast<std::size_t>(d)];
    // The last class may be short: the pass partition_loops makes its conditions constant.
    const std::vector<LoopRef> parts = s.split(loop, {std::nullopt, modulus}, "mask");
    s.unroll(parts[1]);
    loop = parts[0];
  }
}

}  // namespace

bool worth_threads(std::int64_t elements) { return elements < 0 || elements > 32768; }

void schedule_elementwise(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  std::vector<LoopRef> loops = s.loops(name);
  loops.erase(loops.begin(), loops.begin() + info.num_context);
  if (loops.empty()) return;
  const int square = transpose_lanes(context.target, info.output()->dtype);
  if (const auto axes = transpose_axes(info, square); axes && info.num_context == 0)
    return schedule_transpose(context, info, *axes);
  const bool parallel =
      runs_in_threads(context, name, num_iterations(info, info.num_context, info.num_spatial));
  const std::int64_t last = extent_of(info, info.num_spatial - 1);
  bool fused = false;
  if (loops.size() > 1 && is_linear(info) && choose(context, name + ".fuse", true)) {
    loops = {s.fuse(loops)};
    fused = true;
  }
  const std::size_t num_loops = loops.size();
  const LoopRef outermost = loops[0];
  if (!fused) unroll_residues(s, info, &loops);
  // Threads share all outer loops evenly, for a division in each iteration.
  const bool is_plain = loops.size() == num_loops && loops[0].var.same_as(outermost.var);
  if (parallel && !fused && is_plain && num_loops > 2 &&
      choose(context, name + ".fuse_outer", false)) {
    const LoopRef outer = s.fuse({loops.begin(), loops.end() - 1});
    loops = {outer, loops.back()};
  }
  const std::int64_t lanes = choose_lanes(context, name, kLanes);
  const LoopRef inner = loops.back();
  if (!fused && last > 0 && last <= lanes) {
    s.vectorize(inner);
    if (parallel && loops.size() > 1) s.parallel(loops[0]);
    return;
  }
  const std::vector<LoopRef> parts = s.split(inner, {std::nullopt, lanes}, "partition");
  s.vectorize(parts[1]);
  if (parallel) s.parallel(loops.size() > 1 ? loops[0] : parts[0]);
}

}  // namespace tenon::rules
