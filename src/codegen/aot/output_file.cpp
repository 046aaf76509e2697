#include "codegen/aot/output_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tenon/support/error.h"

namespace tenon::codegen {
namespace {

[[noreturn]] void raise_file_error(const std::string& verb, const std::string& path) {
  detail::raise<ResourceError>("E0933",
                               "cannot " + verb + " '" + path + "': " + std::strerror(errno));
}

}  // namespace

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) raise_file_error("write", path_);
}

OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
}

void OutputFile::write(const void* data, std::uint64_t bytes) {
  const auto* at = static_cast<const char*>(data);
  size_ += bytes;
  while (bytes > 0) {
    const ssize_t n = ::write(file_, at, std::min<std::uint64_t>(bytes, std::uint64_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) raise_file_error("write", path_);
    at += n;
    bytes -= static_cast<std::uint64_t>(n);
  }
}

void OutputFile::pad_to(std::uint64_t offset) {
  static const std::vector<char> zeros(std::size_t{4} << 20);
  TENON_CHECK(offset >= size_ && offset - size_ <= zeros.size(), "padding of a file from ", size_,
              " to ", offset);
  write(zeros.data(), offset - size_);
}

void OutputFile::close() {
  const int file = file_;
  file_ = -1;
  if (::close(file) != 0) raise_file_error("write", path_);
}

WorkFolder::WorkFolder(const std::string& path) {
  std::string pattern = path + ".XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) raise_file_error("write", path);
  folder_ = pattern;
}

WorkFolder::~WorkFolder() {
  for (const std::string& file : files_) ::unlink(file.c_str());
  ::rmdir(folder_.c_str());
}

std::string WorkFolder::file(const std::string& name) {
  files_.push_back(folder_ + "/" + name);
  return files_.back();
}

MappedFile::MappedFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) raise_file_error("write", path);
  struct stat info = {};
  void* data = MAP_FAILED;
  if (::fstat(file, &info) == 0 && info.st_size > 0) {
    size_ = static_cast<std::size_t>(info.st_size);
    data = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  const int reason = errno;
  ::close(file);
  errno = reason;
  if (data == MAP_FAILED) raise_file_error("write", path);
  data_ = static_cast<std::uint8_t*>(data);
}

MappedFile::~MappedFile() { ::munmap(data_, size_); }

std::vector<std::uint8_t> read_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) raise_file_error("read", path);
  struct stat info = {};
  std::vector<std::uint8_t> bytes;
  bool is_ok = ::fstat(file, &info) == 0;
  if (is_ok) bytes.resize(static_cast<std::size_t>(info.st_size));
  for (std::size_t at = 0; is_ok && at < bytes.size();) {
    const ssize_t n = ::read(file, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    is_ok = n > 0;
    at += is_ok ? static_cast<std::size_t>(n) : 0;
  }
  const int reason = errno;
  ::close(file);
  errno = reason;
  if (!is_ok) raise_file_error("read", path);
  return bytes;
}

void check_not_folder(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    raise_file_error("write", path);
  }
}

void rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) raise_file_error("write", to);
}

}  // namespace tenon::codegen
