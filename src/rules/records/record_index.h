#pragma once

/// The index of a file of records: which lines may hold the best record of a key.

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "rules/records/sqlite.h"
#include "tenon/rules/record.h"
#include "tenon/rules/record_file.h"

namespace tenon::records {

/// A line of the file, as far as a look-up wants to know. In the order of `operator<` the best one
/// comes first.
struct IndexEntry {
  std::int64_t bucket = 0;
  double seconds = 0;
  std::string id;
  std::size_t offset = 0;
  std::size_t length = 0;
  bool is_verified = false;

  bool operator<(const IndexEntry& other) const {
    return seconds != other.seconds ? seconds < other.seconds : id < other.id;
  }
};
/// Of all that the index has of a line. The sum over its rows shows rows that are changed or gone.
std::int64_t digest_of(const IndexEntry& entry);
/// Nothing where the text is no record.
std::optional<IndexEntry> entry_of(const RecordPlace& place);

/// In memory, for what no index on disk knows.
class MemoryIndex {
 public:
  void add(IndexEntry entry) { entries_.emplace(entry.bucket, std::move(entry)); }
  void clear() { entries_.clear(); }
  /// Appends the verified ones of a bucket.
  void find(std::int64_t bucket, std::vector<IndexEntry>* out) const;

 private:
  std::unordered_multimap<std::int64_t, IndexEntry> entries_;
};

constexpr const char* kRecordFile = "records.jsonl";
constexpr const char* kIndexFile = "index.sqlite";

/// The tables; `state` has one row: the id of the file, how many of its bytes are indexed, and the
/// sum of digest_of over all rows of `records`.
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, verified "
    "INTEGER NOT NULL, seconds REAL NOT NULL, place INTEGER NOT NULL, length INTEGER NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS by_bucket ON records (bucket, verified, seconds, id);"
    "CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), file TEXT NOT "
    "NULL, bytes INTEGER NOT NULL, digest INTEGER NOT NULL);";

struct IndexState {
  std::string file_id;
  std::size_t bytes = 0;
  std::int64_t digest = 0;
};
/// Nothing for a fresh index.
std::optional<IndexState> index_state(Sqlite& db);
/// Whether all rows are there, each as it was written. Reads the whole index.
bool is_whole(Sqlite& db, const IndexState& state);
/// Appends the verified ones of a bucket.
void find_entries(Sqlite& db, std::int64_t bucket, std::vector<IndexEntry>* out);

}  // namespace tenon::records
