#pragma once

/// The text of this thread's last failure.

#include <stdarg.h>

#include "tenon/runtime/c_api.h"

namespace tenon::rt {

/// Longest message; what does not fit is cut.
inline constexpr unsigned kMessageBytes = 2048;

/// Sets this thread's message to "<formatted> [<code>]" (the code goes to the end of the first
/// line) and returns `status`.
tenon_status fail(tenon_status status, const char* code, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

/// Text put together piece by piece in a fixed buffer; what does not fit is dropped.
class TextBuffer {
 public:
  void append(const char* format, ...) __attribute__((format(printf, 2, 3)));
  void append_list(const char* format, va_list args) __attribute__((format(printf, 2, 0)));
  const char* str() const { return text_; }

 private:
  unsigned size_ = 0;
  char text_[512] = {};
};

}  // namespace tenon::rt
