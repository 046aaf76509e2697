#include "schedule/thread_loops.h"

#include <algorithm>
#include <map>

#include "schedule/conflict.h"
#include "schedule/dependence.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool uses(const Expr& e, const Expr& v) {
  return e && uses_var(e, [&](const VarNode& x) { return &x == v.get(); });
}

bool on_block_axis(const ForNode& loop) {
  const auto axis = axis_of(loop);
  return axis && is_block_axis(*axis);
}

bool on_thread_axis(const ForNode& loop) {
  const auto axis = axis_of(loop);
  return axis && is_thread_axis(*axis);
}

std::string quoted(const ForNode& loop) { return "'" + LoopRef{loop.var}.name() + "'"; }

std::string on_axis(const ForNode& loop) { return quoted(loop) + " on " + loop.attrs.thread_axis; }

/// The statement that is a kernel for the loop at the end of the path: its outermost block loop, or
/// the statement of the root.
std::size_t kernel_position(const Path& path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto* f = path[i].as<ForNode>();
    if (f != nullptr && on_block_axis(*f)) return i;
  }
  return std::min(top_level_position(path), path.size() - 1);
}

// --- the form of a kernel

void check_block_axes(Step& step, const Path& path, int rule) {
  const auto* loop = path.back().as<ForNode>();
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    const auto* outer = path[i].as<ForNode>();
    if (outer == nullptr) continue;
    if (on_block_axis(*outer)) {
      TENON_REQUIRE(step, outer->attrs.thread_axis != loop->attrs.thread_axis, rule, ScheduleError,
                    "E1263", "loop ", quoted(*loop), " is inside loop ", on_axis(*outer),
                    ", the same axis");
      TENON_REQUIRE(
          step, outer->body.as<ForNode>() != nullptr && on_block_axis(*outer->body.as<ForNode>()),
          rule, ScheduleError, "E1263", "loop ", on_axis(*loop), " is not directly inside loop ",
          on_axis(*outer));
    }
    TENON_REQUIRE(step, !on_thread_axis(*outer), rule, ScheduleError, "E1263", "loop ",
                  on_axis(*loop), " is inside loop ", on_axis(*outer));
  }
  const std::vector<const ForNode*> inner = loops_under(loop->body);
  const auto* child = loop->body.as<ForNode>();
  for (const ForNode* f : inner) {
    if (!on_block_axis(*f)) continue;
    TENON_REQUIRE(step, child != nullptr && on_block_axis(*child), rule, ScheduleError, "E1263",
                  "loop ", on_axis(*f), " is not directly inside loop ", on_axis(*loop));
    TENON_REQUIRE(step, f->attrs.thread_axis != loop->attrs.thread_axis, rule, ScheduleError,
                  "E1263", "loop ", quoted(*loop), " holds loop ", on_axis(*f), ", the same axis");
  }
}

void check_threads(Step& step, const Path& path, int rule) {
  const auto* loop = path.back().as<ForNode>();
  std::map<std::string, std::int64_t> extents;
  for (const ForNode* f : loops_under(path[kernel_position(path)])) {
    if (!on_thread_axis(*f)) continue;
    std::int64_t& extent = extents[f->attrs.thread_axis];
    extent = std::max({extent, std::int64_t{1}, as_int(f->extent).value_or(1)});
  }
  std::int64_t threads = 1;
  std::string text;
  for (const auto& [axis, extent] : extents) {
    threads *= extent;
    text += (text.empty() ? "" : " x ") + std::to_string(extent);
  }
  step.suggest("bind a loop with a smaller extent, after a split");
  TENON_REQUIRE(step, threads <= kMaxBlockThreads, rule, ScheduleError, "E1265", "with loop ",
                quoted(*loop), " a block of the kernel has ", text, " = ", threads,
                " threads, more than ", kMaxBlockThreads);
  step.suggest("");
}

// --- who touches what

/// Whether each iteration of the loop has memory of the scope for itself.
bool is_own(Scope scope, const ForNode& loop) {
  if (scope == Scope::kGlobal) return false;
  return scope != Scope::kShared || on_block_axis(loop);
}

