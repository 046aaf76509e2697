#pragma once

/// The line of the user's program that called into Tenon.

#include "tenon/ir/node.h"

namespace tenon::python {

/// The innermost Python frame whose file is not part of the package; empty when there is none.
Span user_span();

/// While it lives, nodes made on this thread belong to the user's line. A call guard of bindings.
struct UserLine {
  SpanScope scope{user_span()};
};

}  // namespace tenon::python
