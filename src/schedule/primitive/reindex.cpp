#include <algorithm>

#include "schedule/placement.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/quotient.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// One dimension of the new buffer: an iter of the block, or its quotient by a constant.
struct Dimension {
  IterVar iter;          ///< of the block that copies
  Expr position, value;  ///< in the new buffer, and what it stands for, over iters of the block
};

/// The only load of the buffer; null when there is none, or several that differ.
const LoadNode* only_load(const BlockNode& block, const Buffer& buffer) {
  const LoadNode* found = nullptr;
  bool is_one = true;
  for (const Stmt& s : {block.body, block.init}) {
    if (!s) continue;
    post_order_visit(s, [&](const Node& n) {
      if (n.kind != NodeKind::kLoad) return;
      const auto& l = static_cast<const LoadNode&>(n);
      if (!l.buffer.same_as(buffer)) return;
      is_one &= found == nullptr || found == &l;
      found = &l;
    });
  }
  return is_one ? found : nullptr;
}

bool uses_iter(const std::vector<Expr>& indices, const IterVar& iter) {
  return std::any_of(indices.begin(), indices.end(), [&](const Expr& e) {
    return uses_var(e, [&](const VarNode& v) { return &v == iter.var.get(); });
  });
}

/// Whether nothing but iters and symbols decides on the element: no memory, no loop inside the
/// block.
bool uses_iters_alone(const std::vector<Expr>& indices, const BlockNode& block,
                      const std::vector<Symbol>& symbols) {
  bool alone = true;
  const auto is_known = [&](const VarNode& v) {
    return std::any_of(block.iters.begin(), block.iters.end(),
                       [&](const IterVar& i) { return i.var.get() == &v; }) ||
           std::any_of(symbols.begin(), symbols.end(),
                       [&](const Symbol& s) { return s.var.get() == &v; });
  };
  for (const Expr& e : indices) {
    alone &= !uses_var(e, [&](const VarNode& v) { return !is_known(v); });
    post_order_visit(
        e, [&](const Node& n) { alone &= n.kind != NodeKind::kLoad && n.kind != NodeKind::kCall; });
  }
  return alone;
}

/// All values that the iter has, whatever the others are; a null extent where that is not known.
Range whole_domain(const BlockNode& block, const IterVar& iter) {
  LoopRanges iters;
  for (const IterVar& i : block.iters) iters.push_back({i.var, i.domain.min, i.domain.extent});
  const Bounds low = bounds_of(iter.domain.min, iters);
  const Bounds high = bounds_of(iter.domain.min + iter.domain.extent, iters);
  if (!low.known() || !high.known()) return {nullptr, nullptr};
  return {normalise(low.min), normalise(high.max - low.min)};
}

/// The dimensions of the new buffer, those of reduction iters first; `indices` become those of the
/// copying block.
std::vector<Dimension> dimensions_of(Step& step, const BlockNode& block,
                                     std::vector<Expr>* indices) {
  std::vector<Dimension> out;
  for (const bool is_reduction : {true, false}) {
    for (const IterVar& iter : block.iters) {
      if ((iter.kind == IterKind::kReduction) != is_reduction || !uses_iter(*indices, iter))
        continue;
      const Range domain = whole_domain(block, iter);
      TENON_REQUIRE(step, domain.extent, 2, ScheduleError, "E1302", "the domain of iter '",
                    iter.var.as<VarNode>()->name, "' of block '", block.name, "' has no bounds");
      const Expr v = var(iter.var.as<VarNode>()->name);
      std::vector<Expr> divided = *indices;
      const std::int64_t by = replace_quotient(iter.var, v, &divided);
      if (by > 0 && is_int(domain.min, 0) && !uses_iter(divided, iter)) {
        *indices = divided;
        out.push_back({{v, {imm(0), ceildiv(domain.extent, imm(by))}, IterKind::kSpatial},
                       floordiv(iter.var, imm(by)),
                       v});
        continue;
      }
      for (Expr& e : *indices) e = substitute(e, VarMap{{iter.var.get(), v}});
      out.push_back({{v, domain, IterKind::kSpatial},
                     normalise(iter.var - domain.min),
                     normalise(v - domain.min)});
    }
  }
  return out;
}

