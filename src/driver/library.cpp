#include "tenon/driver/library.h"

#include <algorithm>
#include <bit>

#include "runtime/rt/crc32c.h"
#include "tenon/codegen/aot.h"

namespace tenon {
namespace {

/// Every constant begins on a cache line.
constexpr std::uint64_t kWeightAlignment = 64;
constexpr std::uint64_t kPageBytes = 4096;

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// The CPU's name, with what the target adds to it or takes away: "znver4.-avx512vnni".
std::string name_of(const Target& target) {
  std::string name = target.mcpu;
  const std::string text = target.str();
  const std::size_t at = text.find("-mattr=");
  if (at == std::string::npos) return name;
  for (const char c : "," + text.substr(at + 7)) name += c == ',' ? '.' : c;
  return name;
}

/// Places in the block of weights, the same for the plans of all levels.
void lay_out_weights(const std::vector<Array>& arrays, Plan* plan) {
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    PlanConstant& c = plan->constants.at(i);
    at = round_up(at, std::max<std::uint64_t>(c.alignment, kWeightAlignment));
    c.is_beside = true;
    c.offset = at;
    c.crc32c = rt::crc32c(0, arrays[i].raw(), c.bytes);
    at += c.bytes;
  }
}

}  // namespace

LevelName parse_level(const std::string& text) {
  const bool is_target = text == "cpu" || text.starts_with("cpu ");
  TENON_USER_CHECK(text != "cuda" && !text.starts_with("cuda "), TargetError, "E0931", "level '",
                   text, "': libraries have code for CPUs only\n  hint: such as \"x86-64-v3\"");
  try {
    const Target target = Target::parse(is_target ? text : "cpu -mcpu=" + text);
    return {name_of(target), target};
  } catch (const TargetError& error) {
    if (error.code() != "E0902") throw;
    const std::string what = error.what();
    const std::size_t hint = std::min(what.find("\n  hint:"), what.size());
    detail::raise<TargetError>("E0930", "unknown level '" + text + "'" + what.substr(hint));
  }
}

std::vector<LevelName> in_order_of_choice(const std::vector<LevelName>& levels) {
  std::vector<std::pair<int, LevelName>> found;  // with how much each needs
  for (const LevelName& level : levels) {
    const auto is_same = [&](const auto& x) { return x.second.target == level.target; };
    if (std::none_of(found.begin(), found.end(), is_same))
      found.emplace_back(std::popcount(required_features(level.target)), level);
  }
  std::vector<LevelName> order;
  while (!found.empty()) {
    const auto most = std::max_element(
        found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    order.push_back(most->second);
    found.erase(most);
  }
  return order;
}

void check_model_name(const std::string& name) {
  TENON_USER_CHECK(is_model_name(name), UserError, "E0932", "model name '", name,
                   "' should be a C identifier of at most 100 characters that is no keyword and "
                   "does not begin with 'tenon' or '_'");
}

void make_library(const LibraryInput& input, const std::string& path) {
  check_model_name(input.name);
  LibraryParts parts;
  parts.name = input.name;
  parts.title = input.title;
  parts.runtime_object = input.runtime_object;
  parts.producer = input.producer;
  parts.num_folded_batch_norms = input.num_folded_batch_norms;
  for (const CompiledLevel& level : input.levels) {
    Plan plan = level.plan;
    lay_out_weights(input.constants, &plan);
    LibraryLevel& made = parts.levels.emplace_back();
    made.name = level.level.name;
    made.target = level.level.target;
    made.plan = serialize(plan);
    for (const KernelObject& kernel : level.kernels) {
      made.symbols.push_back(kernel_symbol(kernel.function));
      made.objects.push_back(kernel.object);
    }
    if (parts.levels.size() == 1) parts.plan = std::move(plan);
  }
  for (std::size_t i = 0; i < input.constants.size(); ++i) {
    const PlanConstant& c = parts.plan.constants[i];
    parts.weights.push_back({input.constants[i].raw(), c.offset, c.bytes});
    parts.weights_bytes = round_up(c.offset + c.bytes, kPageBytes);
  }
  write_library(parts, path);
}

}  // namespace tenon
