#include "ir/tensor_instruction/match.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ir/arith/affine.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// Loops around one store.
struct Nest {
  std::vector<const ForNode*> loops;
  const StoreNode* store = nullptr;
};

std::optional<Nest> nest_of(const Stmt& s) {
  Nest nest;
  Stmt at = s;
  for (const auto* f = at.as<ForNode>(); f != nullptr; f = at.as<ForNode>()) {
    nest.loops.push_back(f);
    at = f->body;
  }
  nest.store = at.as<StoreNode>();
  if (nest.store == nullptr || nest.store->predicate) return std::nullopt;
  return nest;
}

/// A buffer with indices: what an operand is in the nest.
struct Place {
  Buffer buffer;
  std::vector<Expr> indices;
  bool known() const { return static_cast<bool>(buffer); }
};

bool same_place(const Place& a, const Place& b) {
  if (!a.buffer.same_as(b.buffer) || a.indices.size() != b.indices.size()) return false;
  for (std::size_t d = 0; d < a.indices.size(); ++d) {
    if (!structural_equal(a.indices[d], b.indices[d])) return false;
  }
  return true;
}

using Places = std::vector<Place>;  ///< by operand

class Unify {
 public:
  explicit Unify(const TensorInstruction& t) : instruction_(t) {}

  /// All ways in which `e` is the pattern, that extend the given places.
  std::vector<Places> run(const Expr& pattern, const Expr& e, const Places& so_far) const {
    if (const auto* l = pattern.as<LoadNode>()) {
      const auto* found = e.as<LoadNode>();
      if (found == nullptr || found->predicate) return {};
      return with(operand_of(l->buffer), {found->buffer, found->indices}, so_far);
    }
    if (pattern->kind != e->kind) return {};
    if (const auto* f = pattern.as<FmaNode>()) {
      const auto* g = e.as<FmaNode>();
      std::vector<Places> all = chain({{f->a, g->a}, {f->b, g->b}, {f->c, g->c}}, so_far);
      for (Places& p : chain({{f->a, g->b}, {f->b, g->a}, {f->c, g->c}}, so_far))
        all.push_back(std::move(p));
      return all;
    }
    if (const auto* c = pattern.as<CastNode>()) {
      // Another dtype is not another computation: it is told by the dtype of the operand.
      return run(c->value, e.as<CastNode>()->value, so_far);
    }
    return structural_equal(pattern, e) ? std::vector<Places>{so_far} : std::vector<Places>{};
  }

  std::vector<Places> with(std::size_t operand, Place place, Places so_far) const {
    if (so_far[operand].known()) {
      if (!same_place(so_far[operand], place)) return {};
    } else {
      so_far[operand] = std::move(place);
    }
    return {so_far};
  }

  std::size_t operand_of(const Buffer& tile) const {
    const auto found = std::find_if(instruction_.tiles.begin(), instruction_.tiles.end(),
                                    [&](const Buffer& b) { return b.same_as(tile); });
    return static_cast<std::size_t>(found - instruction_.tiles.begin());
  }

 private:
  std::vector<Places> chain(const std::vector<std::pair<Expr, Expr>>& pairs,
                            const Places& so_far) const {
    std::vector<Places> all = {so_far};
    for (const auto& [pattern, e] : pairs) {
      std::vector<Places> next;
      for (const Places& p : all) {
        for (Places& q : run(pattern, e, p)) next.push_back(std::move(q));
      }
      all = std::move(next);
    }
    return all;
  }

  const TensorInstruction& instruction_;
};

/// The coefficient of a loop variable in an index; nothing when the index is not linear in it.
std::optional<std::int64_t> coefficient(const Expr& index, const Expr& v) {
  std::int64_t found = 0;
  for (const arith::Term& term : arith::to_affine(index).terms) {
    if (term.factors.size() == 1 && term.factors[0].same_as(v)) {
      found += term.coefficient;
      continue;
    }
    for (const Expr& factor : term.factors) {
      if (uses_var(factor, [&](const VarNode& x) { return &x == v.get(); })) return std::nullopt;
    }
  }
  return found;
}

class Matcher {
 public:
  Matcher(const TensorInstruction& t, const Stmt& nest)
      : t_(t), pattern_(*nest_of(t.semantics)), nest_(nest_of(nest)) {}

  TensorMatch run() {
    if (!nest_) return fault(TensorFault::kLoops, "the body is not one store in a nest of loops");
    for (const ForNode* f : nest_->loops) {
      if (!is_int(f->extent, 1)) loops_.push_back(f);
    }
    if (auto bad = check_loops()) return *bad;
    const Unify unify(t_);
    Places none(t_.operands.size());
    const std::size_t result = unify.operand_of(pattern_.store->buffer);
    std::vector<Places> ways;
    for (const Places& p :
         unify.with(result, {nest_->store->buffer, nest_->store->indices}, none)) {
      for (Places& q : unify.run(pattern_.store->value, nest_->store->value, p))
        ways.push_back(std::move(q));
    }
    if (ways.empty()) {
      return fault(TensorFault::kExpression,
                   detail::concat("the block computes ", print(nest_->store->value),
                                  ", the instruction ", print(pattern_.store->value)));
    }
    TensorMatch best;
    for (const Places& way : ways) {
      TensorMatch m = check(way);
      if (m.fault == TensorFault::kNone) return m;
      if (m.fault > best.fault) best = std::move(m);
    }
    return best;
  }

