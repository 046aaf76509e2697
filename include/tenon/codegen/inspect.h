#pragma once

/// What the compiler made of a kernel's innermost loop.

#include <string>
#include <string_view>

namespace tenon {

/// Figures of the innermost loop that has the most fused multiply-adds (or, where there are none,
/// the most vector instructions).
struct KernelStats {
  int num_instructions = 0;
  int num_vector = 0;              ///< instructions on vector registers
  int num_fma = 0;                 ///< of these, packed fused multiply-adds
  int num_vector_spills = 0;       ///< of these, with an operand on the stack
  int function_vector_spills = 0;  ///< the same in the whole text
  bool has_loop = false;
  /// num_fma / num_instructions.
  double fma_density() const {
    return num_instructions == 0 ? 0.0 : static_cast<double>(num_fma) / num_instructions;
  }
};

/// Reads the text that `assembly` gives.
KernelStats inspect_assembly(std::string_view assembly);

}  // namespace tenon
