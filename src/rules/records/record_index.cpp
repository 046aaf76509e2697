#include "rules/records/record_index.h"

namespace tenon::records {

std::optional<IndexEntry> entry_of(const RecordPlace& place) {
  const std::string text(place.text);
  try {
    const TuningRecord record = TuningRecord::parse(text);
    return IndexEntry{record_bucket(record.key, record.machine),
                      record.seconds,
                      record_id(text),
                      place.offset,
                      place.length,
                      record.verified != Verification::kNone};
  } catch (const CacheError&) {
    return std::nullopt;
  }
}

void MemoryIndex::find(std::int64_t bucket, std::vector<IndexEntry>* out) const {
  const auto [first, last] = entries_.equal_range(bucket);
  for (auto it = first; it != last; ++it) {
    if (it->second.is_verified) out->push_back(it->second);
  }
}

std::optional<IndexState> index_state(Sqlite& db) {
  Statement find(db, "SELECT file, bytes FROM state");
  if (!find.step()) return std::nullopt;
  return IndexState{find.text(0), static_cast<std::size_t>(find.integer(1))};
}

void find_entries(Sqlite& db, std::int64_t bucket, std::vector<IndexEntry>* out) {
  Statement find(db,
                 "SELECT seconds, id, place, length FROM records WHERE bucket = ?1 AND "
                 "verified = 1 ORDER BY seconds, id");
  find.bind(1, bucket);
  while (find.step()) {
    out->push_back({bucket, find.number(0), find.text(1), static_cast<std::size_t>(find.integer(2)),
                    static_cast<std::size_t>(find.integer(3)), true});
  }
}

}  // namespace tenon::records
