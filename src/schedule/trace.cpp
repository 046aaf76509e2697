#include "tenon/schedule/trace.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "schedule/recorder.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/parse.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kVersionKey = "tenon_schedule_trace";

Json names_of(const std::vector<TracedLoop>& loops) {
  Json out = Json::array();
  for (const TracedLoop& l : loops) out.push_back(l.name);
  return out;
}

struct ToJson {
  Json operator()(std::int64_t v) const { return v; }
  Json operator()(double v) const { return v; }
  Json operator()(const std::string& v) const { return v; }
  Json operator()(const TracedLoop& v) const { return {{"loop", v.name}}; }
  Json operator()(const BlockRef& v) const { return {{"block", v.name}}; }
  Json operator()(const std::vector<TracedLoop>& v) const { return {{"loops", names_of(v)}}; }
  Json operator()(const Factors& v) const {
    Json out = Json::array();
    for (const auto& f : v) out.push_back(f ? Json(*f) : Json(nullptr));
    return out;
  }
  Json operator()(const TracedIndexMap& v) const {
    return {{"vars", v.vars}, {"results", v.results}};
  }
};

Json to_json(const TraceStep& step) {
  Json out = {{"primitive", step.primitive}};
  Json arguments = Json::object();
  for (const auto& [name, value] : step.arguments) arguments[name] = std::visit(ToJson{}, value);
  out["arguments"] = arguments;
  if (!step.results.empty()) out["results"] = step.results;
  if (!step.kinds.empty()) out["kinds"] = step.kinds;
  if (step.reassociates) out["reassociates"] = true;
  return out;
}

TracedValue value_from(const Json& j) {
  if (j.is_number_integer()) return j.get<std::int64_t>();
  if (j.is_number_float()) return j.get<double>();
  if (j.is_string()) return j.get<std::string>();
  if (j.is_array()) {
    Factors factors;
    for (const Json& f : j)
      factors.push_back(f.is_null() ? std::nullopt : std::optional(f.get<std::int64_t>()));
    return factors;
  }
  if (j.contains("loop")) return TracedLoop{j.at("loop").get<std::string>()};
  if (j.contains("block")) return BlockRef{j.at("block").get<std::string>()};
  if (j.contains("loops")) {
    std::vector<TracedLoop> loops;
    for (const Json& name : j.at("loops")) loops.push_back({name.get<std::string>()});
    return loops;
  }
  return TracedIndexMap{j.at("vars").get<std::vector<std::string>>(),
                        j.at("results").get<std::vector<std::string>>()};
}

TraceStep step_from(const Json& j) {
  TraceStep step;
  step.primitive = j.at("primitive").get<std::string>();
  for (const auto& [name, value] : j.at("arguments").items())
    step.arguments.emplace_back(name, value_from(value));
  step.results = j.value("results", std::vector<std::string>{});
  step.kinds = j.value("kinds", std::vector<std::string>{});
  step.reassociates = j.value("reassociates", false);
  return step;
}

// --- Python text ---

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& p : parts) out += (out.empty() ? "" : ", ") + p;
  return out;
}

struct ToPython {
  std::string operator()(std::int64_t v) const { return std::to_string(v); }
  std::string operator()(double v) const { return Json(v).dump(); }
  std::string operator()(const std::string& v) const { return Json(v).dump(); }
  std::string operator()(const TracedLoop& v) const { return v.name; }
  std::string operator()(const BlockRef& v) const { return Json(v.name).dump(); }
  std::string operator()(const std::vector<TracedLoop>& v) const {
    std::vector<std::string> names;
    for (const TracedLoop& l : v) names.push_back(l.name);
    return joined(names);
  }
  std::string operator()(const Factors& v) const {
    std::vector<std::string> parts;
    for (const auto& f : v) parts.push_back(f ? std::to_string(*f) : "None");
    return "[" + joined(parts) + "]";
  }
  std::string operator()(const TracedIndexMap& v) const {
    return "lambda " + joined(v.vars) + ": (" + joined(v.results) +
           (v.results.size() == 1 ? ",)" : ")");
  }
};

bool is_written_by_name(const std::string& primitive, const std::string& parameter) {
  for (const Primitive* p : primitives()) {
    if (p->name != primitive) continue;
    for (const Parameter& q : p->parameters) {
      if (q.name == parameter) return q.by_name;
    }
  }
  return false;
}

std::string to_python(const TraceStep& step) {
  std::string out = joined(step.results);
  if (!out.empty()) out += (step.results.size() == 1 && !step.kinds.empty() ? ", = s." : " = s.");
  if (out.empty()) out = "s.";
  std::vector<std::string> arguments;
  for (const auto& [name, value] : step.arguments) {
    const bool by_name = is_written_by_name(step.primitive, name);
    arguments.push_back((by_name ? name + "=" : "") + std::visit(ToPython{}, value));
  }
  return out + step.primitive + "(" + joined(arguments) + ")" +
         (step.reassociates ? "  # reassociates" : "");
}

}  // namespace

bool Trace::reassociates() const {
  return std::any_of(steps.begin(), steps.end(), [](const TraceStep& s) { return s.reassociates; });
}

std::string Trace::to_json() const {
  std::string out = detail::concat("{\"", kVersionKey, "\": ", kVersion,
                                   ", \"function\": ", Json(function).dump(), ", \"steps\": [");
  for (std::size_t i = 0; i < steps.size(); ++i)
    out += (i == 0 ? "\n  " : ",\n  ") + tenon::to_json(steps[i]).dump();
  return out + "\n]}\n";
}

