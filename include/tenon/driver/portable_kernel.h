#pragma once

/// A compiled kernel as bytes, which another process of the same kind of machine can run.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tenon/driver/build.h"

namespace tenon {

struct PortableKernel {
  std::vector<std::uint8_t> plan;    ///< of one step, in the format of plan_format.h
  std::vector<std::uint8_t> object;  ///< relocatable
  std::string symbol;                ///< of the kernel in the object
};

PortableKernel portable_kernel(const KernelObject& kernel);

/// A portable kernel in this process. Not thread-safe: it has one context.
class LoadedKernel {
 public:
  /// ResourceError [E1010] or ModelError where the bytes are no kernel of this machine.
  explicit LoadedKernel(const PortableKernel& kernel);
  ~LoadedKernel();
  LoadedKernel(const LoadedKernel&) = delete;
  LoadedKernel& operator=(const LoadedKernel&) = delete;

  /// Raises as Executable::call_into does.
  void run(std::span<const DLTensor> inputs, std::span<const DLTensor> results);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tenon
