#include "codegen/cuda/compile_failure.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "tenon/support/error.h"

namespace tenon::cuda {
namespace {

constexpr std::size_t kMaxLogLines = 40;
constexpr std::size_t kLinesAround = 3;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// The line, from 1, of the log's first error ("kernels.cu(12): error: ..."); 0 when it names none.
std::size_t error_line(std::string_view log) {
  const std::string start = std::string(kSourceName) + "(";
  for (const std::string_view line : lines_of(log)) {
    if (line.substr(0, start.size()) != start || line.find(": error") == std::string_view::npos) {
      continue;
    }
    std::size_t number = 0;
    std::from_chars(line.data() + start.size(), line.data() + line.size(), number);
    return number;
  }
  return 0;
}

/// The lines around `marked`, numbered.
std::string excerpt(std::string_view source, std::size_t marked) {
  const std::vector<std::string_view> lines = lines_of(source);
  if (marked == 0 || marked > lines.size()) return "";
  const std::size_t first = marked > kLinesAround ? marked - kLinesAround : 1;
  const std::size_t last = std::min(marked + kLinesAround, lines.size());
  std::string text = "\n  in:";
  for (std::size_t i = first; i <= last; ++i) {
    text += detail::concat("\n  ", i == marked ? "> " : "  ", i, " | ", lines[i - 1]);
  }
  return text;
}

std::string indented(const std::vector<std::string_view>& lines) {
  std::string text;
  for (std::size_t i = 0; i < std::min(lines.size(), kMaxLogLines); ++i) {
    text += detail::concat("\n    ", lines[i]);
  }
  if (lines.size() > kMaxLogLines) {
    text += detail::concat("\n    ... ", lines.size() - kMaxLogLines, " more lines");
  }
  return text;
}

constexpr const char* kOurBug = " (this is a bug of Tenon, please report it)";

}  // namespace

void raise_compile_failure(const std::string& source, const std::string& arch,
                           const std::string& log) {
  detail::raise<InternalError>(
      "E9999",
      detail::concat("the CUDA text made for ", arch, " does not compile", kOurBug,
                     "\n  NVRTC says:", indented(lines_of(log)), excerpt(source, error_line(log))));
}

void check_no_large_loss(const std::string& source, const std::string& arch,
                         const std::string& log) {
  std::vector<std::string_view> losses;
  for (const std::string_view line : lines_of(log)) {
    if (line.find("Potential Performance Loss") != std::string_view::npos) losses.push_back(line);
  }
  if (losses.empty()) return;
  detail::raise<InternalError>(
      "E9999",
      detail::concat("the CUDA text made for ", arch, " would run many times slower than meant",
                     kOurBug, "\n  ptxas says:", indented(losses), "\n  of ",
                     lines_of(source).size(), " lines of text"));
}

}  // namespace tenon::cuda
