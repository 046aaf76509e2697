#pragma once

/// Emitted CUDA text, compiled by the host's compiler against cuda_shim.h and run on the CPU.

#include <memory>
#include <string>
#include <vector>

#include "tenon/codegen/cuda_module.h"
#include "tenon/runtime/device_program.h"

namespace tenon::testing {

/// The kernels of several functions with different names, in one library that is compiled once.
class HostModule {
 public:
  /// Throws std::runtime_error with the compiler's words when the text does not compile.
  HostModule(const std::vector<Function>& functions, const Target& target);
  ~HostModule();
  HostModule(const HostModule&) = delete;
  HostModule& operator=(const HostModule&) = delete;

  const CudaModule& module(std::size_t function) const { return modules_.at(function); }
  /// One call: every launch, in order, with loops around them. `buffers` as the function's
  /// parameters, `sizes` as its symbols. Returns why it stopped, or "".
  std::string run(std::size_t function, const std::vector<void*>& buffers,
                  const std::vector<std::int64_t>& sizes = {}, DeviceErrorRecord* error = nullptr);
  /// One launch of a kernel by name. Returns why it stopped, or "".
  std::string launch(const std::string& kernel, void** arguments, const unsigned* grid,
                     const unsigned* block) const;

 private:
  struct Call;
  void launch(const Call& call, std::size_t kernel, const std::vector<std::int64_t>& iterations);
  void run_from(const Call& call, std::size_t begin, std::size_t end,
                std::vector<std::int64_t>* iterations);

  std::vector<Function> functions_;
  std::vector<CudaModule> modules_;
  std::string folder_;
  void* library_ = nullptr;
  std::string problem_;
};

}  // namespace tenon::testing