/// Whether nothing that happens in one run of the block is different for two iterations of the
/// loop: it is not bound to it, and neither are the loops between; it reads no private memory.
bool is_alike(const Access& access, const ForNode& loop) {
  const BlockNode& b = *access.block;
  const auto depends = [&](const Expr& e) { return uses(e, loop.var); };
  if (std::any_of(b.bindings.begin(), b.bindings.end(), depends) || depends(b.predicate))
    return false;
  for (const ForNode* f : access.loops) {
    if (depends(f->min) || depends(f->extent)) return false;
  }
  return std::all_of(b.reads.begin(), b.reads.end(), [&](const BufferRegion& r) {
    const bool made_here =
        std::any_of(b.writes.begin(), b.writes.end(),
                    [&](const BufferRegion& w) { return w.buffer.same_as(r.buffer); });
    return made_here || r.buffer->scope == Scope::kGlobal || r.buffer->scope == Scope::kShared;
  });
}

bool reduces_over(const Access& access, const ForNode& loop) {
  return touches(*access.block, loop.var, IterKind::kReduction);
}

/// The accesses with every loop of the axis replaced by one coordinate; empty when one of them is
/// under no such loop.
std::vector<Access> by_coordinate(const std::vector<Access>& accesses, const ForNode& coordinate) {
  std::vector<Access> out;
  for (Access a : accesses) {
    VarMap map;
    std::vector<const ForNode*> loops;
    for (const ForNode* f : a.loops) {
      if (f->attrs.kind == ForKind::kThread &&
          f->attrs.thread_axis == coordinate.attrs.thread_axis) {
        map[f->var.get()] = coordinate.var;
        if (loops.empty() || std::find(loops.begin(), loops.end(), &coordinate) == loops.end())
          loops.push_back(&coordinate);
      } else {
        loops.push_back(f);
      }
    }
    if (map.empty()) return {};
    for (Range& r : a.ranges) r = {substitute(r.min, map), substitute(r.extent, map)};
    a.loops = std::move(loops);
    out.push_back(std::move(a));
  }
  return out;
}

/// The loops outside of `loop` that are around all the accesses.
std::vector<Expr> common_loops(const std::vector<Access>& accesses, const Path& path) {
  std::vector<Expr> common;
  for (const ForNode* f : loops_on(Path(path.begin(), path.end() - 1))) {
    const bool everywhere = std::all_of(accesses.begin(), accesses.end(), [&](const Access& a) {
      return std::find(a.loops.begin(), a.loops.end(), f) != a.loops.end();
    });
    if (everywhere) common.push_back(f->var);
  }
  return common;
}

class ThreadLoop {
 public:
  ThreadLoop(Step& step, const Path& path, int rule)
      : step_(step),
        path_(path),
        loop_(*path.back().as<ForNode>()),
        rule_(rule),
        around_(loops_on(Path(path.begin(), path.end() - 1))),
        here_(accesses_under(path.back(), around_)),
        all_(accesses_under(step.root())) {}

  /// Of all buffers, or of `only` those.
  void check(const std::vector<Buffer>* only = nullptr) {
    binds_ = only == nullptr;
    for (const BlockNode* b : blocks_under(path_.back())) check_kinds(*b);
    if (is_int(loop_.extent, 1)) return;
    std::vector<Buffer> done;
    for (const Access& a : here_) {
      const bool known = std::any_of(done.begin(), done.end(),
                                     [&](const Buffer& b) { return b.same_as(a.buffer); });
      if (known) continue;
      done.push_back(a.buffer);
      const bool wanted =
          only == nullptr || std::any_of(only->begin(), only->end(),
                                         [&](const Buffer& b) { return b.same_as(a.buffer); });
      if (wanted) check_buffer(a.buffer);
    }
  }

 private:
  const std::vector<Symbol>& symbols() const { return step_.function()->symbols; }

  bool distinct(const ForNode& loop, const std::vector<Access>& accesses,
                const std::vector<Expr>& fixed) const {
    return touches_distinct_elements(loop, accesses, fixed, symbols()) ||
           touches_interleaved_elements(loop, accesses, fixed);
  }

  [[noreturn]] void fail(const char* code, const std::string& message) {
    step_.blame(loop_.var);
    step_.fail(rule_, code, message);
  }

