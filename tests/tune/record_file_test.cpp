#include "tenon/rules/record_file.h"

#include <gtest/gtest.h>

#include "tune/samples.h"

namespace tenon::tune {
namespace {

/// What is read of a file with this content.
FileContents contents_of(const TemporaryFolder& folder, const std::string& bytes) {
  write_bytes(folder / "x.jsonl", bytes);
  return read_file(folder / "x.jsonl");
}

template <typename F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(RecordFile, holds_what_was_written) {
  const TemporaryFolder folder;
  std::vector<TuningRecord> records = small_records(5);
  records.push_back(sample_record(8, 1e-4));
  write_file(records, folder / "x.jsonl");
  const FileContents read = read_file(folder / "x.jsonl");
  EXPECT_EQ(texts_of(read.records), texts_of(records));
  EXPECT_TRUE(read.damage.empty());
  EXPECT_FALSE(read.is_cut_off);
}

TEST(RecordFile, appended_files_are_one) {
  const TemporaryFolder folder;
  write_file(small_records(2, 1), folder / "a.jsonl");
  write_file(small_records(3, 2), folder / "b.jsonl");
  const FileContents read =
      contents_of(folder, read_bytes(folder / "a.jsonl") + read_bytes(folder / "b.jsonl"));
  EXPECT_EQ(read.records.size(), 5u);
  EXPECT_TRUE(read.damage.empty());
  EXPECT_FALSE(read.is_cut_off);
}

// The bar of the format: whatever byte changes, and to whatever, at most one record is lost, and it
// is named by the line and offset where it begins.
TEST(RecordFile, one_flipped_byte_loses_at_most_one_record_and_names_it) {
  const TemporaryFolder folder;
  const std::vector<TuningRecord> records = small_records(4);
  write_file(records, folder / "x.jsonl");
  const std::string bytes = read_bytes(folder / "x.jsonl");
  std::vector<std::size_t> begins;  // of lines
  for (std::size_t at = 0; at < bytes.size(); at = bytes.find('\n', at) + 1) begins.push_back(at);
  ASSERT_EQ(begins.size(), 5u);
  const std::vector<std::string> all = texts_of(records);
  int num_lost = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int mask : {0x01, 0x20, 0x80, 0xff, bytes[at] ^ '\n', bytes[at] ^ '{'}) {
      if (mask == 0) continue;
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ mask);
      std::vector<std::string> texts;
      const auto found = [&](const RecordPlace& place) { texts.emplace_back(place.text); };
      const ScanResult scan = scan_records(changed, "x", found);
      ASSERT_GE(texts.size() + 1, all.size()) << "byte " << at << " ^ " << mask;
      for (const std::string& text : texts)
        ASSERT_TRUE(std::find(all.begin(), all.end(), text) != all.end());
      const bool is_lost = texts.size() < all.size();
      num_lost += is_lost ? 1 : 0;
      // A digit of a checksum in the other case means the same.
      if (!is_lost && mask == 0x20 && std::isalpha(bytes[at]) != 0 && scan.damage.empty()) continue;
      ASSERT_EQ(scan.damage.size(), 1u) << "byte " << at << " ^ " << mask;
      ASSERT_EQ(scan.damage[0].loses_record, is_lost) << scan.damage[0].str();
      ASSERT_FALSE(scan.is_cut_off) << "byte " << at;
      const auto line = std::upper_bound(begins.begin(), begins.end(), at) - begins.begin();
      ASSERT_EQ(scan.damage[0].line, static_cast<std::size_t>(line)) << "byte " << at;
      ASSERT_EQ(scan.damage[0].offset, begins[static_cast<std::size_t>(line - 1)]);
    }
  }
  EXPECT_GT(num_lost, 1000);
}

// Cut anywhere: the records before the cut are there, and the file is known to be cut.
TEST(RecordFile, a_cut_file_says_so_and_keeps_what_is_whole) {
  const TemporaryFolder folder;
  write_file(small_records(3), folder / "x.jsonl");
  const std::string bytes = read_bytes(folder / "x.jsonl");
  const std::size_t header = bytes.find('\n') + 1;
  for (std::size_t end = 0; end < bytes.size(); ++end) {
    std::size_t count = 0;
    const auto found = [&](const RecordPlace&) { ++count; };
    const ScanResult scan = scan_records(std::string_view(bytes).substr(0, end), "x", found);
    ASSERT_TRUE(scan.damage.empty()) << end;
    ASSERT_EQ(scan.is_cut_off, end > 0) << end;
    ASSERT_LE(count, 3u);
    ASSERT_TRUE(end >= header || count == 0) << end;
  }
}

TEST(RecordFile, files_that_are_not_ours_or_of_another_version_are_told_apart) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& bytes) {
    return message_of([&] { contents_of(folder, bytes); });
  };
  EXPECT_NE(refused("hello\n").find("is no file of tuning records [E1201]"), std::string::npos);
  EXPECT_NE(refused(std::string(5000, '\0')).find("[E1201]"), std::string::npos);
  EXPECT_NE(refused("{\"length\": 3}\n{}\n").find("[E1201]"), std::string::npos);
  EXPECT_NE(refused("SQLite format 3").find("[E1201]"), std::string::npos);
  // Headers made by other versions or programs, whole by themselves.
  const auto with_header = [](const std::string& text) {
    std::string line = record_line(text);
    return line.replace(line.find("\"record\""), 8, "\"header\"") + record_line("{}");
  };
  const std::string other =
      refused(with_header(R"({"format":"tenon tuning records","version":2,"id":""})"));
  EXPECT_NE(other.find("has version 2 of the format of tuning records; this is 1 [E1202]"),
            std::string::npos)
      << other;
  EXPECT_NE(refused(with_header(R"({"format":"recipes","version":1})")).find("[E1201]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { read_file(folder / "none"); }).find("No such file"),
            std::string::npos);
  EXPECT_NE(message_of([&] { read_file(folder / "."); }).find("no regular file [E1203]"),
            std::string::npos);
}

TEST(RecordFile, a_line_with_a_checksum_that_is_no_record_is_named) {
  const TemporaryFolder folder;
  const FileContents read = contents_of(
      folder, header_line("") + record_line("{}") + record_line(small_records(1)[0].text()));
  EXPECT_EQ(read.records.size(), 1u);
  ASSERT_EQ(read.damage.size(), 1u);
  EXPECT_EQ(read.damage[0].line, 2u);
  EXPECT_NE(read.damage[0].str().find("the record is lost"), std::string::npos);
}

}  // namespace
}  // namespace tenon::tune
