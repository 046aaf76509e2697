#pragma once

/// The database of tuning records: a folder that several processes write and every build reads.
/// docs/design/tuning.md.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tenon/rules/record.h"
#include "tenon/rules/record_file.h"

namespace tenon::tune {

/// What was measured of a schedule.
struct Measurement {
  double seconds = 0;          ///< one call, the median of the runs
  double default_seconds = 0;  ///< the same of the rules' schedule, alternating with it
  int num_runs = 1;
  double noise = 0;  ///< relative spread of the runs
  Verification verified = Verification::kNone;
};
/// A record of what this process measured now: `trace` was recorded on a schedule of `f`, which is
/// at block level and not scheduled.
TuningRecord make_record(const Function& f, const Target& target, const Trace& trace,
                         const Measurement& measurement);

/// What a file of records holds.
struct FileContents {
  std::vector<TuningRecord> records;  ///< each once, in the order of the file
  std::vector<RecordDamage> damage;
  bool is_cut_off = false;  ///< records that were there may be missing at its end
};
/// Reads an exported file. CacheError [E1201] for one that is not ours, [E1202] for one of another
/// version, ResourceError [E1203] for one that cannot be read.
FileContents read_file(const std::string& path);
/// Reads the database in `folder`, which may be read-only or absent (then it holds nothing); raises
/// as read_file does.
FileContents read_database(const std::string& folder);
/// Of records of one key and machine class the fastest verified one; among equals the one with the
/// lowest id. In the order of function and text, whatever the order of `records`.
std::vector<TuningRecord> best_records(const std::vector<TuningRecord>& records);
/// Writes records to a file, which appears whole or not at all. ResourceError [E1220].
void write_file(const std::vector<TuningRecord>& records, const std::string& path);

struct MergeReport {
  std::size_t num_added = 0;
  std::size_t num_known = 0;
  std::vector<RecordDamage> damage;
  bool is_cut_off = false;
};

/// A writer of the database in a folder. Any number of them may write at once, in one process or
/// several. Thread-safe.
///
/// What `add` and `merge` returned from is on the disk and stays there whatever becomes of the
/// process. Where they raise, the database is intact: records are stored whole or not at all, and
/// one that was stored before an error may be found later. Errors: ResourceError [E1221] where a
/// file cannot be opened or written (a full or read-only disk), [E1222] where another process held
/// the lock for 30 seconds, [E1223] where the records are stored but their index cannot be
/// written; CacheError as of read_file.
class Database {
 public:
  /// Opens the database, or makes it with its folder. CacheError [E1224] for a folder that belongs
  /// to others or that others can write, [E1225] for an empty name (tuning is off).
  explicit Database(const std::string& folder);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& folder() const;
  /// Stores records; those that are there already are not stored again. Returns how many were new.
  /// CacheError [E1200] for one with a time that is none.
  std::size_t add(std::span<const TuningRecord> records);
  std::size_t add(const TuningRecord& record) { return add(std::span(&record, 1)); }
  /// Stores what an exported file holds, damaged and missing records excepted.
  MergeReport merge(const std::string& path);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tenon::tune
