#pragma once

/// The file format of records: lines of JSON with a length and a checksum each.
///
/// ```
/// {"length":       94, "crc32c": "5f1d2a07", "header": {...}}
/// {"length":     3120, "crc32c": "e0b13c55", "record": {...}}
/// ```
///
/// A header stands first, and again where files were appended to each other. Length and checksum
/// are of the object after "header" or "record". Readers find the end of a record by its length
/// and, where that fails, the next record by a line break and the fixed beginning of a line, which
/// no JSON text contains inside.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// No record is longer, in bytes.
constexpr std::size_t kMaxRecordBytes = std::size_t{16} << 20;

/// A line, with its line break.
std::string record_line(const std::string& text);
/// The first line of a file; `num_records` of a file that is complete, for others absent.
std::string header_line(const std::string& id, std::optional<std::size_t> num_records = {});

/// A part of a file that is not as it was written.
struct RecordDamage {
  std::size_t line = 0;    ///< from 1
  std::size_t offset = 0;  ///< in bytes from the beginning of the file
  std::string what;
  bool loses_record = true;  ///< false for a separator or a header
  std::string str() const;   ///< "line 3 (offset 1042): the checksum does not hold"
};

/// One whole record of a file.
struct RecordPlace {
  std::string_view text;
  std::size_t offset = 0;  ///< of its line
  std::size_t length = 0;  ///< of its line, with the line break (or to the end of the file)
};

struct ScanResult {
  std::string id;                    ///< of the first header; "" where that is damaged
  std::vector<RecordDamage> damage;  ///< in the order of the file
  std::size_t num_records = 0;       ///< whole ones
  std::size_t end = 0;               ///< where the last whole record (or header) ends
  bool is_cut_off = false;  ///< the file ends within a line, or before all that a header promises
  std::optional<std::size_t> cut_line;  ///< the offset of the line within which it ends
};

/// Calls `found` for every whole record. `file` is a file from its byte `base`, the beginning of a
/// line, on; offsets count from the beginning of the file, lines from `base`.
/// CacheError [E1201] for a file that is not ours, [E1202] for one of another version, named
/// `name`. An empty file, or one that is cut off in its first header, has no records.
ScanResult scan_records(std::string_view file, const std::string& name,
                        const std::function<void(const RecordPlace&)>& found, std::size_t base = 0);

/// The record whose line begins at the start of `line`; nothing where it is damaged.
std::optional<std::string_view> record_in_line(std::string_view line);

/// The content of a file. ResourceError [E1203] where it cannot be read.
std::string read_record_file(const std::string& path);

}  // namespace tenon
