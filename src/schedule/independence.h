#pragma once

/// Raises unless the iterations of a loop may run at the same time.

#include "schedule/step.h"

namespace tenon {

struct IndependenceOptions {
  int requirement = 0;  ///< cited on failure
  bool allow_reduction =
      false;  ///< iterations may join one reduction (marked `reassociates` where bits may change)
};
/// `path` leads to the loop. Each buffer written under it must be touched in distinct elements by
/// different iterations, or be private to an iteration.
void require_independent(Step& step, const Path& path, const IndependenceOptions& options);

}  // namespace tenon
