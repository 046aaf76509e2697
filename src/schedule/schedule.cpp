#include "tenon/schedule/schedule.h"

#include <algorithm>

#include "schedule/recorder.h"
#include "schedule/step.h"
#include "schedule/thread_loops.h"

namespace tenon {

Schedule::Schedule(Function f)
    : state_(std::make_unique<ScheduleState>()), recorder_(std::make_unique<Recorder>()) {
  TENON_CHECK(f && f->level == Level::kBlock, "a schedule needs a function at block level");
  recorder_->trace.function = f->name;
  state_->function = std::move(f);
}
Schedule::Schedule(const Schedule& other)
    : state_(std::make_unique<ScheduleState>(*other.state_)),
      recorder_(std::make_unique<Recorder>(*other.recorder_)) {}
Schedule::Schedule(Schedule&&) noexcept = default;
Schedule& Schedule::operator=(Schedule other) noexcept {
  std::swap(state_, other.state_);
  std::swap(recorder_, other.recorder_);
  return *this;
}
Schedule::~Schedule() = default;

const Function& Schedule::function() const { return state_->function; }
const Trace& Schedule::trace() const { return recorder_->trace; }

namespace {

const Primitive kLoops = {"loops",
                          "Looks up the loops around a block.",
                          {{"block", ParameterKind::kBlock}},
                          {},
                          ResultKind::kLoops,
                          nullptr};
const Primitive kBlock = {"block", "Looks up a block.", {{"name", ParameterKind::kBlock}},
                          {},      ResultKind::kBlock,  nullptr};

/// The value, converted where Python's and C++'s spellings differ: a block may be given by name,
/// factors as integers.
ScheduleValue converted(const Parameter& parameter, const ScheduleValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  const bool takes_block =
      parameter.kind == ParameterKind::kBlock || parameter.kind == ParameterKind::kTarget;
  if (takes_block && text != nullptr) return BlockRef{*text};
  const auto* loop = std::get_if<LoopRef>(&value);
  if (parameter.kind == ParameterKind::kLoops && loop != nullptr)
    return std::vector<LoopRef>{*loop};
  return value;
}

bool fits(ParameterKind kind, const ScheduleValue& v) {
  const auto is = [&]<typename T>(const T*) { return std::holds_alternative<T>(v); };
  const LoopRef* loop = nullptr;
  const BlockRef* block = nullptr;
  const std::int64_t* integer = nullptr;
  const std::string* text = nullptr;
  const double* number = nullptr;
  switch (kind) {
    case ParameterKind::kLoop:
      return is(loop);
    case ParameterKind::kLoops:
      return is(static_cast<const std::vector<LoopRef>*>(nullptr));
    case ParameterKind::kBlock:
      return is(block);
    case ParameterKind::kTarget:
      return is(loop) || is(block);
    case ParameterKind::kFactors:
      return is(static_cast<const Factors*>(nullptr));
    case ParameterKind::kInteger:
      return is(integer);
    case ParameterKind::kText:
      return is(text);
    case ParameterKind::kValue:
      return is(integer) || is(text) || is(number);
    case ParameterKind::kIndexMap:
      return is(static_cast<const IndexMap*>(nullptr));
  }
  return false;
}

const char* description(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::kLoop:
      return "a loop";
    case ParameterKind::kLoops:
      return "loops";
    case ParameterKind::kBlock:
      return "a block or its name";
    case ParameterKind::kTarget:
      return "a loop or a block";
    case ParameterKind::kFactors:
      return "a list of integers and None";
    case ParameterKind::kInteger:
      return "an integer";
    case ParameterKind::kText:
      return "a text";
    case ParameterKind::kValue:
      return "an integer, float or text";
    case ParameterKind::kIndexMap:
      return "a function of indices";
  }
  return "";
}

ScheduleValue default_value(const Parameter& parameter) {
  const std::string text = parameter.default_text;
  if (parameter.kind == ParameterKind::kFactors) return Factors{};  // "[]" is the only default
  if (parameter.kind == ParameterKind::kInteger) return static_cast<std::int64_t>(std::stoll(text));
  return text.substr(1, text.size() - 2);  // without the quotes
}

Arguments bind_arguments(const Primitive& primitive, const NamedArguments& named) {
  Arguments bound;
  for (const Parameter& p : primitive.parameters) {
    const auto given =
        std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.first == p.name; });
    TENON_USER_CHECK(given != named.end() || p.default_text != nullptr, ScheduleError, "E0240",
                     primitive.name, ": the argument '", p.name, "' is missing");
    bound.push_back(given != named.end() ? converted(p, given->second) : default_value(p));
    TENON_USER_CHECK(fits(p.kind, bound.back()), ScheduleError, "E0241", primitive.name,
                     ": the argument '", p.name, "' should be ", description(p.kind));
  }
  for (const auto& [name, value] : named) {
    const bool known = std::any_of(primitive.parameters.begin(), primitive.parameters.end(),
                                   [&, key = name](const Parameter& p) { return key == p.name; });
    TENON_USER_CHECK(known, ScheduleError, "E0242", primitive.name, ": there is no argument '",
                     name, "'");
  }
  return bound;
}

}  // namespace

