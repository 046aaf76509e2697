#include "cuda_on_host/host_code.h"

#include <gtest/gtest.h>

#include "fake_cuda/control.h"

namespace tenon::testing {
namespace {

const HostModule* the_module = nullptr;

/// What the fake driver runs for every kernel.
int run_on_host(const fake_cuda::Launch& l) {
  std::vector<void*> arguments;
  for (const std::uint64_t p : l.params) arguments.push_back(reinterpret_cast<void*>(p));
  const std::string problem = the_module->launch(l.name, arguments.data(), l.grid, l.block);
  EXPECT_EQ(problem, "");
  return problem.empty() ? 0 : 700;
}

}  // namespace

void run_kernels_of(const HostModule& module) { the_module = &module; }

std::vector<std::uint8_t> fake_cubin(const HostModule& module, std::size_t function) {
  std::string image = "FAKECUBIN sm_90a";
  for (const CudaKernel& k : module.module(function).kernels) {
    image += " " + k.name + ":" + std::to_string(k.params.size()) + ":" +
             std::to_string(k.block[0] * k.block[1] * k.block[2]) + ":" +
             std::to_string(k.static_shared_bytes);
    fake_cuda::set_kernel(k.name.c_str(), run_on_host);
  }
  std::vector<std::uint8_t> code(image.begin(), image.end());
  code.push_back(0);
  return code;
}

}  // namespace tenon::testing
