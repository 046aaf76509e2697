#include "graph/onnx/external_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "tenon/support/error.h"

namespace tenon::onnx {
namespace {

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(-1); }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }
  void reset(int number) {
    if (number_ >= 0) close(number_);
    number_ = number;
  }

 private:
  int number_;
};

std::vector<std::string> parts_of(const std::string& location) {
  const auto refuse = [&](const char* what) {
    detail::raise<ModelError>("E0875",
                              detail::concat("external data at '", location.c_str(), "': ", what));
  };
  if (location.empty() || location[0] == '/')
    refuse("the path should be relative to the model's folder");
  if (location.find('\0') != std::string::npos) refuse("the path holds a null byte");
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= location.size();) {
    const std::size_t end = std::min(location.find('/', begin), location.size());
    const std::string part = location.substr(begin, end - begin);
    if (part == "..") refuse("the path leads out of the model's folder");
    if (!part.empty() && part != ".") parts.push_back(part);
    begin = end + 1;
  }
  if (parts.empty()) refuse("the path names no file");
  return parts;
}

}  // namespace

MappedFile::MappedFile(int descriptor, const std::string& name) {
  const Descriptor file(descriptor);
  struct stat status = {};
  TENON_USER_CHECK(fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode), ModelError, "E0876",
                   "'", name, "' should be a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return;
  void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  TENON_USER_CHECK(memory != MAP_FAILED, ModelError, "E0876", "'", name,
                   "' cannot be mapped: ", std::strerror(errno));
  bytes_ = {static_cast<const char*>(memory), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

std::shared_ptr<const MappedFile> open_beneath(const std::string& folder,
                                               const std::string& location) {
  const std::vector<std::string> parts = parts_of(location);
  const std::string name = folder + "/" + location;
  // The user's own path to the folder may hold links; what the model says may not.
  Descriptor at(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (std::size_t i = 0; i < parts.size() && at.get() >= 0; ++i) {
    const bool is_file = i + 1 == parts.size();
    const int flags = is_file ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY;
    at.reset(openat(at.get(), parts[i].c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
  }
  TENON_USER_CHECK(at.get() >= 0, ModelError, "E0876", "external data at '", name,
                   "' cannot be opened: ",
                   errno == ELOOP || errno == ENOTDIR ? "a part of the path is a link or no folder"
                                                      : std::strerror(errno));
  struct stat status = {};
  const bool has_other_names =
      fstat(at.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 1;
  TENON_USER_CHECK(!has_other_names, ModelError, "E0876", "external data at '", name,
                   "' should be a file with one name, got one with ", status.st_nlink,
                   " hard links");
  return std::make_shared<const MappedFile>(at.release(), name);
}

}  // namespace tenon::onnx
