#include "rules/block_info.h"

#include <algorithm>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {
namespace {

class Collect : public Walker {
 public:
  std::vector<BlockInfo> found;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    const int outer = num_shared_;
    ++num_loops_;
    if (n.body.as<SeqNode>() != nullptr) num_shared_ = num_loops_;
    walk(n);
    --num_loops_;
    num_shared_ = outer;
  }
  void visit(const BlockNode& n) override {
    BlockInfo info;
    info.block = &n;
    info.store = n.body.as<StoreNode>();
    info.num_context = std::min(num_shared_, static_cast<int>(n.iters.size()));
    for (int i = 0; i < static_cast<int>(n.iters.size()); ++i) {
      const IterKind kind = n.iters[static_cast<std::size_t>(i)].kind;
      info.num_spatial +=
          kind == IterKind::kSpatial || (kind == IterKind::kOrdered && i < info.num_context);
      info.num_reduction += kind == IterKind::kReduction;
      info.num_ordered += kind == IterKind::kOrdered && i >= info.num_context;
    }
    if (info.store != nullptr) collect_reads(&info);
    found.push_back(std::move(info));
  }

 private:
  static void collect_reads(BlockInfo* info) {
    post_order_visit(info->store->value, [&](const Node& node) {
      if (node.kind == NodeKind::kCall)
        info->has_calls |= static_cast<const CallNode&>(node).name != "checked_index";
      if (node.kind != NodeKind::kLoad) return;
      const auto& l = static_cast<const LoadNode&>(node);
      if (!l.buffer.same_as(info->store->buffer)) info->loads.push_back(&l);
    });
  }

  int num_loops_ = 0;   // around
  int num_shared_ = 0;  // of them, down to the last one that holds several statements
};

}  // namespace

std::vector<BlockInfo> blocks_of(const Function& f) {
  Collect collect;
  collect(f->body);
  return std::move(collect.found);
}

int lane_stride(const BlockInfo& info, const Buffer& buffer, const std::vector<Expr>& indices,
                int iter, int group) {
  const std::vector<Expr> strides = strides_of(*buffer);
  Expr offset = imm(0);
  for (std::size_t d = 0; d < indices.size(); ++d) offset = offset + indices[d] * strides[d];
  Expr base = var("base"), lane = var("lane");
  Analyzer analyzer;
  for (const IterVar& other : info.block->iters) analyzer.bind(other.var, other.domain);
  analyzer.bind(lane, {imm(0), imm(group)});
  analyzer.bind(base, {imm(0), imm(std::int64_t{1} << 30)});
  const Expr moved = substitute(
      offset, {{info.block->iters[static_cast<std::size_t>(iter)].var.get(), base * group + lane}});
  const AffineForm form = analyzer.affine(moved);
  const std::int64_t stride = form.coefficient_of(lane);
  for (const AffineTerm& term : form.terms) {
    const bool hidden = term.atom.get() != lane.get() &&
                        uses_var(term.atom, [&](const VarNode& v) { return &v == lane.get(); });
    if (hidden) return -1;
  }
  return stride == 0 || stride == 1 ? static_cast<int>(stride) : -1;
}

bool uses_iter(const Expr& e, const ExprNode* iter) {
  return uses_var(e, [&](const VarNode& v) { return &v == iter; });
}

bool uses_iter(const LoadNode& l, const ExprNode* iter) {
  return std::any_of(l.indices.begin(), l.indices.end(),
                     [&](const Expr& e) { return uses_iter(e, iter); });
}

bool slides(const BlockInfo& info, int spatial, int reduction) {
  const ExprNode* x = info.block->iters[static_cast<std::size_t>(spatial)].var.get();
  const ExprNode* k = info.block->iters[static_cast<std::size_t>(reduction)].var.get();
  return std::any_of(info.loads.begin(), info.loads.end(), [&](const LoadNode* l) {
    return std::any_of(l->indices.begin(), l->indices.end(),
                       [&](const Expr& e) { return uses_iter(e, x) && uses_iter(e, k); });
  });
}

std::int64_t extent_of(const BlockInfo& info, int iter) {
  return as_int(info.block->iters[static_cast<std::size_t>(iter)].domain.extent).value_or(-1);
}

std::int64_t num_iterations(const BlockInfo& info, int first, int last) {
  std::int64_t product = 1;
  for (int i = first; i < last; ++i) {
    if (extent_of(info, i) < 0) return -1;
    product *= extent_of(info, i);
  }
  return product;
}

const BlockInfo* find_block(const std::vector<BlockInfo>& blocks, const std::string& name) {
  const auto found = std::find_if(blocks.begin(), blocks.end(),
                                  [&](const BlockInfo& b) { return b.name() == name; });
  return found == blocks.end() ? nullptr : &*found;
}

bool is_row_reduction(const BlockInfo& info) {
  if (!info.is_reduction() || info.store == nullptr) return false;
  const auto order = info.block->annotations.find("reduction_order");
  if (order != info.block->annotations.end()) return std::get<std::string>(order->second) == "row";
  const int innermost = info.num_spatial + info.num_reduction - 1;
  bool along = false;
  for (const LoadNode* l : info.loads) {
    const int stride = lane_stride(info, l->buffer, l->indices, innermost, 64);
    if (stride < 0) return false;
    along = along || stride == 1;
  }
  return along;
}

int row_axes(const BlockInfo& info) {
  const auto axes = info.block->annotations.find("row_axes");
  return axes == info.block->annotations.end()
             ? 1
             : static_cast<int>(std::get<std::int64_t>(axes->second));
}

bool has_order(const BlockInfo& info) {
  return info.block->annotations.count("reduction_order") != 0;
}

}  // namespace tenon::rules
