#include "tenon/codegen/inspect.h"

#include <map>
#include <vector>

namespace tenon {
namespace {

struct Line {
  std::string_view label;  ///< of a label line; else empty
  std::string_view opcode;
  std::string_view operands;
};

std::string_view trim(std::string_view s) {
  const std::size_t first = s.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  const std::size_t last = s.find_last_not_of(" \t");
  return s.substr(first, last - first + 1);
}

/// Labels and instructions, without directives and comments.
std::vector<Line> read_lines(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (line.back() == ':') {
      lines.push_back({line.substr(0, line.size() - 1), {}, {}});
    } else if (line.front() != '.') {
      const std::size_t space = line.find_first_of(" \t");
      const bool has_operands = space != std::string_view::npos;
      lines.push_back({{},
                       line.substr(0, space),
                       has_operands ? trim(line.substr(space)) : std::string_view()});
    }
  }
  return lines;
}

bool contains(std::string_view s, std::string_view part) {
  return s.find(part) != std::string_view::npos;
}

bool is_vector(const Line& line) {
  return contains(line.operands, "%xmm") || contains(line.operands, "%ymm") ||
         contains(line.operands, "%zmm");
}

bool touches_stack(const Line& line) {
  return contains(line.operands, "(%rsp") || contains(line.operands, "(%rbp");
}

bool is_packed_fma(const Line& line) {
  const bool fma = line.opcode.starts_with("vfmadd") || line.opcode.starts_with("vfnmadd") ||
                   line.opcode.starts_with("vfmsub") || line.opcode.starts_with("vfnmsub");
  return fma && (line.opcode.ends_with("ps") || line.opcode.ends_with("pd"));
}

void count(const Line& line, KernelStats* stats) {
  if (line.opcode.empty()) return;
  ++stats->num_instructions;
  if (!is_vector(line)) return;
  ++stats->num_vector;
  if (is_packed_fma(line)) ++stats->num_fma;
  if (touches_stack(line)) ++stats->num_vector_spills;
}

/// A backward jump at the end of lines [first, last] with no other inside.
struct Loop {
  std::size_t first, last;
};

std::vector<Loop> innermost_loops(const std::vector<Line>& lines) {
  std::map<std::string_view, std::size_t> labels;
  std::vector<Loop> found;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].label.empty()) {
      labels[lines[i].label] = i;
    } else if (lines[i].opcode.starts_with("j")) {
      const auto target = labels.find(lines[i].operands);
      if (target == labels.end()) continue;
      const bool has_inner = !found.empty() && found.back().first >= target->second;
      if (!has_inner) found.push_back({target->second, i});
    }
  }
  return found;
}

}  // namespace

KernelStats inspect_assembly(std::string_view assembly) {
  const std::vector<Line> lines = read_lines(assembly);
  KernelStats best;
  for (const Loop& loop : innermost_loops(lines)) {
    KernelStats stats;
    stats.has_loop = true;
    for (std::size_t i = loop.first; i <= loop.last; ++i) count(lines[i], &stats);
    const bool better = stats.num_fma != best.num_fma ? stats.num_fma > best.num_fma
                                                      : stats.num_vector > best.num_vector;
    if (!best.has_loop || better) best = stats;
  }
  KernelStats whole;
  for (const Line& line : lines) count(line, &whole);
  best.function_vector_spills = whole.num_vector_spills;
  return best;
}

}  // namespace tenon
