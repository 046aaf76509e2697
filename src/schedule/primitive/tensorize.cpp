#include <map>

#include "ir/tensor_instruction/match.h"
#include "schedule/primitive/blockize.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

const char* code_of(TensorFault fault) {
  switch (fault) {
    case TensorFault::kNone:
    case TensorFault::kLoops:
      return "E1271";
    case TensorFault::kExpression:
      return "E1272";
    case TensorFault::kDType:
    case TensorFault::kScope:
      return "E1273";
    case TensorFault::kIndices:
      return "E1274";
  }
  return "";
}

/// A fragment has the layout of one kind of operand.
void check_layouts(Step& step) {
  std::map<const BufferNode*, std::pair<const FragmentLayout*, std::string>> known;
  for (const BlockNode* b : blocks_under(step.root())) {
    const auto found = b->annotations.find(kTensorInstructionKey);
    if (found == b->annotations.end()) continue;
    const TensorInstruction* t = find_tensor_instruction(std::get<std::string>(found->second));
    const TensorMatch m = match_tensor_instruction(*t, b->body);
    for (std::size_t i = 0; i < m.first.size(); ++i) {
      const FragmentLayout* layout = t->operands[i].layout;
      const Buffer& buffer = m.first[i].as<LoadNode>()->buffer;
      if (layout == nullptr) continue;
      const auto [entry, is_new] = known.try_emplace(buffer.get(), layout, b->name);
      TENON_REQUIRE(step, is_new || entry->second.first == layout, 4, ScheduleError, "E1277",
                    "fragment '", buffer->name, "' is laid out as ", layout->name,
                    " operand in block '", b->name, "', and as ", entry->second.first->name,
                    " operand in block '", entry->second.second, "'");
    }
  }
}

ScheduleValue apply(Step& step) {
  const std::string& name = step.argument<std::string>(1);
  const TensorInstruction* instruction = find_tensor_instruction(name);
  std::string names;
  for (const TensorInstruction* t : tensor_instructions())
    names += (names.empty() ? "" : ", ") + t->name;
  step.suggest("one of " + names);
  TENON_REQUIRE(step, instruction != nullptr, 1, ScheduleError, "E1270",
                "there is no tensor instruction '", name, "'");
  step.suggest("");
  BlockRef block;
  if (const auto* loop = std::get_if<LoopRef>(&step.value(0))) {
    const Step::RulesOf rules(step, kBlockize);
    block = blockize_loop(step, *loop);
  } else {
    block = step.argument<BlockRef>(0);
  }
  const Path path = step.path_to(block);
  const auto* node = path.back().as<BlockNode>();
  const TensorMatch match = match_tensor_instruction(*instruction, node->body);
  if (match.fault != TensorFault::kNone) {
    step.blame(block.name);
    step.fail(match.fault == TensorFault::kLoops ? 2 : 3, code_of(match.fault),
              detail::concat("block '", block.name, "' is no ", name, ": ", match.text));
  }
  BlockParts parts = parts_of(*node);
  parts.annotations[kTensorInstructionKey] = name;
  step.set_root(replace_at(path, make_block(std::move(parts))));
  check_layouts(step);
  return block;
}

}  // namespace

extern const Primitive kTensorize;
const Primitive kTensorize = {
    "tensorize",
    "Marks a nest of loops (or a block that blockize made) as a tensor instruction, which a warp "
    "executes together.",
    {{"target", ParameterKind::kTarget}, {"instruction", ParameterKind::kText}},
    {"there is an instruction of that name",
     "the nest has the loops of the instruction, around one store",
     "the store computes what the instruction does, on buffers of its dtypes and scopes, with rows "
     "of "
     "consecutive elements",
     "each fragment is one kind of operand in all instructions"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
