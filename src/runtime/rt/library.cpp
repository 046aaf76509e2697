#include "runtime/rt/library.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/rt/cpu_features.h"
#include "runtime/rt/message.h"
#include "runtime/rt/model.h"
#include "runtime/rt/plan_reader.h"

namespace tenon::rt {
namespace {

/// A regular file of at least the length that its ELF segments say: the dynamic linker maps a
/// shorter one, and who reads beyond its end is killed. Opening a FIFO would wait for ever.
tenon_status check_file(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    return fail(TENON_ERROR_RESOURCE, "E1003", "cannot open '%s': %s", path, strerror(errno));
  struct stat info;
  const char* wrong = nullptr;
  Elf64_Ehdr header;
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    wrong = "not a regular file";
  } else if (pread(file, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header)) ||
             memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
             header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr)) {
    wrong = "not a shared library";
  } else {
    const std::uint64_t size = static_cast<std::uint64_t>(info.st_size);
    for (unsigned i = 0; i < header.e_phnum && wrong == nullptr; ++i) {
      Elf64_Phdr segment;
      const off_t at = static_cast<off_t>(header.e_phoff + i * sizeof(segment));
      const bool is_read =
          pread(file, &segment, sizeof(segment), at) == static_cast<ssize_t>(sizeof(segment));
      if (!is_read || segment.p_offset > size || segment.p_filesz > size - segment.p_offset)
        wrong = "the file is cut off";
    }
  }
  close(file);
  if (wrong == nullptr) return TENON_OK;
  return fail(TENON_ERROR_RESOURCE, "E1003", "cannot open '%s': %s", path, wrong);
}

/// Opens exactly this file: a name without a slash is one of the working folder, not of the search
/// path.
void* open_library(const char* path) {
  char here[4096];
  if (strchr(path, '/') != nullptr) return dlopen(path, RTLD_NOW | RTLD_LOCAL);
  snprintf(here, sizeof(here), "./%s", path);
  return dlopen(here, RTLD_NOW | RTLD_LOCAL);
}

const tenon_model_descriptor* find_model(void* library, const char* path, const char* name,
                                         tenon_status& status) {
  char symbol[256];
  if (snprintf(symbol, sizeof(symbol), "tenon_model_%s", name) >=
      static_cast<int>(sizeof(symbol))) {
    status = fail(TENON_ERROR_USAGE, "E1006", "a model name of more than 240 bytes");
    return nullptr;
  }
  const auto* found = static_cast<const tenon_model_descriptor*>(dlsym(library, symbol));
  if (found == nullptr) {
    status =
        fail(TENON_ERROR_MODEL, "E0912", "'%s' has no model '%s' (symbol %s)", path, name, symbol);
  }
  return found;
}

tenon_status check_versions(const tenon_model_descriptor& d) {
  if (d.version != TENON_DESCRIPTOR_VERSION) {
    return fail(TENON_ERROR_UNSUPPORTED, "E0908",
                "the model's descriptor has version %u, this runtime reads version %u", d.version,
                static_cast<unsigned>(TENON_DESCRIPTOR_VERSION));
  }
  if (d.kernel_abi_version != TENON_KERNEL_ABI_VERSION) {
    return fail(TENON_ERROR_UNSUPPORTED, "E0908",
                "model '%s' was made for kernel ABI version %u, this runtime has %u", d.name,
                d.kernel_abi_version, static_cast<unsigned>(TENON_KERNEL_ABI_VERSION));
  }
  return TENON_OK;
}

bool runs_here(const tenon_level_descriptor& level) {
  return (level.cpu_features & ~cpu_features()) == 0;
}

/// The names of the bits that `level` needs and this CPU lacks.
void append_missing(TextBuffer& text, const tenon_level_descriptor& level) {
  const std::uint64_t missing = level.cpu_features & ~cpu_features();
  const char* separator = "";
  for (std::size_t i = 0; i < kNumCpuFeatures; ++i) {
    if ((missing >> i & 1) == 0) continue;
    text.append("%s%s", separator, cpu_feature_name(i));
    separator = ", ";
  }
  if (missing >> kNumCpuFeatures != 0) text.append("%swhat only newer runtimes know", separator);
}

