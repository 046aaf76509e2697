#include "ir/transform/unify_threads.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ir/transform/conditions.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/tensor_instruction.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// One axis of a kernel: the variable that becomes the coordinate, and the launch's extent.
struct AxisUse {
  Expr coordinate, extent;
  Attrs annotations;
  Span span;
};
using Axes = std::array<std::optional<AxisUse>, kNumThreadAxes>;

std::size_t index_of(ThreadAxis axis) { return static_cast<std::size_t>(axis); }

/// Finds the axes of a kernel and their largest extents.
class CollectAxes : public Walker {
 public:
  explicit CollectAxes(Analyzer* analyzer) : analyzer_(analyzer) {}
  Axes axes;
  bool joins_threads = false;  ///< a block reduces over threadIdx.x

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    analyzer_->bind(n.var, {n.min, n.extent});
    const auto axis = axis_of(n);
    if (axis) add(index_of(*axis), n);
    loops_.push_back(n.var);
    if (axis == ThreadAxis::kThreadX) x_.push_back(n.var);
    walk(n);
    if (axis == ThreadAxis::kThreadX) x_.pop_back();
    loops_.pop_back();
  }
  void visit(const BlockNode& n) override {
    for (std::size_t i = 0; i < n.iters.size(); ++i) {
      joins_threads |=
          n.iters[i].kind == IterKind::kReduction &&
          std::any_of(x_.begin(), x_.end(), [&](const Expr& v) { return uses(n.bindings[i], v); });
    }
  }

 private:
  void add(std::size_t i, const ForNode& n) {
    std::optional<AxisUse>& use = axes[i];
    const Expr extent = launched(n);
    if (!use) {
      use = AxisUse{n.var, extent, n.attrs.annotations, n.span};
      return;
    }
    for (const auto& [name, value] : n.attrs.annotations) use->annotations.emplace(name, value);
    if (analyzer_->can_prove(le(extent, use->extent))) return;
    if (analyzer_->can_prove(ge(extent, use->extent))) {
      use->coordinate = n.var;
      use->extent = extent;
    } else {
      use->extent = analyzer_->simplify(max(use->extent, extent));
    }
  }

  /// The largest extent over the kernel's other loops: a launch knows symbols only.
  Expr launched(const ForNode& n) const {
    const bool depends =
        std::any_of(loops_.begin(), loops_.end(), [&](const Expr& v) { return uses(n.extent, v); });
    if (!depends) return n.extent;
    const Expr largest = analyzer_->symbolic_bounds(n.extent, loops_).max;
    TENON_USER_CHECK(largest, ScheduleError, "E1251", "loop '", n.var.as<VarNode>()->name, "' on ",
                     n.attrs.thread_axis, " has ", print(n.extent),
                     " iterations, which has no bound for a launch: split with tail=\"mask\"");
    return largest;
  }

  Analyzer* analyzer_;
  std::vector<Expr> loops_, x_;
};

/// Where threads along x are joined, their rows fill warps (or a power of two of lanes), if a block
/// may have so many threads.
void fill_warps(Axes* axes) {
  auto& x = (*axes)[index_of(ThreadAxis::kThreadX)];
  const std::int64_t extent = as_int(x->extent).value_or(1);
  std::int64_t lanes = 1;
  while (lanes < extent && lanes < kWarpSize) lanes *= 2;
  const std::int64_t filled = (extent + lanes - 1) / lanes * lanes;
  std::int64_t others = 1;
  for (const ThreadAxis axis : {ThreadAxis::kThreadY, ThreadAxis::kThreadZ}) {
    const auto& use = (*axes)[index_of(axis)];
    if (use) others *= as_int(use->extent).value_or(1);
  }
  if (filled * others <= kMaxBlockThreads) x->extent = imm(filled);
}

bool has_block_axis(const Stmt& s) {
  bool found = false;
  post_order_visit(s, [&](const Node& n) {
    if (n.kind != NodeKind::kFor) return;
    const auto axis = axis_of(static_cast<const ForNode&>(n));
    found |= axis && is_block_axis(*axis);
  });
  return found;
}

/// What a statement writes that other threads see.
struct Effects {
  bool shared = false, global = false;
  void add(const Buffer& b) {
    shared |= b->scope == Scope::kShared;
    global |= b->scope == Scope::kGlobal;
  }
};

