#include <elf.h>

#include <filesystem>

#include "codegen/aot/elf_object.h"
#include "codegen/aot/exported_functions.h"
#include "codegen/aot/link.h"
#include "codegen/aot/manifest.h"
#include "codegen/aot/output_file.h"
#include "codegen/aot/rewrite_object.h"
#include "tenon/codegen/aot.h"
#include "tenon/runtime/model_descriptor.h"
#include "tenon/support/error.h"

namespace tenon {
namespace codegen {
namespace {

constexpr std::uint64_t kLargeFlag = 0x10000000;  // SHF_X86_64_LARGE, which <elf.h> lacks

std::string kernel_name(std::size_t level, std::size_t kernel) {
  return "tenon_kernel_" + std::to_string(level) + "_" + std::to_string(kernel);
}

void write_bytes(const std::string& path, const std::vector<std::uint8_t>& bytes) {
  OutputFile out(path);
  out.write(bytes.data(), bytes.size());
  out.close();
}

/// The object with everything that is no code: weights, plans, tables, descriptor, manifest.
class DataObject {
 public:
  explicit DataObject(const LibraryParts& parts) : parts_(parts) {}

  void write(const std::string& path, const std::string& manifest) {
    add_weights();
    add_levels();
    add_descriptor();
    add_note(manifest);
    object_.write(path);
  }

 private:
  void add_weights() {
    if (parts_.weights_bytes == 0) return;
    // Large: code and its constants stay near each other, however large this is.
    const auto section =
        object_.add_section(kWeightsSection, SHT_PROGBITS, SHF_ALLOC | kLargeFlag, 4096);
    std::uint64_t at = 0;
    for (const LibraryWeight& w : parts_.weights) {
      TENON_CHECK(w.offset >= at, "weights that overlap");
      object_.append_zeros(section, w.offset - at);
      object_.append(section, {w.data, w.bytes});
      at = w.offset + w.bytes;
    }
    TENON_CHECK(at <= parts_.weights_bytes, "weights beyond their end");
    object_.append_zeros(section, parts_.weights_bytes - at);
    weights_ = object_.define("tenon_weights", section, 0, parts_.weights_bytes, false);
  }

  /// A piece of read-only bytes with a symbol.
  ElfObject::Symbol add_bytes(ElfObject::Section section, const std::string& name, ElfBytes bytes) {
    object_.align(section, 64);
    const std::uint64_t at = object_.append(section, bytes);
    return object_.define(name, section, at, bytes.size, false);
  }

  ElfObject::Symbol add_text(const std::string& name, const std::string& text) {
    const std::uint64_t at = object_.append_copy(strings_, text + '\0');
    return object_.define(name, strings_, at, text.size() + 1, false);
  }

  void append_number(std::uint64_t value) {
    object_.append_copy(tables_, {reinterpret_cast<const char*>(&value), sizeof(value)});
  }

  void add_levels() {
    const auto plans = object_.add_section(kPlanSection, SHT_PROGBITS, SHF_ALLOC, 4096);
    std::vector<ElfObject::Symbol> names, plan_symbols, tables;
    for (std::size_t i = 0; i < parts_.levels.size(); ++i) {
      const LibraryLevel& level = parts_.levels[i];
      const std::string number = std::to_string(i);
      names.push_back(add_text("tenon_level_name_" + number, level.name));
      plan_symbols.push_back(
          add_bytes(plans, "tenon_plan_" + number, {level.plan.data(), level.plan.size()}));
      const std::uint64_t begin = object_.size(tables_);
      for (std::size_t k = 0; k < level.objects.size(); ++k)
        object_.append_address(tables_, object_.refer(kernel_name(i, k)));
      tables.push_back(object_.define("tenon_kernels_" + number, tables_, begin,
                                      object_.size(tables_) - begin, false));
    }
    // tenon_level_descriptor for each
    const std::uint64_t begin = object_.size(tables_);
    for (std::size_t i = 0; i < parts_.levels.size(); ++i) {
      object_.append_address(tables_, names[i]);
      append_number(required_features(parts_.levels[i].target));
      object_.append_address(tables_, plan_symbols[i]);
      append_number(parts_.levels[i].plan.size());
      object_.append_address(tables_, tables[i]);
      append_number(parts_.levels[i].objects.size());
    }
    const std::uint64_t size = object_.size(tables_) - begin;
    TENON_CHECK(size == parts_.levels.size() * sizeof(tenon_level_descriptor),
                "level descriptors of ", size, " bytes");
    levels_ = object_.define("tenon_levels", tables_, begin, size, false);
  }

