#pragma once

#include "tenon/ir/stmt.h"

namespace tenon {

/// A copy of `s` that shares no definition with it: fresh variables, fresh allocated buffers.
Stmt independent_copy(const Stmt& s);

}  // namespace tenon
