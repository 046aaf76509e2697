// Windows as implicit products: convolutions, grouped and transposed ones, and their gradients.

#include <algorithm>

#include "rules/gpu/window_tile.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/quotient.h"

namespace tenon::rules::gpu {
namespace {

/// The constant by which the load's indices divide the iter wherever they use it; 0: they use it
/// in another way.
std::int64_t group_of(const LoadNode& l, const ExprNode* iter) {
  std::vector<Expr> rest = l.indices;
  const std::int64_t group = replace_quotient(Expr(iter), var("group"), &rest);
  const bool is_used =
      std::any_of(rest.begin(), rest.end(), [&](const Expr& e) { return uses_iter(e, iter); });
  return is_used ? 0 : group;
}

/// How many elements tiles of `size` compute for each that there is.
double waste(std::int64_t extent, std::int64_t size) {
  constexpr double kUnknown = 96;  // a batch may be one image
  if (extent < 0) return 1 + static_cast<double>(size - 1) / kUnknown;
  if (extent == 0) return 1;
  return static_cast<double>((extent + size - 1) / size * size) / static_cast<double>(extent);
}

constexpr std::int64_t kMaxSide = 64, kMinSide = 8;  // fewer elements share too little

/// What a side of so many elements costs: the shorter, the more often operands are read.
double short_side(std::int64_t side) { return 1 + 16.0 / static_cast<double>(side); }

/// Parts of an axis that a tile may have, the largest first: powers of two, or all of a short axis.
/// None is longer than the axis: what lies outside would have to be proved to be unused.
std::vector<std::int64_t> sizes_of(std::int64_t extent) {
  constexpr std::int64_t kWhole = 32;
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = kMaxSide; size >= 1; size /= 2) {
    if (extent < 0 || size <= extent || size == 1) sizes.push_back(size);
  }
  if (extent > 0 && extent <= kWhole) sizes.insert(sizes.begin(), extent);
  return sizes;
}

/// Threads have four neighbours along a long side; there are eight threads at least.
std::int64_t elements_each(std::int64_t side) {
  return std::clamp<std::int64_t>(side / kMinSide, 1, 4);
}

/// What it costs that a thread of such rows has few elements, because none divides their parts.
double few_elements(std::int64_t inner, std::int64_t outer) {
  const std::int64_t each = elements_each(inner * outer);
  const std::int64_t own = divide_axis(-1, inner, std::min(each, inner)).each;
  return 1 +
         1.0 / static_cast<double>(own * divide_axis(-1, outer, std::min(each / own, outer)).each);
}

/// How rows are chosen; what is proved of masks of two axes at once is not always enough.
enum class RowChoice {
  kBest,   ///< one or two axes
  kWhole,  ///< two axes only where their parts divide them
  kOne,    ///< one axis
};

/// One or two iters of `candidates` and their parts of a side: those that waste least.
std::vector<TileAxis> choose_rows(const BlockInfo& info, const std::vector<int>& candidates,
                                  RowChoice choice) {
  struct Part {
    int iter = -1;
    std::int64_t size = 1;
  };
  Part inner, outer;
  double best = -1;
  for (auto a = candidates.rbegin(); a != candidates.rend(); ++a) {
    for (auto b = a; b != candidates.rend(); ++b) {
      for (const std::int64_t size : sizes_of(extent_of(info, *a))) {
        for (const std::int64_t other : sizes_of(a == b ? 1 : extent_of(info, *b))) {
          if (size * other > kMaxSide) continue;
          const double unused =
              waste(extent_of(info, *a), size) * waste(extent_of(info, *b), a == b ? 1 : other);
          const bool is_refused =
              choice == RowChoice::kOne || (choice == RowChoice::kWhole && unused > 1);
          if (other > 1 && is_refused) continue;
          const double cost = short_side(size * other) * few_elements(size, other) * unused;
          if (best >= 0 && cost + 1e-9 >= best) continue;
          best = cost;
          inner = {*a, size};
          outer = other == 1 ? Part{} : Part{*b, other};
        }
      }
    }
  }
  std::int64_t each = elements_each(inner.size * outer.size);
  std::vector<TileAxis> rows;
  for (const Part& part : {inner, outer}) {
    if (part.iter < 0) continue;
    rows.insert(rows.begin(), divide_axis(part.iter, part.size, each));
    each /= rows.front().each;
  }
  return rows;
}

/// Neither do columns of one tile belong to two groups.
TileAxis choose_column(std::int64_t extent, std::int64_t group, int iter) {
  std::int64_t best = 1;
  double least = -1;
  for (const std::int64_t side : sizes_of(group > 0 ? group : extent)) {
    if (group > 0 && group % side != 0) continue;
    const double cost = short_side(side) * waste(extent, side);
    if (least >= 0 && cost + 1e-9 >= least) continue;
    least = cost;
    best = side;
  }
  return divide_axis(iter, best, elements_each(best));
}

/// Rows are iters that only one operand is read along; the column is one that only the other is.
/// Of several groups of columns the first operand has a part each.
WindowTile choose_tile(const BlockInfo& info, RowChoice choice) {
  const auto iter = [&](int d) { return info.block->iters[static_cast<std::size_t>(d)].var.get(); };
  for (int d = info.num_spatial; d-- > info.num_context;) {
    for (const std::size_t rows : {std::size_t{0}, std::size_t{1}}) {
      const LoadNode &a = *info.loads[rows], &b = *info.loads[1 - rows];
      if (!uses_iter(b, iter(d))) continue;
      WindowTile tile;
      const std::int64_t group = uses_iter(a, iter(d)) ? group_of(a, iter(d)) : 0;
      if (uses_iter(a, iter(d)) && group == 0) continue;
      std::vector<int> candidates;
      std::int64_t num_rows = 1;
      for (int r = info.num_context; r < info.num_spatial; ++r) {
        const std::int64_t extent = extent_of(info, r);
        if (r == d || !uses_iter(a, iter(r)) || uses_iter(b, iter(r)) || extent == 1) continue;
        candidates.push_back(r);
        num_rows = extent < 0 || num_rows >= kMinSide ? kMinSide : num_rows * extent;
      }
      const std::int64_t columns = group > 0 ? group : extent_of(info, d);
      if (num_rows < kMinSide || (columns >= 0 && columns < kMinSide)) continue;
      tile.rows = choose_rows(info, candidates, choice);
      tile.column = choose_column(extent_of(info, d), group, d);
      return tile;
    }
  }
  detail::raise<ScheduleError>("E0299", "no two axes that reuse the operands of each other");
}

}  // namespace

void bind_window(RuleContext& context, const BlockInfo& info,
                 const std::optional<std::string>& consumer) {
  if (info.num_context > 0 || info.loads.size() != 2 ||
      info.loads[0]->buffer.same_as(info.loads[1]->buffer))
    detail::raise<ScheduleError>("E0299", "no product of two operands");
  const Schedule before = context.s;
  for (const RowChoice choice : {RowChoice::kBest, RowChoice::kWhole}) {
    try {
      return bind_window_tile(context, info, consumer, choose_tile(info, choice));
    } catch (const ScheduleError&) {
      context.s = before;
    }
  }
  bind_window_tile(context, info, consumer, choose_tile(info, RowChoice::kOne));
}

}  // namespace tenon::rules::gpu
