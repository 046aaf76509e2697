#include "codegen/aot/rewrite_object.h"

#include <elf.h>

#include <cstring>

#include "tenon/support/error.h"

namespace tenon::codegen {
namespace {

/// The headers and string tables of an object, over its bytes.
class Object {
 public:
  explicit Object(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {
    TENON_CHECK(
        bytes_.size() >= sizeof(Elf64_Ehdr) && std::memcmp(bytes_.data(), ELFMAG, SELFMAG) == 0,
        "not an object");
    const auto& file = at<Elf64_Ehdr>(0);
    TENON_CHECK(file.e_machine == EM_X86_64 && file.e_type == ET_REL, "not an x86-64 object");
    headers_ = file.e_shoff;
    num_sections_ = file.e_shnum;
    names_ = file.e_shstrndx;
  }

  template <typename T>
  T& at(std::uint64_t offset) {
    TENON_CHECK(offset <= bytes_.size() && sizeof(T) <= bytes_.size() - offset, "an object of ",
                bytes_.size(), " bytes has nothing at ", offset);
    return *reinterpret_cast<T*>(bytes_.data() + offset);
  }
  std::size_t num_sections() const { return num_sections_; }
  std::size_t names_section() const { return names_; }
  Elf64_Shdr& section(std::size_t i) { return at<Elf64_Shdr>(headers_ + i * sizeof(Elf64_Shdr)); }

  std::string text(std::size_t table, std::uint32_t offset) {
    const Elf64_Shdr& t = section(table);
    TENON_CHECK(offset < t.sh_size, "a name outside its table");
    const char* begin = &at<char>(t.sh_offset + offset);
    return {begin, strnlen(begin, t.sh_size - offset)};
  }

  /// Moves a string table to the end with `more` behind it.
  void extend(std::size_t table, const std::string& more) {
    if (more.empty()) return;
    const Elf64_Shdr old = section(table);
    const std::uint64_t end = bytes_.size();
    bytes_.resize(end + old.sh_size + more.size());
    std::memcpy(bytes_.data() + end, bytes_.data() + old.sh_offset, old.sh_size);
    std::memcpy(bytes_.data() + end + old.sh_size, more.data(), more.size());
    section(table).sh_offset = end;
    section(table).sh_size = old.sh_size + more.size();
  }

  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
  std::uint64_t headers_ = 0;
  std::size_t num_sections_ = 0;
  std::size_t names_ = 0;
};

}  // namespace

std::vector<std::uint8_t> rewrite_object(
    std::vector<std::uint8_t> bytes,
    const std::function<std::optional<NewSymbol>(const std::string&)>& rename_symbol,
    const std::function<std::optional<std::string>(const std::string&)>& rename_section) {
  Object object(std::move(bytes));
  std::string names;  // behind those that are there
  const auto add_name = [&](std::size_t table, const std::string& name) {
    const std::uint64_t offset = object.section(table).sh_size + names.size();
    names += name + '\0';
    return static_cast<std::uint32_t>(offset);
  };
  const std::size_t name_table = object.names_section();
  for (std::size_t i = 1; rename_section && i < object.num_sections(); ++i) {
    const auto name = rename_section(object.text(name_table, object.section(i).sh_name));
    if (name) object.section(i).sh_name = add_name(name_table, *name);
  }
  object.extend(name_table, names);
  names.clear();
  for (std::size_t i = 1; i < object.num_sections(); ++i) {
    const Elf64_Shdr table = object.section(i);
    if (table.sh_type != SHT_SYMTAB) continue;
    for (std::uint64_t s = table.sh_info; s < table.sh_size / sizeof(Elf64_Sym); ++s) {
      Elf64_Sym& symbol = object.at<Elf64_Sym>(table.sh_offset + s * sizeof(Elf64_Sym));
      const auto renamed = rename_symbol(object.text(table.sh_link, symbol.st_name));
      if (!renamed) continue;
      symbol.st_name = add_name(table.sh_link, renamed->name);
      symbol.st_other = renamed->is_exported ? STV_DEFAULT : STV_HIDDEN;
    }
    object.extend(table.sh_link, names);
    names.clear();
  }
  return object.take();
}

}  // namespace tenon::codegen