  void check_kinds(const BlockNode& block) {
    step_.blame(loop_.var);
    if (touches(block, loop_.var, IterKind::kOrdered)) {
      fail("E0221", detail::concat("loop ", quoted(loop_), " runs over an ordered iter of block '",
                                   block.name, "'"));
    }
    if (!touches(block, loop_.var, IterKind::kReduction)) return;
    const std::string what = detail::concat(
        "loop ", quoted(loop_), " runs over a reduction iter of block '", block.name, "'");
    if (loop_.attrs.thread_axis != to_string(ThreadAxis::kThreadX)) {
      step_.suggest("rfactor it, or bind it to threadIdx.x");
      fail("E0221", what);
    }
    const auto extent = as_int(loop_.extent);
    if (!extent || *extent > kMaxBlockThreads || (*extent & (*extent - 1)) != 0) {
      fail("E1262", detail::concat(what, " and should have a power of two up to ", kMaxBlockThreads,
                                   " as its extent"));
    }
    if (touches(block, loop_.var, IterKind::kSpatial))
      fail("E0221", detail::concat(what, " and over a spatial one at once"));
    const auto reducer = find_reducer(block);
    if (!reducer)
      fail("E0221", detail::concat(what, ", whose body is not a sum, product, min or max"));
    if (block.init) {
      step_.suggest("decompose_reduction(\"" + block.name + "\", " + LoopRef{loop_.var}.name() +
                    ") first");
      fail("E0221", detail::concat(what, ", which still holds its init"));
    }
    if (blocks_under(path_.back()).size() != 1) {
      step_.suggest("move the other blocks out, or rfactor the loop");
      fail("E0221", detail::concat(what, " and holds other blocks too"));
    }
    // The step that bound the loop was marked; later ones add up in its order.
    if (reducer->order_matters() && binds_) step_.mark_reassociates();
  }

  void check_buffer(const Buffer& buffer) {
    const std::vector<Access> here = accesses_of(here_, buffer), all = accesses_of(all_, buffer);
    const bool written =
        std::any_of(here.begin(), here.end(), [](const Access& a) { return a.is_write; });
    if (buffer->scope == Scope::kFragment &&
        loop_.attrs.thread_axis == to_string(ThreadAxis::kThreadX)) {
      fail("E1266", detail::concat("block '", here[0].block->name, "' touches '", buffer->name,
                                   "', a fragment of a whole warp, under loop ", on_axis(loop_)));
    }
    if (is_own(buffer->scope, loop_)) {
      check_own(buffer, here, all);
    } else if (written) {
      check_seen_by_all(buffer, here);
    }
  }

  /// Memory of one iteration: what is written there is read there.
  void check_own(const Buffer& buffer, const std::vector<Access>& here, std::vector<Access> all) {
    // Blocks outside of the kernel may still move into it; lowering refuses what stays there.
    std::erase_if(all, [&](const Access& a) { return !in_kernel(a); });
    const auto joined = [&](const Access& a) {
      return std::any_of(a.loops.begin(), a.loops.end(),
                         [&](const ForNode* f) { return on_this_axis(*f) && reduces_over(a, *f); });
    };
    const bool varies = std::any_of(all.begin(), all.end(), [&](const Access& a) {
      return a.is_write && !joined(a) &&
             std::any_of(a.loops.begin(), a.loops.end(),
                         [&](const ForNode* f) { return on_this_axis(*f); });
    });
    if (!varies) return;  // every thread makes all of it
    if (here.size() == all.size() && is_private_here(buffer, all)) return;
    const Stmt coordinate =
        make_for(loop_.var, imm(0), largest_extent(all), make_seq({}), loop_.attrs);
    const std::vector<Access> together = by_coordinate(all, *coordinate.as<ForNode>());
    if (!together.empty() &&
        distinct(*coordinate.as<ForNode>(), together, common_loops(all, path_)))
      return;
    step_.show(find_conflict(loop_, here, vars_of(around_), symbols()));
    const char* others = on_block_axis(loop_) ? "block of threads" : "thread";
    for (const Access& a : all) {
      const bool outside = std::none_of(a.loops.begin(), a.loops.end(),
                                        [&](const ForNode* f) { return on_this_axis(*f); });
      if (!outside) continue;
      step_.show("");
      step_.suggest(detail::concat("move the block under the loop, bind its own loop to ",
                                   loop_.attrs.thread_axis, ", or give the buffer another scope"));
      fail("E1266", detail::concat("buffer '", buffer->name, "' in ", to_string(buffer->scope),
                                   " memory belongs to one ", others, " of loop ", quoted(loop_),
                                   ", but block '", a.block->name, "' outside of it uses it too"));
    }
    fail("E1266", detail::concat("buffer '", buffer->name, "' in ", to_string(buffer->scope),
                                 " memory carries values from one iteration of loop ",
                                 quoted(loop_), " to another"));
  }

