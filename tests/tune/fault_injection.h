#pragma once

/// Lets writes of this process to one folder fail, those of SQLite included.

#include <string>

namespace tenon::tune {

enum class Fault : std::uint8_t {
  kNoSpace,      ///< ENOSPC
  kInputOutput,  ///< EIO
  kShortWrite,   ///< half of the bytes are written, then ENOSPC
  kReadOnly,     ///< EROFS, also for opening to write
};

/// While it lives, calls that change files below `folder` are counted; from the `first` one on (1:
/// all) they fail, the first alone where `once`. Calls: write, pwrite, fsync, fdatasync, ftruncate,
/// fallocate, and with kReadOnly open. One at a time.
class FaultInjection {
 public:
  FaultInjection(std::string folder, Fault fault, int first, bool once);
  ~FaultInjection();
  FaultInjection(const FaultInjection&) = delete;
  FaultInjection& operator=(const FaultInjection&) = delete;
  /// Calls so far.
  int num_calls() const;
  bool has_failed() const;
};

}  // namespace tenon::tune
