#pragma once

/// A relocatable ELF object, made section by section.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::codegen {

/// A run of bytes of a section that belongs to somebody else.
struct ElfBytes {
  const void* data = nullptr;
  std::uint64_t size = 0;
};

/// Sections, global symbols and 64-bit addresses in sections. Symbols are hidden unless exported.
class ElfObject {
 public:
  using Section = std::size_t;
  using Symbol = std::size_t;

  /// A section of own bytes, which grow by `append`.
  Section add_section(std::string name, std::uint32_t type, std::uint64_t flags,
                      std::uint64_t alignment);
  /// Appends bytes that live until `write`; returns their offset.
  std::uint64_t append(Section section, ElfBytes bytes);
  /// Appends a copy; returns its offset.
  std::uint64_t append_copy(Section section, std::string_view bytes);
  std::uint64_t append_zeros(Section section, std::uint64_t count);
  /// Zeros up to a multiple of `alignment`.
  void align(Section section, std::uint64_t alignment);
  std::uint64_t size(Section section) const { return sections_[section].size; }

  /// A symbol at an offset of a section; data, not code.
  Symbol define(std::string name, Section section, std::uint64_t offset, std::uint64_t size,
                bool is_exported);
  /// A hidden symbol of another object.
  Symbol refer(std::string name);
  /// Appends a 64-bit word that holds the address of a symbol.
  void append_address(Section section, Symbol symbol);

  /// Writes the object. ResourceError [E0933].
  void write(const std::string& path) const;

 private:
  struct Piece {
    std::string own;  ///< when `bytes.data` is null: these, or zeros
    ElfBytes bytes;
  };
  struct SectionData {
    std::string name;
    std::uint32_t type;
    std::uint64_t flags;
    std::uint64_t alignment;
    std::uint64_t size = 0;
    std::vector<Piece> pieces;
    std::vector<std::pair<std::uint64_t, Symbol>> addresses;  ///< (offset, symbol)
  };
  struct SymbolData {
    std::string name;
    std::size_t section;  ///< its number in the file; 0: undefined
    std::uint64_t offset;
    std::uint64_t size;
    bool is_exported;
  };
  std::vector<SectionData> sections_;
  std::vector<SymbolData> symbols_;
};

}  // namespace tenon::codegen
