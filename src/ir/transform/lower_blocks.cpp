#include "ir/transform/lower_blocks.h"

#include <algorithm>
#include <optional>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// One access, its indices in terms of loop variables.
struct Access {
  std::vector<Expr> indices;
  std::vector<const ForNode*> loops;  ///< around it, outermost first
};

struct Usage {
  std::vector<Access> accesses;
  std::vector<const ForNode*> common;  ///< the loops that hold every access
  bool seen = false;
};

/// Finds every access of the buffers that the function allocates. A shared expression counts once
/// for each statement that holds it: its loops may differ.
class FindUsage : public Walker {
 public:
  std::unordered_map<const BufferNode*, Usage> usage;
  std::vector<Buffer> allocated;

 protected:
  using Walker::visit;
  void visit(const AllocateNode& n) override {
    allocated.push_back(n.buffer);
    usage[n.buffer.get()];
    (*this)(n.body);
  }
  void visit(const ForNode& n) override {
    clear_visited();
    loops_.push_back(&n);
    walk(n);
    loops_.pop_back();
    clear_visited();
  }
  void visit(const BlockNode& n) override {
    clear_visited();
    const std::size_t outer = bound_.size();
    for (std::size_t i = 0; i < n.iters.size(); ++i) bound_[n.iters[i].var.get()] = n.bindings[i];
    block_ = &n;
    if (n.init) (*this)(n.init);
    (*this)(n.body);
    block_ = nullptr;
    if (outer == 0) bound_.clear();
  }
  void visit(const LoadNode& n) override {
    add(n.buffer, n.indices, false);
    walk(n);
  }
  void visit(const StoreNode& n) override {
    clear_visited();
    add(n.buffer, n.indices, true);
    walk(n);
  }

 private:
  void add(const Buffer& b, const std::vector<Expr>& indices, bool written) {
    const auto found = usage.find(b.get());
    if (found == usage.end()) return;
    Usage& u = found->second;
    std::vector<const ForNode*> loops = loops_;
    if (written && block_ != nullptr) loops.resize(std::min(loops.size(), reduction_depth()));
    if (!u.seen) {
      u.common = loops;
    } else {
      const auto [a, c] =
          std::mismatch(u.common.begin(), u.common.end(), loops.begin(), loops.end());
      u.common.erase(a, u.common.end());
    }
    u.seen = true;
    Access access{{}, loops_};
    for (const Expr& e : indices) access.indices.push_back(substitute(e, bound_));
    u.accesses.push_back(std::move(access));
  }

  /// The number of outer loops that no reduction iter of the current block is bound to: values
  /// persist across the others.
  std::size_t reduction_depth() const {
    for (std::size_t depth = 0; depth < loops_.size(); ++depth) {
      for (std::size_t i = 0; i < block_->iters.size(); ++i) {
        if (block_->iters[i].kind == IterKind::kSpatial) continue;
        if (uses_var(block_->bindings[i],
                     [&](const VarNode& v) { return &v == loops_[depth]->var.get(); }))
          return depth;
      }
    }
    return loops_.size();
  }

  std::vector<const ForNode*> loops_;
  VarMap bound_;
  const BlockNode* block_ = nullptr;
};

/// A shrunk buffer and what to subtract from each index.
struct Placement {
  Buffer buffer;
  std::vector<Expr> offsets;
};

class Shrink {
 public:
  explicit Shrink(const Function& f) : function_(f) {}

  Placement place(const Buffer& b, const Usage& u) {
    Placement out{nullptr, {}};
    std::vector<Expr> shape;
    for (std::size_t d = 0; d < b->shape.size(); ++d) {
      const auto range = used(u, d);
      shape.push_back(range ? range->extent : b->shape[d]);
      out.offsets.push_back(range ? range->min : imm(0));
    }
    out.buffer = make_buffer(b->name, b->dtype, shape, b->scope);
    auto* node = const_cast<BufferNode*>(out.buffer.get());  // nobody else has seen it yet
    node->alignment = b->alignment;
    node->span = b->span;
    return out;
  }

