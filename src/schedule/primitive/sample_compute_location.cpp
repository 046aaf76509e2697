#include "schedule/decision.h"

namespace tenon {
namespace {

constexpr std::int64_t kInline = -2, kStay = -1;

/// Whether another primitive would do it.
bool is_legal(const Step& step, const char* primitive, Arguments arguments) {
  const Primitive& other = find_primitive(primitive);
  Step attempt(other, std::move(arguments), step.state(), {});
  try {
    other.apply(attempt);
    return true;
  } catch (const ScheduleError&) {
    return false;
  }
}

/// The only block that reads what `block` writes; null where none or several do.
const BlockNode* reader_of(const Stmt& root, const BlockNode& block) {
  const BlockNode* reader = nullptr;
  for (const BlockNode* b : blocks_under(root)) {
    if (b == &block) continue;
    for (const BufferRegion& r : b->reads) {
      const bool reads = !block.writes.empty() && r.buffer.same_as(block.writes[0].buffer);
      if (!reads || reader == b) continue;
      if (reader != nullptr) return nullptr;
      reader = b;
    }
  }
  return reader;
}

ScheduleValue apply(Step& step) {
  const BlockRef block = step.argument<BlockRef>(1);
  const Path path = step.path_to(block);
  std::vector<std::vector<std::int64_t>> options = {{kStay}};
  if (is_legal(step, "compute_inline", {block})) options.push_back({kInline});
  if (const BlockNode* reader = reader_of(step.root(), *path.back().as<BlockNode>())) {
    const auto loops = loops_on(path_to_block(step.root(), reader->name));
    for (std::size_t i = 0; i < loops.size(); ++i) {
      if (is_legal(step, "compute_at", {block, LoopRef{loops[i]->var}}))
        options.push_back({static_cast<std::int64_t>(i)});
    }
  }
  const auto preferred = place_of(options, {step.argument<std::int64_t>(2)});
  return decide(step, DecisionKind::kComputeLocation, std::move(options), preferred, 3)[0];
}

}  // namespace

extern const Primitive kSampleComputeLocation;
const Primitive kSampleComputeLocation = {
    "sample_compute_location",
    "Takes a place for a block: -1 where it is, -2 inlined, or a loop of its only reader, counted "
    "from outside, for compute_at; changes nothing.",
    {{"name", ParameterKind::kText},
     {"block", ParameterKind::kBlock},
     {"preferred", ParameterKind::kInteger, "-1"},
     {"decision", ParameterKind::kFactors, "[]", true}},
    {"the name is not empty, and no other sample's", "the block is in the function",
     "the preferred place is legal", "the decision is an option: a legal place"},
    ResultKind::kInteger,
    apply};

}  // namespace tenon
