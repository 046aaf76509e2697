#include "tenon/ir/regions.h"

#include <optional>
#include <unordered_set>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

struct InnerLoop {
  Expr min, extent;
};

/// Collects accesses; knows the ranges of the loops inside the block.
class Collector : public Walker {
 public:
  AccessRegions regions;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    inner_[n.var.get()] = {n.min, n.extent};
    clear_visited();
    walk(n);
  }
  void visit(const AllocateNode& n) override {
    local_.insert(n.buffer.get());
    walk(n);
  }
  void visit(const LoadNode& n) override {
    add(&regions.reads, n.buffer, n.indices);
    walk(n);
  }
  void visit(const StoreNode& n) override {
    add(&regions.writes, n.buffer, n.indices);
    walk(n);
  }

 private:
  /// The range of an index over the inner loops: exact for sums of variables and constant multiples
  /// of them.
  std::optional<Range> widen(const Expr& e) const {
    const auto found = inner_.find(e.get());
    if (found != inner_.end()) return Range{found->second.min, found->second.extent};
    if (!uses_var(e, [&](const VarNode& v) { return inner_.count(&v) != 0; }))
      return Range{e, imm(1)};
    const auto* b = e.as<BinaryNode>();
    if (b == nullptr) return std::nullopt;
    if (b->op == BinaryOp::kMul && as_int(b->b).value_or(0) > 0) {
      auto x = widen(b->a);
      if (!x) return x;
      return Range{x->min * b->b, (x->extent - 1) * b->b + 1};
    }
    if (b->op != BinaryOp::kAdd) return std::nullopt;
    auto x = widen(b->a), y = widen(b->b);
    if (!x || !y) return std::nullopt;
    return Range{x->min + y->min, x->extent + y->extent - 1};
  }

  /// Whether data decide the index, or it is checked (and then -1 outside of the buffer).
  static bool is_data(const Expr& e) {
    bool found = false;
    post_order_visit(
        e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall; });
    return found;
  }

  void add(std::vector<BufferRegion>* out, const Buffer& buffer, const std::vector<Expr>& indices) {
    if (local_.count(buffer.get()) != 0) return;
    BufferRegion region{buffer, {}};
    for (std::size_t d = 0; d < indices.size(); ++d) {
      std::optional<Range> range;
      if (!is_data(indices[d])) range = widen(indices[d]);
      region.ranges.push_back(range ? *range : Range{imm(0), buffer->shape[d]});
    }
    for (const BufferRegion& known : *out) {
      if (known.buffer.same_as(buffer) && same_ranges(known.ranges, region.ranges)) return;
    }
    out->push_back(std::move(region));
  }

  static bool same_ranges(const std::vector<Range>& a, const std::vector<Range>& b) {
    for (std::size_t d = 0; d < a.size(); ++d) {
      if (!structural_equal(a[d].min, b[d].min) || !structural_equal(a[d].extent, b[d].extent))
        return false;
    }
    return true;
  }

  std::unordered_map<const ExprNode*, InnerLoop> inner_;
  std::unordered_set<const BufferNode*> local_;
};

}  // namespace

AccessRegions detect_regions(const Stmt& init, const Stmt& body) {
  Collector collect;
  if (init) collect(init);
  collect(body);
  return std::move(collect.regions);
}

}  // namespace tenon
