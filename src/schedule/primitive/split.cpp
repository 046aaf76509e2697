#include <numeric>

#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// Loops that replace one, outermost first, and what its variable becomes.
struct Pieces {
  std::vector<Expr> vars;
  std::vector<Expr> extents;
  Expr value;      ///< relative to the loop's minimum
  Expr predicate;  ///< of the blocks below; null where nothing is masked
};

/// Which factor is to be computed; -1 for none.
int check_factors(Step& step, const LoopRef& loop, const Factors& factors) {
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (!factors[i] || *factors[i] >= 1) continue;
    if (i > 0) step.suggest("use factors=[4, None] to fix the number of outer iterations instead");
    TENON_REQUIRE(step, false, 2, ScheduleError, "E0203", "factors[", i, "] = ", *factors[i],
                  " for loop '", loop.name(), "' must be at least 1");
  }
  TENON_REQUIRE(step, factors.size() >= 2, 3, ScheduleError, "E0206", "loop '", loop.name(),
                "' needs at least 2 factors, got ", factors.size());
  int open = -1;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (factors[i]) continue;
    TENON_REQUIRE(step, open < 0, 4, ScheduleError, "E0207", "factors[", open, "] and factors[", i,
                  "] of loop '", loop.name(), "' are both None; at most one can be computed");
    open = static_cast<int>(i);
  }
  return open;
}

/// The extents of all pieces; the open one is the number that covers the loop.
std::vector<Expr> piece_extents(Step& step, const ForNode& loop, const Factors& factors, int open) {
  std::int64_t product = 1;
  for (const auto& f : factors) product *= f.value_or(1);
  std::vector<Expr> extents;
  for (const auto& f : factors) {
    extents.push_back(f ? imm(*f)
                        : (prove_divisible(loop.extent, product, step.function()->symbols)
                               ? floordiv(loop.extent, imm(product))
                               : ceildiv(loop.extent, imm(product))));
  }
  if (open >= 0) return extents;
  const auto extent = as_int(loop.extent);
  const std::string name = loop.var.as<VarNode>()->name;
  TENON_REQUIRE(step, extent, 5, ScheduleError, "E0208", "loop '", name,
                "' has the symbolic extent ", "and needs one factor None");
  TENON_REQUIRE(step, product >= *extent, 5, ScheduleError, "E0208", "product of factors ", product,
                " of loop '", name, "' is less than extent ", *extent);
  return extents;
}

Pieces masked(Step& step, const ForNode& loop, const std::vector<Expr>& vars,
              const std::vector<Expr>& extents) {
  Pieces pieces{vars, extents, vars[0], nullptr};
  for (std::size_t i = 1; i < vars.size(); ++i) pieces.value = pieces.value * extents[i] + vars[i];
  Expr product = imm(1);
  for (const Expr& e : extents) product = product * e;
  std::int64_t known = 1;
  for (const Expr& e : extents) known *= as_int(e).value_or(1);
  const bool exact = as_int(product)
                         ? is_int(product - loop.extent, 0)
                         : prove_divisible(loop.extent, known, step.function()->symbols);
  if (!exact) pieces.predicate = lt(pieces.value, loop.extent);
  return pieces;
}

/// Outer tiles of at most `tile` iterations each, none of them masked.
Pieces partitioned(const ForNode& loop, const std::vector<Expr>& vars, const Expr& tiles,
                   std::int64_t tile) {
  const Expr rest = normalise(loop.extent - vars[0] * tile);
  return {vars, {tiles, tenon::min(imm(tile), rest)}, vars[0] * tile + vars[1], nullptr};
}

/// The first `tiles - larger` tiles have `base` iterations, the others one more.
Pieces balanced(std::int64_t extent, std::int64_t tile, const std::vector<Expr>& vars) {
  const std::int64_t tiles = (extent + tile - 1) / tile;
  const std::int64_t base = tiles == 0 ? 0 : extent / tiles, larger = extent - base * tiles;
  const Expr t = vars[0];
  if (larger == 0) return {vars, {imm(tiles), imm(base)}, t * base + vars[1], nullptr};
  const Expr first_larger = imm(tiles - larger);
  const Expr size = select(lt(t, first_larger), imm(base), imm(base + 1));
  return {
      vars, {imm(tiles), size}, t * base + tenon::max(imm(0), t - first_larger) + vars[1], nullptr};
}

