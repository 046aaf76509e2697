#include <algorithm>

#include "rules/rule.h"

namespace tenon::rules {

std::int64_t choose(RuleContext& context, const std::string& name,
                    std::vector<std::int64_t> options, std::int64_t preferred) {
  if (!context.offers_decisions) return preferred;
  options.push_back(preferred);
  std::sort(options.begin(), options.end());
  options.erase(std::unique(options.begin(), options.end()), options.end());
  if (options.size() == 1) return preferred;
  return context.s.sample_categorical(name, options, preferred);
}

bool choose(RuleContext& context, const std::string& name, bool preferred) {
  return choose(context, name, {0, 1}, preferred ? 1 : 0) != 0;
}

bool runs_in_threads(RuleContext& context, const std::string& block, std::int64_t elements) {
  return choose(context, block + ".parallel", worth_threads(elements));
}

std::int64_t choose_lanes(RuleContext& context, const std::string& block, std::int64_t preferred) {
  return choose(context, block + ".lanes", {8, 16, 32, 64, 128}, preferred);
}

}  // namespace tenon::rules
