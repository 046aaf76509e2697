#include "tenon/runtime/target.h"

#include <gtest/gtest.h>

#include "runtime/cuda_target.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

template <typename E>
std::string message_of(const std::string& text) {
  try {
    Target::parse(text);
  } catch (const E& e) {
    return e.what();
  }
  return "accepted";
}

TEST(TargetTest, names_give_features_vectors_and_tiles) {
  const Target v3 = Target::parse("cpu -mcpu=x86-64-v3");
  EXPECT_EQ(v3.vector_bytes, 32);
  EXPECT_EQ(v3.num_vector_registers, 16);
  EXPECT_FALSE(v3.features.has_avx512f);
  EXPECT_EQ(v3.register_tile(kFloat32).rows, 6);
  EXPECT_EQ(v3.register_tile(kFloat32).columns, 16);
  EXPECT_EQ(v3.register_tile(kFloat64).columns, 8);
  const Target zen4 = Target::parse("cpu -mcpu=znver4");
  EXPECT_EQ(zen4.vector_bytes, 64);
  EXPECT_EQ(zen4.num_vector_registers, 32);
  EXPECT_TRUE(zen4.features.has_avx512_bf16);
  EXPECT_EQ(zen4.register_tile(kFloat32).columns, 64);
  EXPECT_EQ(zen4.register_tile(DType::bfloat16()).columns, 64);
  EXPECT_EQ(zen4.register_tile(kFloat64).columns, 32);
}

TEST(TargetTest, canonical_text_parses_back_to_an_equal_target) {
  for (const char* text : {"cpu -mcpu=x86-64-v3", "cpu  -mcpu=znver4 ", "cpu -mcpu=haswell",
                           "cpu -mcpu=znver4 -mattr=-avx512bf16"}) {
    const Target target = Target::parse(text);
    EXPECT_EQ(Target::parse(target.str()), target) << target.str();
  }
  EXPECT_EQ(Target::parse("cpu -mcpu=x86-64-v3").str(), "cpu -mcpu=x86-64-v3");
  EXPECT_EQ(Target::parse("cpu -mcpu=znver4 -mattr=-avx512bf16").str(),
            "cpu -mcpu=znver4 -mattr=-avx512bf16");
}

TEST(TargetTest, host_is_what_cpu_means) {
  if (!Target::host().features.has_fma) GTEST_SKIP() << "this machine has no FMA";
  EXPECT_EQ(Target::parse("cpu"), Target::host());
  EXPECT_EQ(Target::parse("cpu -mcpu=native"), Target::host());
  EXPECT_EQ(Target::parse(Target::host().str()), Target::host());
  EXPECT_TRUE(Target::host().runs_on_host());
  EXPECT_TRUE(Target::parse("cpu -mcpu=x86-64-v3").runs_on_host());
  EXPECT_GE(Target::host().num_cores, 1);
  EXPECT_GE(Target::host().l1_bytes, 4096);
}

TEST(TargetTest, unknown_names_say_what_is_known) {
  EXPECT_NE(message_of<TargetError>("gpu").find(
                "unknown target 'gpu' [E0901]\n  hint: a target is \"cpu\""),
            std::string::npos);
  EXPECT_NE(message_of<TargetError>("").find("unknown target '' [E0901]"), std::string::npos);
  EXPECT_NE(message_of<TargetError>("cpu -mcpu=pentium")
                .find("unknown CPU 'pentium' in target 'cpu -mcpu=pentium' [E0902]"),
            std::string::npos);
  EXPECT_NE(message_of<TargetError>("cpu -mcpu=pentium").find("one of native, x86-64-v3"),
            std::string::npos);
  EXPECT_NE(
      message_of<TargetError>("cpu -O3").find("unknown option '-O3' in target 'cpu -O3' [E0901]"),
      std::string::npos);
  EXPECT_NE(
      message_of<TargetError>("cpu -mcpu=znver4 -mattr=+sve").find("unknown attribute '+sve'"),
      std::string::npos);
  EXPECT_NE(message_of<TargetError>("cpu -mcpu=haswell -mattr=-fma").find("has no AVX2 with FMA"),
            std::string::npos);
}

TEST(TargetTest, architectures_give_the_limits_of_a_launch) {
  const Target hopper = Target::parse("cuda -arch=sm_90a");
  EXPECT_EQ(hopper.str(), "cuda -arch=sm_90a");
  EXPECT_TRUE(hopper.is_gpu());
  EXPECT_FALSE(hopper.runs_on_host());
  EXPECT_EQ(hopper.gpu.capability, 90);
  EXPECT_EQ(hopper.gpu.num_sms, 132);
  EXPECT_EQ(hopper.gpu.shared_bytes_per_block, 227 * 1024);
  EXPECT_EQ(hopper.gpu.static_shared_bytes_per_block, 48 * 1024);
  EXPECT_EQ(hopper.gpu.threads_per_block, 1024);
  EXPECT_EQ(hopper.gpu.warp_size, 32);
  EXPECT_EQ(hopper.vector_lanes(kFloat32), 4);
  EXPECT_EQ(hopper.register_tile(kFloat32).columns, 0);
  EXPECT_EQ(Target::parse(" cuda  -arch=sm_90a "), hopper);
  const Target ampere = Target::parse("cuda -arch=sm_80");
  EXPECT_EQ(ampere.gpu.shared_bytes_per_block, 163 * 1024);
  EXPECT_EQ(ampere.gpu.num_sms, 108);
  EXPECT_EQ(Target::parse(ampere.str()), ampere);
  EXPECT_FALSE(Target::host().is_gpu());
  EXPECT_EQ(Target::host().gpu, GpuFeatures{});
}

TEST(TargetTest, devices_get_the_latest_architecture_that_runs_on_them) {
  EXPECT_EQ(arch_of_capability(80), "sm_80");
  EXPECT_EQ(arch_of_capability(87), "sm_86");
  EXPECT_EQ(arch_of_capability(90), "sm_90a");
  EXPECT_EQ(arch_of_capability(103), "sm_100");
  EXPECT_EQ(arch_of_capability(120), "sm_120a");
  EXPECT_EQ(arch_of_capability(75), "");
  EXPECT_TRUE(Target::parse("cuda").is_gpu());
}

TEST(TargetTest, unknown_architectures_say_what_is_known) {
  EXPECT_NE(message_of<TargetError>("cuda -arch=sm_70")
                .find("unknown architecture 'sm_70' in target 'cuda -arch=sm_70' [E1280]\n  hint: "
                      "one of sm_80, sm_86"),
            std::string::npos);
  EXPECT_NE(message_of<TargetError>("cuda -mcpu=znver4")
                .find("unknown option '-mcpu=znver4' in target 'cuda -mcpu=znver4' [E0901]"),
            std::string::npos);
  EXPECT_NE(message_of<TargetError>("cuda:0").find("unknown target 'cuda:0' [E0901]"),
            std::string::npos);
}

}  // namespace
}  // namespace tenon
