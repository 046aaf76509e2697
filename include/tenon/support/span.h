#pragma once

/// Where in the user's program something was written.

#include <memory>
#include <string>
#include <utility>

namespace tenon {

/// A file and line of the user's program; empty when unknown. Copying costs one pointer.
class Span {
 public:
  Span() = default;
  Span(std::string file, int line)
      : file_(std::make_shared<const std::string>(std::move(file))), line_(line) {}
  explicit operator bool() const { return file_ != nullptr; }
  /// "file.py:14", or "" when unknown.
  std::string str() const { return file_ ? *file_ + ":" + std::to_string(line_) : std::string(); }
  int line() const { return line_; }

 private:
  std::shared_ptr<const std::string> file_;
  int line_ = 0;
};

}  // namespace tenon
