#include "ir/text/names.h"

#include <algorithm>
#include <array>

namespace tenon::text {
namespace {

constexpr std::array<std::string_view, 38> kKeywords = {
    "alloc",    "and",        "assert",    "block", "do",     "device",  "else",   "evaluate",
    "false",    "for",        "function",  "if",    "in",     "inf",     "init",   "let",
    "loop",     "nan",        "not",       "on",    "or",     "ordered", "over",   "parallel",
    "pass",     "reads",      "reduction", "seq",   "share",  "spatial", "thread", "true",
    "unrolled", "vectorized", "where",     "while", "writes", "align"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// `inf_f64` and the like are literals.
bool is_special_literal(std::string_view word) {
  return word.starts_with("inf_") || word.starts_with("nan_");
}

bool has_identifier_form(std::string_view name) {
  if (name.empty() || !is_letter(name[0])) return false;
  for (std::size_t i = 1; i < name.size(); ++i) {
    const bool inner_dot = name[i] == '.' && i + 1 < name.size() && name[i + 1] != '.';
    if (!is_letter(name[i]) && !is_digit(name[i]) && !inner_dot) return false;
  }
  return true;
}

}  // namespace

bool is_keyword(std::string_view word) {
  return std::find(kKeywords.begin(), kKeywords.end(), word) != kKeywords.end() ||
         is_special_literal(word);
}

bool is_identifier(std::string_view name) { return has_identifier_form(name) && !is_keyword(name); }

std::string to_identifier(const std::string& name) {
  if (is_identifier(name)) return name;
  std::string out;
  for (const char c : name) out += is_letter(c) || is_digit(c) ? c : '_';
  if (out.empty() || is_digit(out[0])) out.insert(out.begin(), 'v');
  if (!is_identifier(out)) out += '_';
  return is_identifier(out) ? out : "v" + out;
}

const std::string& Names::of(const void* identity, const std::string& wanted) {
  const auto found = name_of_.find(identity);
  return found != name_of_.end() ? found->second : define(identity, wanted);
}

const std::string& Names::define(const void* identity, const std::string& wanted) {
  const std::string base = to_identifier(wanted);
  std::string name = base;
  for (int n = 1; taken_[name] > 0; ++n) name = base + "_" + std::to_string(n);
  ++taken_[name];
  std::string& current = name_of_[identity];
  visible_.push_back({identity, name, current, false});
  current = name;
  return current;
}

void Names::leave(std::size_t state) {
  while (visible_.size() > state) {
    Visible& last = visible_.back();
    --taken_[last.name];
    if (last.shadowed.empty()) {
      name_of_.erase(last.identity);
    } else {
      name_of_[last.identity] = last.shadowed;
    }
    visible_.pop_back();
  }
}

std::vector<std::size_t> Names::hide_unused(const std::unordered_set<const void*>& used) {
  std::vector<std::size_t> hidden;
  for (std::size_t i = 0; i < visible_.size(); ++i) {
    if (visible_[i].hidden || used.count(visible_[i].identity) != 0) continue;
    --taken_[visible_[i].name];
    visible_[i].hidden = true;
    hidden.push_back(i);
  }
  return hidden;
}

void Names::unhide(const std::vector<std::size_t>& hidden) {
  for (const std::size_t i : hidden) {
    ++taken_[visible_[i].name];
    visible_[i].hidden = false;
  }
}

}  // namespace tenon::text
