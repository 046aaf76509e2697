#include <gtest/gtest.h>

#include <set>

#include "tenon/rules/record_lookup.h"
#include "tenon/tune/database.h"
#include "tune/fault_injection.h"
#include "tune/samples.h"

namespace tenon::tune {
namespace {

/// What a session reported, and the errors that it met.
struct Session {
  std::vector<TuningRecord> reported;
  std::set<std::string> codes;
};

/// Makes or opens a database, stores records one by one, then some at once.
Session run_session(const std::string& folder, int seed) {
  const std::vector<TuningRecord> records = small_records(6, seed);
  Session session;
  std::unique_ptr<Database> database;
  const auto add = [&](std::span<const TuningRecord> some) {
    try {
      if (!database) database = std::make_unique<Database>(folder);
      database->add(some);
      session.reported.insert(session.reported.end(), some.begin(), some.end());
    } catch (const ResourceError& e) {
      session.codes.insert(e.code());
      EXPECT_NE(std::string(e.what()).find("cannot"), std::string::npos) << e.what();
    }
  };
  for (int i = 0; i < 3; ++i) add(std::span(records).subspan(static_cast<std::size_t>(i), 1));
  add(std::span(records).subspan(3, 3));
  return session;
}

void expect_intact(const std::string& folder, const std::vector<TuningRecord>& reported,
                   const std::string& what) {
  SCOPED_TRACE(what);
  // Builds find all records before anyone writes again ...
  const auto find_all = [&] {
    const auto lookup = RecordLookup::open(folder);
    for (const TuningRecord& r : reported) {
      ASSERT_NE(lookup, nullptr);
      const FoundRecord found = lookup->find(r.key, r.machine);
      ASSERT_TRUE(found.record.has_value()) << r.function;
      ASSERT_EQ(found.record->text(), r.text());
      ASSERT_EQ(found.problem, "");
    }
  };
  find_all();
  // ... and the database opens, takes records, and has all.
  const TuningRecord more = small_records(1, 77)[0];
  ASSERT_NO_THROW(Database(folder).add(more));
  find_all();
  const FileContents contents = read_database(folder);
  ASSERT_TRUE(contents.damage.empty()) << contents.damage[0].str();
  ASSERT_FALSE(contents.is_cut_off);
  const std::vector<std::string> texts = texts_of(contents.records);
  for (const TuningRecord& r : reported)
    ASSERT_TRUE(std::binary_search(texts.begin(), texts.end(), r.text()));
}

struct FaultCase {
  const char* name;
  Fault fault;
  bool once;
};
class FaultTest : public ::testing::TestWithParam<FaultCase> {};

// Every write, sync and cut of a session fails once, and the disk fails from every one on.
TEST_P(FaultTest, at_every_write_is_a_clear_error_and_the_database_stays_intact) {
  const TemporaryFolder root;
  std::set<std::string> codes;
  int num_faults = 0;
  for (const bool is_fresh : {true, false}) {
    for (int k = 1;; ++k) {
      const std::string folder = root / (std::string(is_fresh ? "new" : "old") + std::to_string(k));
      const Session before = is_fresh ? Session{} : run_session(folder, 1);
      Session session;
      bool has_failed = false;
      {
        const FaultInjection injection(folder, GetParam().fault, k, GetParam().once);
        session = run_session(folder, 2);
        has_failed = injection.has_failed();
      }
      codes.insert(session.codes.begin(), session.codes.end());
      if (!has_failed) {
        EXPECT_EQ(session.reported.size(), 6u);
        break;
      }
      ++num_faults;
      std::vector<TuningRecord> reported = before.reported;
      reported.insert(reported.end(), session.reported.begin(), session.reported.end());
      expect_intact(folder, reported, "fault " + std::to_string(k) + " of " + folder);
      if (::testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(num_faults, 40);
  EXPECT_TRUE(codes.count("E1221") == 1) << num_faults;
  for (const std::string& code : codes) EXPECT_TRUE(code == "E1221" || code == "E1223") << code;
}

INSTANTIATE_TEST_SUITE_P(Database, FaultTest,
                         ::testing::Values(FaultCase{"no_space_once", Fault::kNoSpace, true},
                                           FaultCase{"full_disk", Fault::kNoSpace, false},
                                           FaultCase{"io_error_once", Fault::kInputOutput, true},
                                           FaultCase{"broken_disk", Fault::kInputOutput, false},
                                           FaultCase{"short_write_once", Fault::kShortWrite, true},
                                           FaultCase{"short_writes", Fault::kShortWrite, false}),
                         [](const auto& c) { return std::string(c.param.name); });

TEST(FaultTest, a_read_only_folder_is_named_by_writers_and_serves_readers) {
  const TemporaryFolder root;
  const std::string folder = root / "tuning";
  const Session session = run_session(folder, 1);
  ASSERT_EQ(session.reported.size(), 6u);
  const FaultInjection injection(folder, Fault::kReadOnly, 1, false);
  try {
    const Database database(folder);
    FAIL();
  } catch (const ResourceError& e) {
    EXPECT_EQ(e.code(), "E1221");
    EXPECT_NE(std::string(e.what()).find("Read-only file system"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("TENON_TUNING_DIR"), std::string::npos);
  }
  const auto lookup = RecordLookup::open(folder);
  for (const TuningRecord& r : session.reported)
    EXPECT_EQ(lookup->find(r.key, r.machine).record->text(), r.text());
  EXPECT_EQ(read_database(folder).records.size(), 6u);
}

}  // namespace
}  // namespace tenon::tune
