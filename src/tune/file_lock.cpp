#include "tune/file_lock.h"

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "tenon/support/error.h"

namespace tenon::tune {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);
constexpr auto kPause = std::chrono::milliseconds(1);

}  // namespace

FileLock::FileLock(int fd, const std::string& path) : fd_(fd) {
  const auto start = std::chrono::steady_clock::now();
  // Not a wait in the kernel: a stopped process would hold everyone for ever.
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const bool is_held = errno == EWOULDBLOCK || errno == EINTR;
    TENON_USER_CHECK(is_held, ResourceError, "E1222", "cannot lock '", path,
                     "': ", std::strerror(errno));
    TENON_USER_CHECK(std::chrono::steady_clock::now() - start < kPatience, ResourceError, "E1222",
                     "'", path,
                     "' is locked by another process since 30 s\n  hint: is a tuner "
                     "stopped (Ctrl-Z) that writes there?");
    std::this_thread::sleep_for(kPause);
  }
}

FileLock::~FileLock() { ::flock(fd_, LOCK_UN); }

}  // namespace tenon::tune
