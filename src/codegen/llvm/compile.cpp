// The public functions of tenon/codegen/llvm.h.

#include <llvm/Config/llvm-config.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/Support/raw_ostream.h>

#include <set>

#include "codegen/llvm/emitter.h"
#include "codegen/llvm/pipeline.h"
#include "tenon/codegen/llvm.h"

namespace tenon {
namespace {

/// A module and what it needs, optimised.
struct Compilation {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
  std::vector<std::string> symbols;

  Compilation(std::span<const Function> functions, const Target& target,
              const CodegenOptions& options)
      : machine(codegen::make_target_machine(target)),
        module(std::make_unique<llvm::Module>("tenon", context)) {
    context.setDiscardValueNames(!options.keep_names);
    module->setTargetTriple(machine->getTargetTriple().str());
    module->setDataLayout(machine->createDataLayout());
    std::set<std::string> seen;
    for (const Function& f : functions) {
      TENON_CHECK(f->level == Level::kLoop, "code generation takes loop IR, got ",
                  to_string(f->level), " IR of '", f->name, "'");
      symbols.push_back(kernel_symbol(f));
      TENON_CHECK(seen.insert(symbols.back()).second, "two kernels named '", f->name, "'");
      codegen::Emitter(module.get(), f, target).emit_kernel();
    }
    if (options.verify_llvm) codegen::verify(*module);
    codegen::optimise(module.get(), machine.get());
  }
};

CodegenOptions with_names(CodegenOptions options) {
  options.keep_names = true;
  return options;
}

}  // namespace

ObjectCode compile_to_object(std::span<const Function> functions, const Target& target,
                             const CodegenOptions& options) {
  Compilation compilation(functions, target, options);
  const auto bytes = codegen::emit_code(compilation.module.get(), compilation.machine.get(), false);
  return {std::vector<std::uint8_t>(bytes.begin(), bytes.end()), std::move(compilation.symbols)};
}

std::string llvm_ir(std::span<const Function> functions, const Target& target,
                    const CodegenOptions& options) {
  Compilation compilation(functions, target, with_names(options));
  std::string text;
  llvm::raw_string_ostream out(text);
  compilation.module->print(out, nullptr);
  return out.str();
}

std::string assembly(std::span<const Function> functions, const Target& target,
                     const CodegenOptions& options) {
  Compilation compilation(functions, target, options);
  const auto bytes = codegen::emit_code(compilation.module.get(), compilation.machine.get(), true);
  return {bytes.begin(), bytes.end()};
}

std::string codegen_version() {
  return std::string("llvm ") + LLVM_VERSION_STRING + " codegen " + TENON_CODEGEN_FINGERPRINT;
}

}  // namespace tenon