std::vector<LoopRef> Schedule::loops(const std::string& block, Span span) const {
  Step step(kLoops, {BlockRef{block}}, *state_, std::move(span));
  std::vector<LoopRef> out;
  for (const ForNode* f : loops_on(step.path_to(BlockRef{block}))) out.push_back({f->var});
  return out;
}

BlockRef Schedule::block(const std::string& name, Span span) const {
  Step step(kBlock, {BlockRef{name}}, *state_, std::move(span));
  step.path_to(BlockRef{name});
  return {name};
}

std::vector<BlockRef> Schedule::blocks() const {
  std::vector<BlockRef> out;
  for (const BlockNode* b : blocks_under(function()->body)) out.push_back({b->name});
  return out;
}

ScheduleValue Schedule::apply(const std::string& name, const NamedArguments& arguments, Span span) {
  const Primitive& primitive = find_primitive(name);
  Step step(primitive, bind_arguments(primitive, arguments), *state_, std::move(span));
  ScheduleValue result = primitive.apply(step);
  if (has_thread_loops(step.function()) && name != "bind") check_thread_loops(step, result);
  recorder_->record(step, state_->function->body, result);
  *state_ = step.take_state();
  return result;
}

void Schedule::use_decisions(DecisionValues values) {
  state_->wanted = std::make_shared<const DecisionValues>(std::move(values));
}

const std::vector<Decision>& Schedule::decisions() const {
  static const std::vector<Decision> kNone;
  return state_->decisions ? *state_->decisions : kNone;
}

// --- typed forms
// -------------------------------------------------------------------------------------------------------

std::int64_t Schedule::sample_categorical(const std::string& name,
                                          const std::vector<std::int64_t>& options,
                                          std::int64_t preferred, Span span) {
  return std::get<std::int64_t>(apply("sample_categorical",
                                      {{"name", name},
                                       {"options", Factors(options.begin(), options.end())},
                                       {"preferred", preferred}},
                                      std::move(span)));
}

Factors Schedule::sample_tile(const std::string& name, const LoopRef& loop, std::int64_t n,
                              std::int64_t max_innermost, const Factors& preferred, Span span) {
  return std::get<Factors>(apply("sample_tile",
                                 {{"name", name},
                                  {"loop", loop},
                                  {"n", n},
                                  {"max_innermost", max_innermost},
                                  {"preferred", preferred}},
                                 std::move(span)));
}

std::int64_t Schedule::sample_compute_location(const std::string& name, const BlockRef& block,
                                               std::int64_t preferred, Span span) {
  return std::get<std::int64_t>(apply("sample_compute_location",
                                      {{"name", name}, {"block", block}, {"preferred", preferred}},
                                      std::move(span)));
}

std::vector<LoopRef> Schedule::split(const LoopRef& loop, const Factors& factors,
                                     const std::string& tail, Span span) {
  return std::get<std::vector<LoopRef>>(
      apply("split", {{"loop", loop}, {"factors", factors}, {"tail", tail}}, std::move(span)));
}

LoopRef Schedule::fuse(const std::vector<LoopRef>& loops, Span span) {
  return std::get<LoopRef>(apply("fuse", {{"loops", loops}}, std::move(span)));
}

void Schedule::reorder(const std::vector<LoopRef>& loops, Span span) {
  apply("reorder", {{"loops", loops}}, std::move(span));
}

std::vector<LoopRef> Schedule::tile(const LoopRef& i, const LoopRef& j, std::int64_t i_factor,
                                    std::int64_t j_factor, const std::string& tail, Span span) {
  return std::get<std::vector<LoopRef>>(apply(
      "tile", {{"i", i}, {"j", j}, {"i_factor", i_factor}, {"j_factor", j_factor}, {"tail", tail}},
      std::move(span)));
}

