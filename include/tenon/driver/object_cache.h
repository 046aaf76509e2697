#pragma once

/// Compiled objects on disk.
///
/// An entry is found by a hash of its key and used only when the whole key is equal and its
/// checksum holds; a torn or damaged entry is deleted and counts as absent. Entries appear by
/// rename, so readers never see half of one. The folder is made 0700, and refused (the cache then
/// does nothing, and warns once) when others own it, can write it, or when it cannot be written.
/// Nothing here raises.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/runtime/cache_folder.h"

namespace tenon {

/// What one cache did since it was opened.
struct ObjectCacheStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t stored = 0;
  std::uint64_t damaged = 0;  ///< entries dropped because their checksum or form was wrong
  std::uint64_t evicted = 0;  ///< entries deleted to stay within the bound
};

/// Thread-safe; several processes may use one folder.
class ObjectCache {
 public:
  static constexpr std::uint64_t kDefaultMaxBytes = std::uint64_t{512} << 20;

  /// Opens or makes `folder`; an empty name gives a cache that does nothing.
  explicit ObjectCache(std::string folder, std::uint64_t max_bytes = kDefaultMaxBytes);
  ~ObjectCache();
  ObjectCache(const ObjectCache&) = delete;
  ObjectCache& operator=(const ObjectCache&) = delete;

  /// The process' cache, in default_cache_folder(); opened at the first call.
  static ObjectCache& shared();
  /// Lets the process' cache lie in `folder` from now on; an empty name turns it off. Builds under
  /// way end with the one before.
  static void use_folder(const std::string& folder);

  bool enabled() const;
  const std::string& folder() const;
  /// The bytes stored under exactly this key.
  std::optional<std::vector<std::uint8_t>> find(std::string_view key);
  /// Stores; the oldest entries go when the folder grows beyond its bound.
  void store(std::string_view key, std::span<const std::uint8_t> bytes);
  ObjectCacheStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Receives the warning of a cache that cannot work; the default writes it to stderr. Set before
/// the first build.
void set_cache_warning_handler(std::function<void(const std::string&)> handler);

}  // namespace tenon