/// The size of the inner loop of a two-way split.
std::int64_t tile_size(Step& step, const ForNode& loop, const Factors& factors, int open) {
  const std::string name = loop.var.as<VarNode>()->name;
  TENON_REQUIRE(step, factors.size() == 2, 6, ScheduleError, "E0209", "loop '", name, "' gets ",
                factors.size(),
                " factors, but tail=\"partition\" and \"balance\" divide into exactly 2 loops");
  if (open != 1) return *factors[1];
  const auto extent = as_int(loop.extent);
  TENON_REQUIRE(step, extent, 6, ScheduleError, "E0209", "loop '", name,
                "' has a symbolic extent: the inner factor must be given for tail=\"partition\"");
  return std::max<std::int64_t>(1, (*extent + *factors[0] - 1) / *factors[0]);
}

Pieces divide(Step& step, const ForNode& loop, const Factors& factors, const std::string& tail,
              const std::vector<Expr>& vars) {
  const int open = check_factors(step, {loop.var}, factors);
  const std::string name = loop.var.as<VarNode>()->name;
  TENON_REQUIRE(step, tail == "mask" || tail == "partition" || tail == "balance", 6, ScheduleError,
                "E0209", "tail=\"", tail, "\" for loop '", name,
                "' should be \"mask\", \"partition\" or \"balance\"");
  const std::vector<Expr> extents = piece_extents(step, loop, factors, open);
  if (tail == "mask") return masked(step, loop, vars, extents);
  const std::int64_t tile = tile_size(step, loop, factors, open);
  const auto extent = as_int(loop.extent);
  if (tail == "balance") {
    step.suggest("tail=\"mask\" and tail=\"partition\" take a symbolic extent");
    TENON_REQUIRE(
        step, extent, 7, ScheduleError, "E0210", "loop '", name,
        "' has a symbolic extent and cannot be balanced; use tail=\"mask\" or tail=\"partition\"");
    return balanced(*extent, tile, vars);
  }
  if (prove_divisible(loop.extent, tile, step.function()->symbols)) {
    return masked(step, loop, vars, {floordiv(loop.extent, imm(tile)), imm(tile)});
  }
  if (extent && *extent <= tile) return masked(step, loop, vars, {imm(1), loop.extent});
  return partitioned(loop, vars, ceildiv(loop.extent, imm(tile)), tile);
}

}  // namespace

extern const Primitive kSplit;

std::vector<LoopRef> split_loop(Step& step, const LoopRef& handle, const Factors& factors,
                                const std::string& tail) {
  const Step::RulesOf rules(step, kSplit);
  const Path path = step.path_to(handle);
  step.blame(handle.var);
  const auto* loop = path.back().as<ForNode>();
  require_serial(step, *loop, 1);
  std::vector<Expr> vars;
  for (const std::string& name : part_names(handle.name(), factors.size()))
    vars.push_back(var(name));
  const Pieces pieces = divide(step, *loop, factors, tail, vars);
  Stmt body = substitute(loop->body, VarMap{{handle.var.get(), loop->min + pieces.value}});
  if (pieces.predicate) body = add_predicate(body, pieces.predicate);
  for (std::size_t i = vars.size(); i-- > 0;) {
    ForAttrs attrs;
    if (i == 0) attrs.annotations = loop->attrs.annotations;
    const SpanScope scope(loop->span);
    body = make_for(vars[i], imm(0), pieces.extents[i], body, attrs);
  }
  step.set_root(replace_at(path, body));
  std::vector<LoopRef> result;
  for (const Expr& v : vars) result.push_back({v});
  step.set_replacement(handle, result);
  return result;
}

namespace {

ScheduleValue apply(Step& step) {
  return split_loop(step, step.argument<LoopRef>(0), step.argument<Factors>(1),
                    step.argument<std::string>(2));
}

}  // namespace

const Primitive kSplit = {
    "split",
    "Replaces a loop by a nest of loops that together run over the same iterations in the same "
    "order.",
    {{"loop", ParameterKind::kLoop},
     {"factors", ParameterKind::kFactors, nullptr, true},
     {"tail", ParameterKind::kText, "\"mask\"", true}},
    {"the loop is serial", "every factor is a positive integer or None",
     "there are at least two factors", "at most one factor is None",
     "without a None the product of the factors is at least the extent, which is constant",
     "tail is \"mask\", \"partition\" or \"balance\"; the last two take exactly two factors",
     "tail=\"balance\" needs a constant extent"},
    ResultKind::kLoops,
    apply};

}  // namespace tenon