tenon_status no_level_error(const tenon_model_descriptor& d, const tenon_level_descriptor& lowest) {
  TextBuffer missing;
  append_missing(missing, lowest);
  return fail(TENON_ERROR_TARGET, "E0950",
              "this CPU cannot run model '%s': level %s needs %s, which it lacks", d.name,
              lowest.name, missing.str());
}

/// The level that is asked for, or the first that runs here; null after setting the message.
const tenon_level_descriptor* choose_level(const tenon_model_descriptor& d, const char* wanted,
                                           tenon_status& status) {
  TextBuffer names;
  for (std::uint64_t i = 0; i < d.num_levels; ++i) {
    const tenon_level_descriptor& level = d.levels[i];
    if (wanted == nullptr ? runs_here(level) : strcmp(level.name, wanted) == 0) {
      if (runs_here(level)) return &level;
      status = no_level_error(d, level);
      return nullptr;
    }
    names.append("%s%s", i == 0 ? "" : ", ", level.name);
  }
  if (wanted == nullptr && d.num_levels != 0) {
    status = no_level_error(d, d.levels[d.num_levels - 1]);
  } else {
    status = fail(TENON_ERROR_USAGE, "E0951", "model '%s' has no level '%s'; it has %s", d.name,
                  wanted != nullptr ? wanted : "", names.str());
  }
  return nullptr;
}

}  // namespace

tenon_status load_descriptor(const tenon_model_descriptor& descriptor, const char* level,
                             tenon_model** out) {
  tenon_status status = check_versions(descriptor);
  if (status != TENON_OK) return status;
  const tenon_level_descriptor* chosen = choose_level(descriptor, level, status);
  if (chosen == nullptr) return status;
  for (std::uint64_t i = 0; i < descriptor.num_levels; ++i) {
    const tenon_level_descriptor& other = descriptor.levels[i];
    if (&other != chosen) status = verify_plan(other.plan, other.plan_bytes);
    if (status != TENON_OK) return status;
  }
  tenon_load_options options = {};
  options.struct_bytes = sizeof(options);
  options.kernels = chosen->kernels;
  options.num_kernels = chosen->num_kernels;
  options.data = descriptor.weights;
  options.data_bytes = descriptor.weights_bytes;
  status = load_model(chosen->plan, chosen->plan_bytes, options, out);
  if (status == TENON_OK) (*out)->level = chosen->name;
  return status;
}

}  // namespace tenon::rt

using namespace tenon::rt;  // NOLINT(google-build-using-namespace): the C functions below are this
                            // file's surface

extern "C" {

tenon_status tenon_model_load_descriptor(const tenon_model_descriptor* descriptor,
                                         const char* level, tenon_model** out) {
  if (descriptor == nullptr || out == nullptr) {
    return fail(TENON_ERROR_USAGE, "E1006",
                "tenon_model_load_descriptor: descriptor or out is null");
  }
  return load_descriptor(*descriptor, level, out);
}

tenon_status tenon_model_load_level(const char* path, const char* name, const char* level,
                                    tenon_model** out) {
  if (path == nullptr || name == nullptr || out == nullptr) {
    return fail(TENON_ERROR_USAGE, "E1006", "tenon_model_load: path, name or out is null");
  }
  tenon_status status = check_file(path);
  if (status != TENON_OK) return status;
  void* library = open_library(path);
  if (library == nullptr) {
    const char* reason = dlerror();
    return fail(TENON_ERROR_RESOURCE, "E1003", "cannot open '%s': %s", path,
                reason != nullptr ? reason : "unknown reason");
  }
  const tenon_model_descriptor* descriptor = find_model(library, path, name, status);
  if (descriptor != nullptr) status = load_descriptor(*descriptor, level, out);
  if (status == TENON_OK) {
    (*out)->library = library;
  } else {
    dlclose(library);
  }
  return status;
}

tenon_status tenon_model_load(const char* path, const char* name, tenon_model** out) {
  return tenon_model_load_level(path, name, nullptr, out);
}

}  // extern "C"
