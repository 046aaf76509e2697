#include <algorithm>
#include <functional>

#include "tenon/rules/record.h"
#include "tenon/schedule/primitive.h"

namespace tenon {
namespace {

bool makes_block(const TraceStep& step) {
  const auto& known = primitives();
  const auto p = std::find_if(known.begin(), known.end(), [&](const Primitive* primitive) {
    return primitive->name == step.primitive;
  });
  return p != known.end() && (*p)->result == ResultKind::kBlock;
}

/// Applies `rename` to every name of a block or buffer.
Trace renamed(const Trace& trace, const std::function<std::string(const std::string&)>& rename) {
  Trace out = trace;
  for (TraceStep& step : out.steps) {
    for (auto& [parameter, value] : step.arguments) {
      if (auto* block = std::get_if<BlockRef>(&value)) block->name = rename(block->name);
      auto* text = std::get_if<std::string>(&value);
      if (text != nullptr && parameter == "buffer") *text = rename(*text);
    }
    if (!makes_block(step)) continue;
    for (std::string& name : step.results) name = rename(name);
  }
  return out;
}

}  // namespace

Trace without_names(const Trace& trace, const std::vector<std::string>& names) {
  const auto place_of = [&](const std::string& name) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  const auto rename = [&](const std::string& name) {
    // The longest stem: what "C_rf_register" was made from may be "C_rf" itself.
    for (std::size_t end = name.size(); end != std::string::npos && end > 0;
         end = name.rfind('_', end - 1)) {
      const std::size_t place = place_of(name.substr(0, end));
      if (place < names.size()) return "$" + std::to_string(place) + name.substr(end);
    }
    return name;
  };
  Trace out = renamed(trace, rename);
  out.function = "$";
  return out;
}

Trace with_names(const Trace& trace, const std::vector<std::string>& names) {
  const auto rename = [&](const std::string& name) {
    const std::size_t end = std::min(name.find('_'), name.size());
    const bool is_place = name.size() > 1 && name[0] == '$' && end > 1 && end < 8 &&
                          std::all_of(
                              name.begin() + 1, name.begin() + static_cast<long>(end),
                              [](char c) { return c >= '0' && c <= '9'; });
    if (!is_place) return name;
    const std::size_t place = std::stoul(name.substr(1, end - 1));
    return place < names.size() ? names[place] + name.substr(end) : name;
  };
  return renamed(trace, rename);
}

}  // namespace tenon
