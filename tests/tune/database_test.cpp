#include "tenon/tune/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "rules/records/sqlite.h"
#include "tenon/rules/record_lookup.h"
#include "tune/samples.h"

namespace tenon::tune {
namespace {

namespace fs = std::filesystem;

template <typename E, typename F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing was raised";
}

std::optional<TuningRecord> look_up(const std::string& folder, const TuningRecord& like) {
  const auto lookup = RecordLookup::open(folder);
  return lookup ? lookup->find(like.key, like.machine).record : std::nullopt;
}

TEST(Database, keeps_what_was_added_for_others_to_find) {
  const TemporaryFolder root;
  const std::string folder = root / "sub/tuning";
  EXPECT_EQ(RecordLookup::open(folder), nullptr);
  EXPECT_TRUE(read_database(folder).records.empty());
  const std::vector<TuningRecord> records = small_records(20);
  Database database(folder);
  EXPECT_EQ(database.add(records), 20u);
  EXPECT_EQ(database.add(records), 0u);
  for (const TuningRecord& r : records) EXPECT_EQ(look_up(folder, r)->text(), r.text());
  EXPECT_EQ(texts_of(read_database(folder).records), texts_of(records));
  struct stat info = {};
  ASSERT_EQ(::stat(folder.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(Database, the_fastest_verified_record_is_found) {
  const TemporaryFolder root;
  Database database(root / "tuning");
  TuningRecord slow = sample_record(8, 3e-4), fast = sample_record(8, 2e-4);
  TuningRecord unverified = sample_record(8, 1e-4);
  unverified.verified = Verification::kNone;
  database.add(std::vector<TuningRecord>{slow, unverified, fast});
  EXPECT_EQ(look_up(root / "tuning", slow)->seconds, 2e-4);
  const auto lookup = RecordLookup::open(root / "tuning");
  database.add(sample_record(8, 1.5e-4));
  EXPECT_EQ(lookup->find(slow.key, slow.machine).record->seconds, 1.5e-4);
}

// A record for anything else is never used: one test for each part of the key.
struct KeyPart {
  const char* name;
  std::function<void(TuningRecord*)> change;
};
class KeyPartTest : public ::testing::TestWithParam<KeyPart> {};

TEST_P(KeyPartTest, a_record_for_another_is_not_used) {
  const TemporaryFolder root;
  const TuningRecord wanted = sample_record(8, 1e-4);
  TuningRecord other = wanted;
  GetParam().change(&other);
  Database database(root / "tuning");
  database.add(other);
  EXPECT_FALSE(look_up(root / "tuning", wanted).has_value());
  database.add(wanted);
  EXPECT_EQ(look_up(root / "tuning", wanted)->text(), wanted.text());
  EXPECT_EQ(look_up(root / "tuning", other)->text(), other.text());
}

INSTANTIATE_TEST_SUITE_P(
    Database, KeyPartTest,
    ::testing::Values(
        KeyPart{"structure", [](TuningRecord* r) { r->key.structure.back() ^= 1; }},
        KeyPart{"shapes", [](TuningRecord* r) { r->key.shapes += " "; }},
        KeyPart{"target", [](TuningRecord* r) { r->key.target += " -mattr=-avx512vnni"; }},
        KeyPart{"compiler", [](TuningRecord* r) { r->key.compiler.back() ^= 1; }},
        KeyPart{"numeric", [](TuningRecord* r) { r->key.numeric = "reassociate=on"; }},
        KeyPart{"threads", [](TuningRecord* r) { r->key.num_threads += 1; }},
        KeyPart{"machine", [](TuningRecord* r) { r->machine += " II"; }}),
    [](const auto& part) { return std::string(part.param.name); });

// Two keys of one bucket: the whole key decides. (No two keys with one hash are known; the index is
// told a lie.)
TEST(Database, another_key_of_the_bucket_is_not_used) {
  const TemporaryFolder root;
  const std::vector<TuningRecord> two = small_records(2);
  Database database(root / "tuning");
  database.add(two);
  const std::string sql =
      "UPDATE records SET bucket = " + std::to_string(record_bucket(two[0].key, two[0].machine));
  records::Sqlite(root / "tuning/index.sqlite", records::Sqlite::Mode::kWrite, 1000)
      .run(sql.c_str());
  EXPECT_EQ(look_up(root / "tuning", two[0])->text(), two[0].text());
  EXPECT_FALSE(look_up(root / "tuning", two[1]).has_value());
}

TEST(Database, machines_merge_to_the_same_best_in_any_order) {
  const TemporaryFolder root;
  std::vector<TuningRecord> a = small_records(10), b = small_records(10);
  for (std::size_t i = 0; i < b.size(); ++i) {
    b[i].seconds = i % 3 == 0 ? a[i].seconds : a[i].seconds * (i % 2 == 0 ? 0.5 : 2);
    b[i].date = "2026-12-01T00:00:00Z";
    if (i == 7) b[i].machine = "another";
  }
  Database(root / "a").add(a);
  Database(root / "b").add(b);
  write_file(read_database(root / "a").records, root / "a.jsonl");
  write_file(read_database(root / "b").records, root / "b.jsonl");
  Database ab(root / "ab"), ba(root / "ba");
  ab.merge(root / "a.jsonl");
  const MergeReport report = ab.merge(root / "b.jsonl");
  EXPECT_EQ(report.num_added, 10u);
  EXPECT_EQ(ab.merge(root / "b.jsonl").num_known, 10u);
  ba.merge(root / "b.jsonl");
  ba.merge(root / "a.jsonl");
  const auto best = [&](const char* name) {
    return texts_of(best_records(read_database(root / name).records));
  };
  EXPECT_EQ(best("ab"), best("ba"));
  EXPECT_EQ(best("ab").size(), 11u);
  for (const TuningRecord& r : a)
    EXPECT_EQ(look_up(root / "ab", r)->text(), look_up(root / "ba", r)->text());
  EXPECT_EQ(look_up(root / "ab", a[2])->seconds, a[2].seconds / 2);
  EXPECT_EQ(look_up(root / "ab", a[1])->seconds, a[1].seconds);
}

TEST(Database, merging_a_damaged_file_takes_the_rest_and_says_what_is_lost) {
  const TemporaryFolder root;
  write_file(small_records(4), root / "x.jsonl");
  std::string bytes = read_bytes(root / "x.jsonl");
  bytes[bytes.find("bit-equal")] ^= 1;
  write_bytes(root / "x.jsonl", bytes.substr(0, bytes.size() - 5));
  Database database(root / "tuning");
  const MergeReport report = database.merge(root / "x.jsonl");
  EXPECT_EQ(report.num_added, 2u);
  EXPECT_EQ(report.damage.size(), 1u);
  EXPECT_TRUE(report.is_cut_off);
}

TEST(Database, four_writers_at_once_lose_nothing) {
  const TemporaryFolder root;
  std::vector<std::thread> writers;
  std::vector<TuningRecord> all;
  for (int w = 0; w < 4; ++w) {
    const std::vector<TuningRecord> mine = small_records(40, w);
    all.insert(all.end(), mine.begin(), mine.end());
    writers.emplace_back([mine, folder = root / "tuning"] {
      Database database(folder);
      for (const TuningRecord& r : mine) database.add(r);
    });
  }
  for (std::thread& t : writers) t.join();
  EXPECT_EQ(texts_of(read_database(root / "tuning").records), texts_of(all));
  for (const TuningRecord& r : all) ASSERT_TRUE(look_up(root / "tuning", r).has_value());
}

TEST(Database, a_lost_damaged_or_foreign_index_is_made_anew) {
  const TemporaryFolder root;
  const std::string folder = root / "tuning", index = folder + "/index.sqlite";
  const std::vector<TuningRecord> records = small_records(8);
  Database(folder).add(records);
  const std::string good = read_bytes(index);
  Database(root / "other").add(small_records(3, 9));
  const std::string foreign = read_bytes(root / "other/index.sqlite");
  const std::vector<std::string> cases = {"", "no database", good.substr(0, 5000),
                                          std::string(good.size(), '\xff'), foreign};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    write_bytes(index, cases[i]);
    for (const TuningRecord& r : records) ASSERT_TRUE(look_up(folder, r).has_value()) << i;
    TuningRecord more = small_records(1, static_cast<int>(100 + i))[0];
    Database database(folder);
    database.add(more);
    for (const TuningRecord& r : records) ASSERT_TRUE(look_up(folder, r).has_value()) << i;
    ASSERT_TRUE(look_up(folder, more).has_value()) << i;
  }
  fs::remove(index);
  EXPECT_TRUE(look_up(folder, records[3]).has_value());
}

// Any byte of the index: builds find the record or, at worst, none; the next writer makes it anew.
TEST(Database, one_flipped_byte_of_the_index_loses_nothing) {
  const TemporaryFolder root;
  const std::string folder = root / "tuning", index = folder + "/index.sqlite";
  const std::vector<TuningRecord> records = small_records(6);
  Database(folder).add(records);
  const std::string good = read_bytes(index);
  ASSERT_GT(good.size(), 10000u);
  const TuningRecord wanted = records[4];
  for (std::size_t at = 0; at < good.size(); at += good[at] != 0 || at < 100 ? 3 : 61) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 0x11);
    write_bytes(index, changed);
    const std::optional<TuningRecord> found = look_up(folder, wanted);
    ASSERT_TRUE(!found || found->text() == wanted.text()) << at;
    ASSERT_NO_THROW(Database{folder}) << at;
    for (const TuningRecord& r : records) ASSERT_TRUE(look_up(folder, r).has_value()) << at;
  }
}

TEST(Database, a_damaged_record_is_passed_over_for_the_next_best) {
  const TemporaryFolder root;
  const std::string file = root / "tuning/records.jsonl";
  Database database(root / "tuning");
  const TuningRecord slow = sample_record(8, 2e-4), fast = sample_record(8, 1e-4);
  database.add(slow);
  database.add(fast);
  std::string bytes = read_bytes(file);
  bytes[bytes.rfind("bit-equal")] = 'B';
  write_bytes(file, bytes);
  const auto lookup = RecordLookup::open(root / "tuning");
  const FoundRecord found = lookup->find(slow.key, slow.machine);
  EXPECT_EQ(found.record->seconds, 2e-4);
  EXPECT_NE(found.problem.find("is damaged"), std::string::npos);
  const FileContents contents = read_database(root / "tuning");
  ASSERT_EQ(contents.damage.size(), 1u);
  EXPECT_EQ(contents.damage[0].line, 3u);
}

TEST(Database, what_a_killed_writer_left_of_a_line_is_completed_or_cut_off) {
  const TemporaryFolder root;
  const std::string folder = root / "tuning", file = folder + "/records.jsonl";
  const std::vector<TuningRecord> records = small_records(3);
  Database(folder).add(std::span(records).first(2));
  const std::string whole = read_bytes(file);
  const std::size_t last = whole.rfind("{\"length\"");
  const std::size_t header = whole.find('\n') + 1;
  for (std::size_t end = 1; end < whole.size(); ++end) {
    const bool is_special = end < 12 || (end + 2 > header && end < header + 12) || end + 4 > last;
    if (!is_special || (end > last + 70 && end + 4 < whole.size())) continue;
    write_bytes(file, whole.substr(0, end));
    fs::remove(folder + "/index.sqlite");  // of other bytes under the same id
    ASSERT_NO_THROW(Database(folder).add(records[2])) << end;
    const FileContents contents = read_database(folder);
    ASSERT_TRUE(contents.damage.empty()) << end << ": " << contents.damage[0].str();
    ASSERT_FALSE(contents.is_cut_off);
    ASSERT_TRUE(look_up(folder, records[2]).has_value()) << end;
    ASSERT_EQ(look_up(folder, records[0]).has_value(), end + 2 >= last) << end;
  }
}

TEST(Database, folders_and_files_that_cannot_be_used_are_named) {
  const TemporaryFolder root;
  fs::create_directory(root / "open");
  ASSERT_EQ(::chmod((root / "open").c_str(), 0777), 0);
  EXPECT_NE(message_of<CacheError>([&] {
              Database(root / "open");
            }).find("can be written by other users [E1224]"),
            std::string::npos);
  EXPECT_NE(message_of<CacheError>([] { Database(""); }).find("[E1225]"), std::string::npos);
  write_bytes(root / "file", "x");
  EXPECT_NE(message_of<CacheError>([&] { Database(root / "file"); }).find("is no folder [E1224]"),
            std::string::npos);
  EXPECT_NE(message_of<ResourceError>([&] { Database(root / "file/sub"); }).find("[E1221]"),
            std::string::npos);
  fs::create_directory(root / "foreign");
  ASSERT_EQ(::chmod((root / "foreign").c_str(), 0700), 0);
  write_bytes(root / "foreign/records.jsonl", "my records\n");
  EXPECT_NE(message_of<CacheError>([&] { Database(root / "foreign"); }).find("[E1201]"),
            std::string::npos);
  EXPECT_EQ(read_bytes(root / "foreign/records.jsonl"), "my records\n");
  EXPECT_NE(message_of<CacheError>([&] { read_database(root / "foreign"); }).find("[E1201]"),
            std::string::npos);
  EXPECT_NE(message_of<ResourceError>([&] { write_file({}, root / "none/x"); }).find("[E1220]"),
            std::string::npos);
}

}  // namespace
}  // namespace tenon::tune
