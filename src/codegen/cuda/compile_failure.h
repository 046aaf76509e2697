#pragma once

/// What is said when the CUDA text that Tenon made does not become good code.

#include <string>

namespace tenon::cuda {

/// The name of the source in NVRTC's log.
inline constexpr const char* kSourceName = "kernels.cu";

/// Raises InternalError with the log and the lines of the source around the first error.
[[noreturn]] void raise_compile_failure(const std::string& source, const std::string& arch,
                                        const std::string& log);

/// Raises InternalError when ptxas says that it gave up what makes a kernel fast: a wgmma pipeline
/// serialised (C7510 to C7515), setmaxnreg ignored (C7508). Such code is right and many times
/// slower, and nothing else would say so.
void check_no_large_loss(const std::string& source, const std::string& arch,
                         const std::string& log);

}  // namespace tenon::cuda
