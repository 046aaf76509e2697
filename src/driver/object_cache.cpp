#include "tenon/driver/object_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "tenon/support/digest.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[8] = {'T', 'E', 'N', 'O', 'N', 'O', 'B', '1'};
constexpr const char* kSuffix = ".object";
constexpr std::uint64_t kMaxEntryBytes = std::uint64_t{256} << 20;

struct EntryHeader {
  char magic[8];
  std::uint64_t key_bytes;
  std::uint64_t payload_bytes;
  std::uint64_t checksum;  ///< of key, then payload
};

std::mutex warning_mutex;
std::function<void(const std::string&)>& warning_handler() {
  static auto* handler = new std::function<void(const std::string&)>(
      [](const std::string& text) { std::fprintf(stderr, "tenon: warning: %s\n", text.c_str()); });
  return *handler;
}

void warn(const std::string& text) {
  const std::lock_guard lock(warning_mutex);
  if (warning_handler()) warning_handler()(text);
}

/// A file descriptor that closes itself.
class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  bool read_all(void* data, std::size_t bytes) const {
    auto* at = static_cast<char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::read(fd_, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
    return true;
  }

  bool write_all(const void* data, std::size_t bytes) const {
    const auto* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::write(fd_, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += n;
      bytes -= static_cast<std::size_t>(n);
    }
    return true;
  }

 private:
  int fd_;
};

/// Why the folder cannot be used, or "".
std::string prepare_folder(const std::string& folder) {
  std::error_code error;
  const fs::path parent = fs::path(folder).parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return std::string("it cannot be made: ") + std::strerror(errno);
  }
  struct stat info = {};
  if (::stat(folder.c_str(), &info) != 0) return std::strerror(errno);
  if (!S_ISDIR(info.st_mode)) return "it is not a folder";
  if (info.st_uid != ::geteuid()) return "it belongs to another user";
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "other users can write it";
  if ((info.st_mode & 0777) != 0700 && ::chmod(folder.c_str(), 0700) != 0) {
    return std::strerror(errno);
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return std::strerror(errno);
  return "";
}

std::uint64_t checksum_of(std::string_view key, std::span<const std::uint8_t> payload) {
  Digest digest;
  digest.add(key.data(), key.size());
  digest.add(payload.data(), payload.size());
  return digest.low();
}

enum class ReadOutcome { kAbsent, kOtherKey, kDamaged, kFound };

ReadOutcome read_entry(const std::string& path, std::string_view key,
                       std::vector<std::uint8_t>* payload) {
  const File file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.is_open()) return ReadOutcome::kAbsent;
  struct stat info = {};
  if (::fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) return ReadOutcome::kAbsent;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  EntryHeader header = {};
  if (size < sizeof header || !file.read_all(&header, sizeof header)) return ReadOutcome::kDamaged;
  const bool plausible = std::memcmp(header.magic, kMagic, sizeof kMagic) == 0 &&
                         header.key_bytes <= kMaxEntryBytes &&
                         header.payload_bytes <= kMaxEntryBytes &&
                         sizeof header + header.key_bytes + header.payload_bytes == size;
  if (!plausible) return ReadOutcome::kDamaged;
  std::string stored_key(static_cast<std::size_t>(header.key_bytes), '\0');
  payload->resize(static_cast<std::size_t>(header.payload_bytes));
  if (!file.read_all(stored_key.data(), stored_key.size()) ||
      !file.read_all(payload->data(), payload->size())) {
    return ReadOutcome::kDamaged;
  }
  if (checksum_of(stored_key, *payload) != header.checksum) return ReadOutcome::kDamaged;
  if (stored_key != key) return ReadOutcome::kOtherKey;
  ::futimens(file.fd(), nullptr);  // recently used
  return ReadOutcome::kFound;
}

bool write_entry(const std::string& path, std::string_view key,
                 std::span<const std::uint8_t> payload) {
  EntryHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.key_bytes = key.size();
  header.payload_bytes = payload.size();
  header.checksum = checksum_of(key, payload);
  const File file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  return file.is_open() && file.write_all(&header, sizeof header) &&
         file.write_all(key.data(), key.size()) && file.write_all(payload.data(), payload.size());
}

}  // namespace

struct ObjectCache::State {
  std::string folder;
  std::uint64_t max_bytes = 0;
  std::atomic<bool> enabled{false};
  std::atomic<std::uint64_t> hits{0}, misses{0}, stored{0}, damaged{0}, evicted{0};
  std::mutex size_mutex;
  std::uint64_t folder_bytes = 0;  ///< as far as this process knows
  bool is_size_known = false;

