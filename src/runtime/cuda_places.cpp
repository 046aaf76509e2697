#include "runtime/cuda_places.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

namespace tenon {
namespace {

constexpr std::size_t kPathBytes = sizeof(CudaSearch::path);

#if defined(__x86_64__)
constexpr unsigned kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kMachine = EM_AARCH64;
#else
constexpr unsigned kMachine = EM_NONE;
#endif

/// The folders of Python packages, a list; those before stay, as a search may be reading them.
struct PackageFolders {
  const PackageFolders* before;
  const char* list;
};
std::atomic<const PackageFolders*> package_folders{nullptr};

const char* package_list() {
  const PackageFolders* folders = package_folders.load(std::memory_order_acquire);
  return folders == nullptr ? "" : folders->list;
}

/// Looks at one file; true ends the search.
struct Visitor {
  bool (*visit)(const char* path, void* context);
  void* context;
};

bool visit_in(const char* folder, const char* name, const Visitor& visitor) {
  char path[kPathBytes];
  if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= static_cast<int>(sizeof(path))) {
    return false;
  }
  return access(path, F_OK) == 0 && visitor.visit(path, visitor.context);
}

/// Calls `each(folder)` for the parts of a list; true when one of them gives true.
template <typename Each>
bool any_of(const char* list, char separator, const Each& each) {
  const char* start = list == nullptr ? "" : list;
  while (*start != '\0') {
    const char* end = strchrnul(start, separator);
    const std::size_t size = static_cast<std::size_t>(end - start);
    char folder[kPathBytes];
    if (size > 0 && size < sizeof(folder)) {
      memcpy(folder, start, size);
      folder[size] = '\0';
      if (each(folder)) return true;
    }
    start = *end == '\0' ? end : end + 1;
  }
  return false;
}

/// Calls `each(folder/<entry><end>)` for the entries that begin with `prefix`, the highest version
/// first; true when one of them gives true.
template <typename Each>
bool any_below(const char* folder, const char* prefix, const char* end, const Each& each) {
  dirent** entries = nullptr;
  const int count = scandir(folder, &entries, nullptr, versionsort);
  bool is_found = false;
  for (int i = count - 1; i >= 0; --i) {
    char path[kPathBytes];
    const bool fits = snprintf(path, sizeof(path), "%s/%s%s", folder, entries[i]->d_name, end) <
                      static_cast<int>(sizeof(path));
    if (!is_found && fits && entries[i]->d_name[0] != '.' &&
        strncmp(entries[i]->d_name, prefix, strlen(prefix)) == 0) {
      is_found = each(path);
    }
    free(entries[i]);
  }
  free(entries);
  return is_found;
}

/// The paths of /etc/ld.so.cache that end with `name`. Every path stands in the file as text that
/// ends with a zero byte, whatever the version of the table before it.
bool visit_loader_cache(const char* name, const Visitor& visitor) {
  const int file = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  struct stat info;
  void* mapped = MAP_FAILED;
  if (fstat(file, &info) == 0 && info.st_size > 0) {
    mapped = mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, file, 0);
  }
  close(file);
  if (mapped == MAP_FAILED) return false;
  const auto size = static_cast<std::size_t>(info.st_size);
  const char* const begin = static_cast<const char*>(mapped);
  const char* const end = begin + size;
  char wanted[256];
  const int length = snprintf(wanted, sizeof(wanted), "/%s", name);
  bool is_found = false;
  const char* at = begin;
  while (!is_found && length < static_cast<int>(sizeof(wanted))) {
    // One more byte: the zero.
    at = static_cast<const char*>(memmem(at, static_cast<std::size_t>(end - at), wanted,
                                         static_cast<std::size_t>(length) + 1));
    if (at == nullptr) break;
    const char* start = at;
    while (start > begin && start[-1] != '\0') --start;
    is_found = *start == '/' && visitor.visit(start, visitor.context);
    ++at;
  }
  munmap(mapped, size);
  return is_found;
}

bool visit_own_place(const char* name, const Visitor& visitor) {
  const char* place = getenv("TENON_CUDA_PATH");
  if (place == nullptr || *place == '\0') return false;
  char folder[kPathBytes];
  for (const char* below : {"lib64", "lib"}) {
    if (snprintf(folder, sizeof(folder), "%s/%s", place, below) <
            static_cast<int>(sizeof(folder)) &&
        visit_in(folder, name, visitor)) {
      return true;
    }
  }
  return visit_in(place, name, visitor);
}

bool visit_loader(const char* name, const Visitor& visitor) {
  const auto look = [&](const char* folder) { return visit_in(folder, name, visitor); };
  if (any_of(getenv("LD_LIBRARY_PATH"), ':', look) || visit_loader_cache(name, visitor))
    return true;
  for (const char* folder : {"/lib64", "/usr/lib64", "/lib", "/usr/lib"}) {
    if (look(folder)) return true;
  }
  return visitor.visit(name, visitor.context);
}

