#include "tenon/rules/record_lookup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rules/records/record_index.h"

namespace tenon {

using records::IndexEntry;
using records::Sqlite;

struct RecordLookup::State {
  std::string folder;
  std::string path;  ///< of the records
  int fd = -1;
  std::string file_id;
  std::unique_ptr<Sqlite> index;  ///< null: all is in `rest`
  records::MemoryIndex rest;      ///< what the index does not know
  std::size_t rest_begin = 0;     ///< the part of the file that `rest` has
  std::size_t rest_end = 0;

  ~State() {
    if (fd >= 0) ::close(fd);
  }

  std::size_t file_bytes() const {
    struct stat info = {};
    return ::fstat(fd, &info) == 0 ? static_cast<std::size_t>(info.st_size) : 0;
  }

  /// Reads a part of the file; shorter where it ends.
  std::string read(std::size_t offset, std::size_t length) const {
    std::string text(length, '\0');
    std::size_t at = 0;
    while (at < length) {
      const ssize_t n = ::pread(fd, text.data() + at, length - at, static_cast<off_t>(offset + at));
      if (n < 0 && errno == EINTR) continue;
      TENON_USER_CHECK(n >= 0, ResourceError, "E1203", "cannot read '", path,
                       "': ", std::strerror(errno));
      if (n == 0) break;
      at += static_cast<std::size_t>(n);
    }
    text.resize(at);
    return text;
  }

  void open_index();
  void read_rest(std::size_t begin, FoundRecord* found);
  std::vector<IndexEntry> candidates(std::int64_t bucket, FoundRecord* found);
};

/// Beside writers; where the folder cannot be written as what nobody changes.
void RecordLookup::State::open_index() {
  const std::string index_path = folder + "/" + records::kIndexFile;
  struct stat info = {};
  if (::stat(index_path.c_str(), &info) != 0) return;
  const bool has_log = ::stat((index_path + "-wal").c_str(), &info) == 0 && info.st_size > 0;
  for (const Sqlite::Mode mode : {Sqlite::Mode::kRead, Sqlite::Mode::kImmutable}) {
    // What a log holds besides the index would not be seen.
    if (mode == Sqlite::Mode::kImmutable && has_log) return;
    try {
      auto db = std::make_unique<Sqlite>(index_path, mode, 1000);
      const auto state = records::index_state(*db);
      if (!state || state->file_id != file_id) return;
      index = std::move(db);
      return;
    } catch (const records::SqliteError&) {
      // The other mode, or the whole file.
    }
  }
}

/// Extends `rest` to the end of the file; it begins at `begin`.
void RecordLookup::State::read_rest(std::size_t begin, FoundRecord* found) {
  const std::size_t end = file_bytes();
  if (begin != rest_begin || end < rest_end) {
    rest.clear();
    rest_begin = rest_end = begin;
  }
  if (end <= rest_end) return;
  const std::string text = read(rest_end, end - rest_end);
  const std::size_t base = rest_end;
  const auto add = [&](const RecordPlace& place) {
    if (auto entry = records::entry_of(place)) rest.add(std::move(*entry));
  };
  const ScanResult scan = scan_records(text, path, add, base);
  rest_end = scan.end;
  if (!scan.damage.empty() && base == 0)
    found->problem = "'" + path + "', " + scan.damage.front().str();
}

std::vector<IndexEntry> RecordLookup::State::candidates(std::int64_t bucket, FoundRecord* found) {
  std::vector<IndexEntry> entries;
  std::size_t indexed = 0;
  if (index) {
    try {
      index->run("BEGIN");
      const auto state = records::index_state(*index);
      if (state && state->file_id == file_id) {
        records::find_entries(*index, bucket, &entries);
        indexed = state->bytes;
      }
      index->run("COMMIT");
    } catch (const records::SqliteError&) {
      index.reset();
      entries.clear();
      indexed = 0;
    }
  }
  if (file_bytes() > indexed) {
    read_rest(indexed, found);
    rest.find(bucket, &entries);
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

RecordLookup::RecordLookup(std::unique_ptr<State> state) : state_(std::move(state)) {}
RecordLookup::~RecordLookup() = default;

std::unique_ptr<RecordLookup> RecordLookup::open(const std::string& folder) {
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->path = folder + "/" + records::kRecordFile;
  state->fd = ::open(state->path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (state->fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return nullptr;
  TENON_USER_CHECK(state->fd >= 0, ResourceError, "E1203", "cannot read '", state->path,
                   "': ", std::strerror(errno));
  struct stat info = {};
  TENON_USER_CHECK(::fstat(state->fd, &info) == 0 && S_ISREG(info.st_mode), ResourceError, "E1203",
                   "cannot read '", state->path, "': it is no regular file");
  const auto id_of = [&](std::string_view text) {
    return scan_records(text, state->path, [](const RecordPlace&) {}).id;
  };
  constexpr std::size_t kBeginning = 4096;
  const std::string beginning = state->read(0, kBeginning);
  if (beginning.empty()) return nullptr;
  try {
    const std::size_t line_break = std::min(beginning.find('\n'), beginning.size() - 1);
    state->file_id = id_of(std::string_view(beginning).substr(0, line_break + 1));
  } catch (const CacheError& e) {
    if (e.code() != "E1201") throw;
    // The header may be damaged: is any line ours?
    state->file_id = id_of(state->read(0, state->file_bytes()));
  }
  if (!state->file_id.empty()) state->open_index();
  return std::unique_ptr<RecordLookup>(new RecordLookup(std::move(state)));
}

bool RecordLookup::is_current() const {
  struct stat mine = {}, there = {};
  return ::fstat(state_->fd, &mine) == 0 && ::stat(state_->path.c_str(), &there) == 0 &&
         mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

FoundRecord RecordLookup::find(const TuningKey& key, const std::string& machine) {
  FoundRecord found;
  for (const IndexEntry& entry : state_->candidates(record_bucket(key, machine), &found)) {
    const std::string line = state_->read(entry.offset, std::min(entry.length, kMaxRecordBytes));
    const auto text = record_in_line(line);
    try {
      TENON_USER_CHECK(text.has_value(), CacheError, "E1200", "the line is damaged");
      TuningRecord record = TuningRecord::parse(std::string(*text));
      const bool is_wanted =
          record.key == key && record.machine == machine && record.verified != Verification::kNone;
      if (!is_wanted) continue;  // another key of the bucket
      found.record = std::move(record);
      return found;
    } catch (const CacheError&) {
      found.problem = detail::concat("the record at offset ", entry.offset, " of '", state_->path,
                                     "' is damaged");
    }
  }
  return found;
}

}  // namespace tenon