 private:
  static TensorMatch fault(TensorFault f, std::string text) {
    TensorMatch m;
    m.fault = f;
    m.text = std::move(text);
    return m;
  }

  static std::string extents_of(const std::vector<const ForNode*>& loops) {
    std::string text;
    for (const ForNode* f : loops) text += (text.empty() ? "" : " x ") + print(f->extent);
    return text.empty() ? "1" : text;
  }

  std::optional<TensorMatch> check_loops() const {
    std::vector<std::int64_t> wanted, found;
    for (const ForNode* f : pattern_.loops) wanted.push_back(*as_int(f->extent));
    for (const ForNode* f : loops_) found.push_back(as_int(f->extent).value_or(-1));
    std::sort(wanted.begin(), wanted.end());
    std::sort(found.begin(), found.end());
    if (wanted == found) return std::nullopt;
    return fault(TensorFault::kLoops,
                 detail::concat("the nest runs over ", extents_of(loops_),
                                ", the instruction over ", extents_of(pattern_.loops)));
  }

  TensorMatch check(const Places& places) const {
    for (std::size_t i = 0; i < places.size(); ++i) {
      const TensorOperand& o = t_.operands[i];
      if (places[i].buffer->dtype == o.dtype) continue;
      return fault(
          TensorFault::kDType,
          detail::concat("operand ", o.name, " is buffer '", places[i].buffer->name, "' of ",
                         to_string(places[i].buffer->dtype), ", should be ", to_string(o.dtype)));
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
      const TensorOperand& o = t_.operands[i];
      const Buffer& b = places[i].buffer;
      if (std::find(o.scopes.begin(), o.scopes.end(), b->scope) != o.scopes.end()) continue;
      std::string scopes;
      for (const Scope s : o.scopes)
        scopes += (scopes.empty() ? "" : " or ") + std::string(to_string(s));
      return fault(TensorFault::kScope,
                   detail::concat("operand ", o.name, " is buffer '", b->name, "' in ",
                                  to_string(b->scope), " memory, should be in ", scopes));
    }
    // Loops in any order: the finest fault of all orders says most.
    std::vector<std::size_t> order(loops_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    TensorMatch first_fault;
    do {
      TensorMatch m = in_order(places, order);
      if (m.fault == TensorFault::kNone) return m;
      if (first_fault.fault == TensorFault::kNone) first_fault = std::move(m);
    } while (std::next_permutation(order.begin(), order.end()));
    return first_fault;
  }

  /// Loop i of the pattern is loop order[i] of the nest.
  TensorMatch in_order(const Places& places, const std::vector<std::size_t>& order) const {
    TensorMatch m;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (as_int(loops_[order[i]]->extent) != as_int(pattern_.loops[i]->extent)) {
        return fault(TensorFault::kIndices,
                     detail::concat("the nest runs over ", extents_of(loops_)));
      }
    }
    VarMap start;
    for (const ForNode* f : nest_->loops) start[f->var.get()] = f->min;
    for (std::size_t o = 0; o < places.size(); ++o) {
      const std::vector<Expr> at = tile_indices(o);
      const Expr row = nest_var(at[0], order), column = nest_var(at[1], order);
      const auto dimension = row_dimension(places[o], row, column);
      if (!dimension) {
        return fault(TensorFault::kIndices,
                     detail::concat("operand ", t_.operands[o].name, " is ", print_place(places[o]),
                                    ", should be a tile with rows along one dimension and "
                                    "consecutive elements along the last"));
      }
      std::vector<Expr> indices;
      for (const Expr& e : places[o].indices) indices.push_back(simplify(substitute(e, start)));
      m.first.push_back(load(places[o].buffer, std::move(indices)));
      m.row_dimension.push_back(*dimension);
    }
    return m;
  }

  static std::string print_place(const Place& p) { return print(load(p.buffer, p.indices)); }

  /// The variables of the pattern that index the tile of an operand.
  std::vector<Expr> tile_indices(std::size_t operand) const {
    const Buffer& tile = t_.tiles[operand];
    if (pattern_.store->buffer.same_as(tile)) return pattern_.store->indices;
    std::vector<Expr> indices;
    post_order_visit(pattern_.store->value, [&](const Node& n) {
      if (n.kind != NodeKind::kLoad) return;
      const auto& l = static_cast<const LoadNode&>(n);
      if (l.buffer.same_as(tile)) indices = l.indices;
    });
    return indices;
  }

