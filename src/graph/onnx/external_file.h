#pragma once

/// Files that a model names, opened beneath the model's folder and nowhere else.

#include <memory>
#include <string>
#include <string_view>

namespace tenon::onnx {

/// A regular file in memory, read only.
class MappedFile {
 public:
  /// Maps the file that `descriptor`, which it takes over, refers to. ModelError [E0876] unless it
  /// is a regular file; `name` stands in messages.
  MappedFile(int descriptor, const std::string& name);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

/// Opens `location` beneath `folder`: a relative path without `..`, of which no part is a symbolic
/// link, to a regular file with one name. ModelError [E0875] for another path, [E0876] for a file
/// that cannot be opened or is no such file.
std::shared_ptr<const MappedFile> open_beneath(const std::string& folder,
                                               const std::string& location);

}  // namespace tenon::onnx