  std::string entry_path(std::string_view key) const {
    Digest digest;
    digest.add(key.data(), key.size());
    return folder + "/" + digest.hex() + kSuffix;
  }

  void disable(const std::string& why) {
    if (!enabled.exchange(false)) return;
    warn("the cache of compiled code in '" + folder + "' is not used: " + why);
  }

  void keep_within_bound(std::uint64_t added_bytes);
};

/// Deletes the entries used least recently until three quarters of the bound remain.
void ObjectCache::State::keep_within_bound(std::uint64_t added_bytes) {
  const std::lock_guard lock(size_mutex);
  folder_bytes += added_bytes;
  if (is_size_known && folder_bytes <= max_bytes) return;
  struct Entry {
    fs::path path;
    fs::file_time_type time;
    std::uint64_t bytes;
  };
  std::vector<Entry> entries;
  std::error_code error;
  folder_bytes = 0;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    if (!file.is_regular_file(error)) continue;
    entries.push_back({file.path(), file.last_write_time(error), file.file_size(error)});
    folder_bytes += entries.back().bytes;
  }
  is_size_known = true;
  if (folder_bytes <= max_bytes) return;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.time < b.time; });
  for (const Entry& entry : entries) {
    if (folder_bytes <= max_bytes / 4 * 3) break;
    if (!fs::remove(entry.path, error)) continue;
    folder_bytes -= entry.bytes;
    ++evicted;
  }
}

ObjectCache::ObjectCache(std::string folder, std::uint64_t max_bytes)
    : state_(std::make_unique<State>()) {
  state_->folder = std::move(folder);
  state_->max_bytes = max_bytes;
  if (state_->folder.empty()) return;
  state_->enabled = true;
  const std::string why = prepare_folder(state_->folder);
  if (!why.empty()) state_->disable(why);
}

ObjectCache::~ObjectCache() = default;

namespace {

ObjectCache* open_in(const std::string& folder) {
  return new ObjectCache(folder.empty() ? folder : folder + "/objects");
}

std::atomic<ObjectCache*>& shared_cache() {
  static std::atomic<ObjectCache*> cache(open_in(default_cache_folder()));
  return cache;
}

}  // namespace

ObjectCache& ObjectCache::shared() { return *shared_cache().load(); }
// The one before stays: a build may be using it.
void ObjectCache::use_folder(const std::string& folder) { shared_cache().store(open_in(folder)); }

bool ObjectCache::enabled() const { return state_->enabled; }
const std::string& ObjectCache::folder() const { return state_->folder; }

std::optional<std::vector<std::uint8_t>> ObjectCache::find(std::string_view key) {
  if (!enabled()) return std::nullopt;
  const std::string path = state_->entry_path(key);
  std::vector<std::uint8_t> payload;
  const ReadOutcome outcome = read_entry(path, key, &payload);
  if (outcome == ReadOutcome::kFound) {
    ++state_->hits;
    return payload;
  }
  ++state_->misses;
  if (outcome == ReadOutcome::kDamaged) {
    ++state_->damaged;
    ::unlink(path.c_str());
  }
  return std::nullopt;
}

void ObjectCache::store(std::string_view key, std::span<const std::uint8_t> bytes) {
  static std::atomic<std::uint64_t> next{0};
  if (!enabled() || key.size() > kMaxEntryBytes || bytes.size() > kMaxEntryBytes) return;
  const std::string temporary =
      state_->folder + "/.new-" + std::to_string(::getpid()) + "-" + std::to_string(next++);
  ::unlink(temporary.c_str());  // left by a process of the same number
  const bool written = write_entry(temporary, key, bytes) &&
                       ::rename(temporary.c_str(), state_->entry_path(key).c_str()) == 0;
  if (!written) {
    const std::string why = std::string("an entry cannot be written: ") + std::strerror(errno);
    ::unlink(temporary.c_str());
    state_->disable(why);
    return;
  }
  ++state_->stored;
  state_->keep_within_bound(sizeof(EntryHeader) + key.size() + bytes.size());
}

ObjectCacheStats ObjectCache::stats() const {
  return {state_->hits, state_->misses, state_->stored, state_->damaged, state_->evicted};
}

void set_cache_warning_handler(std::function<void(const std::string&)> handler) {
  const std::lock_guard lock(warning_mutex);
  warning_handler() = std::move(handler);
}

}  // namespace tenon
