#pragma once

#include <gtest/gtest.h>

#include "runtime/cuda_places.h"

/// Put first into a test that compiles CUDA: NVRTC is that of the Python packages, unless another
/// is in a place before them. Where it is missing the test fails: only TENON_CUDA_PATH=none, which
/// says that CUDA is not wanted, skips it.
#define TENON_NEEDS_NVRTC()                                                     \
  do {                                                                          \
    ::tenon::set_cuda_package_folders(TENON_TEST_PACKAGES);                     \
    if (!::tenon::is_cuda_looked_for()) GTEST_SKIP() << "TENON_CUDA_PATH=none"; \
  } while (false)