void Schedule::vectorize(const LoopRef& loop, Span span) {
  apply("vectorize", {{"loop", loop}}, std::move(span));
}
void Schedule::unroll(const LoopRef& loop, Span span) {
  apply("unroll", {{"loop", loop}}, std::move(span));
}
void Schedule::parallel(const LoopRef& loop, Span span) {
  apply("parallel", {{"loop", loop}}, std::move(span));
}

void Schedule::bind(const LoopRef& loop, const std::string& axis, Span span) {
  apply("bind", {{"loop", loop}, {"axis", axis}}, std::move(span));
}

BlockRef Schedule::blockize(const LoopRef& loop, Span span) {
  return std::get<BlockRef>(apply("blockize", {{"loop", loop}}, std::move(span)));
}

BlockRef Schedule::tensorize(const ScheduleValue& target, const std::string& instruction,
                             Span span) {
  return std::get<BlockRef>(
      apply("tensorize", {{"target", target}, {"instruction", instruction}}, std::move(span)));
}

void Schedule::async_copy(const BlockRef& block, Span span) {
  apply("async_copy", {{"block", block}}, std::move(span));
}

void Schedule::software_pipeline(const LoopRef& loop, std::int64_t stages, Span span) {
  apply("software_pipeline", {{"loop", loop}, {"stages", stages}}, std::move(span));
}

void Schedule::storage_align(const BlockRef& block, std::int64_t axis, std::int64_t factor,
                             std::int64_t offset, Span span) {
  apply("storage_align", {{"block", block}, {"axis", axis}, {"factor", factor}, {"offset", offset}},
        std::move(span));
}

void Schedule::annotate(const ScheduleValue& target, const std::string& key,
                        const ScheduleValue& value, Span span) {
  apply("annotate", {{"target", target}, {"key", key}, {"value", value}}, std::move(span));
}

LoopRef Schedule::add_unit_loop(const ScheduleValue& target, Span span) {
  return std::get<LoopRef>(apply("add_unit_loop", {{"target", target}}, std::move(span)));
}

void Schedule::compute_at(const BlockRef& block, const LoopRef& loop, Span span) {
  apply("compute_at", {{"block", block}, {"loop", loop}}, std::move(span));
}

void Schedule::compute_inline(const BlockRef& block, Span span) {
  apply("compute_inline", {{"block", block}}, std::move(span));
}

void Schedule::reverse_compute_inline(const BlockRef& block, Span span) {
  apply("reverse_compute_inline", {{"block", block}}, std::move(span));
}

BlockRef Schedule::cache_read(const BlockRef& block, const std::string& buffer,
                              const std::string& scope, Span span) {
  return std::get<BlockRef>(apply(
      "cache_read", {{"block", block}, {"buffer", buffer}, {"scope", scope}}, std::move(span)));
}

BlockRef Schedule::reindex(const BlockRef& block, const std::string& buffer,
                           const std::string& scope, Span span) {
  return std::get<BlockRef>(
      apply("reindex", {{"block", block}, {"buffer", buffer}, {"scope", scope}}, std::move(span)));
}

void Schedule::set_scope(const BlockRef& block, const std::string& scope, Span span) {
  apply("set_scope", {{"block", block}, {"scope", scope}}, std::move(span));
}

void Schedule::transform_layout(const BlockRef& block, const std::string& buffer,
                                const IndexMap& index_map, Span span) {
  apply("transform_layout", {{"block", block}, {"buffer", buffer}, {"index_map", index_map}},
        std::move(span));
}

BlockRef Schedule::rfactor(const LoopRef& loop, std::int64_t axis, Span span) {
  return std::get<BlockRef>(apply("rfactor", {{"loop", loop}, {"axis", axis}}, std::move(span)));
}

std::vector<LoopRef> Schedule::split_terms(const LoopRef& loop, std::int64_t terms, Span span) {
  return std::get<std::vector<LoopRef>>(
      apply("split_terms", {{"loop", loop}, {"terms", terms}}, std::move(span)));
}

void Schedule::reverse_compute_at(const BlockRef& block, const LoopRef& loop, Span span) {
  apply("reverse_compute_at", {{"block", block}, {"loop", loop}}, std::move(span));
}

BlockRef Schedule::cache_write(const BlockRef& block, const std::string& scope, Span span) {
  return std::get<BlockRef>(
      apply("cache_write", {{"block", block}, {"scope", scope}}, std::move(span)));
}

BlockRef Schedule::decompose_reduction(const BlockRef& block, const LoopRef& loop, Span span) {
  return std::get<BlockRef>(
      apply("decompose_reduction", {{"block", block}, {"loop", loop}}, std::move(span)));
}

}  // namespace tenon
