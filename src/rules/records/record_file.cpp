#include "tenon/rules/record_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/rt/crc32c.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "tenon tuning records";
constexpr int kVersion = 1;
constexpr std::string_view kBegin = R"({"length": )";
constexpr std::string_view kMiddle = R"(, "crc32c": ")";
constexpr std::string_view kHeader = R"(", "header": )";
constexpr std::string_view kRecord = R"(", "record": )";
constexpr std::size_t kDigits = 8;
constexpr std::size_t kPrefix = kBegin.size() + kDigits + kMiddle.size() + kDigits + kRecord.size();
static_assert(kHeader.size() == kRecord.size());
/// After the object: a brace and the line break.
constexpr std::size_t kSuffix = 2;

std::string line_of(std::string_view kind, const std::string& text) {
  char numbers[2][kDigits + 1];
  std::snprintf(numbers[0], sizeof numbers[0], "%8u", static_cast<unsigned>(text.size()));
  std::snprintf(numbers[1], sizeof numbers[1], "%08x", rt::crc32c(0, text.data(), text.size()));
  std::string line(kBegin);
  line.append(numbers[0]).append(kMiddle).append(numbers[1]).append(kind);
  return line.append(text).append("}\n");
}

/// What a line says, when it is whole.
struct Line {
  bool is_header = false;
  std::string_view text;
  std::size_t length = 0;      ///< with brace and line break, as far as the file goes
  bool has_separators = true;  ///< brace and line break are what they should be
  bool is_cut_off = false;     ///< brace or line break are behind the end of the file
};

struct LineOrReason {
  std::optional<Line> line;
  const char* why = "";
  bool is_cut_off = false;  ///< the file ends before the object does
};

std::optional<std::uint32_t> number_in(std::string_view digits, int base) {
  digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
  std::uint32_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

LineOrReason parse_line(std::string_view file) {
  const std::string_view begin = file.substr(0, kBegin.size());
  if (begin != kBegin.substr(0, begin.size())) return {std::nullopt, "no record begins here"};
  if (file.size() < kPrefix)
    return {std::nullopt, "the file ends in the beginning of a line", true};
  std::size_t at = kBegin.size();
  const auto length = number_in(file.substr(at, kDigits), 10);
  at += kDigits;
  const bool has_middle = file.substr(at, kMiddle.size()) == kMiddle;
  at += kMiddle.size();
  const auto crc = number_in(file.substr(at, kDigits), 16);
  at += kDigits;
  const std::string_view kind = file.substr(at, kRecord.size());
  const bool is_header = kind == kHeader;
  if (!length || !crc || !has_middle || (!is_header && kind != kRecord))
    return {std::nullopt, "the beginning of the line is not as it was written"};
  if (*length > kMaxRecordBytes) return {std::nullopt, "the length is beyond all records"};
  if (file.size() - kPrefix < *length)
    return {std::nullopt, "the file ends before the record does", true};
  Line line;
  line.is_header = is_header;
  line.text = file.substr(kPrefix, *length);
  if (rt::crc32c(0, line.text.data(), line.text.size()) != *crc)
    return {std::nullopt, "the checksum does not hold"};
  const std::string_view suffix = file.substr(kPrefix + *length, kSuffix);
  line.length = kPrefix + *length + suffix.size();
  line.is_cut_off = suffix.size() < kSuffix;
  line.has_separators = suffix == std::string_view("}\n").substr(0, suffix.size());
  return {line};
}

/// Where the next line begins after `at`, or the end.
std::size_t next_line(std::string_view file, std::size_t at) {
  const std::size_t found = file.find("\n" + std::string(kBegin), at);
  return found == std::string_view::npos ? file.size() : found + 1;
}

/// Reads a file from one line to the next.
class Scanner {
 public:
  Scanner(std::string_view file, const std::string& name,
          const std::function<void(const RecordPlace&)>& found, std::size_t base)
      : file_(file), name_(name), found_(found), base_(base) {}

  ScanResult run() {
    const bool from_the_beginning = base_ == 0;
    out_.end = base_;
    while (at_ < file_.size()) {
      const LineOrReason here = parse_line(file_.substr(at_));
      if (here.line) {
        whole(*here.line);
      } else {
        damaged(here);
      }
    }
    check_promise();
    const bool has_any = out_.num_records > 0 || num_headers_ > 0;
    // Without damage it is empty, or ends within its header.
    TENON_USER_CHECK(!from_the_beginning || has_any || out_.damage.empty(), CacheError, "E1201",
                     "'", name_,
                     "' is no file of tuning records\n  hint: 'tenon tune export' makes one");
    return std::move(out_);
  }

 private:
  void note(std::size_t offset, const std::string& what, bool loses_record) {
    // Lines are counted only for damage.
    const auto begin = file_.begin();
    const auto line = 1 +
                      std::count(begin + static_cast<long>(counted_to_),
                                 begin + static_cast<long>(offset), '\n') +
                      static_cast<long>(lines_before_);
    lines_before_ = static_cast<std::size_t>(line) - 1;
    counted_to_ = offset;
    out_.damage.push_back({lines_before_ + 1, base_ + offset, what, loses_record});
  }

  void whole(const Line& line) {
    if (line.is_header) {
      header(line);
    } else {
      if (base_ + at_ == 0) note(0, "no header stands first", false);
      ++out_.num_records;
      ++in_segment_;
      found_({line.text, base_ + at_, line.length});
    }
    if (line.is_cut_off) {
      cut_off();
    } else if (!line.has_separators) {
      note(at_, "the end of the line is not as it was written", false);
    }
    at_ += line.length;
    out_.end = base_ + at_;
  }

  void damaged(const LineOrReason& here) {
    const std::size_t next = next_line(file_, at_ + 1);
    // A wrong length may point behind the end as well: only the last line can be cut off.
    const bool is_last = next == file_.size();
    const bool has_break = file_.substr(at_, next - at_).find('\n') != std::string_view::npos;
    if (here.is_cut_off && is_last && !has_break) {
      cut_off();
    } else {
      const bool is_first = base_ + at_ == 0;
      note(at_, is_first ? std::string("the header: ") + here.why : here.why, !is_first);
      in_segment_ += is_first ? 0 : 1;
    }
    at_ = next;
  }

  void cut_off() {
    out_.is_cut_off = true;
    out_.cut_line = base_ + at_;
  }

  void header(const Line& line) {
    check_promise();
    in_segment_ = 0;
    promised_.reset();
    ++num_headers_;
    try {
      const Json j = Json::parse(line.text);
      const int version = j.at("version").get<int>();
      TENON_USER_CHECK(j.at("format") == kFormat, CacheError, "E1201", "'", name_,
                       "' is no file of tuning records, but of '", j.at("format").dump(), "'");
      TENON_USER_CHECK(version == kVersion, CacheError, "E1202", "'", name_, "' has version ",
                       version, " of the format of tuning records; this is ", kVersion,
                       "\n  hint: export it again with this version of Tenon");
      if (base_ + at_ == 0) out_.id = j.value("id", "");
      if (j.contains("records")) promised_ = j.at("records").get<std::size_t>();
    } catch (const Json::exception&) {
      detail::raise<CacheError>("E1201", "'" + name_ + "' is no file of tuning records");
    }
  }

  /// Whether the segment that ends here has all its records.
  void check_promise() {
    if (promised_ && in_segment_ < *promised_) out_.is_cut_off = true;
  }

  std::string_view file_;
  const std::string& name_;
  const std::function<void(const RecordPlace&)>& found_;
  const std::size_t base_;
  ScanResult out_;
  std::size_t at_ = 0;
  std::size_t counted_to_ = 0, lines_before_ = 0;
  std::size_t num_headers_ = 0;
  std::size_t in_segment_ = 0;  ///< records since the last header, damaged ones included
  std::optional<std::size_t> promised_;
};

}  // namespace

