#include "rules/records/record_index.h"

#include <bit>

#include "tenon/support/digest.h"

namespace tenon::records {

std::int64_t digest_of(const IndexEntry& entry) {
  Digest digest;
  digest.add(entry.id.data(), entry.id.size());
  const std::uint64_t numbers[] = {static_cast<std::uint64_t>(entry.bucket),
                                   std::bit_cast<std::uint64_t>(entry.seconds), entry.offset,
                                   entry.length, entry.is_verified ? 1u : 0u};
  digest.add(numbers, sizeof numbers);
  return static_cast<std::int64_t>(digest.low());
}

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
  Statement find(db, "SELECT file, bytes, digest FROM state");
  if (!find.step()) return std::nullopt;
  return IndexState{find.text(0), static_cast<std::size_t>(find.integer(1)), find.integer(2)};
}

bool is_whole(Sqlite& db, const IndexState& state) {
  // Through each of the two trees: a row that one of them lacks is gone for those who ask it.
  for (const char* sql :
       {"SELECT bucket, seconds, id, place, length, verified FROM records NOT INDEXED",
        "SELECT bucket, seconds, id, place, length, verified FROM records INDEXED BY by_bucket "
        "WHERE bucket >= -9223372036854775807 - 1"}) {
    std::uint64_t sum = 0;
    Statement rows(db, sql);
    while (rows.step()) {
      sum += static_cast<std::uint64_t>(digest_of(
          {rows.integer(0), rows.number(1), rows.text(2), static_cast<std::size_t>(rows.integer(3)),
           static_cast<std::size_t>(rows.integer(4)), rows.integer(5) != 0}));
    }
    if (static_cast<std::int64_t>(sum) != state.digest) return false;
  }
  return true;
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