/// The inside of one kernel: bound loops become guards.
class KernelBody : public Mutator {
 public:
  KernelBody(const Axes& axes, Analyzer* analyzer) : axes_(axes), analyzer_(analyzer) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const VarNode& n) override {
    const auto found = coordinates_.find(&n);
    return found == coordinates_.end() ? Expr(&n) : found->second;
  }

  Stmt rewrite(const ForNode& n) override {
    const auto axis = axis_of(n);
    if (!axis) {
      Stmt out = rebuild(n);
      const auto* loop = out.as<ForNode>();
      if (loop->attrs.kind != ForKind::kParallel) return out;
      ForAttrs attrs = loop->attrs;
      attrs.kind = ForKind::kSerial;
      return with_attrs(*loop, std::move(attrs));
    }
    const AxisUse& use = *axes_[index_of(*axis)];
    const Expr min = (*this)(n.min), extent = (*this)(n.extent);
    const bool is_single = is_int(n.extent, 1);  // nothing depends on the coordinate
    coordinates_[n.var.get()] = is_single ? min : use.coordinate + min;
    clear_memo();
    if (is_single) return (*this)(n.body);
    // Of nested loops on one axis the inner one shares its iterations out anew.
    Expr& guard = guards_[index_of(*axis)];
    const Expr outer = guard;
    const std::int64_t outer_extent = extents_[index_of(*axis)];
    guard =
        analyzer_->can_prove(ge(extent, use.extent)) ? Expr(nullptr) : lt(use.coordinate, extent);
    extents_[index_of(*axis)] = as_int(n.extent).value_or(0);
    Stmt body = (*this)(n.body);
    guard = outer;
    extents_[index_of(*axis)] = outer_extent;
    return body;
  }

  Stmt rewrite(const BlockNode& n) override {
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    std::vector<Expr> bindings = rewrite_all(n.bindings);
    Effects effects;
    for (const BufferRegion& r : n.writes) effects.add(r.buffer);
    const bool for_warp = n.annotations.count(kTensorInstructionKey) != 0;
    for (const Expr& c : guards(effects, for_warp, [&](const Expr& coordinate) {
           return (predicate && uses(predicate, coordinate)) ||
                  std::any_of(bindings.begin(), bindings.end(),
                              [&](const Expr& b) { return uses(b, coordinate); });
         }))
      predicate = and_predicate(predicate, c);
    Attrs annotations = n.annotations;
    if (const std::int64_t terms = joined_threads(n)) annotations[kThreadReduction] = terms;
    Stmt out = make<BlockNode>(n.name, std::move(bindings), predicate, n.iters, n.reads, n.writes,
                               n.init, n.body, std::move(annotations));
    keep_span(n, *out.get());
    return out;
  }

  /// Outside of blocks only init_empty_reductions leaves stores.
  Stmt rewrite(const StoreNode& n) override {
    Stmt out = rebuild(n);
    Effects effects;
    effects.add(n.buffer);
    const auto& indices = out.as<StoreNode>()->indices;
    const std::vector<Expr> conditions = guards(effects, false, [&](const Expr& coordinate) {
      return std::any_of(indices.begin(), indices.end(),
                         [&](const Expr& e) { return uses(e, coordinate); });
    });
    return conditions.empty() ? out : make_if(conjunction(conditions), out);
  }

 private:
  /// The conditions under which a thread runs a statement with these effects; `depends` says
  /// whether the statement depends on a coordinate.
  template <typename Depends>
  std::vector<Expr> guards(const Effects& effects, bool for_warp, const Depends& depends) const {
    std::vector<Expr> out;
    for (std::size_t i = 0; i < axes_.size(); ++i) {
      if (!axes_[i]) continue;
      const AxisUse& use = *axes_[i];
      const bool is_block = is_block_axis(static_cast<ThreadAxis>(i));
      const bool once = effects.global || (effects.shared && !is_block);
      if (once && !for_warp && !is_int(use.extent, 1) && !depends(use.coordinate)) {
        out.push_back(eq(use.coordinate, imm(0)));
      } else if (guards_[i]) {
        out.push_back(guards_[i]);
      }
    }
    return out;
  }

  /// The extent of the thread loop that a reduction of the block is bound to, 0 when there is none.
  std::int64_t joined_threads(const BlockNode& n) const {
    std::int64_t terms = 0;
    for (std::size_t i = 0; i < axes_.size(); ++i) {
      if (!axes_[i]) continue;
      for (std::size_t k = 0; k < n.iters.size(); ++k) {
        if (n.iters[k].kind == IterKind::kSpatial) continue;
        // Before the bound loops' variables became coordinates.
        const bool is_bound = uses_var(n.bindings[k], [&](const VarNode& v) {
          const auto found = coordinates_.find(&v);
          return found != coordinates_.end() && uses(found->second, axes_[i]->coordinate);
        });
        if (!is_bound) continue;
        const auto axis = static_cast<ThreadAxis>(i);
        TENON_USER_CHECK(axis == ThreadAxis::kThreadX, ScheduleError, "E1240", "block '", n.name,
                         "' reduces over a loop bound to ", to_string(axis),
                         ", should be threadIdx.x: bind another loop, or split off its terms with "
                         "rfactor");
        TENON_USER_CHECK(!n.init, ScheduleError, "E1241", "block '", n.name,
                         "' reduces over threads and still has its init: move it out with "
                         "decompose_reduction first");
        terms = std::max<std::int64_t>(extents_[i], 1);
      }
    }
    return terms;
  }

  const Axes& axes_;
  Analyzer* analyzer_;
  VarMap coordinates_;
  std::array<Expr, kNumThreadAxes> guards_;
  std::array<std::int64_t, kNumThreadAxes> extents_{};
};

