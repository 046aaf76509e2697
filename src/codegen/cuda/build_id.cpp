#include "codegen/cuda/build_id.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "tenon/support/error.h"

namespace tenon::cuda {
namespace {

constexpr std::uint64_t kMaxNoteBytes = 1 << 16;

bool read_at(int file, void* data, std::size_t bytes, std::uint64_t offset) {
  return ::pread(file, data, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
}

/// The build id among the notes of one segment, as hex; "" when it is not there.
std::string build_id_in(const std::vector<char>& notes) {
  std::size_t at = 0;
  while (notes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, notes.data() + at, sizeof(note));
    at += sizeof(note);
    const std::uint64_t name_bytes = (std::uint64_t{note.n_namesz} + 3) / 4 * 4;
    const std::uint64_t text_bytes = (std::uint64_t{note.n_descsz} + 3) / 4 * 4;
    if (name_bytes + text_bytes > notes.size() - at) return "";
    const bool is_build_id = note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof("GNU") &&
                             std::memcmp(notes.data() + at, "GNU", sizeof("GNU")) == 0;
    if (is_build_id) {
      std::string hex;
      for (std::uint64_t i = 0; i < note.n_descsz; ++i) {
        const auto byte = static_cast<unsigned char>(notes[at + name_bytes + i]);
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
      }
      return hex;
    }
    at += name_bytes + text_bytes;
  }
  return "";
}

std::string build_id_of(int file) {
  Elf64_Ehdr header;
  if (!read_at(file, &header, sizeof(header), 0) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_phentsize != sizeof(Elf64_Phdr)) {
    return "";
  }
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!read_at(file, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment))) return "";
    if (segment.p_type != PT_NOTE || segment.p_filesz > kMaxNoteBytes) continue;
    std::vector<char> notes(segment.p_filesz);
    if (!read_at(file, notes.data(), notes.size(), segment.p_offset)) continue;
    std::string id = build_id_in(notes);
    if (!id.empty()) return id;
  }
  return "";
}

}  // namespace

std::string build_identity(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return "file " + path;
  const std::string id = build_id_of(file);
  struct stat info = {};
  ::fstat(file, &info);
  ::close(file);
  if (!id.empty()) return "build-id " + id;
  return detail::concat("file ", path, " ", info.st_size, " ", info.st_mtim.tv_sec, ".",
                        info.st_mtim.tv_nsec);
}

}  // namespace tenon::cuda
