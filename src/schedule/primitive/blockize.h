#pragma once

/// blockize as tensorize uses it.

#include "schedule/step.h"

namespace tenon {

extern const Primitive kBlockize;

/// Makes the nest of loops from `loop` on the body of its block; returns the block.
BlockRef blockize_loop(Step& step, const LoopRef& loop);

}  // namespace tenon
