#include "driver/plan_arguments.h"

namespace tenon {
namespace {

/// The first input axis that is the symbol alone.
PlanSymbol locate(const Function& f, const Symbol& symbol) {
  PlanSymbol out;
  out.name = symbol.var.as<VarNode>()->name;
  out.min = symbol.min;
  if (symbol.max) out.max = *symbol.max;
  out.multiple_of = symbol.multiple_of;
  for (std::size_t i = 0; i < f->inputs.size(); ++i) {
    const std::vector<Expr>& shape = f->inputs[i]->shape;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (!shape[axis].same_as(symbol.var)) continue;
      out.input = static_cast<std::uint32_t>(i);
      out.axis = static_cast<std::uint32_t>(axis);
      return out;
    }
  }
  TENON_CHECK(false, "symbol '", out.name, "' is no dimension of an input of '", f->name, "'");
  return out;
}

PlanArgument argument_of(PlanProgram* program, const Buffer& buffer,
                         const SymbolRegisters& symbols) {
  PlanArgument argument;
  argument.name = buffer->name;
  argument.dtype = buffer->dtype;
  argument.dims = add_sizes(program, buffer->shape, symbols);
  argument.strides = add_sizes(program, buffer->strides, symbols);
  return argument;
}

}  // namespace

SymbolRegisters add_arguments(Plan* plan_out, PlanStep* step_out, const Function& f,
                              const Function& lowered) {
  Plan& plan = *plan_out;
  PlanStep& step = *step_out;
  plan.name = f->name;
  SymbolRegisters symbols;
  for (std::size_t i = 0; i < f->symbols.size(); ++i) {
    const Symbol& s = f->symbols[i];
    PlanSymbol symbol = locate(f, s);
    symbol.reg = plan.program.dim(symbol.input, symbol.axis);
    symbols[s.var.get()] = symbol.reg;
    symbols[lowered->symbols.at(i).var.get()] = symbol.reg;  // the workspace's
    step.sizes.push_back(symbol.reg);
    plan.symbols.push_back(symbol);
  }
  for (const Buffer& b : f->inputs) plan.inputs.push_back(argument_of(&plan.program, b, symbols));
  for (const Buffer& b : f->outputs) {
    plan.results.push_back(argument_of(&plan.program, b, symbols));
    for (std::size_t i = 0; i < f->inputs.size(); ++i) {
      if (f->inputs[i].same_as(b)) plan.results.back().in_place_of = static_cast<std::uint32_t>(i);
    }
  }
  const std::size_t num_arguments = plan.inputs.size() + plan.results.size();
  for (std::size_t i = 0; i < num_arguments; ++i) {
    step.buffers.push_back(plan.add_argument_buffer(static_cast<std::uint32_t>(i)));
  }
  return symbols;
}

}  // namespace tenon
