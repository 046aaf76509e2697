// Opening the driver: none, too old, broken, without a device.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fake_cuda/control.h"
#include "runtime/device/cuda_driver.h"
#include "runtime/device/device_model.h"
#include "tenon/runtime/device.h"

namespace tenon {
namespace {

/// An environment variable for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    const char* before = std::getenv(name);
    if (before != nullptr) before_ = before;
    had_ = before != nullptr;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (had_) {
      setenv(name_, before_.c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;
  bool had_;
};

const std::string kFake = FAKE_CUDA_FOLDER "/fake_cuda";
const std::string kOld = FAKE_CUDA_FOLDER "/fake_cuda_old";

/// What opening says; "" when it works. The process' own driver is not touched.
std::string open_message() {
  device::Driver driver;
  const tenon_status status = device::open_driver(driver);
  EXPECT_EQ(status == TENON_OK, driver.library != nullptr);
  if (status == TENON_OK) return "";
  EXPECT_EQ(status, TENON_ERROR_RESOURCE);
  return tenon_last_error();
}

TEST(DeviceDriverTest, the_fake_driver_opens) {
  const Variable path("TENON_CUDA_PATH", kFake);
  device::Driver driver;
  ASSERT_EQ(device::open_driver(driver), TENON_OK) << tenon_last_error();
  EXPECT_EQ(driver.version, 13000);
  EXPECT_EQ(std::string(driver.path), kFake + "/libcuda.so.1");
}

TEST(DeviceDriverTest, cuda_can_be_switched_off) {
  const Variable path("TENON_CUDA_PATH", "none");
  EXPECT_EQ(open_message(),
            "CUDA is switched off by TENON_CUDA_PATH=none [E1120]\n  hint: unset it to use a GPU");
}

TEST(DeviceDriverTest, a_driver_that_does_not_load_is_named_with_the_reason) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "tenon_no_driver";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "libcuda.so.1") << "not a library";
  const Variable path("TENON_CUDA_PATH", folder.string());
  const std::string message = open_message();
  std::filesystem::remove_all(folder);
  // A machine with a driver falls back on it.
  if (message.empty()) return;
  EXPECT_NE(message.find("the CUDA driver cannot be opened [E1120]\n"), std::string::npos);
  EXPECT_NE(message.find("libcuda.so.1"), std::string::npos) << message;
}

TEST(DeviceDriverTest, an_old_driver_is_refused_with_both_versions) {
  const Variable path("TENON_CUDA_PATH", kFake);
  const Variable version("FAKE_CUDA_VERSION", "11080");
  EXPECT_EQ(open_message(), "the CUDA driver " + kFake +
                                "/libcuda.so.1 is too old: it runs CUDA 11.8, needed is CUDA 12.0 "
                                "[E1121]\n  hint: update NVIDIA's driver");
  fake_cuda::start();
}

TEST(DeviceDriverTest, a_driver_without_a_function_is_refused_by_its_name) {
  const Variable path("TENON_CUDA_PATH", kOld);
  EXPECT_EQ(open_message(),
            "the CUDA driver " + kOld +
                "/libcuda.so.1 is too old: it has no function cuStreamBeginCapture_v2, needed is "
                "CUDA 12.0 [E1121]\n  hint: update NVIDIA's driver");
}

TEST(DeviceDriverTest, a_driver_that_does_not_start_is_named_with_its_words) {
  const Variable path("TENON_CUDA_PATH", kFake);
  {
    const Variable init("FAKE_CUDA_INIT", "803");
    EXPECT_NE(open_message().find("does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH [E1122]"),
              std::string::npos);
  }
  fake_cuda::start();
  {
    const Variable devices("FAKE_CUDA_DEVICES", "0");
    EXPECT_NE(open_message().find("does not start: CUDA_ERROR_NO_DEVICE (no CUDA-capable device "
                                  "is detected) [E1122]"),
              std::string::npos);
  }
  fake_cuda::start();
  EXPECT_EQ(open_message(), "");
}

TEST(DeviceDriverTest, devices_are_described_and_missing_ones_named) {
  fake_cuda::start();
  std::int32_t count = 0;
  ASSERT_EQ(tenon_device_count(&count), TENON_OK) << tenon_last_error();
  EXPECT_EQ(count, 1);
  tenon_device_info info;
  ASSERT_EQ(tenon_device_get_info(0, &info), TENON_OK) << tenon_last_error();
  EXPECT_STREQ(info.name, "Fake GPU");
  EXPECT_EQ(info.capability_major, 9);
  EXPECT_EQ(info.num_multiprocessors, 132);
  EXPECT_EQ(info.max_shared_bytes_per_block, 227 << 10);
  EXPECT_EQ(info.memory_bytes, 64u << 20);
  EXPECT_EQ(tenon_device_get_info(3, &info), TENON_ERROR_TARGET);
  EXPECT_STREQ(tenon_last_error(),
               "there is no device cuda:3: this machine has 1 [E1123]\n  hint: use cuda:0 to "
               "cuda:0");
  EXPECT_EQ(tenon_device_get_info(-1, &info), TENON_ERROR_TARGET);
  EXPECT_STREQ(tenon_last_error(), "there is no device cuda:-1 [E1123]");
}

TEST(DeviceDriverTest, code_runs_on_its_architecture_and_newer_ones_of_the_same_generation) {
  const auto runs = [](std::string_view arch, int major, int minor) {
    return device::runs_on(arch.data(), arch.size(), major, minor);
  };
  EXPECT_TRUE(runs("sm_80", 8, 0));
  EXPECT_TRUE(runs("sm_80", 8, 9));
  EXPECT_FALSE(runs("sm_89", 8, 6));
  EXPECT_FALSE(runs("sm_80", 9, 0));
  EXPECT_TRUE(runs("sm_90a", 9, 0));
  EXPECT_FALSE(runs("sm_100a", 10, 3));
  EXPECT_TRUE(runs("sm_100", 10, 3));
  for (const char* text : {"", "sm_", "compute_80", "sm_80x", "sm_90ab", "sm_90000000000000000000"})
    EXPECT_FALSE(runs(text, 9, 0)) << text;
}

}  // namespace
}  // namespace tenon
