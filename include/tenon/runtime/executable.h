#pragma once

/// `Executable`: a plan with its compiled code, ready to call. One kernel (tn.build) or a whole
/// network (tn.compile).

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tenon/runtime/array.h"
#include "tenon/runtime/c_api.h"
#include "tenon/runtime/plan.h"
#include "tenon/support/error.h"

namespace tenon {

/// Raised when a call was stopped by `tenon_interrupt` (Ctrl-C). Python turns it into
/// KeyboardInterrupt.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// What an Executable is made of.
struct ExecutableParts {
  Plan plan;
  /// One for each plan kernel, in order; none for a plan on a device.
  std::vector<tenon_kernel_fn> kernels;
  std::vector<Array> constants;  ///< for each plan constant without data its array; else undefined
  std::shared_ptr<const void> code =
      nullptr;        ///< kept alive as long as the executable (the JIT's module)
  int device_id = 0;  ///< of a plan for a device: which one
};

/// What one step of a plan took in one run: kernel calls and copies; zero for branches and loops.
struct StepTime {
  std::uint64_t calls = 0;  ///< more than one in a loop
  std::uint64_t nanoseconds = 0;
};

/// One run of a plan.
struct RunProfile {
  std::uint64_t nanoseconds = 0;  ///< of the whole call
  std::vector<StepTime> steps;    ///< for each step of the plan; empty when steps are not timed
};

/// Immutable; copies share. May be called from several threads at once.
class Executable {
 public:
  Executable() = default;
  /// Loads the plan. ModelError for a plan that does not hold together.
  explicit Executable(ExecutableParts parts);

  bool defined() const { return state_ != nullptr; }
  const std::string& name() const;
  /// The plan that it was made of (constants' data dropped).
  const Plan& plan() const;
  /// For each plan constant its array.
  const std::vector<Array>& constants() const;
  int num_inputs() const;
  int num_results() const;
  const std::shared_ptr<const void>& code() const;

  /// Calls with new result arrays. Inputs that are not row-major or not aligned are copied first
  /// (once for the call). Raises ShapeError, DTypeError, TargetError naming the argument;
  /// IndexError from the kernels; Interrupted.
  std::vector<Array> call(std::span<const Array> inputs) const;
  /// Calls into the caller's arrays, which must be row-major, writable and of the right shape and
  /// dtype.
  void call_into(std::span<const Array> inputs, std::span<Array> results) const;
  /// The fast path under both: descriptors as they are, no copies; `results` must have data.
  void run(std::span<const DLTensor> inputs, std::span<const DLTensor> results) const;
  /// Runs `num_runs` times, as `call_into` does, and says how long each took; `with_steps`: with a
  /// clock around each step, which costs about 50 ns a step. Other calls are not slowed down.
  std::vector<RunProfile> profile(std::span<const Array> inputs, std::span<Array> results,
                                  int num_runs, bool with_steps = true) const;
  /// Shapes of the results for inputs of these shapes.
  std::vector<Shape> result_shapes(std::span<const DLTensor> inputs) const;
  /// The plan in the format of plan_format.h with all constants inside: a plan for a device runs
  /// from these bytes alone (tenon_model_load_memory).
  std::vector<std::uint8_t> plan_bytes() const;
  /// Where its arguments and results are.
  DLDevice device() const;
  /// The loaded model, for callers of the C ABI; lives as long as the executable.
  tenon_model* model() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// Raises the class that belongs to `status`, with the runtime's last message; nothing for
/// TENON_OK.
void throw_if_error(tenon_status status);

/// Number of threads that parallel loops use (tn.config.threads); 0 restores the default. Raises
/// ResourceError or UserError.
void set_num_threads(int num_threads);
int num_threads();

/// Makes SIGINT stop running calls (they raise Interrupted) and then call the handler installed
/// before. Once per process.
void install_interrupt_handler();

}  // namespace tenon
