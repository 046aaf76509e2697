#pragma once

/// The best record of a key in a folder of records, read only.

#include <memory>
#include <optional>
#include <string>

#include "tenon/rules/record.h"

namespace tenon {

struct FoundRecord {
  std::optional<TuningRecord> record;
  std::string problem;  ///< what was damaged on the way; "" for nothing
};

/// Looks records up in a folder, beside writers in other processes, whose records it sees as soon
/// as they are reported. Uses the index where it can, and reads the whole file into memory where
/// not. Writes nothing. Not thread-safe.
class RecordLookup {
 public:
  /// Null where the folder holds no records. CacheError [E1201, E1202] for a file that is not ours
  /// or of another version, ResourceError [E1203] where it cannot be read.
  static std::unique_ptr<RecordLookup> open(const std::string& folder);
  ~RecordLookup();

  /// The fastest verified record of the key on a machine of this class; the one with the lowest id
  /// among equals.
  FoundRecord find(const TuningKey& key, const std::string& machine);

  /// Whether the folder still holds the file that was opened.
  bool is_current() const;

 private:
  struct State;
  explicit RecordLookup(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tenon
