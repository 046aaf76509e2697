#include "tenon/ir/lower.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ir/transform/branch_reductions.h"
#include "ir/transform/expand_math.h"
#include "ir/transform/flatten_buffers.h"
#include "ir/transform/guard_loads.h"
#include "ir/transform/hoist_conditions.h"
#include "ir/transform/init_empty_reductions.h"
#include "ir/transform/lower_blocks.h"
#include "ir/transform/partition_loops.h"
#include "ir/transform/specialize_extents.h"
#include "ir/transform/split_borders.h"
#include "ir/transform/transpose_tiles.h"
#include "ir/transform/unroll_loops.h"
#include "ir/transform/vectorize_loops.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"
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
    verify(f, after);
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
  for (const Pass& pass : kPasses) {
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
  if (options.verify) verify(current);
  return current;
}

}  // namespace tenon
