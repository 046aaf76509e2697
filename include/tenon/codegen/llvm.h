#pragma once

/// Loop IR to machine code through LLVM. No LLVM type is visible here.
///
/// All functions are thread-safe and use an LLVM context of their own, so that several modules can
/// be compiled at once. Input is loop IR (`Level::kLoop`, verified): no blocks, one-dimensional
/// accesses, intrinsics expanded to arithmetic (only `checked_index` remains a call). The kernels
/// follow runtime/kernel_abi.h; docs/design/codegen.md says how each construct is translated.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/target.h"

namespace tenon {

struct CodegenOptions {
  bool verify_llvm = true;  ///< run LLVM's verifier on what was emitted
  bool keep_names = false;  ///< keep names of values; llvm_ir does so in any case
};

/// A relocatable ELF object.
struct ObjectCode {
  std::vector<std::uint8_t> bytes;
  std::vector<std::string> symbols;  ///< the kernels, in the order of the functions
};

/// Compiles functions with different names into one object.
ObjectCode compile_to_object(std::span<const Function> functions, const Target& target,
                             const CodegenOptions& options = {});
/// The optimised LLVM IR, as text.
std::string llvm_ir(std::span<const Function> functions, const Target& target,
                    const CodegenOptions& options = {});
/// The assembly, as text.
std::string assembly(std::span<const Function> functions, const Target& target,
                     const CodegenOptions& options = {});
/// What the code depends on beside its input: version of LLVM and a fingerprint of this floor's
/// sources. Part of the object cache's key.
std::string codegen_version();

}  // namespace tenon
