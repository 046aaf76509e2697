#pragma once

/// Functions, records and folders for the tests of this floor.

#include <string>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/rules/record.h"
#include "tenon/tune/database.h"

namespace tenon::tune {

/// relu(A B): `prefix` goes before every name.
Function product(std::int64_t rows, const std::string& prefix = "", std::int64_t inner = 32);
/// A verified record of product(rows) on this machine, with a schedule that no rule makes.
TuningRecord sample_record(std::int64_t rows, double seconds);
/// Many small ones, quickly: the same schedule under made-up structures.
std::vector<TuningRecord> small_records(int count, int seed = 0);

/// Removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string read_bytes(const std::string& path);
void write_bytes(const std::string& path, const std::string& bytes);
/// Sorted.
std::vector<std::string> texts_of(const std::vector<TuningRecord>& records);

}  // namespace tenon::tune
