#include <cpuid.h>

#include <algorithm>
#include <cctype>

#include "tenon/ir/builder.h"
#include "tenon/ir/canonical_bytes.h"
#include "tenon/rules/record.h"
#include "tenon/runtime/executable.h"
#include "tenon/support/digest.h"

namespace tenon {
namespace {

/// "64x32", "s0xs1", "?x4" where a size is computed; "scalar".
std::string shape_text(const Buffer& buffer, const std::vector<Symbol>& symbols) {
  std::string text;
  for (const Expr& size : buffer->shape) {
    if (!text.empty()) text += 'x';
    const auto is_size = [&](const Symbol& s) { return s.var.same_as(size); };
    const auto symbol = std::find_if(symbols.begin(), symbols.end(), is_size);
    if (const auto number = as_int(size)) {
      text += std::to_string(*number);
    } else if (symbol != symbols.end()) {
      text += 's' + std::to_string(symbol - symbols.begin());
    } else {
      text += '?';
    }
  }
  return text.empty() ? "scalar" : text;
}

std::string shapes_text(const Function& f) {
  std::string text;
  for (const Buffer& b : f->inputs) text += shape_text(b, f->symbols) + " ";
  text += "->";
  for (const Buffer& b : f->outputs) text += " " + shape_text(b, f->symbols);
  for (std::size_t i = 0; i < f->symbols.size(); ++i) {
    const Symbol& s = f->symbols[i];
    text += detail::concat("; s", i, " ", s.min, "..", s.max ? std::to_string(*s.max) : "",
                           s.multiple_of == 1 ? "" : " by " + std::to_string(s.multiple_of));
  }
  return text;
}

/// What CPUID calls the processor, without runs of spaces.
std::string cpu_model() {
  unsigned words[12] = {};
  for (unsigned i = 0; i < 3; ++i) {
    if (__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]) == 0) {
      return "unknown CPU";
    }
  }
  std::string text;
  for (const char c : std::string(reinterpret_cast<const char*>(words), sizeof words)) {
    const bool is_space = c == ' ' && (text.empty() || text.back() == ' ');
    if (std::isprint(static_cast<unsigned char>(c)) != 0 && !is_space) text += c;
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

std::string compiler_version() { return TENON_COMPILER_VERSION; }

// Nothing in the compiler reorders sums by request; what does gets its word here.
std::string numeric_settings() { return "reassociate=off"; }

const std::string& machine_class() {
  static const std::string text = [] {
    const Target& host = Target::host();
    return detail::concat(cpu_model(), ", L1 ", host.l1_bytes >> 10, " KiB, L2 ",
                          host.l2_bytes >> 10, " KiB, L3 ", host.l3_bytes >> 10, " KiB");
  }();
  return text;
}

FunctionKey tuning_key(const Function& f, const Target& target) {
  CanonicalForm form = canonical_form(f);
  FunctionKey made;
  made.key.structure = std::move(form.bytes);
  made.key.shapes = shapes_text(f);
  made.key.target = target.str();
  made.key.compiler = compiler_version();
  made.key.numeric = numeric_settings();
  made.key.num_threads = num_threads();
  made.names = std::move(form.names);
  return made;
}

std::int64_t record_bucket(const TuningKey& key, const std::string& machine) {
  Digest digest;
  for (const std::string* part :
       {&key.structure, &key.shapes, &key.target, &key.compiler, &key.numeric, &machine}) {
    const std::uint64_t bytes = part->size();
    digest.add(&bytes, sizeof bytes);
    digest.add(part->data(), part->size());
  }
  digest.add(&key.num_threads, sizeof key.num_threads);
  return static_cast<std::int64_t>(digest.low());
}

}  // namespace tenon