/// The conditions under which the element is one of the buffer; null when it always is.
Expr inside(const Buffer& buffer, const std::vector<Expr>& indices,
            const std::vector<Dimension>& dimensions) {
  Analyzer analyzer;
  for (const Dimension& d : dimensions) analyzer.bind(d.iter.var, d.iter.domain);
  Expr condition;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    const Expr low = ge(indices[d], imm(0)), high = lt(indices[d], buffer->shape[d]);
    if (!analyzer.can_prove(low)) condition = and_predicate(condition, low);
    if (!analyzer.can_prove(high)) condition = and_predicate(condition, high);
  }
  return condition;
}

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const std::string& scope = step.argument<std::string>(2);
  const Path path = step.path_to(block_ref);
  const auto* block = path.back().as<BlockNode>();
  const Buffer buffer = accessed_buffer(step, *block, step.argument<std::string>(1), 1);
  const LoadNode* read = only_load(*block, buffer);
  const bool written = std::any_of(block->writes.begin(), block->writes.end(),
                                   [&](const BufferRegion& w) { return w.buffer.same_as(buffer); });
  TENON_REQUIRE(step, read != nullptr && !written, 1, ScheduleError, "E1300", "block '",
                block_ref.name, "' ", written ? "writes" : "reads several elements of", " buffer '",
                buffer->name, "'");
  std::vector<Expr> indices = read->indices;
  TENON_REQUIRE(step, uses_iters_alone(indices, *block, step.function()->symbols), 2, ScheduleError,
                "E1301", "block '", block_ref.name, "' reads buffer '", buffer->name,
                "' at places that loops inside of it or memory decide");
  const std::size_t top = top_level_position(path);
  check_not_written(step, path[top], block_ref.name, buffer, 3);
  BufferRegion whole{buffer, {}};
  for (const Expr& extent : buffer->shape) whole.ranges.push_back({imm(0), extent});
  check_made(step, *block, whole, 4);

  const std::vector<Dimension> dimensions = dimensions_of(step, *block, &indices);
  std::vector<Expr> shape, positions, values, bindings;
  std::vector<IterVar> iters;
  std::vector<Range> ranges;
  for (const Dimension& d : dimensions) {
    shape.push_back(d.iter.domain.extent);
    positions.push_back(d.position);
    values.push_back(d.value);
    iters.push_back(d.iter);
    bindings.push_back(d.iter.var);
    ranges.push_back(d.iter.domain);
  }
  const std::string label = buffer->name + "_" + scope;
  const Buffer copy =
      make_buffer(step.fresh_buffer_name(label), buffer->dtype, shape, parse_scope(scope));
  const std::string name = step.fresh_block_name(label);
  const SpanScope span(block->span);
  Expr element = load(buffer, indices);
  if (const Expr condition = inside(buffer, indices, dimensions))
    element = select(condition, element, zero(buffer->dtype));
  const Stmt made =
      tenon::make_block(name, iters, bindings, nullptr, nullptr, store(copy, values, element));
  const Stmt nest = nest_over(*made.as<BlockNode>(), ranges, {});

  BlockParts parts = parts_of(*block);
  parts.body = rewrite_exprs(parts.body, [&](const Expr& e) -> Expr {
    const auto* l = e.as<LoadNode>();
    return l != nullptr && l->buffer.same_as(buffer) ? load(copy, positions) : Expr();
  });
  step.set_root(replace_at(path, make_block(std::move(parts))));
  make_before(step, block_ref, top, nest, copy);
  return BlockRef{name};
}

}  // namespace

extern const Primitive kReindex;
const Primitive kReindex = {
    "reindex",
    "Lets a block read a new buffer `<buffer>_<scope>` with a dimension for each iter that the "
    "element depends on, which a new block of that name fills before the block's outermost loop.",
    {{"block", ParameterKind::kBlock},
     {"buffer", ParameterKind::kText},
     {"scope", ParameterKind::kText, nullptr, true}},
    {"the block reads one element of the buffer in an iteration, and does not write it",
     "the element depends on the block's iters alone",
     "no block inside the block's outermost loop writes the buffer",
     "one block makes every element of the buffer, unless it is an input"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
