#include <algorithm>

#include "schedule/conflict.h"
#include "schedule/dependence.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool same(const Expr& a, const Expr& b) { return a.same_as(b); }

std::size_t position(const std::vector<const ForNode*>& loops, const Expr& v) {
  const auto found =
      std::find_if(loops.begin(), loops.end(), [&](const ForNode* f) { return same(f->var, v); });
  return static_cast<std::size_t>(found - loops.begin());
}

/// The chain of loops from the outermost to the innermost of `handles`, each the whole body of the
/// one before.
std::vector<const ForNode*> chain_of(Step& step, const std::vector<LoopRef>& handles,
                                     std::size_t* path_length) {
  const Path path = step.common_path(handles, 2);
  std::vector<const ForNode*> chain;
  for (std::size_t p = 0; p < path.size(); ++p) {
    const auto* f = path[p].as<ForNode>();
    if (chain.empty()) {
      const bool named =
          f != nullptr && std::any_of(handles.begin(), handles.end(),
                                      [&](const LoopRef& h) { return same(h.var, f->var); });
      if (!named) continue;
      *path_length = p + 1;
    }
    if (f == nullptr) {
      step.blame(chain.back()->var);
      step.fail(
          2, "E0213",
          detail::concat("loop '", chain.back()->var.as<VarNode>()->name,
                         "' holds more than one statement, so that '",
                         path.back().as<ForNode>()->var.as<VarNode>()->name, "' cannot leave it"));
    }
    chain.push_back(f);
  }
  return chain;
}

std::vector<const ForNode*> permuted(const std::vector<const ForNode*>& chain,
                                     const std::vector<LoopRef>& handles) {
  std::vector<const ForNode*> order = chain;
  std::size_t next = 0;
  for (std::size_t slot = 0; slot < chain.size(); ++slot) {
    const bool moves = std::any_of(handles.begin(), handles.end(),
                                   [&](const LoopRef& h) { return same(h.var, chain[slot]->var); });
    if (moves) order[slot] = chain[position(chain, handles[next++].var)];
  }
  return order;
}

void check_extents(Step& step, const std::vector<const ForNode*>& order) {
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t inner = i + 1; inner < order.size(); ++inner) {
      const bool depends = uses_var(order[i]->min + order[i]->extent, [&](const VarNode& v) {
        return &v == order[inner]->var.get();
      });
      step.blame(order[i]->var);
      TENON_REQUIRE(step, !depends, 3, ScheduleError, "E0214", "the extent of loop '",
                    order[i]->var.as<VarNode>()->name, "' changes with loop '",
                    order[inner]->var.as<VarNode>()->name, "' and must stay inside it");
    }
  }
}

/// The loops of the chain that use reduction or ordered iters of the block, in this order.
std::vector<const ForNode*> carriers(const BlockNode& block,
                                     const std::vector<const ForNode*>& order, IterKind kind) {
  std::vector<const ForNode*> out;
  for (const ForNode* f : order) {
    if (touches(block, f->var, kind) && !is_int(f->extent, 1)) out.push_back(f);
  }
  return out;
}

void check_block_order(Step& step, const BlockNode& block,
                       const std::vector<const ForNode*>& before,
                       const std::vector<const ForNode*>& after) {
  step.blame(after[0]->var);
  TENON_REQUIRE(
      step,
      carriers(block, before, IterKind::kOrdered) == carriers(block, after, IterKind::kOrdered), 4,
      ScheduleError, "E0215", "block '", block.name,
      "' runs in ascending order over the loops of its ordered iters");
  if (carriers(block, before, IterKind::kReduction) == carriers(block, after, IterKind::kReduction))
    return;
  const auto reducer = find_reducer(block);
  if (!reducer || reducer->order_matters()) step.mark_reassociates();
}

/// Dependences through `buffer` must stay inside one iteration of all the loops, or be those of one
/// block's reduction or ordered loops (whose order check_block_order keeps).
void check_dependences(Step& step, const std::vector<Access>& accesses,
                       const std::vector<const ForNode*>& chain, const std::vector<Expr>& outer,
                       const Path& innermost) {
  const BlockNode* only = accesses[0].block;
  for (const Access& a : accesses) only = a.block == only ? only : nullptr;
  const auto has_carried = [](const BlockNode& b) {
    return has_kind(b, IterKind::kReduction) || has_kind(b, IterKind::kOrdered);
  };
  if (only != nullptr && !has_carried(*only)) return;
  if (only == nullptr &&
      is_private(accesses[0].buffer, step.root(), innermost, step.function()->symbols))
    return;
  for (const ForNode* f : overlapping_loops(chain, accesses, outer, step.function()->symbols)) {
    const bool is_carried = only != nullptr && (touches(*only, f->var, IterKind::kReduction) ||
                                                touches(*only, f->var, IterKind::kOrdered));
    if (is_carried) continue;
    step.blame(f->var);
    step.show(find_conflict(*f, accesses, outer, step.function()->symbols));
    step.fail(
        4, "E0215",
        detail::concat("loop '", f->var.as<VarNode>()->name,
                       "' carries a dependence through buffer '", accesses[0].buffer->name, "'"));
  }
}

void check_all_dependences(Step& step, const Path& path, std::size_t path_length,
                           const std::vector<const ForNode*>& chain) {
  const Path outer_path(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(path_length) - 1);
  const std::vector<const ForNode*> around = loops_on(outer_path);
  std::vector<Expr> outer;
  for (const ForNode* f : around) outer.push_back(f->var);
  const std::vector<Access> all = accesses_under(path[path_length - 1], around);
  std::vector<Buffer> done;
  for (const Access& a : all) {
    if (!a.is_write ||
        std::any_of(done.begin(), done.end(), [&](const Buffer& b) { return b.same_as(a.buffer); }))
      continue;
    done.push_back(a.buffer);
    check_dependences(step, accesses_of(all, a.buffer), chain, outer, path);
  }
}

}  // namespace

extern const Primitive kReorder;

void reorder_loops(Step& step, const std::vector<LoopRef>& handles) {
  const Step::RulesOf rules(step, kReorder);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    for (std::size_t k = i + 1; k < handles.size(); ++k) {
      step.blame(handles[i].var);
      TENON_REQUIRE(step, !same(handles[i].var, handles[k].var), 1, ScheduleError, "E0216",
                    "loop '", handles[i].name(), "' is given twice");
    }
  }
  if (handles.size() < 2) return;
  std::size_t path_length = 0;
  const std::vector<const ForNode*> chain = chain_of(step, handles, &path_length);
  const std::vector<const ForNode*> order = permuted(chain, handles);
  if (order == chain) return;
  check_extents(step, order);
  const Path path = step.common_path(handles, 2);
  check_all_dependences(step, path, path_length, chain);
  for (const BlockNode* b : blocks_under(path.back())) check_block_order(step, *b, chain, order);
  Stmt body = chain.back()->body;
  for (std::size_t i = order.size(); i-- > 0;) body = with_body(*order[i], body);
  step.set_root(replace_at(
      Path(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(path_length)), body));
}

namespace {

ScheduleValue apply(Step& step) {
  reorder_loops(step, step.argument<std::vector<LoopRef>>(0));
  return {};
}

}  // namespace

const Primitive kReorder = {
    "reorder",
    "Puts the loops in the given order, outermost first, into the places that they hold together.",
    {{"loops", ParameterKind::kLoops, nullptr, false, true}},
    {"each loop is given once",
     "the loops lie on one path, and each loop between the outermost and the innermost holds one "
     "loop only",
     "no extent changes with a loop that moves inside",
     "no dependence between iterations changes its direction"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
