#include <algorithm>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules::gpu {
namespace {

constexpr std::int64_t kTile = 16;  // of a tensor instruction

/// One side of the part of a block of threads: `warps` of them, each with so many tiles.
struct WarpSide {
  std::int64_t warps = 1, tiles = 1;
};

/// Sums do not depend on it. Large products have 128 x 128 elements in a block.
WarpSide warp_side(std::int64_t extent, bool is_large) {
  constexpr std::int64_t kWarps = 2;
  for (const std::int64_t tiles : {4, 2, 1}) {
    if (tiles == 4 && !is_large) continue;
    if (extent % (kWarps * tiles * kTile) == 0) return {kWarps, tiles};
  }
  return {};
}

/// "bf16" or "f16"; refuses other operands.
std::string instruction_type(const BlockInfo& info) {
  const DType dtype = info.loads[0]->buffer->dtype;
  if (info.loads[1]->buffer->dtype == dtype && dtype == DType::bfloat16()) return "bf16";
  if (info.loads[1]->buffer->dtype == dtype && dtype == DType::float_(16)) return "f16";
  detail::raise<ScheduleError>("E0299", "no tensor instruction for these operands");
}

/// Whether the last two indices are the iters, in this order.
bool ends_with(const LoadNode& l, const Expr& row, const Expr& column) {
  const std::size_t n = l.indices.size();
  return n >= 2 && l.indices[n - 2].same_as(row) && l.indices[n - 1].same_as(column);
}

/// The last two loops of the block as tiles, the loops over them unrolled (a fragment's registers
/// have no addresses); returns the outer loop of one.
LoopRef tile_of(Schedule& s, const std::string& block) {
  const std::vector<LoopRef> l = s.loops(block);
  const auto rows = s.split(l[l.size() - 2], {std::nullopt, kTile});
  const auto columns = s.split(l.back(), {std::nullopt, kTile});
  s.reorder({rows[0], columns[0], rows[1], columns[1]});
  s.unroll(rows[0]);
  s.unroll(columns[0]);
  return rows[1];
}

/// An operand as the instruction has it, or with its last two axes the other way round.
struct Operand {
  const LoadNode* load = nullptr;
  bool is_transposed = false;
};

Operand operand_of(const LoadNode& l, const Expr& row, const Expr& column) {
  if (ends_with(l, row, column)) return {&l, false};
  if (ends_with(l, column, row)) return {&l, true};
  detail::raise<ScheduleError>("E0299", "an operand is laid out in another way");
}

/// Reads an operand through fragments, which `ldmatrix` turns where memory has it the other way
/// round; returns the blocks that fill shared memory and the fragments.
std::pair<BlockRef, BlockRef> read_through_fragments(Schedule& s, const std::string& block,
                                                     const Operand& operand) {
  const BlockRef copy = s.cache_read({block}, operand.load->buffer->name, "shared");
  const BlockRef fragment = s.cache_read({block}, copy.name, "fragment");
  if (operand.is_transposed) {
    IndexMap map;
    for (std::size_t d = 0; d < operand.load->indices.size(); ++d)
      map.vars.push_back(var("d" + std::to_string(d)));
    map.results = map.vars;
    std::swap(map.results[map.results.size() - 1], map.results[map.results.size() - 2]);
    s.transform_layout(fragment, fragment.name, map);
  }
  return {copy, fragment};
}

/// Runs the reader of the sums on the threads of the block, which find them in shared memory.
void bind_reader(Schedule& s, const std::string& reader, const LoopRef& around, const WarpSide& r,
                 const WarpSide& c) {
  constexpr std::int64_t kLanes = 32;
  const std::vector<LoopRef> l = loops_inside(s, reader, around);
  const auto row = s.split(l[l.size() - 2], {r.warps, c.warps, std::nullopt});
  const auto column =
      s.split(l.back(), {std::nullopt, std::min(kLanes, c.warps * c.tiles * kTile)});
  s.reorder({row[0], row[1], row[2], column[0], column[1]});
  s.bind(row[0], "threadIdx.z");
  s.bind(row[1], "threadIdx.y");
  s.bind(column[1], "threadIdx.x");
}

}  // namespace

