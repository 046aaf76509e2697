#pragma once

/// LLVM's part of the work: target machine, optimisation, object or assembly.

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <string>

#include "tenon/runtime/target.h"

namespace tenon::codegen {

/// A machine for `target`; TargetError [E0902] when LLVM does not know the CPU.
std::unique_ptr<llvm::TargetMachine> make_target_machine(const Target& target);

/// The short pass list: promote, simplify, hoist. No vectoriser and no unroller runs.
void optimise(llvm::Module* module, llvm::TargetMachine* machine);

/// InternalError with LLVM's text when the module is malformed.
void verify(const llvm::Module& module);

/// Machine code of an optimised module: an object, or assembly text.
llvm::SmallVector<char, 0> emit_code(llvm::Module* module, llvm::TargetMachine* machine,
                                     bool as_assembly);

}  // namespace tenon::codegen
