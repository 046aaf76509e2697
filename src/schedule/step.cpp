#include "schedule/step.h"

#include <algorithm>

#include "schedule/excerpt.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon {

void Step::allocate(const Buffer& buffer) {
  RootBody parts = split_root(root());
  parts.allocations.push_back(make_allocate(buffer, make_seq({})));
  set_root(join_root(parts));
}

bool Step::is_parameter(const Buffer& buffer) const {
  const std::vector<Buffer> params = function()->params();
  return std::any_of(params.begin(), params.end(),
                     [&](const Buffer& b) { return b.same_as(buffer); });
}

Path Step::path_to(const LoopRef& loop) {
  if (!culprit_ && culprit_block_.empty()) blame(loop.var);
  Path path = path_to_loop(root(), loop.var);
  if (!path.empty()) return path;
  const auto known = state_.consumed.find(loop.var.get());
  if (known == state_.consumed.end()) {
    fail(0, "E0201",
         detail::concat("loop '", loop.name(), "' is not in function '", function()->name, "'"));
  }
  fail(0, "E0201",
       detail::concat("loop '", loop.name(), "' no longer exists: ", known->second.second));
}

Path Step::path_to(const BlockRef& block) {
  if (!culprit_ && culprit_block_.empty()) blame(block.name);
  Path path = path_to_block(root(), block.name);
  if (!path.empty()) return path;
  std::string names;
  for (const BlockNode* b : blocks_under(root())) names += (names.empty() ? "" : ", ") + b->name;
  suggest("the blocks are " + (names.empty() ? "none" : names));
  fail(0, "E0202",
       detail::concat("no block '", block.name, "' in function '", function()->name, "'"));
}

Path Step::common_path(const std::vector<LoopRef>& loops, int requirement) {
  Path deepest;
  for (const LoopRef& loop : loops) {
    const Path path = path_to(loop);
    const Path& shorter = path.size() < deepest.size() ? path : deepest;
    const Path& longer = path.size() < deepest.size() ? deepest : path;
    if (!shorter.empty() && !longer[shorter.size() - 1].same_as(shorter.back())) {
      blame(loop.var);
      fail(requirement, "E0204",
           detail::concat("loop '", loop.name(), "' is not nested with loop '", loops[0].name(),
                          "': all loops must lie on one path"));
    }
    deepest = longer;
  }
  return deepest;
}

void Step::consume(const LoopRef& loop, const std::string& what_became_of_it) {
  state_.consumed[loop.var.get()] = {loop.var, what_became_of_it};
}

void Step::set_replacement(const LoopRef& loop, const std::vector<LoopRef>& by) {
  std::string text = std::string(primitive_.name) + " replaced it by ";
  for (std::size_t i = 0; i < by.size(); ++i) text += (i == 0 ? "'" : ", '") + by[i].name() + "'";
  consume(loop, text);
}

namespace {

template <typename Taken>
std::string first_free(const std::string& wanted, const Taken& taken) {
  std::string name = wanted;
  for (int n = 2; taken(name); ++n) name = wanted + "_" + std::to_string(n);
  return name;
}

}  // namespace

std::string Step::fresh_block_name(const std::string& wanted) const {
  return first_free(wanted,
                    [&](const std::string& n) { return !path_to_block(root(), n).empty(); });
}

std::string Step::fresh_buffer_name(const std::string& wanted) const {
  std::vector<std::string> taken;
  for (const Buffer& b : function()->params()) taken.push_back(b->name);
  for (const Stmt& a : split_root(root()).allocations)
    taken.push_back(a.as<AllocateNode>()->buffer->name);
  return first_free(wanted, [&](const std::string& n) {
    return std::find(taken.begin(), taken.end(), n) != taken.end();
  });
}

void Step::fail(int requirement, const char* code, const std::string& message) const {
  std::string text = detail::concat(primitive_.name, ": ", message, " [", code, "]");
  if (requirement > 0) {
    const bool borrowed = rules_ != nullptr && rules_ != &primitive_;
    const Primitive& rules = borrowed ? *rules_ : primitive_;
    text += detail::concat("\n  requires (", requirement, ")", borrowed ? " of " : "",
                           borrowed ? rules.name : "", ": ",
                           rules.requirements[static_cast<std::size_t>(requirement - 1)]);
  }
  text += "\n  got: " + call_text(primitive_, arguments_);
  if (span_) text += "  at " + span_.str();
  const std::string where = excerpt(root(), culprit_, culprit_block_);
  if (!where.empty()) text += "\n  in:\n" + where;
  if (!counter_example_.empty()) text += "\n  counter-example: " + counter_example_;
  if (!hint_.empty()) text += "\n  hint: " + hint_;
  throw ScheduleError(code, text);
}

namespace {

std::string loops_text(const std::vector<LoopRef>& loops) {
  std::string text;
  for (const LoopRef& l : loops) text += (text.empty() ? "" : ", ") + l.name();
  return text;
}

std::string factors_text(const Factors& factors) {
  std::string text = "[";
  for (std::size_t i = 0; i < factors.size(); ++i) {
    text += (i == 0 ? "" : ", ") + (factors[i] ? std::to_string(*factors[i]) : std::string("None"));
  }
  return text + "]";
}

std::string map_text(const IndexMap& map) {
  std::string text = "lambda ";
  for (std::size_t i = 0; i < map.vars.size(); ++i)
    text += (i == 0 ? "" : ", ") + print(map.vars[i]);
  text += ": (";
  for (std::size_t i = 0; i < map.results.size(); ++i)
    text += (i == 0 ? "" : ", ") + print(map.results[i]);
  return text + (map.results.size() == 1 ? ",)" : ")");
}

}  // namespace

std::string argument_text(const ScheduleValue& value) {
  struct Visitor {
    std::string operator()(std::monostate) const { return "None"; }
    std::string operator()(std::int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return detail::concat(v); }
    std::string operator()(const std::string& v) const { return "\"" + v + "\""; }
    std::string operator()(const LoopRef& v) const { return v.name(); }
    std::string operator()(const BlockRef& v) const { return "\"" + v.name + "\""; }
    std::string operator()(const std::vector<LoopRef>& v) const { return loops_text(v); }
    std::string operator()(const Factors& v) const { return factors_text(v); }
    std::string operator()(const IndexMap& v) const { return map_text(v); }
  };
  return std::visit(Visitor{}, value);
}

std::string call_text(const Primitive& primitive, const Arguments& arguments) {
  std::string text = detail::concat("s.", primitive.name, "(");
  bool first = true;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Parameter& parameter = primitive.parameters[i];
    const std::string value = argument_text(arguments[i]);
    if (parameter.default_text != nullptr && value == parameter.default_text) continue;
    if (!first) text += ", ";
    first = false;
    if (parameter.by_name) text += std::string(parameter.name) + "=";
    text += value;
  }
  return text + ")";
}

}  // namespace tenon
