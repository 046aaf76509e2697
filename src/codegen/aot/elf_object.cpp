#include "codegen/aot/elf_object.h"

#include <elf.h>

#include <cstring>

#include "codegen/aot/output_file.h"

namespace tenon::codegen {
namespace {

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Terminated names, one after the other.
class Names {
 public:
  std::uint32_t add(const std::string& name) {
    const std::size_t at = bytes_.size();
    bytes_ += name;
    bytes_ += '\0';
    return static_cast<std::uint32_t>(at);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_ = std::string(1, '\0');
};

}  // namespace

ElfObject::Section ElfObject::add_section(std::string name, std::uint32_t type, std::uint64_t flags,
                                          std::uint64_t alignment) {
  sections_.push_back({std::move(name), type, flags, alignment, 0, {}, {}});
  return sections_.size() - 1;
}

std::uint64_t ElfObject::append(Section section, ElfBytes bytes) {
  SectionData& s = sections_[section];
  const std::uint64_t at = s.size;
  if (bytes.size == 0) return at;
  s.pieces.push_back({"", bytes});
  s.size += bytes.size;
  return at;
}

std::uint64_t ElfObject::append_copy(Section section, std::string_view bytes) {
  SectionData& s = sections_[section];
  const std::uint64_t at = s.size;
  s.pieces.push_back({std::string(bytes), {nullptr, bytes.size()}});
  s.size += bytes.size();
  return at;
}

std::uint64_t ElfObject::append_zeros(Section section, std::uint64_t count) {
  return append_copy(section, std::string(count, '\0'));
}

void ElfObject::align(Section section, std::uint64_t alignment) {
  const std::uint64_t now = size(section);
  append_zeros(section, round_up(now, alignment) - now);
}

ElfObject::Symbol ElfObject::define(std::string name, Section section, std::uint64_t offset,
                                    std::uint64_t size, bool is_exported) {
  symbols_.push_back({std::move(name), section + 1, offset, size, is_exported});
  return symbols_.size() - 1;
}

ElfObject::Symbol ElfObject::refer(std::string name) {
  symbols_.push_back({std::move(name), 0, 0, 0, false});
  return symbols_.size() - 1;
}

void ElfObject::append_address(Section section, Symbol symbol) {
  sections_[section].addresses.emplace_back(size(section), symbol);
  append_zeros(section, sizeof(std::uint64_t));
}

void ElfObject::write(const std::string& path) const {
  Names section_names, symbol_names;
  std::vector<Elf64_Sym> symbols(1);
  for (const SymbolData& s : symbols_) {
    Elf64_Sym symbol = {};
    symbol.st_name = symbol_names.add(s.name);
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, s.section == 0 ? STT_NOTYPE : STT_OBJECT);
    symbol.st_other = s.is_exported ? STV_DEFAULT : STV_HIDDEN;
    symbol.st_shndx = static_cast<Elf64_Half>(s.section);
    symbol.st_value = s.offset;
    symbol.st_size = s.size;
    symbols.push_back(symbol);
  }
  std::vector<Elf64_Shdr> headers(1);
  std::uint64_t at = sizeof(Elf64_Ehdr);
  const auto add_header = [&](const std::string& name, std::uint32_t type, std::uint64_t flags,
                              std::uint64_t alignment, std::uint64_t size) -> Elf64_Shdr& {
    Elf64_Shdr header = {};
    header.sh_name = section_names.add(name);
    header.sh_type = type;
    header.sh_flags = flags;
    header.sh_addralign = alignment;
    header.sh_offset = round_up(at, alignment);
    header.sh_size = size;
    at = header.sh_offset + size;
    headers.push_back(header);
    return headers.back();
  };
  for (const SectionData& s : sections_) add_header(s.name, s.type, s.flags, s.alignment, s.size);
  const std::size_t symbol_table = sections_.size() + 1;
  Elf64_Shdr& symbol_header =
      add_header(".symtab", SHT_SYMTAB, 0, 8, symbols.size() * sizeof(Elf64_Sym));
  symbol_header.sh_link = static_cast<Elf64_Word>(symbol_table + 1);
  symbol_header.sh_info = 1;  // all but the first are global
  symbol_header.sh_entsize = sizeof(Elf64_Sym);
  add_header(".strtab", SHT_STRTAB, 0, 1, symbol_names.bytes().size());
  std::vector<std::vector<Elf64_Rela>> relocations;
  for (std::size_t i = 0; i < sections_.size(); ++i) {
    const SectionData& s = sections_[i];
    if (s.addresses.empty()) continue;
    std::vector<Elf64_Rela>& list = relocations.emplace_back();
    for (const auto& [offset, symbol] : s.addresses)
      list.push_back({offset, ELF64_R_INFO(symbol + 1, R_X86_64_64), 0});
    Elf64_Shdr& header =
        add_header(".rela" + s.name, SHT_RELA, SHF_INFO_LINK, 8, list.size() * sizeof(Elf64_Rela));
    header.sh_link = static_cast<Elf64_Word>(symbol_table);
    header.sh_info = static_cast<Elf64_Word>(i + 1);
    header.sh_entsize = sizeof(Elf64_Rela);
  }
  Elf64_Shdr& name_header = add_header(".shstrtab", SHT_STRTAB, 0, 1, 0);
  name_header.sh_size = section_names.bytes().size();
  at = name_header.sh_offset + name_header.sh_size;

  Elf64_Ehdr file = {};
  std::memcpy(file.e_ident, ELFMAG, SELFMAG);
  file.e_ident[EI_CLASS] = ELFCLASS64;
  file.e_ident[EI_DATA] = ELFDATA2LSB;
  file.e_ident[EI_VERSION] = EV_CURRENT;
  file.e_type = ET_REL;
  file.e_machine = EM_X86_64;
  file.e_version = EV_CURRENT;
  file.e_shoff = round_up(at, 8);
  file.e_ehsize = sizeof(Elf64_Ehdr);
  file.e_shentsize = sizeof(Elf64_Shdr);
  file.e_shnum = static_cast<Elf64_Half>(headers.size());
  file.e_shstrndx = static_cast<Elf64_Half>(headers.size() - 1);

  OutputFile out(path);
  out.write(&file, sizeof(file));
  std::size_t next = 1;
  for (const SectionData& s : sections_) {
    out.pad_to(headers[next++].sh_offset);
    for (const Piece& p : s.pieces)
      out.write(p.bytes.data != nullptr ? p.bytes.data : p.own.data(), p.bytes.size);
  }
  const auto write_at = [&](const void* data, std::uint64_t bytes) {
    out.pad_to(headers[next++].sh_offset);
    out.write(data, bytes);
  };
  write_at(symbols.data(), symbols.size() * sizeof(Elf64_Sym));
  write_at(symbol_names.bytes().data(), symbol_names.bytes().size());
  for (const std::vector<Elf64_Rela>& list : relocations)
    write_at(list.data(), list.size() * sizeof(Elf64_Rela));
  write_at(section_names.bytes().data(), section_names.bytes().size());
  out.pad_to(file.e_shoff);
  out.write(headers.data(), headers.size() * sizeof(Elf64_Shdr));
  out.close();
}

}  // namespace tenon::codegen