Trace Trace::from_json(const std::string& text) {
  Trace trace;
  try {
    const Json j = Json::parse(text);
    const int version = j.at(kVersionKey).get<int>();
    TENON_USER_CHECK(version == kVersion, ScheduleError, "E0272", "trace: version ", version,
                     " should be ", kVersion);
    trace.function = j.at("function").get<std::string>();
    for (const Json& step : j.at("steps")) trace.steps.push_back(step_from(step));
  } catch (const Json::exception& e) {
    detail::raise<ScheduleError>(
        "E0271", detail::concat("trace: the text is no trace of a schedule: ", e.what()));
  }
  return trace;
}

std::string Trace::to_python() const {
  std::string out =
      detail::concat("# trace of a schedule of '", function, "', version ", kVersion, "\n");
  for (const TraceStep& step : steps) out += tenon::to_python(step) + "\n";
  return out;
}

// --- replay ---

namespace {

class Replay {
 public:
  explicit Replay(Schedule* schedule) : schedule_(*schedule) {}

  void run(const TraceStep& step, std::size_t number) {
    where_ = detail::concat("trace: step ", number, " `", to_python(step), "`");
    if (step.primitive == "loops") return look_up(step);
    NamedArguments arguments;
    for (const auto& [name, value] : step.arguments) arguments.emplace_back(name, resolved(value));
    bind(step, applied(step, arguments));
  }

 private:
  void look_up(const TraceStep& step) {
    TENON_USER_CHECK(
        step.arguments.size() == 1 && std::holds_alternative<BlockRef>(step.arguments[0].second),
        ScheduleError, "E0271", where_, ": 'loops' takes one block");
    const std::string& block = std::get<BlockRef>(step.arguments[0].second).name;
    const Path path = path_to_block(schedule_.function()->body, block);
    TENON_USER_CHECK(!path.empty(), ScheduleError, "E0273", where_, ": function '",
                     schedule_.function()->name, "' has no block '", block, "'");
    const std::vector<const ForNode*> loops = loops_on(path);
    TENON_USER_CHECK(loops.size() == step.results.size(), ScheduleError, "E0273", where_,
                     ": block '", block, "' has ", loops.size(), " loops and should have ",
                     step.results.size());
    for (std::size_t i = 0; i < loops.size(); ++i) {
      const std::string kind = kind_of_loop(*path.back().as<BlockNode>(), loops[i]->var);
      // Of one iteration a loop may be left out of the indices.
      const bool fits = i >= step.kinds.size() || kind == step.kinds[i] || kind == "unused" ||
                        step.kinds[i] == "unused";
      TENON_USER_CHECK(fits, ScheduleError, "E0273", where_, ": loop '",
                       LoopRef{loops[i]->var}.name(), "' of block '", block, "' is ", kind,
                       " and should be ", step.kinds[i]);
      loops_[step.results[i]] = {loops[i]->var};
    }
  }

  ScheduleValue applied(const TraceStep& step, const NamedArguments& arguments) {
    try {
      return schedule_.apply(step.primitive, arguments);
    } catch (const ScheduleError& e) {
      throw ScheduleError(e.code(), where_ + ": " + e.what());
    }
  }

  void bind(const TraceStep& step, const ScheduleValue& result) {
    std::vector<LoopRef> made;
    if (const auto* loop = std::get_if<LoopRef>(&result)) made = {*loop};
    if (const auto* loops = std::get_if<std::vector<LoopRef>>(&result)) made = *loops;
    if (const auto* block = std::get_if<BlockRef>(&result)) {
      TENON_USER_CHECK(step.results.size() == 1 && step.results[0] == block->name, ScheduleError,
                       "E0273", where_, ": the new block is '", block->name, "'");
      return;
    }
    TENON_USER_CHECK(made.size() == step.results.size(), ScheduleError, "E0273", where_, ": made ",
                     made.size(), " loops and should make ", step.results.size());
    for (std::size_t i = 0; i < made.size(); ++i) loops_[step.results[i]] = made[i];
  }

  LoopRef loop_of(const TracedLoop& l) const {
    const auto found = loops_.find(l.name);
    TENON_USER_CHECK(found != loops_.end(), ScheduleError, "E0271", where_, ": loop '", l.name,
                     "' is not defined before");
    return found->second;
  }

  ScheduleValue resolved(const TracedValue& value) const {
    if (const auto* l = std::get_if<TracedLoop>(&value)) return loop_of(*l);
    if (const auto* many = std::get_if<std::vector<TracedLoop>>(&value)) {
      std::vector<LoopRef> loops;
      for (const TracedLoop& l : *many) loops.push_back(loop_of(l));
      return loops;
    }
    if (const auto* map = std::get_if<TracedIndexMap>(&value)) {
      IndexMap out;
      for (const std::string& v : map->vars) out.vars.push_back(var(v));
      for (const std::string& r : map->results)
        out.results.push_back(parse_expr(r, {out.vars, {}}));
      return out;
    }
    if (const auto* b = std::get_if<BlockRef>(&value)) return *b;
    if (const auto* f = std::get_if<Factors>(&value)) return *f;
    if (const auto* d = std::get_if<double>(&value)) return *d;
    if (const auto* i = std::get_if<std::int64_t>(&value)) return *i;
    return std::get<std::string>(value);
  }

  Schedule& schedule_;
  std::map<std::string, LoopRef> loops_;
  std::string where_;
};

}  // namespace

void Trace::replay(Schedule* schedule) const {
  Replay replay(schedule);
  for (std::size_t i = 0; i < steps.size(); ++i) replay.run(steps[i], i + 1);
}

}  // namespace tenon