void bind_tensor_product(RuleContext& context, const BlockInfo& info,
                         const std::optional<std::string>& consumer) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  if (info.loads.size() != 2 || info.num_reduction != 1 || info.num_context > 0 ||
      info.num_spatial < 2 || info.output()->dtype != kFloat32)
    detail::raise<ScheduleError>("E0299", "no product of two matrices");
  const std::string type = instruction_type(info);
  const int row_iter = info.num_spatial - 2, column_iter = info.num_spatial - 1;
  const auto iter = [&](int d) { return info.block->iters[static_cast<std::size_t>(d)].var; };
  const std::int64_t rows = extent_of(info, row_iter), columns = extent_of(info, column_iter);
  const std::int64_t terms = extent_of(info, info.num_spatial);
  const bool whole = rows > 0 && columns > 0 && terms > 0 && rows % kTile == 0 &&
                     columns % kTile == 0 && terms % kTile == 0;
  if (!whole) detail::raise<ScheduleError>("E0299", "sizes are no multiples of 16");
  const Expr k = iter(info.num_spatial);
  // The load of A comes first in the product as the instruction has it.
  const Operand a = operand_of(*info.loads[0], iter(row_iter), k);
  const Operand b = operand_of(*info.loads[1], k, iter(column_iter));

  constexpr std::int64_t kLarge = 1024;
  // Sums that a reader finds in shared memory leave no room for more.
  const bool is_large = !consumer && rows >= kLarge && columns >= kLarge;
  const WarpSide r = warp_side(rows, is_large), c = warp_side(columns, is_large);
  const std::int64_t steps = terms % (4 * kTile) == 0 ? 4 : 1;
  const BlockRef out = s.cache_write({name}, "fragment");
  const std::vector<LoopRef> loops = s.loops(name);
  const auto at = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  const auto i = s.split(at(row_iter), {std::nullopt, r.warps, r.tiles, kTile});
  const auto j = s.split(at(column_iter), {std::nullopt, c.warps, c.tiles, kTile});
  const auto t = s.split(at(info.num_spatial), {std::nullopt, steps, kTile});
  std::vector<LoopRef> order(loops.begin(), loops.begin() + row_iter);
  order.insert(order.end(), {i[0], j[0], i[1], j[1], t[0], t[1], i[2], j[2], i[3], j[3], t[2]});
  s.reorder(order);
  s.reverse_compute_at(out, j[1]);
  if (consumer) {
    s.reverse_compute_at({*consumer}, j[0]);
    s.set_scope(out, "shared");
  }
  const char* const axes[] = {"blockIdx.x", "blockIdx.y", "blockIdx.z"};
  std::size_t axis = 0;
  if (row_iter > 0) {
    const std::vector<LoopRef> batch(loops.begin(), loops.begin() + row_iter);
    s.bind(batch.size() > 1 ? s.fuse(batch) : batch[0], axes[axis++]);
  }
  s.bind(i[0], axes[axis++]);
  s.bind(j[0], axes[axis]);
  s.bind(i[1], "threadIdx.z");
  s.bind(j[1], "threadIdx.y");
  std::vector<BlockRef> copies, loads;
  for (const Operand& operand : {a, b}) {
    const auto [copy, fragment] = read_through_fragments(s, name, operand);
    copies.push_back(copy);
    loads.push_back(fragment);
    s.compute_at(loads.back(), t[1]);
    s.compute_at(copies.back(), t[0]);
  }
  bool has_warp = false;  // tensor instructions are for all 32 lanes
  for (const BlockRef& copy : copies) {
    const std::vector<LoopRef> l = s.loops(copy.name);
    constexpr std::int64_t kLanes = 32, kLeast = 2, kMost = 8;  // elements of a copy: 4 to 16 bytes
    const std::int64_t width = loop_extent(s, l.back());
    const std::int64_t each = std::clamp(width / kLanes, kLeast, kMost);
    has_warp |= width / each == kLanes;
    const auto row = s.split(l[l.size() - 2], {r.warps, c.warps, std::nullopt});
    const auto column = s.split(l.back(), {std::nullopt, each});
    s.bind(row[0], "threadIdx.z");
    s.bind(row[1], "threadIdx.y");
    s.bind(column[0], "threadIdx.x");
    s.vectorize(column[1]);
    const auto dimensions =
        static_cast<std::int64_t>((copy.name == copies[0].name ? a : b).load->indices.size());
    s.storage_align(copy, dimensions - 2, 32, 8);
    s.async_copy(copy);
  }
  if (!has_warp) detail::raise<ScheduleError>("E0299", "no copy has a row for 32 lanes");
  const BlockRef zero = s.decompose_reduction({name}, t[0]);
  s.tensorize(i[3], "mma_16x16x16_" + type);
  s.tensorize(tile_of(s, loads[0].name),
              (a.is_transposed ? "load_a_transposed_" : "load_a_") + type);
  s.tensorize(tile_of(s, loads[1].name),
              (b.is_transposed ? "load_b_transposed_" : "load_b_") + type);
  const std::vector<LoopRef> zeros = s.loops(zero.name);
  s.tensorize(zeros[zeros.size() - 2], "fill_zero_f32");
  for (const LoopRef& loop : {i[2], j[2], zeros[zeros.size() - 4], zeros[zeros.size() - 3]})
    s.unroll(loop);
  s.tensorize(tile_of(s, out.name), "store_f32");
  if (consumer) bind_reader(s, *consumer, j[0], r, c);
  constexpr std::int64_t kStages = 3;
  if (terms / (steps * kTile) >= kStages) s.software_pipeline(t[0], kStages);
}

}  // namespace tenon::rules::gpu
