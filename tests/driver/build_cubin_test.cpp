#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "codegen/needs_nvrtc.h"
#include "tenon/driver/cuda.h"
#include "tenon/driver/object_cache.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

const char* const kSource =
    "extern \"C\" __global__ void f(float* a) { a[threadIdx.x] += 1.0f; }\n";

/// A cache of its own.
class BuildCubinTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "tenon-cubins-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    ObjectCache::use_folder(folder_);
  }
  void TearDown() override {
    ObjectCache::use_folder("");
    fs::remove_all(folder_);
  }
  std::string folder_;
};

TEST_F(BuildCubinTest, the_second_build_is_from_the_cache_and_equal) {
  TENON_NEEDS_NVRTC();
  const Cubin first = build_cubin(kSource, "sm_90a");
  EXPECT_FALSE(first.is_from_cache);
  const Cubin second = build_cubin(kSource, "sm_90a");
  EXPECT_TRUE(second.is_from_cache);
  EXPECT_EQ(second.seconds, 0);
  EXPECT_EQ(second.arch, "sm_90a");
  EXPECT_EQ(second.bytes, first.bytes);
  EXPECT_EQ(second.log, first.log);
  EXPECT_EQ(second.kernels, first.kernels);
  EXPECT_TRUE(second.kernels.at(0).spill_store_bytes.has_value());
}

TEST_F(BuildCubinTest, text_architecture_and_options_are_told_apart) {
  TENON_NEEDS_NVRTC();
  build_cubin(kSource, "sm_90a");
  EXPECT_FALSE(build_cubin(std::string(kSource) + " ", "sm_90a").is_from_cache);
  EXPECT_FALSE(build_cubin(kSource, "sm_90").is_from_cache);
  CudaCompileOptions few;
  few.max_registers = 32;
  EXPECT_FALSE(build_cubin(kSource, "sm_90a", few).is_from_cache);
  EXPECT_FALSE(build_cubin(kSource, "sm_90a", {}, false).is_from_cache);
  EXPECT_TRUE(build_cubin(kSource, "sm_90a").is_from_cache);
}

TEST_F(BuildCubinTest, an_entry_that_is_no_cubin_is_compiled_anew) {
  TENON_NEEDS_NVRTC();
  build_cubin(kSource, "sm_80");
  const std::string key = "cubin 1\n" + cuda_compile_key("sm_80") + "\n" + kSource;
  ASSERT_TRUE(ObjectCache::shared().find(key).has_value());
  for (const std::vector<std::uint8_t>& entry :
       {std::vector<std::uint8_t>{}, std::vector<std::uint8_t>(8, 0xff),
        std::vector<std::uint8_t>(100, 0)}) {
    ObjectCache::shared().store(key, entry);
    const Cubin cubin = build_cubin(kSource, "sm_80");
    EXPECT_FALSE(cubin.is_from_cache);
    EXPECT_EQ(cubin.kernels.size(), 1u);
    EXPECT_TRUE(build_cubin(kSource, "sm_80").is_from_cache);
  }
}

TEST_F(BuildCubinTest, failures_are_not_stored) {
  TENON_NEEDS_NVRTC();
  for (int i = 0; i < 2; ++i) EXPECT_THROW(build_cubin("missing", "sm_80"), InternalError);
  EXPECT_EQ(ObjectCache::shared().stats().stored, 0u);
}

}  // namespace
}  // namespace tenon
