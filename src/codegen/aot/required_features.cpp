#include <llvm/MC/MCSubtargetInfo.h>

#include "codegen/llvm/pipeline.h"
#include "tenon/codegen/aot.h"

namespace tenon {

std::uint64_t required_features(const Target& target) {
  const auto machine = codegen::make_target_machine(target);
  const llvm::MCSubtargetInfo& info = *machine->getMCSubtargetInfo();
  std::uint64_t bits = 0;
  std::uint64_t bit = 1;
#define CPU_FEATURE(name, leaf, subleaf, reg, position, state) \
  if (info.checkFeatures("+" name)) bits |= bit;               \
  bit <<= 1;
#include "tenon/runtime/cpu_features.def"
#undef CPU_FEATURE
  return bits;
}

}  // namespace tenon
