#include "tune/fault_injection.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace tenon::tune {
namespace {

struct Plan {
  std::string folder;
  Fault fault = Fault::kNoSpace;
  int first = 0;
  bool once = false;
  int num_calls = 0;
  bool has_failed = false;
};
Plan* plan = nullptr;

template <typename F>
F real(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

bool is_below(const char* path) {
  return plan != nullptr && std::string(path).starts_with(plan->folder + "/");
}

bool is_watched(int fd) {
  if (plan == nullptr) return false;
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return is_below(path);
}

/// Whether this call is to fail; counts it.
bool fails() {
  const int call = ++plan->num_calls;
  const bool is_hit = plan->once ? call == plan->first : call >= plan->first;
  if (is_hit) plan->has_failed = true;
  return is_hit;
}

int error_number() {
  return plan->fault == Fault::kInputOutput ? EIO
         : plan->fault == Fault::kReadOnly  ? EROFS
                                            : ENOSPC;
}

template <typename Write>
ssize_t faulty_write(int fd, std::size_t count, Write&& write) {
  if (!is_watched(fd) || !fails()) return write(count);
  const bool is_first = plan->num_calls == plan->first;
  if (plan->fault == Fault::kShortWrite && is_first && count > 1) return write(count / 2);
  errno = error_number();
  return -1;
}

template <typename Call>
int faulty_call(int fd, Call&& call) {
  if (!is_watched(fd) || !fails()) return call();
  errno = error_number();
  return -1;
}

template <typename Open>
int faulty_open(const char* path, int flags, Open&& open) {
  const bool changes = (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0;
  if (changes && plan != nullptr && plan->fault == Fault::kReadOnly && is_below(path)) {
    errno = EROFS;
    return -1;
  }
  return open();
}

}  // namespace

FaultInjection::FaultInjection(std::string folder, Fault fault, int first, bool once) {
  plan = new Plan{std::move(folder), fault, first, once};
}
FaultInjection::~FaultInjection() {
  delete plan;
  plan = nullptr;
}
int FaultInjection::num_calls() const { return plan->num_calls; }
bool FaultInjection::has_failed() const { return plan->has_failed; }

}  // namespace tenon::tune

// The program's own functions come before the C library's, for shared libraries too.
extern "C" {

using tenon::tune::faulty_call;
using tenon::tune::faulty_open;
using tenon::tune::faulty_write;
using tenon::tune::real;

#define TENON_EXPORT __attribute__((visibility("default")))

TENON_EXPORT ssize_t write(int fd, const void* data, size_t count) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t)>("write");
  return faulty_write(fd, count, [&](size_t n) { return next(fd, data, n); });
}
TENON_EXPORT ssize_t pwrite(int fd, const void* data, size_t count, off_t at) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return faulty_write(fd, count, [&](size_t n) { return next(fd, data, n, at); });
}
TENON_EXPORT ssize_t pwrite64(int fd, const void* data, size_t count, off64_t at) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return faulty_write(fd, count, [&](size_t n) { return next(fd, data, n, at); });
}
TENON_EXPORT int fsync(int fd) {
  static const auto next = real<int (*)(int)>("fsync");
  return faulty_call(fd, [&] { return next(fd); });
}
TENON_EXPORT int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return faulty_call(fd, [&] { return next(fd); });
}
TENON_EXPORT int ftruncate(int fd, off_t bytes) noexcept {
  static const auto next = real<int (*)(int, off_t)>("ftruncate");
  return faulty_call(fd, [&] { return next(fd, bytes); });
}
TENON_EXPORT int ftruncate64(int fd, off64_t bytes) noexcept {
  static const auto next = real<int (*)(int, off64_t)>("ftruncate64");
  return faulty_call(fd, [&] { return next(fd, bytes); });
}
TENON_EXPORT int posix_fallocate64(int fd, off64_t at, off64_t bytes) {
  static const auto next = real<int (*)(int, off64_t, off64_t)>("posix_fallocate64");
  return faulty_call(fd, [&] { return next(fd, at, bytes); }) == 0 ? 0 : errno;
}
TENON_EXPORT int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = va_arg(arguments, mode_t);
  va_end(arguments);
  static const auto next = real<int (*)(const char*, int, mode_t)>("open");
  return faulty_open(path, flags, [&] { return next(path, flags, mode); });
}
TENON_EXPORT int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = va_arg(arguments, mode_t);
  va_end(arguments);
  static const auto next = real<int (*)(const char*, int, mode_t)>("open64");
  return faulty_open(path, flags, [&] { return next(path, flags, mode); });
}

#undef TENON_EXPORT

}  // extern "C"
