// Arrays on a device, and executables of plans for one, on the fake driver.

#include <gtest/gtest.h>

#include <array>

#include "fake_cuda/control.h"
#include "runtime/device_plan.h"
#include "runtime/vector_add.h"
#include "tenon/runtime/device.h"
#include "tenon/runtime/executable.h"

namespace tenon {
namespace {

const DLDevice kHost = {kDLCPU, 0};
const DLDevice kCuda = {kDLCUDA, 0};

Array counting(std::initializer_list<std::int64_t> shape) {
  Array a = Array::empty(shape, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i) a.mutable_data<float>()[i] = static_cast<float>(i);
  return a;
}

std::vector<float> values(const Array& array) {
  const Array host = array.to(kHost).contiguous();
  return {host.data<float>(), host.data<float>() + host.size()};
}

template <typename E, typename F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    return std::string("another class: ") + e.what();
  }
  return "nothing raised";
}

class DeviceArrayTest : public testing::Test {
 protected:
  void SetUp() override { fake_cuda::start(); }
};

TEST_F(DeviceArrayTest, elements_go_there_and_back) {
  const Array host = counting({2, 3});
  const Array there = host.to(kCuda);
  EXPECT_EQ(device_str(there.device()), "cuda:0");
  EXPECT_FALSE(there.is_on_host());
  EXPECT_EQ(values(there), values(host));
  EXPECT_EQ(there.to(kCuda).raw(), there.raw());  // it is there already
  EXPECT_EQ(values(there.copy()), values(host));
  EXPECT_NE(there.copy().raw(), there.raw());
  EXPECT_EQ(values(counting({0, 3}).to(kCuda)).size(), 0u);
}

TEST_F(DeviceArrayTest, strided_arrays_and_views_keep_their_elements) {
  const Array host = counting({3, 4});
  const std::array<int, 2> order = {1, 0};
  const std::vector<float> turned = values(host.transpose(order).copy());
  EXPECT_EQ(values(host.transpose(order).to(kCuda)), turned);
  const Array there = host.to(kCuda);
  EXPECT_EQ(values(there.transpose(order)), turned);
  EXPECT_EQ(values(there.transpose(order).contiguous()), turned);
  EXPECT_EQ(there.transpose(order).contiguous().device().device_type, kDLCUDA);
  EXPECT_EQ(values(there.slice(1, 1, 3)), (std::vector<float>{1, 2, 5, 6, 9, 10}));
  const std::array<std::int64_t, 1> shape = {3}, backward = {-4};
  const Array last = Array::from_memory(const_cast<float*>(there.data<float>()) + 8, shape,
                                        backward, kFloat32, true, {}, kCuda);
  EXPECT_EQ(values(last), (std::vector<float>{8, 4, 0}));
}

TEST_F(DeviceArrayTest, dlpack_carries_the_device_both_ways) {
  const Array there = counting({4}).to(kCuda);
  DLManagedTensorVersioned* managed = there.to_dlpack_versioned();
  EXPECT_EQ(managed->dl_tensor.device.device_type, kDLCUDA);
  EXPECT_EQ(managed->dl_tensor.data, there.raw());
  const Array back = Array::from_dlpack(managed);
  EXPECT_EQ(back.device().device_type, kDLCUDA);
  EXPECT_EQ(values(back), values(there));
  DLManagedTensor* elsewhere = there.to_dlpack();
  elsewhere->dl_tensor.device.device_id = 5;
  EXPECT_NE(message_of<TargetError>([&] {
              Array::from_dlpack(elsewhere);
            }).find("an array on device 2:5 cannot be used: there is no device cuda:5"),
            std::string::npos);
}

TEST_F(DeviceArrayTest, memory_is_given_back_with_the_last_handle) {
  tenon_device_pool_stats before, during, after;
  tenon_device_get_pool_stats(0, &before);
  {
    const Array there = counting({100}).to(kCuda);
    const Array part = there.slice(0, 10, 20);
    tenon_device_get_pool_stats(0, &during);
    EXPECT_GT(during.live_bytes, before.live_bytes);
  }
  tenon_device_get_pool_stats(0, &after);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
}

TEST_F(DeviceArrayTest, devices_are_named_in_text) {
  EXPECT_EQ(device_str(parse_device("cpu")), "cpu");
  EXPECT_EQ(device_str(parse_device("cuda")), "cuda:0");
  EXPECT_EQ(device_str(parse_device("cuda:12")), "cuda:12");
  for (const char* text : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU"}) {
    EXPECT_EQ(message_of<TargetError>([&] { parse_device(text); }),
              "there is no device \"" + std::string(text) +
                  "\" [E1133]\n  hint: write \"cpu\", \"cuda\" or \"cuda:1\"");
  }
  EXPECT_NE(message_of<TargetError>([] { counting({1}).to({kDLCUDA, 7}); }).find("[E1123]"),
            std::string::npos);
}

TEST_F(DeviceArrayTest, assignment_across_memory_is_refused) {
  Array host = counting({2});
  const Array there = host.to(kCuda);
  EXPECT_NE(message_of<TargetError>([&] { host.assign(there); }).find("[E1135]"),
            std::string::npos);
}

int add(const fake_cuda::Launch& l) {
  for (std::int64_t i = 0; i < l.size(3); ++i)
    l.pointer<float>(2)[i] = l.pointer<float>(0)[i] + l.pointer<float>(1)[i];
  return 0;
}

TEST_F(DeviceArrayTest, an_executable_takes_and_returns_arrays_on_the_device) {
  fake_cuda::set_kernel("vector_add", add);
  const Executable f({.plan = device_vector_add_plan(), .kernels = {}, .constants = {}});
  EXPECT_EQ(f.device().device_type, kDLCUDA);
  const Array x = counting({5}).to(kCuda);
  for (int i = 0; i < 4; ++i) {
    const std::vector<Array> results = f.call(std::vector<Array>{x, x});
    EXPECT_EQ(results[0].device().device_type, kDLCUDA);
    EXPECT_EQ(values(results[0]), (std::vector<float>{0, 2, 4, 6, 8}));
  }
  // The results of calls lie in the same block again, so that a graph serves them.
  EXPECT_GT(fake_cuda::counters().graph_launches, 0);
  // A strided input is copied on the device.
  const std::array<std::int64_t, 1> shape = {5}, strides = {2};
  const Array grid = counting({5, 2}).to(kCuda);
  const Array column = Array::from_memory(const_cast<float*>(grid.data<float>()), shape, strides,
                                          kFloat32, true, {}, kCuda);
  EXPECT_EQ(values(f.call(std::vector<Array>{column, x})[0]), (std::vector<float>{0, 3, 6, 9, 12}));
}

TEST_F(DeviceArrayTest, arrays_in_the_other_memory_are_named) {
  const Array host = counting({3});
  const Array there = host.to(kCuda);
  const Executable on_device({.plan = device_vector_add_plan(), .kernels = {}, .constants = {}});
  EXPECT_EQ(message_of<TargetError>([&] { on_device.call(std::vector<Array>{there, host}); }),
            "vector_add: argument 'Y' is in host memory, expected cuda:0 [E1125]\n  hint: copy it "
            "with .to(\"cuda:0\")");
  const Executable on_host(
      {.plan = vector_add_plan(), .kernels = {vector_add_kernel}, .constants = {}});
  EXPECT_EQ(message_of<TargetError>([&] { on_host.call(std::vector<Array>{host, there}); }),
            "vector_add: argument 'Y' is on device 2:0, expected host memory [E0905]\n  hint: copy "
            "it with .to(\"cpu\"), or compile for its device");
}

}  // namespace
}  // namespace tenon
