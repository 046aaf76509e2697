#pragma once

/// From a graph to one callable network.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tenon/graph/cost.h"
#include "tenon/graph/rewrite.h"
#include "tenon/graph/value.h"
#include "tenon/ir/function.h"
#include "tenon/runtime/executable.h"
#include "tenon/runtime/target.h"

namespace tenon::graph {

/// Whether kernels for a GPU may be routines of libraries, whose order of sums is their own.
enum class Libraries {
  kNever,
  kAuto,    ///< products that are a kernel of their own, where this machine has cuBLASLt
  kAlways,  ///< every product is a kernel of its own and cuBLASLt's; a call without it fails
            ///< (E1310)
};

struct CompileOptions {
  Libraries libraries = Libraries::kNever;  ///< nothing on a CPU
  bool use_cache = true;                    ///< the object cache on disk
  bool verify = false;                      ///< check the program after each pass
  bool fold_constants = true;               ///< compute what uses no input once, at compile time
  /// Pairs (output, input): the output may be given the memory of the input, of the same type,
  /// which it then takes the place of. No input or output is in two pairs.
  std::vector<std::pair<std::size_t, std::size_t>> in_place = {};
  /// One for each output; by default "result", or "result0" and so on.
  std::vector<std::string> result_names = {};
  std::function<void()> poll =
      nullptr;  ///< called between kernels; what it throws stops the compilation
};

/// An input or result of a network, for reports.
struct ArgumentReport {
  std::string name;
  DType dtype;
  std::vector<std::string> dims;  ///< "224", "batch", "2*n"
};

/// What a kernel call reads.
struct KernelOperand {
  /// "input", "constant", "kernel", or "loop" for what comes into or out of a branch or loop.
  std::string from;
  std::string name;  ///< of an input or constant; may be empty
  std::string type;
  int call = -1;  ///< the kernel call that makes it (at first, of a state), or -1
};

/// One kernel call of a network, for reports.
struct KernelCall {
  std::string name;
  std::vector<std::string> operators;  ///< that it computes
  std::string result;                  ///< type of its result
  int code = 0;                        ///< calls with equal numbers run the same code
  int depth = 0;                       ///< branches and loops around it
  std::size_t step = 0;                ///< of the plan
  std::string line;                    ///< the user's line that made the result; may be empty
  std::vector<KernelOperand> inputs;
  std::vector<std::string> outputs;  ///< names of the network's results that it computes
  std::string library;               ///< that computes it; empty: the kernel
};

/// A temporary of a network whose sizes are known. Those that are not needed at one time share
/// memory.
struct MemoryBlock {
  std::int64_t offset = 0;  ///< in the arena, in bytes
  std::int64_t bytes = 0;
  std::size_t first = 0, last = 0;  ///< kernel calls between which it is needed, both included
};

/// Where temporaries are for inputs of known shapes.
struct MemoryLayout {
  std::int64_t arena_bytes = 0;
  std::int64_t scratch_bytes = 0;  ///< the most that one kernel wants besides
  std::vector<MemoryBlock> blocks;
};

/// A branch or loop of a network, for reports.
struct RegionReport {
  std::size_t first_call = 0;  ///< the kernel call that it stands in front of
  int depth = 0;
  std::string text;
};

/// What of a network does not depend on the target, so that it can be compiled for others.
struct NetworkSource {
  /// For each `KernelCall::code`: without its default schedule.
  std::vector<Function> functions;
  std::vector<bool> is_scheduled;  ///< for each: by the user
  Plan plan;                       ///< without kernels and their scratch memory
};

/// One kernel that a call launches on a GPU, for reports.
struct LaunchReport {
  std::string name;                 ///< its symbol
  std::array<std::string, 3> grid;  ///< blocks along x, y, z: "ceil(n / 256)"
  std::array<std::int64_t, 3> block = {1, 1, 1};
  int registers = 0;              ///< of a thread
  std::int64_t shared_bytes = 0;  ///< of a block
  std::int64_t spill_bytes = 0;   ///< registers of a thread that lie in memory
  bool has_fma = false;           ///< spills cost it much
};

/// A compiled network, valid for every value of its symbols.
struct CompiledNetwork {
  Executable executable;
  std::string target;
  std::vector<ArgumentReport> inputs, results;
  NetworkSource source;
  std::vector<KernelCall> calls;       ///< those in bodies once
  std::vector<std::string> schedules;  ///< for each `KernelCall::code`, where its schedule is from
  std::vector<RegionReport> regions;
  std::vector<std::vector<LaunchReport>> launches;  ///< by `KernelCall::code`; none on a CPU
  RewriteLog rewrites;                              ///< what passes did to which operator, and why
  int num_compiled = 0;                             ///< distinct kernels
  int num_from_cache = 0;                           ///< of them, found in the object cache
  /// batch_norms that became part of weights and biases, which changes their rounding.
  int num_folded_batch_norms = 0;
  Libraries libraries = Libraries::kNever;  ///< as asked for; kNever on a CPU
  double seconds = 0;                       ///< for all of it
  double schedule_seconds = 0;
  double kernel_seconds = 0;  ///< lowering and code generation
  double constant_seconds = 0;

  /// The report for people: one line per kernel call.
  std::string report() const;
  /// Bytes of temporaries for inputs of these shapes: the arena, and the largest scratch memory of
  /// a kernel.
  std::int64_t workspace_bytes(const std::vector<Shape>& shapes) const;
  /// Likewise, where each lies and how long it is needed.
  MemoryLayout memory(const std::vector<Shape>& shapes) const;
  /// What each kernel call computes and moves, for inputs of these shapes. ShapeError [E0421].
  std::vector<KernelCost> costs(const std::vector<Shape>& shapes) const;
};

/// Compiles the graph behind `outputs`. ExpressionError [E0151] when an input is missing from
/// `inputs`, [E0152] when a symbol is not a whole dimension of one of them.
/// For a GPU, which need not be there, what compile_device_kernel raises. Constants are computed on
/// the host.
CompiledNetwork compile(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                        const std::string& name, const Target& target,
                        const CompileOptions& options = {});

}  // namespace tenon::graph
