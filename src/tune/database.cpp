#include "tenon/tune/database.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <random>
#include <unordered_set>

#include "rules/records/record_index.h"
#include "tenon/rules/schedule_source.h"
#include "tune/file_lock.h"
#include "tune/record_log.h"

namespace tenon::tune {
namespace {

namespace fs = std::filesystem;
using records::IndexEntry;
using records::IndexState;
using records::Sqlite;
using records::SqliteError;
using records::Statement;

constexpr int kBusyMs = 30000;

/// Makes the folder, or checks that nobody else can write it.
void prepare_folder(const std::string& folder) {
  TENON_USER_CHECK(!folder.empty(), CacheError, "E1225",
                   "tuning is off: there is no folder for records\n  hint: tn.config.tuning_dir or "
                   "TENON_TUNING_DIR names one");
  std::error_code error;
  fs::create_directories(fs::path(folder).parent_path(), error);
  const int made = ::mkdir(folder.c_str(), 0700);
  TENON_USER_CHECK(made == 0 || errno == EEXIST, ResourceError, "E1221", "cannot make the folder '",
                   folder, "': ", std::strerror(errno));
  struct stat info = {};
  TENON_USER_CHECK(::stat(folder.c_str(), &info) == 0, ResourceError, "E1221",
                   "cannot open the folder '", folder, "': ", std::strerror(errno));
  const char* why = !S_ISDIR(info.st_mode)                      ? "is no folder"
                    : info.st_uid != ::geteuid()                ? "belongs to another user"
                    : (info.st_mode & (S_IWGRP | S_IWOTH)) != 0 ? "can be written by other users"
                                                                : nullptr;
  TENON_USER_CHECK(why == nullptr, CacheError, "E1224", "the folder of tuning records '", folder,
                   "' ", why, "\n  hint: builds run what is stored there; name one of your own");
}

std::string random_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 32; ++i) id += "0123456789abcdef"[random() & 15];
  return id;
}

/// The entry of a new file lasts as the file does.
void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