class UnifyThreads {
 public:
  explicit UnifyThreads(const Function& f) { analyzer_.bind_symbols(f); }

  /// What stands around kernels stays; each nest that is one is rebuilt.
  Stmt host(const Stmt& s) {
    if (!has_thread_loops(s)) return s;
    if (const auto* a = s.as<AllocateNode>()) return with_body(*a, host(a->body));
    if (const auto* seq = s.as<SeqNode>()) {
      std::vector<Stmt> stmts;
      for (const Stmt& child : seq->stmts) stmts.push_back(host(child));
      return make_seq(std::move(stmts));
    }
    if (const auto* branch = s.as<IfNode>()) {
      return make_if(branch->condition, host(branch->then_case),
                     branch->else_case ? host(branch->else_case) : branch->else_case);
    }
    const auto* loop = s.as<ForNode>();
    if (loop == nullptr || loop->attrs.kind == ForKind::kThread || !has_block_axis(s))
      return kernel(s);
    ForAttrs attrs = loop->attrs;
    if (attrs.kind == ForKind::kParallel) attrs.kind = ForKind::kSerial;
    const SpanScope span(loop->span);
    return make_for(loop->var, loop->min, loop->extent, host(loop->body), std::move(attrs));
  }

 private:
  Stmt kernel(const Stmt& s) {
    CollectAxes collect(&analyzer_);
    collect(s);
    Axes& axes = collect.axes;
    if (collect.joins_threads) fill_warps(&axes);
    // A grid has blocks, and a block has threads.
    const auto has_one_of = [&](std::ptrdiff_t first) {
      return std::any_of(axes.begin() + first, axes.begin() + first + 3,
                         [](const auto& use) { return use.has_value(); });
    };
    if (!has_one_of(0)) axes[index_of(ThreadAxis::kBlockX)] = AxisUse{var("block"), imm(1), {}, {}};
    if (!has_one_of(3))
      axes[index_of(ThreadAxis::kThreadX)] = AxisUse{var("thread"), imm(1), {}, {}};
    Stmt body = KernelBody(axes, &analyzer_)(s);
    // x innermost: its threads are neighbours.
    constexpr ThreadAxis kInsideOut[] = {ThreadAxis::kThreadX, ThreadAxis::kThreadY,
                                         ThreadAxis::kThreadZ, ThreadAxis::kBlockX,
                                         ThreadAxis::kBlockY,  ThreadAxis::kBlockZ};
    for (const ThreadAxis axis : kInsideOut) {
      const auto& use = axes[index_of(axis)];
      if (!use) continue;
      const SpanScope span(use->span);
      body = make_for(use->coordinate, imm(0), use->extent, body,
                      {ForKind::kThread, to_string(axis), use->annotations});
    }
    return body;
  }

  Analyzer analyzer_;
};

}  // namespace

Function unify_threads(const Function& f) {
  return has_thread_loops(f) ? with_body(f, UnifyThreads(f).host(f->body)) : f;
}

}  // namespace tenon
