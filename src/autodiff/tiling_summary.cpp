#include "autodiff/tiling_summary.h"

#include <algorithm>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/buffer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::autodiff {
namespace {

struct PlacedBlock {
  const BlockNode* block = nullptr;
  std::vector<const ForNode*> loops;
};

/// All blocks with the loops around them.
class CollectBlocks : public Walker {
 public:
  std::vector<PlacedBlock> found;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    loops_.push_back(&n);
    walk(n);
    loops_.pop_back();
  }
  void visit(const BlockNode& n) override { found.push_back({&n, loops_}); }

 private:
  std::vector<const ForNode*> loops_;
};

std::string axis_name(const Expr& iter) {
  const std::string& name = iter.as<VarNode>()->name;
  return name.size() > 1 && name[0] == 'v' ? name.substr(1) : name;
}

bool uses(const Expr& e, const Expr& v) {
  return uses_var(e, [&](const VarNode& u) { return &u == v.get(); });
}

/// How many loops two blocks share.
std::size_t num_shared(const PlacedBlock& a, const PlacedBlock& b) {
  std::size_t n = 0;
  while (n < a.loops.size() && n < b.loops.size() && a.loops[n] == b.loops[n]) ++n;
  return n;
}

bool reads(const BlockNode& block, const Buffer& buffer) {
  return std::any_of(block.reads.begin(), block.reads.end(),
                     [&](const BufferRegion& r) { return r.buffer.same_as(buffer); });
}

/// Adds the loops; false when one runs over no iter or over several.
bool add_loops(const PlacedBlock& placed, TilingSummary* out) {
  Analyzer analyzer;
  for (const ForNode* loop : placed.loops) {
    TiledLoop tiled;
    tiled.kind = loop->attrs.kind;
    int num_axes = 0;
    for (std::size_t i = 0; i < placed.block->iters.size(); ++i) {
      if (!uses(placed.block->bindings[i], loop->var)) continue;
      tiled.axis = out->axes[i].name;
      ++num_axes;
      bool divides = false;  // a loop that fuse made
      post_order_visit(placed.block->bindings[i], [&](const Node& n) {
        if (n.kind != NodeKind::kBinary) return;
        const auto op = static_cast<const BinaryNode&>(n).op;
        divides |= op == BinaryOp::kFloorDiv || op == BinaryOp::kFloorMod;
      });
      if (divides) return false;
    }
    if (num_axes != 1) return false;
    tiled.is_outer = std::none_of(out->loops.begin(), out->loops.end(),
                                  [&](const TiledLoop& l) { return l.axis == tiled.axis; });
    tiled.extent = analyzer.const_bounds(loop->extent).upper.value_or(-1);
    if (tiled.extent < 0 && !tiled.is_outer) return false;
    analyzer.bind(loop->var, {loop->min, loop->extent});
    out->loops.push_back(std::move(tiled));
  }
  return true;
}

}  // namespace

std::vector<std::int64_t> TilingSummary::factors(const std::string& axis) const {
  std::vector<std::int64_t> out;
  for (const TiledLoop& l : loops) {
    if (l.axis == axis && !l.is_outer) out.push_back(l.extent);
  }
  return out;
}

std::string TilingSummary::text() const {
  std::string tiles, order;
  for (const TiledLoop& l : loops) {
    order += (order.empty() ? "" : " ") + l.axis;
    const bool is_plain = l.is_outer && l.kind == ForKind::kSerial;
    if (is_plain) continue;
    tiles += (tiles.empty() ? "" : ", ") + l.axis;
    if (!l.is_outer) tiles += ": " + std::to_string(l.extent);
    if (l.kind != ForKind::kSerial) tiles += std::string(" ") + to_string(l.kind);
  }
  return (tiles.empty() ? std::string() : tiles + "; ") + "order " + order;
}

std::optional<TilingSummary> summarise_tiling(const Function& f, const std::string& block) {
  CollectBlocks collect;
  collect(f->body);
  const auto at = std::find_if(collect.found.begin(), collect.found.end(),
                               [&](const PlacedBlock& b) { return b.block->name == block; });
  if (at == collect.found.end()) return std::nullopt;
  TilingSummary out;
  for (const IterVar& iter : at->block->iters) out.axes.push_back({axis_name(iter.var), iter.kind});
  if (!add_loops(*at, &out)) return std::nullopt;
  const Buffer& written = at->block->writes[0].buffer;
  for (const PlacedBlock& other : collect.found) {
    if (other.block == at->block) continue;
    if (other.block->name == block + "_init") out.init_place = num_shared(*at, other);
    if (written->scope == Scope::kGlobal || !reads(*other.block, written)) continue;
    out.copy_scope = to_string(written->scope);
    out.copy_place = num_shared(*at, other);
  }
  return out;
}

}  // namespace tenon::autodiff
