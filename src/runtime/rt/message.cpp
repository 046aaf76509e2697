#include "runtime/rt/message.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace tenon::rt {
namespace {

pthread_key_t message_key;
bool message_key_made = false;
pthread_once_t message_once = PTHREAD_ONCE_INIT;

void make_key() { message_key_made = pthread_key_create(&message_key, free) == 0; }

char* thread_message(bool create) {
  pthread_once(&message_once, make_key);
  if (!message_key_made) return nullptr;
  void* text = pthread_getspecific(message_key);
  if (text == nullptr && create) {
    text = calloc(kMessageBytes, 1);
    if (text != nullptr && pthread_setspecific(message_key, text) != 0) {
      free(text);
      text = nullptr;
    }
  }
  return static_cast<char*>(text);
}

}  // namespace

tenon_status fail(tenon_status status, const char* code, const char* format, ...) {
  char* text = thread_message(true);
  if (text == nullptr) return status;
  const size_t tag = strlen(code) + 3;  // " [code]"
  va_list args;
  va_start(args, format);
  vsnprintf(text, kMessageBytes - tag, format, args);
  va_end(args);
  const size_t length = strlen(text);
  const char* newline = strchr(text, '\n');
  const size_t end = newline != nullptr ? static_cast<size_t>(newline - text) : length;
  memmove(text + end + tag, text + end, length - end + 1);
  text[end] = ' ';
  text[end + 1] = '[';
  memcpy(text + end + 2, code, tag - 3);
  text[end + tag - 1] = ']';
  return status;
}

void TextBuffer::append(const char* format, ...) {
  va_list args;
  va_start(args, format);
  append_list(format, args);
  va_end(args);
}

void TextBuffer::append_list(const char* format, va_list args) {
  const int written = vsnprintf(text_ + size_, sizeof(text_) - size_, format, args);
  if (written > 0) size_ += static_cast<unsigned>(written);
  if (size_ >= sizeof(text_)) size_ = sizeof(text_) - 1;
}

}  // namespace tenon::rt

extern "C" {

const char* tenon_last_error(void) {
  const char* text = tenon::rt::thread_message(false);
  return text != nullptr ? text : "";
}

uint32_t tenon_runtime_version(void) {
  return (static_cast<uint32_t>(TENON_C_API_VERSION_MAJOR) << 16) | TENON_C_API_VERSION_MINOR;
}

}  // extern "C"
