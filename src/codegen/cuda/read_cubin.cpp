#include <elf.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "tenon/codegen/cuda.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

constexpr unsigned kCudaMachine = 190;               // EM_CUDA
constexpr unsigned char kEntryFlag = 0x10;           // STO_CUDA_ENTRY in st_other
constexpr std::int64_t kReservedSharedBytes = 1024;  // of every block from sm_90 on

/// Records of .nv.info: one byte of format, one of attribute, two of value or size.
enum Format : unsigned char { kNoValue = 1, kByteValue = 2, kHalfValue = 3, kSized = 4 };
enum Attribute : unsigned char {
  kMaxThreads = 0x05,     ///< three words: x, y, z
  kFrameSize = 0x11,      ///< symbol, bytes: the function's own stack
  kMinStackSize = 0x12,   ///< symbol, bytes: with the functions that it calls
  kParamBytes = 0x19,     ///< in the half word
  kRegisterCount = 0x2f,  ///< symbol, registers
};

[[noreturn]] void raise_damaged(const std::string& why) {
  detail::raise<ModelError>("E1103", "a cubin is damaged: " + why +
                                         "\n  hint: delete the cache folder, or build the model "
                                         "again");
}

struct Section {
  std::string_view name;
  std::uint32_t type = 0;
  std::uint32_t link = 0;
  std::uint64_t size = 0;
  std::span<const std::uint8_t> data;  ///< empty without bytes in the file
};

/// The sections of an ELF file; every offset is checked.
class CubinFile {
 public:
  explicit CubinFile(std::span<const std::uint8_t> bytes) : bytes_(bytes) { read_sections(); }

  /// A structure of the file's bytes, which need no alignment.
  template <typename T>
  static T at(std::span<const std::uint8_t> data, std::uint64_t offset) {
    if (offset > data.size() || data.size() - offset < sizeof(T)) raise_damaged("it is cut off");
    T value;
    std::memcpy(&value, data.data() + offset, sizeof(T));
    return value;
  }

  static std::string_view text_at(std::span<const std::uint8_t> table, std::uint64_t offset) {
    if (offset >= table.size()) raise_damaged("a name lies outside its table");
    const auto* start = reinterpret_cast<const char*>(table.data()) + offset;
    const std::size_t room = table.size() - static_cast<std::size_t>(offset);
    const std::size_t length = ::strnlen(start, room);
    if (length == room) raise_damaged("a name does not end");
    return {start, length};
  }

  const std::vector<Section>& sections() const { return sections_; }
  /// Null when there is none.
  const Section* find(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : it->second;
  }
  const Section& section(std::uint64_t index) const {
    if (index >= sections_.size()) raise_damaged("a section's number is out of range");
    return sections_[static_cast<std::size_t>(index)];
  }

 private:
  std::span<const std::uint8_t> part(std::uint64_t offset, std::uint64_t size) const {
    if (offset > bytes_.size() || bytes_.size() - offset < size) raise_damaged("it is cut off");
    return bytes_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  }

  void read_sections() {
    const auto header = at<Elf64_Ehdr>(bytes_, 0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != kCudaMachine) {
      raise_damaged("it does not begin as one");
    }
    if (header.e_shentsize != sizeof(Elf64_Shdr)) raise_damaged("its section table is none");
    const auto table = part(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr));
    std::vector<std::uint32_t> names;
    for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
      const auto raw = at<Elf64_Shdr>(table, i * sizeof(Elf64_Shdr));
      const bool has_bytes = raw.sh_type != SHT_NOBITS && raw.sh_type != SHT_NULL;
      sections_.push_back(
          {{},
           raw.sh_type,
           raw.sh_link,
           raw.sh_size,
           has_bytes ? part(raw.sh_offset, raw.sh_size) : std::span<const std::uint8_t>()});
      names.push_back(raw.sh_name);
    }
    const Section& name_table = section(header.e_shstrndx);
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      if (sections_[i].type == SHT_NULL) continue;
      sections_[i].name = text_at(name_table.data, names[i]);
      by_name_.emplace(sections_[i].name, &sections_[i]);
    }
  }

  std::span<const std::uint8_t> bytes_;
  std::vector<Section> sections_;
  std::map<std::string_view, const Section*> by_name_;
};

/// Calls `each(attribute, half word, payload)` for the records of an .nv.info section.
template <typename Each>
void for_each_record(std::span<const std::uint8_t> data, const Each& each) {
  while (!data.empty()) {
    const auto format = CubinFile::at<std::uint8_t>(data, 0);
    const auto attribute = CubinFile::at<std::uint8_t>(data, 1);
    const auto value = CubinFile::at<std::uint16_t>(data, 2);
    data = data.subspan(4);
    if (format < kNoValue || format > kSized) raise_damaged("a record of .nv.info is none");
    const std::size_t size = format == kSized ? value : 0;
    if (size > data.size()) raise_damaged("a record of .nv.info is cut off");
    each(attribute, value, data.first(size));
    data = data.subspan(size);
  }
}

int checked_int(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
    raise_damaged("a number is out of range");
  }
  return static_cast<int>(value);
}

std::int64_t checked_bytes(std::uint64_t value) {
  // More than any memory of a multiprocessor, and sums of them do not overflow.
  if (value > (std::uint64_t{1} << 40)) raise_damaged("a size is out of range");
  return static_cast<std::int64_t>(value);
}

