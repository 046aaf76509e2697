#include "tenon/ir/lower.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "ir/transform/branch_reductions.h"
#include "ir/transform/expand_math.h"
#include "ir/transform/flatten_buffers.h"
#include "ir/transform/guard_loads.h"
#include "ir/transform/hoist_conditions.h"
#include "ir/transform/init_empty_reductions.h"
#include "ir/transform/insert_barriers.h"
#include "ir/transform/lower_blocks.h"
#include "ir/transform/lower_thread_reductions.h"
#include "ir/transform/partition_loops.h"
#include "ir/transform/pipeline_loops.h"
#include "ir/transform/settle_async_copies.h"
#include "ir/transform/specialize_extents.h"
#include "ir/transform/split_borders.h"
#include "ir/transform/transpose_tiles.h"
#include "ir/transform/unify_threads.h"
#include "ir/transform/unroll_loops.h"
#include "ir/transform/vectorize_loops.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/verify.h"

namespace tenon {
namespace {

struct Pass {
  const char* name;
  Function (*run)(const Function&);
};

template <Stmt (*F)(const Stmt&)>
Function on_body(const Function& f) {
  return with_body(f, F(f->body));
}

Function simplify_function(const Function& f) { return simplify(f); }

// The order, and why where it matters.
constexpr Pass kPasses[] = {
    {"init_empty_reductions", init_empty_reductions},
    {"lower_blocks", lower_blocks},
    {"simplify", simplify_function},
    {"branch_reductions", branch_reductions},    // before guard_loads
    {"split_borders", split_borders},            // while a tile's condition is one expression
    {"specialize_extents", specialize_extents},  // choices are in the simplified extents
    {"partition_loops", partition_loops},        // a body without condition needs no guards
    {"guard_loads", guard_loads},                // bounds are per dimension
    {"flatten_buffers", flatten_buffers},
    {"simplify_offsets",
     simplify_function},  // branches of specialize_extents now know their condition
    {"unroll_loops", on_body<unroll_loops>},
    {"hoist_conditions", hoist_conditions},  // conditions of unrolled rows are constant now
    {"vectorize_loops", on_body<vectorize_loops>},
    {"simplify_vectors", simplify_function},
    {"transpose_tiles", transpose_tiles},   // bases of ramps are canonical
    {"expand_math", on_body<expand_math>},  // last: long expansions that no other pass should walk
};

// For functions with loops bound to thread axes. The CPU's passes that divide loops at borders and
// blend vectors are left out: threads at a border are masked, at no cost to others.
constexpr Pass kDevicePasses[] = {
    {"init_empty_reductions", init_empty_reductions},
    {"unify_threads", unify_threads},  // blocks say what depends on a coordinate
    {"lower_blocks", lower_blocks},
    {"simplify", simplify_function},
    {"lower_thread_reductions", lower_thread_reductions},  // conditions are next to the stores
    {"pipeline_loops", pipeline_loops},                    // versions are a dimension
    {"branch_reductions", branch_reductions},
    {"specialize_extents", specialize_extents},
    {"guard_loads", guard_loads},
    {"simplify_guards", simplify_function},
    {"insert_barriers", insert_barriers},  // per dimension, while loops are loops
    {"flatten_buffers", flatten_buffers},
    {"simplify_offsets", simplify_function},
    {"unroll_loops", on_body<unroll_loops>},
    {"hoist_conditions", hoist_conditions},
    {"vectorize_loops", on_body<vectorize_loops>},
    {"simplify_vectors", simplify_function},
    {"settle_async_copies", settle_async_copies},  // what is copied at once is known
    {"expand_math", on_body<expand_math>},
};

void print_after(const Pass& pass, const Function& before, const Function& after,
                 double milliseconds) {
  const char* wanted = std::getenv("TENON_PRINT_IR");
  if (wanted == nullptr) return;
  const std::string text = wanted;
  if (text != "after:all" && text != std::string("after:") + pass.name) return;
  const bool same = before.same_as(after) || structural_equal(before, after);
  std::fprintf(stderr, "# after %s (%.2f ms)%s\n%s", pass.name, milliseconds,
               same ? " (unchanged)" : "", same ? "" : print(after).c_str());
}

#ifndef NDEBUG
void verify_after(const Pass& pass, const Function& f) {
  const std::string after = std::string("pass '") + pass.name + "'";
  if (f->level == Level::kBlock) {
    verify_between_levels(f, after);
  } else {
    verify_lowered(f, after);
  }
}
#endif

}  // namespace

Function lower(const Function& f, const LowerOptions& options) {
  if (f->level != Level::kBlock) return f;
  Function current = f;
#ifndef NDEBUG
  if (options.verify) verify(f, "scheduling");
#endif
  const std::span<const Pass> passes =
      has_thread_loops(f) ? std::span<const Pass>(kDevicePasses) : std::span<const Pass>(kPasses);
  for (const Pass& pass : passes) {
    if (!options.expand_math && std::string_view(pass.name) == "expand_math") continue;
    const auto start = std::chrono::steady_clock::now();
    Function next = pass.run(current);
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    print_after(pass, current, next, elapsed.count());
    current = next;
#ifndef NDEBUG
    if (options.verify) verify_after(pass, current);
#endif
  }
  if (options.verify) verify_lowered(current);
  return current;
}

}  // namespace tenon
