#include "schedule/recorder.h"

#include <algorithm>

#include "schedule/dependence.h"
#include "tenon/ir/print.h"

namespace tenon {

std::string kind_of_loop(const BlockNode& block, const Expr& loop_var) {
  std::string kind;
  for (const IterKind k : {IterKind::kSpatial, IterKind::kReduction, IterKind::kOrdered}) {
    if (touches(block, loop_var, k)) kind = kind.empty() ? to_string(k) : "mixed";
  }
  return kind.empty() ? "unused" : kind;
}

const std::string& Recorder::name_of(const Expr& loop_var) {
  auto& entry = names_[loop_var.get()];
  if (entry.first) return entry.second;
  const std::string wanted = LoopRef{loop_var}.name();
  std::string name = wanted;
  const auto taken = [&] {
    return std::any_of(names_.begin(), names_.end(),
                       [&](const auto& known) { return known.second.second == name; });
  };
  for (int n = 1; taken(); ++n) name = wanted + "_" + std::to_string(n);
  entry = {loop_var, name};
  return entry.second;
}

void Recorder::look_up(const Expr& loop_var, const Stmt& before) {
  const Path path = path_to_loop(before, loop_var);
  TENON_CHECK(!path.empty(), "a traced loop that is not in the function");
  const BlockNode* block = blocks_under(path.back()).at(0);
  TraceStep step{"loops", {{"block", BlockRef{block->name}}}, {}, {}, false};
  for (const ForNode* f : loops_on(path_to_block(before, block->name))) {
    step.results.push_back(name_of(f->var));
    step.kinds.push_back(kind_of_loop(*block, f->var));
  }
  trace.steps.push_back(std::move(step));
}

TracedLoop Recorder::traced(const LoopRef& loop, const Stmt& before) {
  if (names_.count(loop.var.get()) == 0) look_up(loop.var, before);
  return {name_of(loop.var)};
}

TracedValue Recorder::traced(const ScheduleValue& value, const Stmt& before) {
  if (const auto* loop = std::get_if<LoopRef>(&value)) return traced(*loop, before);
  if (const auto* loops = std::get_if<std::vector<LoopRef>>(&value)) {
    std::vector<TracedLoop> names;
    for (const LoopRef& l : *loops) names.push_back(traced(l, before));
    return names;
  }
  if (const auto* map = std::get_if<IndexMap>(&value)) {
    TracedIndexMap text;
    for (const Expr& v : map->vars) text.vars.push_back(print(v));
    for (const Expr& r : map->results) text.results.push_back(print(r));
    return text;
  }
  if (const auto* block = std::get_if<BlockRef>(&value)) return *block;
  if (const auto* factors = std::get_if<Factors>(&value)) return *factors;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  return std::get<std::string>(value);
}

void Recorder::record(const Step& step, const Stmt& before, const ScheduleValue& result) {
  TraceStep out;
  out.primitive = step.primitive().name;
  out.reassociates = step.reassociates();
  for (std::size_t i = 0; i < step.arguments().size(); ++i) {
    const Parameter& p = step.primitive().parameters[i];
    if (p.default_text != nullptr && argument_text(step.arguments()[i]) == p.default_text) continue;
    out.arguments.emplace_back(p.name, traced(step.arguments()[i], before));
  }
  if (const auto* loop = std::get_if<LoopRef>(&result)) out.results = {name_of(loop->var)};
  if (const auto* block = std::get_if<BlockRef>(&result)) out.results = {block->name};
  if (const auto* loops = std::get_if<std::vector<LoopRef>>(&result)) {
    for (const LoopRef& l : *loops) out.results.push_back(name_of(l.var));
  }
  trace.steps.push_back(std::move(out));
}

}  // namespace tenon