/// What the section .nv.info says of each symbol.
struct SymbolRecords {
  std::map<std::uint32_t, int> registers;
  std::map<std::uint32_t, std::int64_t> stack_bytes;
};

SymbolRecords read_symbol_records(const CubinFile& file) {
  SymbolRecords records;
  const Section* info = file.find(".nv.info");
  if (info == nullptr) raise_damaged("it has no .nv.info");
  for_each_record(
      info->data, [&](unsigned attribute, unsigned, std::span<const std::uint8_t> payload) {
        if (attribute != kRegisterCount && attribute != kFrameSize && attribute != kMinStackSize)
          return;
        const auto symbol = CubinFile::at<std::uint32_t>(payload, 0);
        const auto value = CubinFile::at<std::uint32_t>(payload, 4);
        if (attribute == kRegisterCount) {
          records.registers[symbol] = checked_int(value);
        } else {
          std::int64_t& bytes = records.stack_bytes[symbol];
          bytes = std::max(bytes, checked_bytes(value));
        }
      });
  return records;
}

void read_kernel_records(const CubinFile& file, CudaKernelResources* kernel) {
  const Section* info = file.find(".nv.info." + kernel->name);
  if (info == nullptr) return;  // a kernel without parameters and bounds
  for_each_record(
      info->data, [&](unsigned attribute, unsigned value, std::span<const std::uint8_t> payload) {
        if (attribute == kParamBytes) kernel->param_bytes = value;
        if (attribute != kMaxThreads) return;
        std::uint64_t threads = 1;
        for (std::uint64_t i = 0; i < 3; ++i) {
          // Each factor is an int, and so is the product of those before.
          threads =
              static_cast<std::uint64_t>(checked_int(threads)) *
              static_cast<std::uint64_t>(checked_int(CubinFile::at<std::uint32_t>(payload, i * 4)));
        }
        kernel->max_threads = checked_int(threads);
      });
}

/// Static shared memory. From sm_90 on the section counts what the system reserves as well.
std::int64_t shared_bytes_of(const CubinFile& file, const std::string& name) {
  const Section* section = file.find(".nv.shared." + name);
  if (section == nullptr) return 0;
  const std::int64_t bytes = checked_bytes(section->size);
  const bool has_reserved = file.find(".nv.shared.reserved.0") != nullptr;
  return has_reserved ? std::max<std::int64_t>(bytes - kReservedSharedBytes, 0) : bytes;
}

/// The number before `what` in a line of ptxas; absent when there is none.
std::optional<std::int64_t> number_before(std::string_view line, std::string_view what) {
  const std::size_t end = line.find(what);
  if (end == std::string_view::npos) return std::nullopt;
  std::size_t start = end;
  while (start > 0 && line[start - 1] >= '0' && line[start - 1] <= '9') --start;
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(line.data() + start, line.data() + end, number);
  if (error != std::errc() || rest != line.data() + end) return std::nullopt;
  return number;
}

/// "Function properties for NAME", then a line with "N bytes spill stores, N bytes spill loads".
void read_spills(std::string_view log, CudaKernelResources* kernel) {
  const std::string title = "Function properties for " + kernel->name;
  for (std::size_t at = log.find(title); at != std::string_view::npos;
       at = log.find(title, at + 1)) {
    const std::size_t end = at + title.size();
    if (end >= log.size() || log[end] != '\n') continue;  // the name of another begins like this
    const std::string_view line = log.substr(end + 1, log.find('\n', end + 1) - (end + 1));
    kernel->spill_store_bytes = number_before(line, " bytes spill stores");
    kernel->spill_load_bytes = number_before(line, " bytes spill loads");
    return;
  }
}

}  // namespace

std::vector<CudaKernelResources> read_cubin(std::span<const std::uint8_t> bytes,
                                            std::string_view log) {
  const CubinFile file(bytes);
  const Section* symbols = file.find(".symtab");
  if (symbols == nullptr) raise_damaged("it has no symbols");
  const Section& names = file.section(symbols->link);
  const SymbolRecords records = read_symbol_records(file);
  std::vector<CudaKernelResources> kernels;
  for (std::uint64_t i = 0; i < symbols->data.size() / sizeof(Elf64_Sym); ++i) {
    const auto symbol = CubinFile::at<Elf64_Sym>(symbols->data, i * sizeof(Elf64_Sym));
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || (symbol.st_other & kEntryFlag) == 0) continue;
    CudaKernelResources kernel;
    kernel.name = CubinFile::text_at(names.data, symbol.st_name);
    const auto number = static_cast<std::uint32_t>(i);
    const auto registers = records.registers.find(number);
    if (registers == records.registers.end()) {
      raise_damaged("it does not say the registers of '" + kernel.name + "'");
    }
    kernel.registers = registers->second;
    const auto stack = records.stack_bytes.find(number);
    if (stack != records.stack_bytes.end()) kernel.local_bytes = stack->second;
    kernel.shared_bytes = shared_bytes_of(file, kernel.name);
    const Section* constants = file.find(".nv.constant0." + kernel.name);
    if (constants != nullptr) kernel.constant_bytes = checked_bytes(constants->size);
    read_kernel_records(file, &kernel);
    read_spills(log, &kernel);
    kernels.push_back(std::move(kernel));
  }
  std::sort(kernels.begin(), kernels.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return kernels;
}

}  // namespace tenon
