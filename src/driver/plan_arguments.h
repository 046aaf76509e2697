#pragma once

/// What plans of one function have in common.

#include "tenon/driver/plan_sizes.h"
#include "tenon/ir/function.h"
#include "tenon/runtime/plan.h"

namespace tenon {

/// Gives the plan the name, symbols, inputs and results of `f`, and the step their buffers and
/// sizes. Returns the registers of the symbols, those of the lowered function too.
SymbolRegisters add_arguments(Plan* plan, PlanStep* step, const Function& f,
                              const Function& lowered);

}  // namespace tenon