  void add_descriptor() {
    const auto name = add_text("tenon_model_name", parts_.name);
    const std::uint64_t begin = object_.size(tables_);
    append_number(TENON_DESCRIPTOR_VERSION | std::uint64_t{TENON_KERNEL_ABI_VERSION} << 32);
    object_.append_address(tables_, name);
    object_.append_address(tables_, levels_);
    append_number(parts_.levels.size());
    if (parts_.weights_bytes != 0) {
      object_.append_address(tables_, weights_);
    } else {
      append_number(0);
    }
    append_number(parts_.weights_bytes);
    const std::uint64_t size = object_.size(tables_) - begin;
    TENON_CHECK(size == sizeof(tenon_model_descriptor), "a descriptor of ", size, " bytes");
    object_.define("tenon_embedded_model", tables_, begin, size, false);
    object_.define("tenon_model_" + parts_.name, tables_, begin, size, true);
  }

  void add_note(const std::string& manifest) {
    const auto section = object_.add_section(kNoteSection, SHT_NOTE, SHF_ALLOC, 4);
    const Elf64_Nhdr header = {6, static_cast<Elf64_Word>(manifest.size()), 1};
    object_.append_copy(section, {reinterpret_cast<const char*>(&header), sizeof(header)});
    object_.append_copy(section, {"Tenon\0\0\0", 8});
    object_.append_copy(section, manifest);
    object_.align(section, 4);
  }

  const LibraryParts& parts_;
  ElfObject object_;
  ElfObject::Section strings_ = object_.add_section(".rodata.tenon", SHT_PROGBITS, SHF_ALLOC, 1);
  ElfObject::Section tables_ =
      object_.add_section(".data.rel.ro.tenon", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8);
  ElfObject::Symbol weights_ = 0;
  ElfObject::Symbol levels_ = 0;
};

/// The runtime with the functions that the library exports under the model's name.
std::vector<std::uint8_t> runtime_for(const LibraryParts& parts) {
  std::size_t num_found = 0;
  std::vector<std::uint8_t> object = rewrite_object(
      read_file(parts.runtime_object), [&](const std::string& name) -> std::optional<NewSymbol> {
        for (const ExportedFunction& f : kExportedFunctions) {
          if (f.symbol != name) continue;
          ++num_found;
          return NewSymbol{parts.name + "_" + std::string(f.suffix), true};
        }
        return std::nullopt;
      });
  TENON_CHECK(num_found == kExportedFunctions.size(), "'", parts.runtime_object, "' has ",
              num_found, " of ", kExportedFunctions.size(), " functions");
  return object;
}

/// A kernel's object with names that no other kernel has.
std::vector<std::uint8_t> kernel_for(const LibraryLevel& level, std::size_t i, std::size_t k) {
  const std::string section = code_section(level);
  return rewrite_object(
      level.objects[k],
      [&](const std::string& name) -> std::optional<NewSymbol> {
        if (name != level.symbols[k]) return std::nullopt;
        return NewSymbol{kernel_name(i, k)};
      },
      [&](const std::string& name) -> std::optional<std::string> {
        return name == ".text" ? std::optional(section) : std::nullopt;
      });
}

}  // namespace
}  // namespace codegen

void write_library(const LibraryParts& parts, const std::string& path) {
  using namespace codegen;  // NOLINT(google-build-using-namespace): this function is about them
  TENON_CHECK(is_model_name(parts.name), "model name '", parts.name, "'");
  const std::string header = std::filesystem::path(path).replace_extension(".h").string();
  TENON_USER_CHECK(header != path, ResourceError, "E0933", "cannot write '", path,
                   "': the model's header has this name\n  hint: end the library's name with .so");
  check_not_folder(path);
  check_not_folder(header);
  WorkFolder work(path);
  const nlohmann::ordered_json manifest = manifest_of(parts);
  std::string padded = text_of(manifest);
  const std::size_t room = (padded.size() + 3) / 4 * 4;
  padded.resize(room, ' ');

  std::vector<std::string> objects = {work.file("runtime.o")};
  write_bytes(objects.back(), runtime_for(parts));
  for (std::size_t i = 0; i < parts.levels.size(); ++i) {
    for (std::size_t k = 0; k < parts.levels[i].objects.size(); ++k) {
      objects.push_back(work.file(kernel_name(i, k) + ".o"));
      write_bytes(objects.back(), kernel_for(parts.levels[i], i, k));
    }
  }
  objects.push_back(work.file("data.o"));
  DataObject(parts).write(objects.back(), padded);
  const std::string library = work.file("library.so");
  link_shared(objects, library);
  seal_manifest(library, manifest, room);

  const std::string text = c_header(parts);
  const std::string header_file = work.file("header.h");
  OutputFile out(header_file);
  out.write(text.data(), text.size());
  out.close();
  rename_file(header_file, header);
  rename_file(library, path);
}

}  // namespace tenon
