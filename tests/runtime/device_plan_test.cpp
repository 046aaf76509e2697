// The tables that only plans for a device have: written, read, printed, damaged.

#include "runtime/device_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "runtime/plan_bytes.h"
#include "runtime/vector_add.h"
#include "tenon/runtime/c_api.h"

namespace tenon {
namespace {

namespace format = plan_format;
using Bytes = std::vector<std::uint8_t>;
using format::SectionKind;

std::string load(const Bytes& plan, tenon_status expected) {
  tenon_load_options options = {};
  options.struct_bytes = sizeof(options);
  tenon_model* model = nullptr;
  const tenon_status status = tenon_model_load_memory(plan.data(), plan.size(), &options, &model);
  EXPECT_EQ(status, expected) << tenon_last_error();
  if (status == TENON_OK) tenon_model_release(model);
  return status == TENON_OK ? "" : tenon_last_error();
}

/// Two launches under one loop.
Plan repeated_plan() {
  Plan plan = device_vector_add_plan();
  DeviceLaunch launch = plan.steps[0].launches[0];
  launch.repeats = {{.id = 3, .count = plan.symbols[0].reg}};
  launch.params.push_back({DeviceParam::Kind::kLoop, 0});
  launch.dynamic_shared_bytes = 1024;
  plan.steps[0].launches = {launch, launch};
  return plan;
}

TEST(DevicePlanTest, it_is_written_in_the_version_that_it_needs_and_loads_without_a_device) {
  Bytes bytes = serialize(device_vector_add_plan());
  EXPECT_EQ(load(bytes, TENON_OK), "");
  EXPECT_EQ(serialize(device_vector_add_plan()), bytes);
  EXPECT_EQ(header_of(bytes).version, format::kDeviceVersion);
  Bytes host = serialize(vector_add_plan());
  EXPECT_EQ(header_of(host).version, format::kHostVersion);
}

TEST(DevicePlanTest, it_prints_its_launches) {
  EXPECT_EQ(to_string(repeated_plan()),
            "plan vector_add on cuda\n"
            "  input X: float32[n]\n"
            "  input Y: float32[n]\n"
            "  result Z: float32[n]\n"
            "  symbol n = X.shape[0], min 1\n"
            "  vector_add(X, Y, Z)\n"
            "    launch vector_add grid [(n + 127) // 128, 1, 1] block [128, 1, 1] shared 1024, "
            "for r3 in 0..n\n"
            "    launch vector_add grid [(n + 127) // 128, 1, 1] block [128, 1, 1] shared 1024, "
            "for r3 in 0..n\n");
}

TEST(DevicePlanTest, every_record_is_checked) {
  struct Damage {
    const char* message;
    std::function<void(Bytes&)> make;
  };
  const auto launch = [](Bytes& b) -> format::LaunchRecord& {
    return record<format::LaunchRecord>(b, SectionKind::kLaunches);
  };
  const Damage damages[] = {
      {"device kind 7",
       [](Bytes& b) { record<format::DeviceRecord>(b, SectionKind::kDevice).kind = 7; }},
      {"cubin 0: lies outside",
       [](Bytes& b) { record<format::CubinRecord>(b, SectionKind::kCubins).bytes = 1 << 20; }},
      {"cubin 0: architecture out of range",
       [](Bytes& b) {
         record<format::CubinRecord>(b, SectionKind::kCubins).arch.offset = 1 << 20;
       }},
      {"device kernel 0: no such cubin",
       [](Bytes& b) {
         record<format::DeviceKernelRecord>(b, SectionKind::kDeviceKernels).cubin = 1;
       }},
      {"device kernel 0: name out of range",
       [](Bytes& b) {
         record<format::DeviceKernelRecord>(b, SectionKind::kDeviceKernels).name.length = 1 << 20;
       }},
      {"launch 0: no such launch step", [&](Bytes& b) { launch(b).step = 1; }},
      {"launch 0: no such kernel", [&](Bytes& b) { launch(b).kernel = 9; }},
      {"launch 0: too many loops around it", [&](Bytes& b) { launch(b).num_repeats = 9; }},
      {"launch 0: lists out of range", [&](Bytes& b) { launch(b).num_params = 99; }},
      {"launch 0: register of its grid out of range", [&](Bytes& b) { launch(b).grid[2] = 99; }},
      {"launch 0: a block without threads", [&](Bytes& b) { launch(b).block[1] = 0; }},
      {"launch 0: name of a loop out of range",
       [&](Bytes& b) { launch(b).loops[5].length = 1 << 20; }},
      {"launch 0: register of a loop out of range",
       [](Bytes& b) { record<format::RepeatRecord>(b, SectionKind::kRepeats).count = 99; }},
      {"launch 0: a parameter out of range",
       [](Bytes& b) { record<format::ParamRecord>(b, SectionKind::kParams).index = 3; }},
      {"launch 0: a parameter out of range",
       [](Bytes& b) { record<format::ParamRecord>(b, SectionKind::kParams, 3).index = 99; }},
      {"launch 0: a parameter out of range",
       [](Bytes& b) { record<format::ParamRecord>(b, SectionKind::kParams, 4).index = 1; }},
      {"launch 0: a parameter out of range",
       [](Bytes& b) { record<format::ParamRecord>(b, SectionKind::kParams).kind = 5; }},
      {"step 0: it does not run where the plan runs",
       [](Bytes& b) { record<format::Step>(b, SectionKind::kSteps).op = 0; }},
      {"step 0: it does not run where the plan runs",
       [](Bytes& b) { record<format::DeviceRecord>(b, SectionKind::kDevice).kind = 0; }},
  };
  for (const Damage& damage : damages) {
    Bytes bytes = serialize(repeated_plan());
    damage.make(bytes);
    seal(bytes, section(bytes, SectionKind::kData).offset);
    const bool is_unknown = std::string(damage.message).find("kind 7") != std::string::npos;
    const std::string message =
        load(bytes, is_unknown ? TENON_ERROR_UNSUPPORTED : TENON_ERROR_MODEL);
    EXPECT_NE(message.find(damage.message), std::string::npos) << message;
  }
}

TEST(DevicePlanTest, no_random_damage_gets_out_of_the_tables) {
  std::mt19937 random(7);
  const Bytes good = serialize(repeated_plan());
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = good;
    const std::uint64_t end = section(bytes, SectionKind::kData).offset;
    for (int i = 0; i < 3; ++i)
      bytes[32 + random() % (end - 32)] = static_cast<std::uint8_t>(random());
    seal(bytes, end);
    tenon_load_options options = {};
    options.struct_bytes = sizeof(options);
    tenon_model* model = nullptr;
    if (tenon_model_load_memory(bytes.data(), bytes.size(), &options, &model) == TENON_OK)
      tenon_model_release(model);
  }
}

TEST(DevicePlanTest, a_caller_of_the_older_c_api_is_understood) {
  const Bytes bytes = serialize(vector_add_plan());
  const tenon_kernel_fn kernel = vector_add_kernel;
  tenon_load_options options = {};
  options.struct_bytes = offsetof(tenon_load_options, device_id);
  options.kernels = &kernel;
  options.num_kernels = 1;
  options.device_id = 77;  // beyond what it says it has
  tenon_model* model = nullptr;
  ASSERT_EQ(tenon_model_load_memory(bytes.data(), bytes.size(), &options, &model), TENON_OK);
  tenon_model_release(model);
}

}  // namespace
}  // namespace tenon