  /// Memory that all iterations see: each has elements of its own, they join one reduction, or all
  /// write the same.
  void check_seen_by_all(const Buffer& buffer, const std::vector<Access>& here) {
    const bool reduction = std::all_of(here.begin(), here.end(), [&](const Access& a) {
      return a.block == here[0].block && reduces_over(a, loop_);
    });
    if (reduction || distinct(loop_, here, vars_of(around_))) return;
    const bool alike = buffer->scope == Scope::kShared &&
                       std::all_of(here.begin(), here.end(), [&](const Access& a) {
                         return !a.is_write || is_alike(a, loop_);
                       });
    const bool own = is_private(buffer, step_.root(), path_, symbols());
    if (own && alike) return;
    const auto write =
        std::find_if(here.begin(), here.end(), [](const Access& a) { return a.is_write; });
    if (own && buffer->scope == Scope::kGlobal) {
      step_.suggest(detail::concat("set_scope(\"", write->block->name, "\", scope=\"",
                                   on_block_axis(loop_) ? "shared" : "local",
                                   "\") gives each iteration its own"));
    }
    step_.show(find_conflict(loop_, here, vars_of(around_), symbols()));
    fail("E0222", detail::concat("iterations of loop ", quoted(loop_),
                                 " touch the same elements of buffer '", buffer->name,
                                 "' in block '", write->block->name, "'"));
  }

  /// Of the loops of this axis; symbolic where one of them is.
  Expr largest_extent(const std::vector<Access>& accesses) const {
    Expr largest = loop_.extent;
    for (const Access& a : accesses) {
      for (const ForNode* f : a.loops) {
        if (!on_this_axis(*f)) continue;
        const auto extent = as_int(f->extent), known = as_int(largest);
        if (!extent || !known) return f->extent;
        if (*extent > *known) largest = f->extent;
      }
    }
    return largest;
  }

  bool on_this_axis(const ForNode& f) const {
    return f.attrs.kind == ForKind::kThread && f.attrs.thread_axis == loop_.attrs.thread_axis;
  }
  bool in_kernel(const Access& a) const {
    const std::vector<const ForNode*> loops = loops_on(path_);
    const auto* kernel = path_[kernel_position(path_)].as<ForNode>();
    return kernel == nullptr || std::find(a.loops.begin(), a.loops.end(), kernel) != a.loops.end();
  }
  /// Whether each iteration writes all that it reads of the buffer, which `all` accesses.
  bool is_private_here(const Buffer& buffer, const std::vector<Access>& all) const {
    return all.size() == accesses_of(all_, buffer).size() &&
           is_private(buffer, step_.root(), path_, symbols());
  }

  Step& step_;
  const Path& path_;
  const ForNode& loop_;
  int rule_;
  bool binds_ = false;  ///< the step binds the loop
  std::vector<const ForNode*> around_;
  std::vector<Access> here_, all_;
};

/// What the blocks access that a step made, else those that it moved or gave other buffers, and
/// those inside of loops that it reordered.
std::vector<Buffer> buffers_of_step(const Step& step, const ScheduleValue& result) {
  static constexpr const char* kOnLoops[] = {
      "add_unit_loop", "annotate",  "async_copy",  "blockize",      "fuse", "software_pipeline",
      "split",         "tensorize", "split_terms", "storage_align", "tile", "unroll",
      "vectorize"};
  const std::string_view name = step.primitive().name;
  if (std::find(std::begin(kOnLoops), std::end(kOnLoops), name) != std::end(kOnLoops)) return {};
  std::vector<ScheduleValue> values = {result};
  if (!std::holds_alternative<BlockRef>(result)) values = step.arguments();
  std::vector<const BlockNode*> blocks;
  for (const ScheduleValue& v : values) {
    if (const auto* block = std::get_if<BlockRef>(&v)) {
      for (const BlockNode* b : blocks_under(step.root())) {
        if (b->name == block->name) blocks.push_back(b);
      }
    } else if (const auto* loops = std::get_if<std::vector<LoopRef>>(&v)) {
      for (const LoopRef& loop : *loops) {
        const Path path = path_to_loop(step.root(), loop.var);
        // Iterations of bound loops change only where such a loop is moved or moved across.
        if (path.empty() || !has_thread_loops(path.back())) continue;
        const std::vector<const BlockNode*> inside = blocks_under(path.back());
        blocks.insert(blocks.end(), inside.begin(), inside.end());
      }
    }
  }
  std::vector<Buffer> buffers;
  for (const BlockNode* b : blocks) {
    for (const auto* regions : {&b->reads, &b->writes}) {
      for (const BufferRegion& r : *regions) buffers.push_back(r.buffer);
    }
  }
  return buffers;
}

