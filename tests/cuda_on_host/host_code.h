#pragma once

/// Kernels of a HostModule as code of the fake driver.

#include <cstdint>
#include <vector>

#include "cuda_on_host/host_module.h"

namespace tenon::testing {

/// Lets the fake driver run `module`'s kernels, of all its functions, until another module is
/// given; it has to live as long. A kernel that stops fails the test and the launch.
void run_kernels_of(const HostModule& module);

/// What the fake driver loads in the place of the cubin of function `function`.
std::vector<std::uint8_t> fake_cubin(const HostModule& module, std::size_t function);

}  // namespace tenon::testing
