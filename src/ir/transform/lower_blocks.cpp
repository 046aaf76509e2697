#include "ir/transform/lower_blocks.h"

#include <algorithm>
#include <optional>

#include "ir/tensor_instruction/match.h"
#include "ir/transform/check_tensor_calls.h"
#include "ir/transform/conditions.h"
#include "ir/transform/mark_device_stores.h"
#include "ir/transform/storage_align.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// One access, its indices in terms of loop variables.
struct Access {
  std::vector<Expr> indices;
  std::vector<const ForNode*> loops;  ///< around it, outermost first
  Expr predicate;                     ///< of its block, in terms of loop variables; may be null
};

struct Usage {
  std::vector<Access> accesses;
  std::vector<const ForNode*> common;  ///< the loops that hold every access
  bool seen = false;
};

bool is_thread_loop(const ForNode* loop) {
  const auto axis = axis_of(*loop);
  return axis && is_thread_axis(*axis);
}

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
    depth_ = n.annotations.count(kTensorInstructionKey) != 0 ? loops_.size() : SIZE_MAX;
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
    if (block_ != nullptr) loops.resize(std::min(loops.size(), depth_));
    if (written && block_ != nullptr) loops.resize(std::min(loops.size(), reduction_depth()));
    if (!u.seen) {
      u.common = loops;
    } else {
      const auto [a, c] =
          std::mismatch(u.common.begin(), u.common.end(), loops.begin(), loops.end());
      u.common.erase(a, u.common.end());
    }
    u.seen = true;
    Access access{{}, loops_, block_ != nullptr ? block_->predicate : nullptr};
    for (const Expr& e : indices) access.indices.push_back(substitute(e, bound_));
    u.accesses.push_back(std::move(access));
  }

  /// The number of outer loops that no reduction iter of the current block is bound to: values
  /// persist across the others. A coordinate of a thread is no iteration that follows another.
  std::size_t reduction_depth() const {
    for (std::size_t depth = 0; depth < loops_.size(); ++depth) {
      if (loops_[depth]->attrs.kind == ForKind::kThread) continue;
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
  std::size_t depth_ = 0;  ///< of the loops that a buffer may be allocated in: outside of calls
};

/// A shrunk buffer and what to subtract from each index.
struct Placement {
  Buffer buffer;
  std::vector<Expr> offsets;
};

class Shrink {
 public:
  /// On a device shared memory is used by all threads of a block at once, and the conditions of
  /// blocks bound what they use.
  Shrink(const Function& f, bool on_device) : function_(f), on_device_(on_device), align_(f) {}

  Placement place(const Buffer& b, const Usage& u) {
    Placement out{nullptr, {}};
    std::vector<Expr> shape;
    for (std::size_t d = 0; d < b->shape.size(); ++d) {
      const auto range = used(b, u, d);
      shape.push_back(range ? range->extent : b->shape[d]);
      out.offsets.push_back(range ? range->min : imm(0));
    }
    out.buffer = make_buffer(b->name, b->dtype, shape, b->scope);
    auto* node = const_cast<BufferNode*>(out.buffer.get());  // nobody else has seen it yet
    node->alignment = b->alignment;
    node->span = b->span;
    align_.pad(b, node);
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
  std::optional<Range> used(const Buffer& b, const Usage& u, std::size_t d) {
    const bool shared = on_device_ && b->scope == Scope::kShared;
    Expr low, high;
    Analyzer analyzer;
    analyzer.bind_symbols(function_);
    for (const Access& access : u.accesses) {
      std::vector<Expr> inner;
      for (std::size_t i = 0; i < access.loops.size(); ++i) {
        analyzer.bind(access.loops[i]->var, {access.loops[i]->min, access.loops[i]->extent});
        const bool united = shared && is_thread_loop(access.loops[i]);
        if (i >= u.common.size() || united) inner.push_back(access.loops[i]->var);
      }
      if (depends_on_data(access.indices[d])) return std::nullopt;
      Interval bounds = analyzer.symbolic_bounds(access.indices[d], inner);
      if (!bounds.min || !bounds.max) return std::nullopt;
      if (on_device_) bounds.max = limited(&analyzer, access, d, inner, bounds.max);
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
    // Rounded up to a whole number of threads, a part may be larger than the whole.
    if (on_device_ && as_int(extent) && as_int(b->shape[d]) &&
        *as_int(extent) >= *as_int(b->shape[d]))
      return std::nullopt;
    return Range{analyzer.simplify(low), extent};
  }

  /// The upper bound of an index, given that the conditions of its block hold: `high`, or a lower
  /// one. Finds `x < end` where the index is a sum of x, or a function of x (fused loops).
  static Expr limited(Analyzer* analyzer, const Access& access, std::size_t d,
                      const std::vector<Expr>& inner, Expr high) {
    const Expr& index = access.indices[d];
    const auto depends = [&](const Expr& e) {
      return std::any_of(inner.begin(), inner.end(), [&](const Expr& v) { return uses(e, v); });
    };
    for (const Expr& c : conjuncts(access.predicate)) {
      const auto* less = c.as<BinaryNode>();
      if (less == nullptr || less->op != BinaryOp::kLt || depends(less->b)) continue;
      Expr bound;
      const Expr rest = analyzer->simplify(index - less->a);
      if (!depends(rest)) {
        bound = analyzer->simplify(rest + less->b - 1);
      } else {
        const Expr x = var("x");
        const Expr of_x = rewrite_exprs(index, [&](const Expr& e) -> Expr {
          return structural_equal(e, less->a) ? x : Expr(nullptr);
        });
        if (!uses(of_x, x) || !analyzer->can_prove(ge(less->a, imm(0)))) continue;
        Analyzer::Scope scope(analyzer);
        analyzer->bind(x, {imm(0), less->b});
        std::vector<Expr> variables = inner;
        variables.push_back(x);
        bound = analyzer->symbolic_bounds(of_x, variables).max;
      }
      if (bound && analyzer->can_prove(le(bound, high))) high = bound;
    }
    return high;
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
  bool on_device_;
  StorageAlign align_;
};

/// Where allocations go: into the body of a loop, or (shared memory) around a loop over threads.
struct Sites {
  std::unordered_map<const ForNode*, std::vector<Buffer>> inside, around;
};

/// Dissolves blocks, rewrites accesses to the shrunk buffers and puts the allocations in place.
class Dissolve : public Mutator {
 public:
  Dissolve(std::unordered_map<const BufferNode*, Placement> placements, Sites sites)
      : placements_(std::move(placements)), sites_(std::move(sites)) {}

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const AllocateNode& n) override {
    return placements_.count(n.buffer.get()) != 0 ? (*this)(n.body) : rebuild(n);
  }
  Stmt rewrite(const ForNode& n) override {
    Stmt loop = rebuild(n);
    if (const auto found = sites_.inside.find(&n); found != sites_.inside.end()) {
      const auto* rebuilt = loop.as<ForNode>();
      loop = with_body(*rebuilt, allocated(found->second, rebuilt->body));
    }
    const auto found = sites_.around.find(&n);
    return found == sites_.around.end() ? loop : allocated(found->second, loop);
  }
  Stmt rewrite(const BlockNode& n) override {
    VarMap bound;
    for (std::size_t i = 0; i < n.iters.size(); ++i) bound[n.iters[i].var.get()] = n.bindings[i];
    Stmt init = n.init ? (*this)(substitute(n.init, bound)) : nullptr;
    Stmt body = (*this)(substitute(mark_device_stores(n), bound));
    if (const auto marked = n.annotations.find(kTensorInstructionKey);
        marked != n.annotations.end())
      body = lower_tensor_block(n, body);
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
  Stmt allocated(const std::vector<Buffer>& buffers, Stmt body) const {
    for (const Buffer& b : buffers) body = make_allocate(placements_.at(b.get()).buffer, body);
    return body;
  }
  std::unordered_map<const BufferNode*, Placement> placements_;
  Sites sites_;
};

/// The outermost loop over threads around all accesses; null when there is none.
const ForNode* outermost_thread_loop(const Usage& u) {
  const auto found = std::find_if(u.common.begin(), u.common.end(), is_thread_loop);
  return found == u.common.end() ? nullptr : *found;
}

/// Memory of a device other than global memory: inside of one kernel, and of constant size.
void place_on_device(const Buffer& b, const Usage& u, const Placement& placement, Sites* sites) {
  const bool in_kernel = std::any_of(u.common.begin(), u.common.end(), [](const ForNode* loop) {
    return loop->attrs.kind == ForKind::kThread;
  });
  TENON_USER_CHECK(
      in_kernel, ScheduleError, "E1242", "buffer '", b->name, "' in ", to_string(b->scope),
      " memory is used by more than one kernel (or by none), should be by one: compute "
      "it where it is used, or keep it in global memory");
  const ForNode* threads = outermost_thread_loop(u);
  const ForNode* innermost = u.common.back();
  const ForNode* around = innermost;  // of what is used: for shared memory by all threads together
  for (const ForNode* loop : u.common) {
    if (b->scope != Scope::kShared || !is_thread_loop(loop)) around = loop;
  }
  for (std::size_t d = 0; d < b->shape.size(); ++d) {
    const Expr& extent = placement.buffer->shape[d];
    TENON_USER_CHECK(as_int(extent), ScheduleError, "E1243", "buffer '", b->name, "' in ",
                     to_string(b->scope), " memory needs ", print(extent),
                     " elements in dimension ", d, " for one iteration of loop '",
                     around->var.as<VarNode>()->name,
                     "', should be a constant: split the loop, or compute a part of constant size");
  }
  if (b->scope == Scope::kShared && threads != nullptr) {
    sites->around[threads].push_back(b);
  } else {
    sites->inside[innermost].push_back(b);
  }
}

}  // namespace

Function lower_blocks(const Function& f) {
  const bool on_device = has_thread_loops(f);
  FindUsage find;
  find(f->body);
  Shrink shrink(f, on_device);
  std::unordered_map<const BufferNode*, Placement> placements;
  Sites sites;
  for (const Buffer& b : find.allocated) {
    const Usage& u = find.usage.at(b.get());
    if (on_device && b->scope == Scope::kGlobal) continue;
    if (!u.seen) {
      if (on_device) placements[b.get()] = {b, {}};  // in no kernel: it goes
      continue;
    }
    if (!on_device && u.common.empty()) continue;
    placements[b.get()] = shrink.place(b, u);
    if (on_device) {
      place_on_device(b, u, placements.at(b.get()), &sites);
    } else {
      sites.inside[u.common.back()].push_back(b);
    }
  }
  Function lowered = with_body(f, Dissolve(std::move(placements), std::move(sites))(f->body));
  check_tensor_calls(lowered);
  return lowered;
}

}  // namespace tenon
