#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "tenon/driver/cuda.h"
#include "tenon/driver/object_cache.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

/// Goes up when what is stored, or how it is compiled, changes its meaning.
constexpr const char* kKeyStart = "cubin 1\n";

std::string cache_key(const std::string& source, const std::string& arch,
                      const CudaCompileOptions& options) {
  return kKeyStart + cuda_compile_key(arch, options) + "\n" + source;
}

/// Eight bytes of the log's length, the log, the cubin.
std::vector<std::uint8_t> entry_of(const Cubin& cubin) {
  const std::uint64_t length = cubin.log.size();
  std::vector<std::uint8_t> entry(sizeof(length));
  std::memcpy(entry.data(), &length, sizeof(length));
  entry.insert(entry.end(), cubin.log.begin(), cubin.log.end());
  entry.insert(entry.end(), cubin.bytes.begin(), cubin.bytes.end());
  return entry;
}

/// Absent when the entry is none: another may write the folder, and compiling is always possible.
std::optional<Cubin> cubin_of(const std::vector<std::uint8_t>& entry, const std::string& arch) {
  std::uint64_t length = 0;
  if (entry.size() < sizeof(length)) return std::nullopt;
  std::memcpy(&length, entry.data(), sizeof(length));
  if (length > entry.size() - sizeof(length)) return std::nullopt;
  const auto log = entry.begin() + sizeof(length);
  const auto code = log + static_cast<std::ptrdiff_t>(length);
  Cubin cubin;
  cubin.arch = arch;
  cubin.log.assign(log, code);
  cubin.bytes.assign(code, entry.end());
  cubin.is_from_cache = true;
  try {
    cubin.kernels = read_cubin(cubin.bytes, cubin.log);
  } catch (const ModelError&) {
    return std::nullopt;
  }
  return cubin;
}

}  // namespace

Cubin build_cubin(const std::string& source, const std::string& arch,
                  const CudaCompileOptions& options, bool use_cache) {
  ObjectCache& cache = ObjectCache::shared();
  if (!use_cache || !cache.enabled()) return compile_cuda(source, arch, options);
  if (const auto entry = cache.find(cache_key(source, arch, options))) {
    if (auto cubin = cubin_of(*entry, arch)) return std::move(*cubin);
  }
  Cubin cubin = compile_cuda(source, arch, options);
  // The key once more: which NVRTC it is is certain only now that it is open.
  cache.store(cache_key(source, arch, options), entry_of(cubin));
  return cubin;
}

}  // namespace tenon