/// Blocks under two loops of one axis run once for each coordinate: what they do may not depend on
/// the outer loop, and others must see it.
void check_same_axis(Step& step, const Path& path, int rule) {
  const auto* loop = path.back().as<ForNode>();
  const auto check = [&](const ForNode& outer, const ForNode& inner,
                         const std::vector<const ForNode*>& around, const Stmt& body) {
    for (const Access& a : accesses_under(body, around)) {
      if (!a.is_write) continue;
      step.blame(inner.var);
      step.suggest("give the buffer scope \"shared\", or bind another axis");
      TENON_REQUIRE(step, a.buffer->scope == Scope::kShared && is_alike(a, outer), rule,
                    ScheduleError, "E1264", "loop ", on_axis(inner), " is inside loop ",
                    quoted(outer), " of the same axis, and block '", a.block->name,
                    a.buffer->scope == Scope::kShared ? "' depends on the outer loop"
                                                      : "' does not write shared memory");
      step.suggest("");
    }
  };
  const std::vector<const ForNode*> on_path = loops_on(path);
  const auto same = [&](const ForNode& f) {
    return f.attrs.kind == ForKind::kThread && f.attrs.thread_axis == loop->attrs.thread_axis;
  };
  for (const ForNode* outer : on_path) {
    if (outer != loop && same(*outer)) check(*outer, *loop, on_path, loop->body);
  }
  for (const ForNode* inner : loops_under(loop->body)) {
    if (!same(*inner)) continue;
    Path inner_path = path_to_loop(step.root(), inner->var);
    check(*loop, *inner, loops_on(inner_path), inner->body);
  }
}

}  // namespace

void check_kernel_form(Step& step, const Path& path, const ThreadRules& rules) {
  const auto* loop = path.back().as<ForNode>();
  step.blame(loop->var);
  for (const ForNode* outer : loops_on(Path(path.begin(), path.end() - 1))) {
    const bool allowed =
        outer->attrs.kind != ForKind::kParallel && outer->attrs.kind != ForKind::kVectorized;
    TENON_REQUIRE(step, allowed, rules.nest, ScheduleError, "E1263", "loop ", quoted(*loop),
                  " is inside the ", to_string(outer->attrs.kind), " loop ", quoted(*outer));
  }
  for (const ForNode* inner : loops_under(loop->body)) {
    TENON_REQUIRE(step, inner->attrs.kind != ForKind::kParallel, rules.nest, ScheduleError, "E1263",
                  "loop ", quoted(*loop), " holds the parallel loop ", quoted(*inner));
    TENON_REQUIRE(step, !on_thread_axis(*loop) || !on_block_axis(*inner), rules.nest, ScheduleError,
                  "E1263", "loop ", on_axis(*loop), " holds loop ", on_axis(*inner));
  }
  if (on_block_axis(*loop)) {
    check_block_axes(step, path, rules.nest);
  } else {
    check_same_axis(step, path, rules.same_axis);
    check_threads(step, path, rules.threads);
  }
}

void check_thread_loop(Step& step, const Path& path, const ThreadRules& rules) {
  const bool blocks = on_block_axis(*path.back().as<ForNode>());
  ThreadLoop(step, path, blocks ? rules.blocks : rules.independent).check();
}

void check_thread_loops(Step& step, const ScheduleValue& result) {
  const std::vector<Buffer> changed = buffers_of_step(step, result);
  for (const ForNode* f : loops_under(step.root())) {
    if (f->attrs.kind != ForKind::kThread) continue;
    const Path path = path_to_loop(step.root(), f->var);
    check_kernel_form(step, path, {});
    if (!changed.empty()) ThreadLoop(step, path, 0).check(&changed);
  }
}

}  // namespace tenon