 private:
  /// A data-dependent (or checked) index says nothing about a part, and may not be read outside the
  /// block's condition.
  static bool depends_on_data(const Expr& e) {
    bool found = false;
    post_order_visit(
        e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall; });
    return found;
  }
  /// The range of dimension d that is used in one iteration of the common loops; nothing when it
  /// has no usable form.
  std::optional<Range> used(const Usage& u, std::size_t d) {
    Expr low, high;
    Analyzer analyzer;
    analyzer.bind_symbols(function_);
    for (const Access& access : u.accesses) {
      std::vector<Expr> inner;
      for (std::size_t i = 0; i < access.loops.size(); ++i) {
        analyzer.bind(access.loops[i]->var, {access.loops[i]->min, access.loops[i]->extent});
        if (i >= u.common.size()) inner.push_back(access.loops[i]->var);
      }
      if (depends_on_data(access.indices[d])) return std::nullopt;
      const Interval bounds = analyzer.symbolic_bounds(access.indices[d], inner);
      if (!bounds.min || !bounds.max) return std::nullopt;
      low = !low ? bounds.min : smaller(&analyzer, low, bounds.min);
      high = !high ? bounds.max : larger(&analyzer, high, bounds.max);
    }
    Expr extent = analyzer.simplify(high - low + 1);
    if (!as_int(extent)) {
      const ConstRange known = analyzer.const_bounds(extent);
      if (known.upper && *known.upper >= 0 && *known.upper < kLargest) {
        extent = imm(*known.upper);
      } else if (uses_var(extent, [](const VarNode& v) { return v.symbol == nullptr; })) {
        return std::nullopt;
      }
    }
    return Range{analyzer.simplify(low), extent};
  }

  static Expr smaller(Analyzer* a, const Expr& x, const Expr& y) {
    if (a->can_prove(le(x, y))) return x;
    return a->can_prove(le(y, x)) ? y : min(x, y);
  }
  static Expr larger(Analyzer* a, const Expr& x, const Expr& y) {
    if (a->can_prove(ge(x, y))) return x;
    return a->can_prove(ge(y, x)) ? y : max(x, y);
  }

  static constexpr std::int64_t kLargest =
      1 << 20;  // elements of one dimension worth a constant bound
  Function function_;
};

/// Dissolves blocks, rewrites accesses to the shrunk buffers and puts the allocations in place.
class Dissolve : public Mutator {
 public:
  Dissolve(std::unordered_map<const BufferNode*, Placement> placements,
           std::unordered_map<const ForNode*, std::vector<Buffer>> at)
      : placements_(std::move(placements)), at_(std::move(at)) {}

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const AllocateNode& n) override {
    return placements_.count(n.buffer.get()) != 0 ? (*this)(n.body) : rebuild(n);
  }
  Stmt rewrite(const ForNode& n) override {
    Stmt loop = rebuild(n);
    const auto found = at_.find(&n);
    if (found == at_.end()) return loop;
    const auto* rebuilt = loop.as<ForNode>();
    Stmt body = rebuilt->body;
    for (const Buffer& b : found->second)
      body = make_allocate(placements_.at(b.get()).buffer, body);
    return with_body(*rebuilt, body);
  }
  Stmt rewrite(const BlockNode& n) override {
    VarMap bound;
    for (std::size_t i = 0; i < n.iters.size(); ++i) bound[n.iters[i].var.get()] = n.bindings[i];
    Stmt init = n.init ? (*this)(substitute(n.init, bound)) : nullptr;
    Stmt body = (*this)(substitute(n.body, bound));
    Expr predicate = n.predicate;
    if (init) {
      Expr first;
      for (std::size_t i = 0; i < n.iters.size(); ++i) {
        if (n.iters[i].kind == IterKind::kReduction)
          first = and_predicate(first, eq(n.bindings[i], substitute(n.iters[i].domain.min, bound)));
      }
      body = make_seq({first ? make_if(first, init) : init, body});
    }
    return predicate && !is_int(predicate, 1) ? make_if(predicate, body) : body;
  }
  Expr rewrite(const LoadNode& n) override {
    const auto found = placements_.find(n.buffer.get());
    if (found == placements_.end()) return rebuild(n);
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    Expr out = load(found->second.buffer, shifted(found->second, n.indices), predicate);
    keep_span(n, *out.get());
    return out;
  }
  Stmt rewrite(const StoreNode& n) override {
    const auto found = placements_.find(n.buffer.get());
    if (found == placements_.end()) return rebuild(n);
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    Stmt out =
        store(found->second.buffer, shifted(found->second, n.indices), (*this)(n.value), predicate);
    keep_span(n, *out.get());
    return out;
  }

 private:
  std::vector<Expr> shifted(const Placement& p, const std::vector<Expr>& indices) {
    std::vector<Expr> out;
    for (std::size_t d = 0; d < indices.size(); ++d)
      out.push_back((*this)(indices[d]) - p.offsets[d]);
    return out;
  }
  std::unordered_map<const BufferNode*, Placement> placements_;
  std::unordered_map<const ForNode*, std::vector<Buffer>> at_;
};

}  // namespace

Function lower_blocks(const Function& f) {
  FindUsage find;
  find(f->body);
  Shrink shrink(f);
  std::unordered_map<const BufferNode*, Placement> placements;
  std::unordered_map<const ForNode*, std::vector<Buffer>> at;
  for (const Buffer& b : find.allocated) {
    const Usage& u = find.usage.at(b.get());
    if (!u.seen || u.common.empty()) continue;
    placements[b.get()] = shrink.place(b, u);
    at[u.common.back()].push_back(b);
  }
  return with_body(f, Dissolve(std::move(placements), std::move(at))(f->body));
}

}  // namespace tenon
