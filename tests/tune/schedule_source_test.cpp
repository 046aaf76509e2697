#include "tenon/rules/schedule_source.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tenon/autodiff/mirror_schedule.h"
#include "tenon/driver/build.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"
#include "tune/samples.h"

namespace tenon::tune {
namespace {

class ScheduleSourceTest : public ::testing::Test {
 protected:
  ScheduleSourceTest() { ScheduleSource::use_folder(folder()); }
  ~ScheduleSourceTest() override { ScheduleSource::use_folder(""); }
  std::string folder() const { return root_ / "tuning"; }
  static ChosenSchedule chosen(const Function& f) { return choose_schedule(f, Target::host()); }

 private:
  TemporaryFolder root_;
};

TEST_F(ScheduleSourceTest, builds_take_what_was_measured_and_say_so) {
  const Function f = product(8);
  const std::string by_rule = print(rule_schedule(f, Target::host()).schedule.function());
  EXPECT_EQ(chosen(f).source, "rule contraction");
  Database database(folder());
  const TuningRecord record = sample_record(8, 4e-4);
  database.add(record);  // seen at once by the process that wrote it
  const ChosenSchedule stored = chosen(f);
  EXPECT_EQ(stored.source, "tuned " + record.date.substr(0, 10) + ", 2.50x");
  EXPECT_TRUE(stored.is_stored);
  EXPECT_NE(print(stored.schedule.function()), by_rule);
  EXPECT_EQ(print(default_schedule(f, Target::host()).function()),
            print(stored.schedule.function()));
  EXPECT_EQ(print(rule_schedule(f, Target::host()).schedule.function()), by_rule);
  EXPECT_EQ(chosen(product(9)).source, "rule contraction");
}

TEST_F(ScheduleSourceTest, a_function_of_other_names_gets_the_same_schedule_and_the_same_numbers) {
  Database(folder()).add(sample_record(8, 4e-4));
  const Function f = product(8, "my_");
  const ChosenSchedule stored = chosen(f);
  ASSERT_TRUE(stored.is_stored) << stored.source;
  const std::int64_t shapes[2][2] = {{8, 32}, {32, 48}};
  std::vector<Array> inputs;
  for (const auto& shape : shapes) {
    std::vector<float> values(static_cast<std::size_t>(shape[0] * shape[1]));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(static_cast<int>(i * 7 % 31) - 15) / 16.0F;
    inputs.push_back(Array::from_values<float>(shape, kFloat32, values));
  }
  const auto run = [&](const Schedule& s) {
    return build(s.function(), Target::host(), {.use_cache = false}).call(inputs).at(0);
  };
  const Array got = run(stored.schedule);
  const Array expected = run(rule_schedule(f, Target::host()).schedule);
  for (std::int64_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got.data<float>()[i], expected.data<float>()[i]) << i;
}

TEST_F(ScheduleSourceTest, a_step_that_does_not_fit_is_named_and_the_rules_take_over) {
  TuningRecord record = sample_record(8, 4e-4);
  record.trace.steps[1].arguments[0].second = TracedLoop{"nowhere"};
  Database database(folder());
  database.add(record);
  const ChosenSchedule fallen = chosen(product(8));
  EXPECT_FALSE(fallen.is_stored);
  EXPECT_TRUE(fallen.source.starts_with("rule contraction (the stored one, tuned "))
      << fallen.source;
  EXPECT_NE(fallen.source.find("does not fit: trace: step 2"), std::string::npos) << fallen.source;
  EXPECT_NE(fallen.source.find("[E0271]"), std::string::npos) << fallen.source;
}

TEST_F(ScheduleSourceTest, records_that_cannot_be_read_are_named_and_the_rules_take_over) {
  std::filesystem::create_directory(folder());
  write_bytes(folder() + "/records.jsonl", "something else\n");
  const std::string source = chosen(product(8)).source;
  EXPECT_TRUE(source.starts_with("rule contraction ('")) << source;
  EXPECT_NE(source.find("is no file of tuning records [E1201])"), std::string::npos) << source;
}

TEST_F(ScheduleSourceTest, a_folder_that_takes_the_place_of_another_is_noticed) {
  Database(folder()).add(sample_record(8, 4e-4));
  EXPECT_TRUE(chosen(product(8)).is_stored);
  std::filesystem::remove_all(folder());
  ScheduleSource::shared().look_again();
  EXPECT_FALSE(chosen(product(8)).is_stored);
  Database(folder()).add(sample_record(8, 5e-4));
  EXPECT_TRUE(chosen(product(8)).source.ends_with("2.00x"));
}

TEST_F(ScheduleSourceTest, a_forked_process_looks_up_as_well) {
  Database(folder()).add(sample_record(8, 4e-4));
  ASSERT_TRUE(chosen(product(8)).is_stored);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(chosen(product(8)).is_stored ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(chosen(product(8)).is_stored);
}

// mirror_schedule of any function whose own schedule was measured.
TEST_F(ScheduleSourceTest, mirrored_schedules_give_way_to_measured_ones) {
  const Function derivative = product(8);
  const Schedule forward(product(16));
  const auto mirrored = [&] {
    return autodiff::mirror_schedule(forward, derivative, Target::host()).report;
  };
  EXPECT_EQ(mirrored().find("tuned"), std::string::npos);
  Database(folder()).add(sample_record(8, 4e-4));
  EXPECT_TRUE(mirrored().starts_with("all blocks: tuned ")) << mirrored();
}

TEST(TuningFolder, is_named_by_the_environment) {
  const char* names[] = {"TENON_TUNING_DIR", "TENON_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
  std::vector<std::pair<const char*, std::optional<std::string>>> before;
  for (const char* name : names) {
    const char* value = std::getenv(name);
    before.emplace_back(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
    ::unsetenv(name);
  }
  EXPECT_EQ(default_tuning_folder(), "");
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(default_tuning_folder(), "/home/me/.cache/tenon/tuning");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(default_tuning_folder(), "/x/tenon/tuning");
  ::setenv("TENON_CACHE_DIR", "/cache", 1);
  EXPECT_EQ(default_tuning_folder(), "/cache/tuning");
  ::setenv("TENON_CACHE_DIR", "off", 1);
  EXPECT_EQ(default_tuning_folder(), "");
  ::setenv("TENON_TUNING_DIR", "/tuning", 1);
  EXPECT_EQ(default_tuning_folder(), "/tuning");
  ::setenv("TENON_TUNING_DIR", "off", 1);
  ::setenv("TENON_CACHE_DIR", "/cache", 1);
  EXPECT_EQ(default_tuning_folder(), "");
  for (const auto& [name, value] : before) {
    ::unsetenv(name);
    if (value) ::setenv(name, value->c_str(), 1);
  }
}

}  // namespace
}  // namespace tenon::tune
