#pragma once

/// Controls of the fake cuBLASLt (fake_cublaslt.cpp), which computes products on the fake driver's
/// memory and refuses every argument that the library would not take.

#include <cstddef>
#include <cstdint>

namespace fake_cublaslt {

struct Controls {
  char fail_call[64] = {};  ///< the function of this name ...
  int fail_status = 13;     ///< ... returns this
  bool has_no_algorithm = false;
  std::size_t workspace_bytes = 1024;  ///< what its algorithm wants, and writes to
};

/// What happened since the reset.
struct Counters {
  int products = 0;      ///< that ran, those of graphs included
  int heuristics = 0;    ///< algorithms asked for
  int compute_type = 0;  ///< of the last one
  std::uint64_t max_workspace = 0;
  std::uint32_t reductions = 0;
  int live_objects = 0;  ///< descriptors, layouts and preferences that were not destroyed
};

extern "C" {
void fake_cublaslt_reset();
Controls* fake_cublaslt_controls();
const Counters* fake_cublaslt_counters();
}

}  // namespace fake_cublaslt
