// Writes the simplifier's rules as lines of tab-separated fields: name, domain, pattern, result,
// condition.

#include <cstdio>

#include "ir/arith/rules.h"

int main() {
  for (const tenon::arith::Rule& r : tenon::arith::rules()) {
    std::printf("%s\t%s\t%s\t%s\t%s\n", r.name, to_string(r.domain), r.pattern, r.result,
                r.condition);
  }
  return 0;
}
