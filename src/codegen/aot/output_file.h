#pragma once

/// Files that are written, and folders that go away with all that is in them.

#include <cstdint>
#include <string>
#include <vector>

namespace tenon::codegen {

/// A new file, written from the beginning to the end. ResourceError [E0933] for every failure.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  void write(const void* data, std::uint64_t bytes);
  /// Zeros up to `offset`, which is at most 4 MiB ahead.
  void pad_to(std::uint64_t offset);
  void close();

 private:
  void flush();
  std::string path_;
  int file_ = -1;
  std::uint64_t size_ = 0;
};

/// A new folder beside `path`, deleted with its files at the end. ResourceError [E0933].
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& path);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  /// The path of a file in it, which is deleted with it.
  std::string file(const std::string& name);

 private:
  std::string folder_;
  std::vector<std::string> files_;
};

/// The bytes of a file, for reading and writing in place. ResourceError [E0933].
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/// All bytes of a file. ResourceError [E0933].
std::vector<std::uint8_t> read_file(const std::string& path);
/// ResourceError [E0933] for a folder.
void check_not_folder(const std::string& path);
/// Gives a finished file its name, replacing what has it. ResourceError [E0933].
void rename_file(const std::string& from, const std::string& to);

}  // namespace tenon::codegen