bool visit_toolkits(const char* name, const Visitor& visitor) {
  const auto look = [&](const char* folder) { return visit_in(folder, name, visitor); };
  return look("/usr/local/cuda/lib64") || any_below("/usr/local", "cuda-", "/lib64", look);
}

bool visit_packages(const char* name, const Visitor& visitor) {
  const auto look = [&](const char* folder) { return visit_in(folder, name, visitor); };
  return any_of(package_list(), '\n', [&](const char* site) {
    char folder[kPathBytes];
    return snprintf(folder, sizeof(folder), "%s/nvidia", site) < static_cast<int>(sizeof(folder)) &&
           any_below(folder, "", "/lib", look);
  });
}

/// Shows the visitor all files of the library in the order of the places; a name without a slash is
/// for the loader itself.
bool visit_places(const CudaLibrary& library, const Visitor& visitor) {
  if (!is_cuda_looked_for()) return false;
  for (const auto place : {visit_own_place, visit_loader, visit_toolkits, visit_packages}) {
    for (const char* name : library.names) {
      if (name != nullptr && place(name, visitor)) return true;
    }
  }
  return false;
}

/// True for a library of this machine's kind. What is cut off or otherwise broken counts as one.
bool is_library(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  struct stat info;
  Elf64_Ehdr header;
  const bool is_read = fstat(file, &info) == 0 && S_ISREG(info.st_mode) &&
                       pread(file, &header, sizeof(header), 0) == sizeof(header);
  close(file);
  return is_read && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == kMachine;
}

void set_path(const char* path, CudaSearch* search) {
  snprintf(search->path, sizeof(search->path), "%s", path);
}

void add_failure(const char* text, CudaSearch* search) {
  const std::size_t used = strlen(search->failures);
  snprintf(search->failures + used, sizeof(search->failures) - used, "%s%s", used == 0 ? "" : "\n",
           text);
}

struct Opening {
  CudaSearch* search;
  void* handle;
};

bool open_one(const char* path, void* context) {
  auto* opening = static_cast<Opening*>(context);
  opening->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (opening->handle == nullptr) {
    const char* why = dlerror();
    // A library that is there and does not open says more than one that is not.
    if (strchr(path, '/') != nullptr) add_failure(why == nullptr ? path : why, opening->search);
    return false;
  }
  link_map* map = nullptr;
  const bool is_named = strchr(path, '/') == nullptr &&
                        dlinfo(opening->handle, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr;
  set_path(is_named ? map->l_name : path, opening->search);
  return true;
}

bool find_one(const char* path, void* context) {
  if (strchr(path, '/') == nullptr || !is_library(path)) return false;
  set_path(path, static_cast<CudaSearch*>(context));
  return true;
}

}  // namespace

bool is_cuda_looked_for() {
  const char* place = getenv("TENON_CUDA_PATH");
  return place == nullptr || strcmp(place, "none") != 0;
}

void* open_cuda_library(const CudaLibrary& library, CudaSearch* search) {
  *search = {};
  Opening opening = {search, nullptr};
  visit_places(library, {open_one, &opening});
  return opening.handle;
}

bool find_cuda_library(const CudaLibrary& library, CudaSearch* search) {
  *search = {};
  return visit_places(library, {find_one, search});
}

void describe_cuda_places(char* text, std::size_t bytes) {
  if (!is_cuda_looked_for()) {
    snprintf(text, bytes, "nowhere, because TENON_CUDA_PATH=none");
    return;
  }
  const char* place = getenv("TENON_CUDA_PATH");
  const bool has_place = place != nullptr && *place != '\0';
  int sites = 0;
  any_of(package_list(), '\n', [&](const char*) {
    ++sites;
    return false;
  });
  snprintf(text, bytes,
           "TENON_CUDA_PATH%s%s%s, the system's loader, /usr/local/cuda*/lib64, nvidia/*/lib of %d "
           "folders of Python packages",
           has_place ? "='" : " (not set)", has_place ? place : "", has_place ? "'" : "", sites);
}

void set_cuda_package_folders(const char* folders) {
  auto* added = static_cast<PackageFolders*>(malloc(sizeof(PackageFolders)));
  const char* list = strdup(folders);
  if (added == nullptr || list == nullptr) return;  // out of memory: nothing will be found there
  added->list = list;
  added->before = package_folders.load(std::memory_order_acquire);
  while (!package_folders.compare_exchange_weak(added->before, added, std::memory_order_acq_rel)) {
  }
}

}  // namespace tenon
