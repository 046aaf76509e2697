#pragma once

#include <string>

namespace tenon::tune {

/// Holds the lock of a file that only writers take. The kernel releases it with the process.
class FileLock {
 public:
  /// ResourceError [E1222] where others hold it for 30 seconds.
  FileLock(int fd, const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace tenon::tune
