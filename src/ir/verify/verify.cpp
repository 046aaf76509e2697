#include "tenon/ir/verify.h"

#include <algorithm>

#include "ir/verify/checker.h"
#include "tenon/ir/print.h"

namespace tenon {
namespace {

/// The lines of the printed function around the marked one.
std::string excerpt(const Function& f, const Stmt& where) {
  constexpr std::ptrdiff_t kAround = 8;
  const std::string text = print(f, {.mark = where.get(), .indent = 4});
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  const auto marked = std::find_if(lines.begin(), lines.end(),
                                   [](const std::string& l) { return l.ends_with("<--- here"); });
  const std::ptrdiff_t at = marked == lines.end() ? 0 : marked - lines.begin();
  std::string out = "\n  in:";
  for (std::ptrdiff_t i = 0; i < std::ssize(lines); ++i) {
    const bool shown = i == 0 || std::abs(i - at) <= kAround;
    if (shown) {
      out += "\n" + lines[static_cast<std::size_t>(i)];
    } else if (i == 1 || i == at + kAround + 1) {
      out += "\n    ...";
    }
  }
  return out;
}

void raise_first(const Function& f, const std::vector<Violation>& found, const std::string& after) {
  if (found.empty()) return;
  const Violation& first = found.front();
  std::string message = detail::concat("function '", f->name, "' breaks rule '", first.rule,
                                       "' of ", to_string(f->level), " IR",
                                       after.empty() ? "" : " after ", after, ": ", first.message);
  message = detail::with_code("E9998", message) + excerpt(f, first.where);
  if (found.size() > 1) message += detail::concat("\n  and ", found.size() - 1, " more");
  throw VerifyError("E9998", message);
}

}  // namespace

std::vector<Violation> find_violations(const Function& f) {
  if (f->level == Level::kBlock) return verify_rules::block_violations(f);
  std::vector<Violation> out = verify_rules::loop_violations(f);
  for (Violation& v : verify_rules::launch_violations(f)) {
    if (out.size() < verify_rules::kMaxViolations) out.push_back(std::move(v));
  }
  return out;
}

void verify(const Function& f, const std::string& after) {
  raise_first(f, find_violations(f), after);
}

void verify_lowered(const Function& f, const std::string& after) {
  std::vector<Violation> found = find_violations(f);
  std::erase_if(found, [](const Violation& v) {
    return v.rule == "host" || v.rule == "mixed" || v.rule == "memory" || v.rule == "launch_limit";
  });
  raise_first(f, found, after);
}

void verify_block_ir(const Function& f, const std::string& after) {
  TENON_CHECK(f->level == Level::kBlock, "expected block IR, got ", to_string(f->level), " IR");
  raise_first(f, find_violations(f), after);
}

void verify_loop_ir(const Function& f, const std::string& after) {
  TENON_CHECK(f->level == Level::kLoop, "expected loop IR, got ", to_string(f->level), " IR");
  raise_first(f, find_violations(f), after);
}

void verify_between_levels(const Function& f, const std::string& after) {
  raise_first(f, verify_rules::common_violations(f), after);
}

}  // namespace tenon
