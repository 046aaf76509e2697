#pragma once

/// CUDA text to a cubin, through the object cache.

#include <string>

#include "tenon/codegen/cuda.h"

namespace tenon {

/// As compile_cuda; with `use_cache` the cubin is looked up in ObjectCache::shared() first and
/// stored there after. A hit opens no NVRTC, but asks for the NVRTC that would be used to be there:
/// its build is part of the key, beside the whole text, the architecture and the options.
/// Thread-safe. Raises what compile_cuda raises.
Cubin build_cubin(const std::string& source, const std::string& arch,
                  const CudaCompileOptions& options = {}, bool use_cache = true);

}  // namespace tenon
