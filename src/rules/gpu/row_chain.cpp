#include <algorithm>
#include <map>
#include <unordered_set>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules::gpu {
namespace {

/// Shared memory that a block of threads keeps elements of its row in; every card has it.
constexpr std::int64_t kSharedBytes = 40 << 10;
/// A single row that one block of threads is enough for.
constexpr std::int64_t kMaxSingleRow = 1 << 14;

/// The leading axes that all reductions keep; -1 where the blocks are no chain over rows: one
/// output, made by the last block, a row reduction among the others.
int num_row_axes(const std::vector<BlockInfo>& blocks, const Function& f) {
  if (blocks.size() < 2 || f->outputs.size() != 1) return -1;
  const BlockInfo& sink = blocks.back();
  if (sink.store == nullptr || !sink.output().same_as(f->outputs[0])) return -1;
  int num_rows = sink.num_spatial - 1;
  bool reduces = false;
  for (const BlockInfo& b : blocks) {
    if (b.store == nullptr || b.is_ordered() || b.num_context > 0) return -1;
    const bool is_row = is_row_reduction(b);
    reduces |= is_row && b.name() != sink.name();
    if (is_row && b.name() != sink.name()) num_rows = std::min(num_rows, b.num_spatial);
  }
  if (!reduces || num_rows < 0) return -1;
  if (num_rows > 0) return num_rows;
  for (const BlockInfo& b : blocks) {
    const std::int64_t work = num_iterations(b, 0, b.num_spatial + b.num_reduction);
    if (work < 0 || work > kMaxSingleRow) return -1;
  }
  return 0;
}

std::int64_t round_up_threads(std::int64_t elements) {
  return std::max<std::int64_t>(32, row_threads(elements));
}

/// The blocks that make what several rows read: they run before the rows.
std::unordered_set<std::string> blocks_before_rows(const std::vector<BlockInfo>& blocks,
                                                   int num_rows) {
  std::unordered_set<std::string> before;
  for (auto b = blocks.rbegin(); b != blocks.rend(); ++b) {
    for (const BlockInfo& reader : blocks) {
      for (const LoadNode* l : reader.loads) {
        if (!l->buffer.same_as(b->output())) continue;
        bool is_shared = before.count(reader.name()) != 0;
        for (int d = 0; d < std::min(num_rows, reader.num_spatial); ++d) {
          const IterVar& row = reader.block->iters[static_cast<std::size_t>(d)];
          is_shared |= !is_int(row.domain.extent, 1) && !uses_iter(*l, row.var.get());
        }
        if (is_shared) before.insert(b->name());
      }
    }
  }
  return before;
}

/// A block in its place under the row.
struct Placed {
  std::string block;
  std::int64_t elements = 1;  ///< of the row; -1: not constant
  std::optional<LoopRef> thread;
  const ThreadRow* joined = nullptr;
  ThreadRow::Lanes lanes;
};

/// Divides the loops over the elements of a block inside the row by threads. Loops of one iteration
/// (over the row itself) stay outside.
void split_inside(Schedule& s, const LoopRef& row, Placed* placed) {
  std::vector<LoopRef> loops;
  for (const LoopRef& loop : loops_inside(s, placed->block, row)) {
    const std::int64_t extent = loop_extent(s, loop);
    if (loops.empty() && extent == 1) continue;
    loops.push_back(loop);
    placed->elements = extent < 0 || placed->elements < 0 ? -1 : placed->elements * extent;
  }
  if (loops.empty()) return;
  const LoopRef all = loops.size() > 1 ? s.fuse(loops) : loops[0];
  placed->thread = s.split(all, {std::nullopt, round_up_threads(placed->elements)})[1];
}

/// What readers share of a row: in shared memory as long as there is room.
void place_elements(Schedule& s, const Placed& placed, std::int64_t* shared_bytes) {
  if (placed.elements < 0) return;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const int size = find_block(blocks, placed.block)->output()->dtype.bytes();
  if (*shared_bytes + placed.elements * size > kSharedBytes) return;
  *shared_bytes += placed.elements * size;
  s.set_scope({placed.block}, "shared");
}

}  // namespace

bool bind_row_chain(RuleContext& context, std::vector<std::string>* before) {
  Schedule& s = context.s;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const int num_rows = num_row_axes(blocks, f);
  if (num_rows < 0) return false;

  const std::unordered_set<std::string> hoisted = blocks_before_rows(blocks, num_rows);
  before->assign(hoisted.begin(), hoisted.end());
  std::sort(before->begin(), before->end());
  const auto joins_row = [&](const BlockInfo& b) {
    return hoisted.count(b.name()) == 0 && is_row_reduction(b) && b.name() != blocks.back().name();
  };
  if (std::none_of(blocks.begin(), blocks.end(), joins_row)) return false;

  // What makes new blocks comes first, while each nest stands alone.
  std::vector<ThreadRow> divided;
  std::map<std::string, std::string> sums;  // by the block that writes them back
  std::string sink = blocks.back().name();
  for (const BlockInfo& b : blocks) {
    if (hoisted.count(b.name()) != 0) continue;
    if (joins_row(b)) {
      divided.push_back(divide_row_over_threads(context, b));
    } else if (b.is_reduction()) {
      const std::string copy = s.cache_write({b.name()}, "global").name;
      sums[copy] = b.name();
      if (b.name() == sink) sink = copy;
    }
  }
  std::vector<LoopRef> rows = s.loops(sink);
  rows.resize(static_cast<std::size_t>(num_rows));
  if (rows.empty()) rows.push_back(s.add_unit_loop(s.loops(sink)[0]));
  const std::vector<LoopRef> grid = grid_loops(s, rows);
  const LoopRef row = grid.back();
  const auto is_inside = [&](const std::string& name) {
    return std::any_of(divided.begin(), divided.end(),
                       [&](const ThreadRow& r) { return name == r.terms; }) ||
           std::any_of(sums.begin(), sums.end(),
                       [&](const auto& entry) { return name == entry.second; });
  };
  std::vector<std::string> names;
  for (const BlockRef& b : s.blocks()) {
    if (!is_inside(b.name) && b.name != sink && hoisted.count(b.name) == 0) names.push_back(b.name);
  }
  names.push_back(sink);
  std::vector<Placed> placed;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (*name != sink) s.compute_at({*name}, row);
    Placed& p = placed.emplace_back();
    p.block = *name;
    for (const ThreadRow& r : divided) {
      if (r.block == *name) p.joined = &r;
    }
    if (p.joined != nullptr) {
      p.lanes = place_row_terms(context, *p.joined, row);
      continue;
    }
    split_inside(s, row, &p);
    const auto chain = sums.find(*name);
    if (chain == sums.end()) continue;
    // A sum of its own in each thread.
    const LoopRef around = p.thread ? *p.thread : row;
    s.compute_at({chain->second}, around);
    s.decompose_reduction({chain->second}, loops_inside(s, chain->second, around).front());
  }
  std::int64_t shared_bytes = 0;
  for (const Placed& p : placed) {
    if (p.block != sink) place_elements(s, p, &shared_bytes);
  }
  bind_grid(s, grid);
  for (const Placed& p : placed) {
    if (p.joined != nullptr) {
      bind_row(context, *p.joined, p.lanes);
    } else if (p.thread) {
      s.bind(*p.thread, "threadIdx.x");
    }
  }
  for (const auto& entry : sums) s.set_scope({entry.second}, "local");
  return true;
}

}  // namespace tenon::rules::gpu