std::string record_line(const std::string& text) { return line_of(kRecord, text); }

std::string header_line(const std::string& id, std::optional<std::size_t> num_records) {
  Json j = {{"format", kFormat}, {"version", kVersion}, {"id", id}};
  if (num_records) j["records"] = *num_records;
  return line_of(kHeader, j.dump());
}

std::string RecordDamage::str() const {
  return detail::concat("line ", line, " (offset ", offset, "): ", what,
                        loses_record ? "; the record is lost" : "; no record is lost");
}

ScanResult scan_records(std::string_view file, const std::string& name,
                        const std::function<void(const RecordPlace&)>& found, std::size_t base) {
  return Scanner(file, name, found, base).run();
}

std::optional<std::string_view> record_in_line(std::string_view line) {
  const LineOrReason here = parse_line(line);
  if (!here.line || here.line->is_header) return std::nullopt;
  return here.line->text;
}

std::string read_record_file(const std::string& path) {
  const auto fail = [&](const std::string& why) {
    detail::raise<ResourceError>("E1203", "cannot read '" + path + "': " + why);
  };
  // Without O_NONBLOCK a pipe would wait for a writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail(std::strerror(errno));
  struct stat info = {};
  std::string content;
  std::string why;
  if (::fstat(fd, &info) != 0) {
    why = std::strerror(errno);
  } else if (!S_ISREG(info.st_mode)) {
    why = "it is no regular file";
  } else {
    content.resize(static_cast<std::size_t>(info.st_size));
    std::size_t at = 0;
    while (at < content.size()) {
      const ssize_t n =
          ::pread(fd, content.data() + at, content.size() - at, static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) why = std::strerror(errno);
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
    content.resize(at);
  }
  ::close(fd);
  if (!why.empty()) fail(why);
  return content;
}

}  // namespace tenon
