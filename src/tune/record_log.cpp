#include "tune/record_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tenon/support/error.h"

namespace tenon::tune {

void RecordLog::fail(const char* what) const {
  const int error = errno;
  const bool is_place = error == ENOSPC || error == EROFS || error == EDQUOT || error == EACCES;
  detail::raise<ResourceError>(
      "E1221", detail::concat("cannot ", what, " '", path_, "': ", std::strerror(error),
                              is_place ? "\n  hint: tn.config.tuning_dir or TENON_TUNING_DIR names "
                                         "another folder"
                                       : ""));
}

RecordLog::RecordLog(const std::string& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
  if (fd_ < 0) fail("open");
  struct stat info = {};
  const bool is_file = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  if (is_file) return;
  ::close(fd_);
  detail::raise<ResourceError>("E1221", "cannot open '" + path + "': it is no regular file");
}

RecordLog::~RecordLog() {
  if (fd_ >= 0) ::close(fd_);
}

bool RecordLog::is_current() const {
  struct stat mine = {}, there = {};
  return ::fstat(fd_, &mine) == 0 && ::stat(path_.c_str(), &there) == 0 &&
         mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

std::size_t RecordLog::size() const {
  struct stat info = {};
  if (::fstat(fd_, &info) != 0) fail("read");
  return static_cast<std::size_t>(info.st_size);
}

std::string RecordLog::read_from(std::size_t offset) const {
  const std::size_t end = size();
  std::string text(end > offset ? end - offset : 0, '\0');
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t n =
        ::pread(fd_, text.data() + at, text.size() - at, static_cast<off_t>(offset + at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read");
    if (n == 0) break;
    at += static_cast<std::size_t>(n);
  }
  text.resize(at);
  return text;
}

void RecordLog::append(const std::string& text) {
  const std::size_t before = size();
  const auto give_up = [&] {
    const int error = errno;
    // The next writer cuts off what is left if this fails as well.
    static_cast<void>(::ftruncate(fd_, static_cast<off_t>(before)) == 0);
    errno = error;
    fail("write");
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t n =
        ::pwrite(fd_, text.data() + at, text.size() - at, static_cast<off_t>(before + at));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) give_up();
    at += static_cast<std::size_t>(n);
  }
  if (::fdatasync(fd_) != 0) give_up();
}

void RecordLog::resize(std::size_t bytes) {
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) fail("cut");
}

}  // namespace tenon::tune