ino_t inode_of(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

/// Returns the sum of the digests of the new rows.
std::int64_t insert(Sqlite& db, const std::vector<IndexEntry>& entries) {
  std::uint64_t sum = 0;
  Statement add(db, "INSERT OR IGNORE INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
  for (const IndexEntry& e : entries) {
    add.bind(1, e.id);
    add.bind(2, e.bucket);
    add.bind(3, std::int64_t{e.is_verified ? 1 : 0});
    add.bind(4, e.seconds);
    add.bind(5, static_cast<std::int64_t>(e.offset));
    add.bind(6, static_cast<std::int64_t>(e.length));
    add.step();
    if (db.has_changed()) sum += static_cast<std::uint64_t>(records::digest_of(e));
    add.reset();
  }
  return static_cast<std::int64_t>(sum);
}

bool has_record(Sqlite& db, const std::string& id) {
  Statement find(db, "SELECT 1 FROM records WHERE id = ?1");
  find.bind(1, id);
  return find.step();
}

}  // namespace

struct Database::State {
  std::string folder;
  std::mutex mutex;
  std::unique_ptr<RecordLog> log;
  std::string file_id;  ///< "" where the header is damaged: then there is no index
  std::unique_ptr<Sqlite> index;
  ino_t index_inode = 0;

  std::string index_path() const { return folder + "/" + records::kIndexFile; }
  std::string log_path() const { return folder + "/" + records::kRecordFile; }

  void open_log();
  void read_header();
  void repair_tail(const ScanResult& scan, const std::string& tail, std::size_t base);
  void open_index();
  void remove_index();
  std::size_t indexed_bytes();
  void catch_up();
  void catch_up_once();
  void commit(const std::vector<IndexEntry>& entries, std::size_t bytes, bool anew);
  std::unordered_set<std::string> known_ids(const std::vector<std::string>& ids);
  std::size_t add(const std::vector<std::string>& texts);
  [[noreturn]] void fail_index(const SqliteError& e) const;
};

void Database::State::fail_index(const SqliteError& e) const {
  detail::raise<ResourceError>(
      "E1223", detail::concat("the index of tuning records '", index_path(),
                              "' cannot be written: ", e.what(),
                              "\n  hint: the records themselves are whole; the next writer makes "
                              "up for the index"));
}

/// Opens the file, or the one that took its place.
void Database::State::open_log() {
  if (log && log->is_current()) return;
  log.reset();
  index.reset();
  file_id.clear();
  log = std::make_unique<RecordLog>(log_path());
}

/// Writes the header of a new file, and takes the id of one that is there.
void Database::State::read_header() {
  const auto look = [&](const std::string& text) {
    return scan_records(text, log->path(), [](const RecordPlace&) {});
  };
  if (log->size() > 0) {
    if (!file_id.empty()) return;  // known since it was opened
    const ScanResult scan = look(log->read_from(0));
    file_id = scan.id;
    if (scan.cut_line != std::size_t{0}) return;
    log->resize(0);  // its first writer died within the header
  }
  const std::string id = random_id();
  log->append(header_line(id));
  sync_folder(folder);
  file_id = id;
}

/// What a killed writer left of its last line: completed where only the end of the line is missing,
/// else cut off. It was not reported.
void Database::State::repair_tail(const ScanResult& scan, const std::string& tail,
                                  std::size_t base) {
  if (!scan.cut_line) return;
  const std::string line = tail.substr(*scan.cut_line - base);
  const auto text = record_in_line(line);
  log->resize(*scan.cut_line);
  if (text) log->append(record_line(std::string(*text)));
}

void Database::State::remove_index() {
  index.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((index_path() + suffix).c_str());
}

void Database::State::open_index() {
  if (index && inode_of(index_path()) == index_inode) return;
  index.reset();
  auto db = std::make_unique<Sqlite>(index_path(), Sqlite::Mode::kWrite, kBusyMs);
  db->run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  db->run(records::kSchema);
  const std::optional<IndexState> state = records::index_state(*db);
  if (state && !records::is_whole(*db, *state)) {
    db.reset();
    remove_index();
    return open_index();
  }
  index = std::move(db);
  index_inode = inode_of(index_path());
}

/// How much of the file the index knows; 0 for an index of another file.
std::size_t Database::State::indexed_bytes() {
  const std::optional<IndexState> state = records::index_state(*index);
  const bool is_mine = state && state->file_id == file_id && state->bytes <= log->size();
  return is_mine ? state->bytes : 0;
}

/// `anew`: the entries are all that there are.
void Database::State::commit(const std::vector<IndexEntry>& entries, std::size_t bytes, bool anew) {
  index->run("BEGIN IMMEDIATE");
  try {
    if (anew) index->run("DELETE FROM records");
    const std::optional<IndexState> before = anew ? std::nullopt : records::index_state(*index);
    const auto digest = static_cast<std::uint64_t>(before ? before->digest : 0) +
                        static_cast<std::uint64_t>(insert(*index, entries));
    Statement set(*index, "INSERT OR REPLACE INTO state VALUES (1, ?1, ?2, ?3)");
    set.bind(1, file_id);
    set.bind(2, static_cast<std::int64_t>(bytes));
    set.bind(3, static_cast<std::int64_t>(digest));
    set.step();
    index->run("COMMIT");
  } catch (const SqliteError&) {
    // Closing rolls back what a failed ROLLBACK would leave.
    index.reset();
    throw;
  }
}

/// Mends the end of the file and indexes what others left out of the index.
void Database::State::catch_up_once() {
  open_index();
  const std::size_t known = indexed_bytes();
  if (known == log->size()) return;
  const std::string tail = log->read_from(known);
  std::vector<IndexEntry> entries;
  const auto found = [&](const RecordPlace& place) {
    if (auto entry = records::entry_of(place)) entries.push_back(std::move(*entry));
  };
  const ScanResult scan = scan_records(tail, log->path(), found, known);
  repair_tail(scan, tail, known);
  commit(entries, log->size(), known == 0);
}

void Database::State::catch_up() {
  if (file_id.empty()) return;
  try {
    try {
      catch_up_once();
    } catch (const SqliteError& e) {
      if (!e.is_damage()) throw;
      remove_index();
      catch_up_once();
    }
  } catch (const SqliteError& e) {
    index.reset();
    fail_index(e);
  }
}

std::unordered_set<std::string> Database::State::known_ids(const std::vector<std::string>& ids) {
  std::unordered_set<std::string> known;
  if (index) {
    for (const std::string& id : ids) {
      if (has_record(*index, id)) known.insert(id);
    }
    return known;
  }
  const std::string text = log->read_from(0);
  scan_records(text, log->path(),
               [&](const RecordPlace& place) { known.insert(record_id(std::string(place.text))); });
  return known;
}

std::size_t Database::State::add(const std::vector<std::string>& texts) {
  const std::lock_guard guard(mutex);
  open_log();
  const FileLock lock(log->fd(), log->path());
  read_header();
  catch_up();
  std::vector<std::string> ids;
  for (const std::string& text : texts) ids.push_back(record_id(text));
  std::unordered_set<std::string> known;
  try {
    known = known_ids(ids);
  } catch (const SqliteError& e) {
    fail_index(e);
  }
  std::string lines;
  std::vector<IndexEntry> entries;
  const std::size_t begin = log->size();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!known.insert(ids[i]).second) continue;
    const std::string line = record_line(texts[i]);
    const std::string_view text(texts[i]);
    entries.push_back(*records::entry_of({text, begin + lines.size(), line.size()}));
    lines += line;
  }
  if (entries.empty()) return 0;
  log->append(lines);
  if (index) {
    try {
      commit(entries, log->size(), false);
    } catch (const SqliteError& e) {
      fail_index(e);
    }
  }
  return entries.size();
}

Database::Database(const std::string& folder) : state_(std::make_unique<State>()) {
  prepare_folder(folder);
  state_->folder = folder;
  state_->open_log();
  const FileLock lock(state_->log->fd(), state_->log->path());
  state_->read_header();
  state_->catch_up();
}

Database::~Database() = default;

const std::string& Database::folder() const { return state_->folder; }

std::size_t Database::add(std::span<const TuningRecord> records) {
  std::vector<std::string> texts;
  for (const TuningRecord& record : records) texts.push_back(record.text());
  for (const std::string& text : texts) {
    TENON_USER_CHECK(text.size() <= kMaxRecordBytes, CacheError, "E1226", "a record of ",
                     text.size(), " bytes is longer than records may be, ", kMaxRecordBytes);
  }
  const std::size_t num_added = state_->add(texts);
  ScheduleSource& source = ScheduleSource::shared();
  if (source.folder() == folder()) source.look_again();
  return num_added;
}

MergeReport Database::merge(const std::string& path) {
  const FileContents contents = read_file(path);
  MergeReport report;
  report.num_added = add(contents.records);
  report.num_known = contents.records.size() - report.num_added;
  report.damage = contents.damage;
  report.is_cut_off = contents.is_cut_off;
  return report;
}

}  // namespace tenon::tune
