#pragma once

#include <sys/types.h>

#include <string>

namespace tenon::tune {

/// The file of records, to be appended to. Its callers hold its lock.
class RecordLog {
 public:
  /// Opens the file, or makes it (empty). ResourceError [E1221].
  explicit RecordLog(const std::string& path);
  ~RecordLog();
  RecordLog(const RecordLog&) = delete;
  RecordLog& operator=(const RecordLog&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  /// Whether the path still names this file.
  bool is_current() const;
  std::size_t size() const;
  /// From `offset` to the end.
  std::string read_from(std::size_t offset) const;
  /// Appends and waits until the disk has it. Where it raises [E1221] the file is as it was before,
  /// or, if not even that is possible, ends with a part of `text`.
  void append(const std::string& text);
  /// Cuts the file.
  void resize(std::size_t bytes);

 private:
  [[noreturn]] void fail(const char* what) const;
  std::string path_;
  int fd_ = -1;
};

}  // namespace tenon::tune
