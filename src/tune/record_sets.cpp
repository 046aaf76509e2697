#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <tuple>
#include <unordered_set>

#include "rules/records/record_index.h"
#include "tenon/rules/record_file.h"
#include "tenon/tune/database.h"

namespace tenon::tune {
namespace {

FileContents contents_of(const std::string& file, const std::string& path) {
  FileContents contents;
  std::unordered_set<std::string> seen;
  std::vector<RecordDamage> unreadable;
  const auto found = [&](const RecordPlace& place) {
    std::string text(place.text);
    if (!seen.insert(record_id(text)).second) return;
    try {
      contents.records.push_back(TuningRecord::parse(text));
    } catch (const CacheError& e) {
      const std::string what = e.what();
      const auto line =
          1 + std::count(file.begin(), file.begin() + static_cast<long>(place.offset), '\n');
      unreadable.push_back(
          {static_cast<std::size_t>(line), place.offset, what.substr(0, what.find('\n')), true});
    }
  };
  ScanResult scan = scan_records(file, path, found);
  contents.damage = std::move(scan.damage);
  contents.damage.insert(contents.damage.end(), unreadable.begin(), unreadable.end());
  std::sort(contents.damage.begin(), contents.damage.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
  contents.is_cut_off = scan.is_cut_off;
  return contents;
}

bool is_better(const TuningRecord& a, const TuningRecord& b) {
  return a.seconds != b.seconds ? a.seconds < b.seconds : record_id(a.text()) < record_id(b.text());
}

/// Writes a file and waits for the disk; the error's number, or 0.
int write_whole(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  int error = 0;
  for (std::size_t at = 0; at < text.size() && error == 0;) {
    const ssize_t n = ::write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) error = n < 0 ? errno : ENOSPC;
    at += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
  }
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  return error;
}

}  // namespace

TuningRecord make_record(const Function& f, const Target& target, const Trace& trace,
                         const Measurement& measurement) {
  FunctionKey key = tuning_key(f, target);
  TuningRecord record;
  record.trace = without_names(trace, key.names);
  record.key = std::move(key.key);
  record.machine = machine_class();
  record.function = f->name;
  record.seconds = measurement.seconds;
  record.default_seconds = measurement.default_seconds;
  record.num_runs = measurement.num_runs;
  record.noise = measurement.noise;
  record.verified = measurement.verified;
  record.date = utc_now();
  return record;
}

FileContents read_file(const std::string& path) {
  return contents_of(read_record_file(path), path);
}

FileContents read_database(const std::string& folder) {
  const std::string path = folder + "/" + records::kRecordFile;
  struct stat info = {};
  if (folder.empty() || (::stat(path.c_str(), &info) != 0 && errno == ENOENT)) return {};
  return read_file(path);
}

std::vector<TuningRecord> best_records(const std::vector<TuningRecord>& records) {
  using Place =
      std::tuple<std::string, std::string, std::string, std::string, std::string, std::string, int>;
  std::map<Place, const TuningRecord*> best;
  for (const TuningRecord& r : records) {
    if (r.verified == Verification::kNone) continue;
    const TuningKey& k = r.key;
    const Place place{k.structure, k.shapes,  k.target,     k.compiler,
                      k.numeric,   r.machine, k.num_threads};
    const auto [it, is_new] = best.try_emplace(place, &r);
    if (!is_new && is_better(r, *it->second)) it->second = &r;
  }
  std::vector<TuningRecord> out;
  for (const auto& [place, record] : best) out.push_back(*record);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::make_pair(a.function, a.text()) < std::make_pair(b.function, b.text());
  });
  return out;
}

void write_file(const std::vector<TuningRecord>& records, const std::string& path) {
  std::string text = header_line("", records.size());
  for (const TuningRecord& record : records) text += record_line(record.text());
  const std::string temporary = path + ".new-" + std::to_string(::getpid());
  int error = write_whole(temporary, text);
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return;
  ::unlink(temporary.c_str());
  detail::raise<ResourceError>("E1220", "cannot write '" + path + "': " + std::strerror(error));
}

}  // namespace tenon::tune
