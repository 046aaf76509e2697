#include "tenon/rules/record.h"

#include <gtest/gtest.h>

#include "tenon/codegen/llvm.h"
#include "tenon/ir/canonical_bytes.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"
#include "tune/samples.h"

namespace tenon::tune {
namespace {

TEST(Record, text_reads_back_and_is_the_same_again) {
  const TuningRecord record = sample_record(8, 1.2345678901234567e-4);
  const TuningRecord read = TuningRecord::parse(record.text());
  EXPECT_EQ(read.key, record.key);
  EXPECT_EQ(read.seconds, record.seconds);
  EXPECT_EQ(read.trace.to_json(), record.trace.to_json());
  EXPECT_EQ(read.text(), record.text());
  EXPECT_EQ(record.label(), "tuned " + record.date.substr(0, 10) + ", 8.10x");
  EXPECT_EQ(record.text().find('\n'), std::string::npos);
}

TEST(Record, what_is_no_record_is_refused) {
  const std::string text = sample_record(8, 1e-4).text();
  const auto refused = [&](const std::string& from, const std::string& to, const char* why) {
    std::string changed = text;
    const std::size_t at = changed.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    try {
      TuningRecord::parse(changed);
      FAIL() << to;
    } catch (const CacheError& e) {
      EXPECT_EQ(e.code(), "E1200");
      EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    }
  };
  refused("{", "", "parse error");
  refused("\"seconds\":0.0001", "\"seconds\":-1", "times should be positive");
  refused("\"seconds\":0.0001", "\"seconds\":\"fast\"", "number");
  refused("\"verified\":\"bit-equal\"", "\"verified\":\"yes\"", "'verified' is 'yes'");
  refused("\"structure\":\"", "\"structure\":\"x", "not hexadecimal");
  refused("\"structure\":\"", "\"structure\":\"0", "half a byte");
  refused("\"runs\":20", "\"runs\":0", "0 runs");
  refused("\"threads\":", "\"threads\":-", "threads");
  refused("\"primitive\"", "\"primitives\"", "trace");
}

TEST(Record, key_names_the_compiler_as_codegen_does) {
  EXPECT_EQ(compiler_version(), codegen_version());
}

TEST(Record, names_are_no_part_of_the_structure_and_all_else_is) {
  const CanonicalForm form = canonical_form(product(8));
  EXPECT_EQ(form.bytes, canonical_form(product(8, "other_")).bytes);
  EXPECT_EQ(form.bytes, canonical_form(product(8)).bytes);
  EXPECT_NE(form.bytes, canonical_form(product(9)).bytes);
  EXPECT_NE(form.bytes, canonical_form(product(8, "", 33)).bytes);
  ASSERT_EQ(form.names.size(), 4u);
  EXPECT_EQ(canonical_form(product(8, "other_")).names[0], "other_A");
}

TEST(Record, a_function_read_back_from_its_text_has_the_same_structure) {
  const Function f = product(8);
  EXPECT_EQ(canonical_form(f).bytes, canonical_form(parse_function(print(f))).bytes);
}

TEST(Record, a_trace_serves_functions_of_other_names) {
  const TuningRecord record = sample_record(8, 1e-4);
  EXPECT_EQ(record.trace.to_json().find("\"C"), std::string::npos) << record.trace.to_json();
  const Function other = product(8, "x_y_");
  const FunctionKey key = tuning_key(other, Target::host());
  EXPECT_EQ(key.key, record.key);
  Schedule s(other);
  with_names(record.trace, key.names).replay(&s);
  Schedule same(product(8));
  with_names(record.trace, tuning_key(product(8), Target::host()).names).replay(&same);
  EXPECT_EQ(s.blocks().size(), same.blocks().size());
  EXPECT_EQ(s.blocks()[0].name, "x_y_C_init");
}

TEST(Record, names_derived_from_names_find_their_stem) {
  Trace trace;
  trace.function = "f";
  trace.steps.push_back({"cache_read",
                         {{"block", BlockRef{"C"}},
                          {"buffer", std::string("C_in")},
                          {"scope", std::string("global")}},
                         {"C_in_global"},
                         {},
                         false});
  const Trace without = without_names(trace, {"C_in", "C"});
  EXPECT_EQ(std::get<BlockRef>(without.steps[0].arguments[0].second).name, "$1");
  EXPECT_EQ(std::get<std::string>(without.steps[0].arguments[1].second), "$0");
  EXPECT_EQ(std::get<std::string>(without.steps[0].arguments[2].second), "global");
  EXPECT_EQ(without.steps[0].results[0], "$0_global");
  const Trace with = with_names(without, {"a", "b"});
  EXPECT_EQ(with.steps[0].results[0], "a_global");
  EXPECT_EQ(std::get<BlockRef>(with.steps[0].arguments[0].second).name, "b");
}

TEST(Record, rules_of_every_block_are_named) {
  EXPECT_EQ(rule_schedule(product(64), Target::host()).source, "rule contraction");
}

}  // namespace
}  // namespace tenon::tune