  Expr nest_var(const Expr& pattern_var, const std::vector<std::size_t>& order) const {
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (pattern_.loops[i]->var.same_as(pattern_var)) return loops_[order[i]]->var;
    }
    return nullptr;
  }

  /// The dimension that the row variable runs along, if columns run along the last and nothing else
  /// of the nest moves the place.
  std::optional<std::size_t> row_dimension(const Place& p, const Expr& row,
                                           const Expr& column) const {
    std::optional<std::size_t> found;
    for (std::size_t d = 0; d < p.indices.size(); ++d) {
      const bool last = d + 1 == p.indices.size();
      for (const ForNode* f : loops_) {
        const auto c = coefficient(p.indices[d], f->var);
        if (!c) return std::nullopt;
        const bool is_column = f->var.same_as(column), is_row = f->var.same_as(row);
        if (is_column ? *c != (last ? 1 : 0) : *c != 0 && !(is_row && *c == 1 && !last && !found))
          return std::nullopt;
        if (is_row && *c == 1) found = d;
      }
    }
    return found;
  }

  const TensorInstruction& t_;
  Nest pattern_;
  std::optional<Nest> nest_;
  std::vector<const ForNode*> loops_;  ///< of the nest, with more than one iteration
};

bool is_multiple(const Expr& e, std::int64_t of) {
  const arith::Affine a = arith::to_affine(e);
  return a.constant % of == 0 && std::all_of(a.terms.begin(), a.terms.end(), [&](const auto& t) {
           return t.coefficient % of == 0;
         });
}

constexpr std::int64_t kTile = 16;      ///< rows and columns of a fragment
constexpr std::int64_t kRowBytes = 16;  ///< alignment of rows in shared memory

void check_memory(const TensorInstruction& t, std::size_t operand, const std::string& block,
                  const LoadNode& first, std::size_t row_dimension, const Expr& stride) {
  const TensorOperand& o = t.operands[operand];
  const Buffer& b = first.buffer;
  const auto fail = [&](const std::string& why) {
    detail::raise<ScheduleError>(
        "E1276", detail::concat("block '", block, "': operand ", o.name, " of ", t.name,
                                " is buffer '", b->name, "' of ", b->shape.size(),
                                " dimensions, rows ", print(stride), " elements apart: ", why));
  };
  if (b->scope == Scope::kFragment) {
    if (!is_multiple(stride, kTile) || !is_multiple(b->shape[row_dimension], kTile))
      fail("a fragment should have whole tiles of 16 x 16");
    for (const std::size_t d : {row_dimension, first.indices.size() - 1}) {
      if (!is_multiple(first.indices[d], kTile)) fail("a tile should begin at a multiple of 16");
    }
  } else if (b->scope == Scope::kShared && o.layout == nullptr && o.is_read) {
    const std::int64_t elements = kRowBytes / b->dtype.bytes();
    const std::vector<Expr> strides = strides_of(*b);
    Expr offset = imm(0);
    for (std::size_t d = 0; d < strides.size(); ++d)
      offset = offset + first.indices[d] * strides[d];
    if (!is_multiple(stride, elements) || !is_multiple(offset, elements))
      fail(detail::concat("rows should begin at multiples of ", elements, " elements"));
  }
}

}  // namespace

TensorMatch match_tensor_instruction(const TensorInstruction& instruction, const Stmt& nest) {
  return Matcher(instruction, nest).run();
}

Stmt lower_tensor_block(const BlockNode& block, const Stmt& nest) {
  const auto* name = std::get_if<std::string>(&block.annotations.at(kTensorInstructionKey));
  const TensorInstruction* known = name == nullptr ? nullptr : find_tensor_instruction(*name);
  TENON_USER_CHECK(known != nullptr, ScheduleError, "E1275", "block '", block.name,
                   "' is marked as a tensor instruction that does not exist\n  hint: mark it with "
                   "tensorize");
  const TensorInstruction& t = *known;
  const TensorMatch m = match_tensor_instruction(t, nest);
  TENON_USER_CHECK(m.fault == TensorFault::kNone, ScheduleError, "E1275", "block '", block.name,
                   "' is no longer the tensor instruction ", t.name, ": ", m.text,
                   "\n  hint: change buffers before tensorize");
  std::vector<TensorPlace> places;
  for (std::size_t i = 0; i < m.first.size(); ++i) {
    const auto* first = m.first[i].as<LoadNode>();
    const Expr stride = simplify(strides_of(*first->buffer)[m.row_dimension[i]]);
    check_memory(t, i, block.name, *first, m.row_dimension[i], stride);
    places.push_back({m.first[i], stride});
  }
  const SpanScope scope(block.span);
  return tensor_call(t, places);
}

}  // namespace tenon
