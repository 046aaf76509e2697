#pragma once

/// The state of one call after another of one model: what bind computes and run uses.

#include <atomic>
#include <cstdint>

#include "runtime/rt/block.h"
#include "runtime/rt/model.h"
#include "tenon/runtime/c_api.h"
#include "tenon/runtime/profile.h"

namespace tenon::rt {

/// A place in `tenon_context::pointers` that holds an argument's memory, set at each run.
struct ArgumentUse {
  std::uint32_t position;
  std::uint32_t argument;
  std::int64_t offset_bytes;
};

/// What bind knows about an argument.
struct BoundArgument {
  std::int64_t bytes;  ///< from the first element to the end of the last
  std::uintptr_t alignment;
};

/// What bind knows about a buffer.
struct BoundBuffer {
  std::int64_t offset_bytes;
  std::int64_t bytes;
};

/// Where a step's pointers and sizes begin.
struct BoundStep {
  std::uint32_t pointers;
  std::uint32_t sizes;
};

}  // namespace tenon::rt

/// **Well-formed means**, when `bound`: registers, shapes, pointers of workspace and constants, and
/// sizes are those of the inputs' shapes in `input_dims` and of `num_workers` threads. All blocks
/// have their final size from creation on; only `workspace` grows.
struct tenon_context {
  tenon_model* model = nullptr;
  std::atomic<std::uint32_t> busy{0};
  bool bound = false;
  std::int32_t num_workers = 0;

  tenon::rt::Block<std::int64_t> registers;
  tenon::rt::Block<std::int64_t> dims;  ///< of all arguments, one after the other
  tenon::rt::Block<std::int64_t>
      strides;  ///< declared ones, at the same places; row-major where none are
  tenon::rt::Block<std::uint32_t> dims_begin;  ///< of each argument
  tenon::rt::Block<tenon::rt::BoundArgument> arguments;
  tenon::rt::Block<tenon::rt::BoundBuffer> buffers;
  tenon::rt::Block<std::int64_t> shifts;  ///< of each buffer now: the sum of its moves
  tenon::rt::Block<std::int64_t> moved;   ///< what each move adds now
  tenon::rt::Block<tenon::rt::BoundStep> steps;
  tenon::rt::Block<void*> pointers;      ///< of all steps, without moves
  tenon::rt::Block<void*> now_pointers;  ///< likewise where they are now; empty without moves
  tenon::rt::Block<std::int64_t> sizes;  ///< of all steps
  tenon::rt::Block<tenon::rt::ArgumentUse> uses;
  std::size_t num_uses = 0;

  void* workspace = nullptr;  ///< arena, then the kernels' scratch memory
  std::uint64_t workspace_bytes = 0;
  std::uint64_t scratch_offset = 0;
  tenon_context_stats stats = {};
  tenon_step_times* times = nullptr;  ///< of each step, while runs are timed
  void* on_device = nullptr;          ///< the device part's: stream, launches, graphs
};

namespace tenon::rt {

/// Evaluates the integer program into `context.registers`. [E0458] on overflow.
tenon_status run_program(tenon_context& context, const DLTensor* inputs);

/// Checks counts, devices, dtypes and ranks of inputs: what the program needs to be run.
tenon_status check_inputs(const tenon_model& model, const DLTensor* inputs,
                          std::int32_t num_inputs);
/// Checks dims against registers, symbols' ranges and the plan's further checks.
tenon_status check_shapes(const tenon_context& context, const DLTensor* inputs);
/// Checks counts, devices, dtypes, ranks and shapes of results; the context is bound.
tenon_status check_results(const tenon_context& context, const DLTensor* results,
                           std::int32_t num_results);
/// Checks what may change between two calls of equal shapes: strides, null pointers, alignment,
/// overlap.
tenon_status check_memory(const tenon_context& context, const DLTensor* inputs,
                          const DLTensor* results);

/// True when the context is bound to exactly these shapes (and counts, dtypes, devices) and the
/// present number of threads.
bool matches_binding(const tenon_context& context, const DLTensor* inputs, std::int32_t num_inputs);

/// Where buffer `k` of step `i` is now. The context is bound and its arguments are set.
inline char* address_now(const tenon_context& c, std::size_t i, std::uint32_t k) {
  const std::uint32_t buffer = c.model->indices[c.model->steps[i].buffers.begin + k];
  return static_cast<char*>(c.pointers[c.steps[i].pointers + k]) + c.shifts[buffer];
}

/// Sizes, offsets and workspace for these inputs.
tenon_status bind(tenon_context& context, const DLTensor* inputs, std::int32_t num_inputs);

/// "<plan>: index 7 is out of range for axis 0 ..." for a checked access of `kernel`.
tenon_status index_error(const tenon_model& model, const plan_format::KernelRecord& kernel,
                         const tenon_index_error& error);

/// The steps. The context is bound; `inputs` and `results` are checked.
tenon_status run_steps(tenon_context& context, const DLTensor* inputs, const DLTensor* results);

/// Sets the pointers of the arguments for one run.
void set_argument_pointers(tenon_context& context, const DLTensor* inputs, const DLTensor* results);

/// First element.
inline char* first_element(const DLTensor& tensor) {
  return static_cast<char*>(tensor.data) + tensor.byte_offset;
}

}  // namespace tenon::rt
