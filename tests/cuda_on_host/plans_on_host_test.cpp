// The whole way without a GPU: functions to plans with launches, run by the device runtime on the
// fake driver, whose kernels are the emitted text compiled for the host.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "codegen/needs_nvrtc.h"
#include "cuda_on_host/host_code.h"
#include "fake_cuda/control.h"
#include "runtime/on_device.h"
#include "tenon/driver/device_kernel.h"
#include "tenon/ir/parse.h"
#include "tenon/runtime/device.h"

namespace tenon::testing {
namespace {

const Target& target() {
  static const Target kTarget = Target::parse("cuda -arch=sm_90a");
  return kTarget;
}

/// A function as a plan whose code the fake driver takes for its own.
class OnFakeDevice {
 public:
  explicit OnFakeDevice(const std::string& text) {
    fake_cuda::start();
    code_.source = code_.function = parse_function(text);
    code_.target = target();
    code_.module = cuda_module(code_.function, target());
    code_.info = kernel_checks(code_.function);
    code_.sites.resize(static_cast<std::size_t>(code_.info.num_index_sites));
    for (PlanSite& site : code_.sites) site.buffer = "T";
    module_ = std::make_unique<HostModule>(std::vector<Function>{code_.function}, target());
    run_kernels_of(*module_);
    code_.cubin.arch = "sm_90a";
    code_.cubin.bytes = fake_cubin(*module_, 0);
    loaded_ = std::make_unique<Loaded>(plan_of(code_));
  }

  tenon_context* context() { return loaded_->context(); }

 private:
  DeviceKernelCode code_;
  std::unique_ptr<HostModule> module_;
  std::unique_ptr<Loaded> loaded_;
};

/// Elements in device memory.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(std::vector<std::int64_t> shape, const std::vector<T>& values)
      : shape_(std::move(shape)), count_(values.size()) {
    EXPECT_EQ(tenon_device_allocate(0, bytes(), "test", &data_), TENON_OK) << tenon_last_error();
    EXPECT_EQ(tenon_device_copy({kDLCUDA, 0}, data_, {kDLCPU, 0}, values.data(), bytes()),
              TENON_OK);
  }
  ~DeviceArray() { tenon_device_free(0, data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  DLTensor tensor() {
    const DLDataType type = {static_cast<std::uint8_t>(std::is_integral_v<T> ? kDLInt : kDLFloat),
                             8 * sizeof(T), 1};
    return {data_, {kDLCUDA, 0},  static_cast<std::int32_t>(shape_.size()),
            type,  shape_.data(), nullptr,
            0};
  }
  std::vector<T> values() const {
    std::vector<T> out(count_);
    EXPECT_EQ(tenon_device_copy({kDLCPU, 0}, out.data(), {kDLCUDA, 0}, data_, bytes()), TENON_OK);
    return out;
  }

 private:
  std::uint64_t bytes() const { return count_ * sizeof(T); }
  std::vector<std::int64_t> shape_;
  std::size_t count_;
  void* data_ = nullptr;
};

std::string run(OnFakeDevice* f, std::vector<DLTensor> inputs, std::vector<DLTensor> results) {
  const tenon_status status =
      tenon_context_run(f->context(), inputs.data(), static_cast<std::int32_t>(inputs.size()),
                        results.data(), static_cast<std::int32_t>(results.size()));
  return status == TENON_OK ? "" : tenon_last_error();
}

std::vector<float> numbers(std::size_t count) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(i * 7 % 23) * 0.37F - 4.0F;
  return out;
}

TEST(PlansOnHost, one_plan_serves_every_size) {
  OnFakeDevice f(R"(
loop function twice[n: min=1](X: float32[n]) -> (Z: float32[n])
  thread for b in 0..(n + 127) // 128 on "blockIdx.x"
    thread for t in 0..128 on "threadIdx.x"
      let i = b * 128 + t
      if i < n
        Z[i] = X[i] + X[n - 1 - i]
)");
  for (const std::int64_t n : {1, 128, 300}) {
    const auto x = numbers(static_cast<std::size_t>(n));
    DeviceArray<float> in({n}, x), out({n}, x);
    for (int again = 0; again < 3; ++again) {
      ASSERT_EQ(run(&f, {in.tensor()}, {out.tensor()}), "");
    }
    const std::vector<float> z = out.values();
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(z[i], x[i] + x[x.size() - 1 - i]);
  }
}

TEST(PlansOnHost, loops_of_the_host_scratch_memory_and_conditions) {
  OnFakeDevice f(R"(
loop function sums[n: min=1](X: float32[n, 32]) -> (Y: float32[32])
  alloc state: float32[n * 0 + 64]
  thread for t in 0..32 on "threadIdx.x"
    state[t] = 0.0
  for step in 1..n + 1
    thread for t in 0..32 on "threadIdx.x"
      state[step % 2 * 32 + t] = state[(step + 1) % 2 * 32 + t] + X[(step - 1) * 32 + t]
  if n % 2 == 0
    thread for t in 0..32 on "threadIdx.x"
      Y[t] = state[t]
  if n % 2 == 1
    thread for t in 0..32 on "threadIdx.x"
      Y[t] = -state[32 + t]
)");
  for (const std::int64_t n : {1, 2, 5}) {
    const auto x = numbers(static_cast<std::size_t>(n) * 32);
    DeviceArray<float> in({n, 32}, x), out({32}, numbers(32));
    ASSERT_EQ(run(&f, {in.tensor()}, {out.tensor()}), "");
    const std::vector<float> y = out.values();
    for (std::size_t t = 0; t < 32; ++t) {
      float sum = 0;
      for (std::size_t s = 0; s < static_cast<std::size_t>(n); ++s) sum += x[s * 32 + t];
      ASSERT_EQ(y[t], n % 2 == 0 ? sum : -sum) << n;
    }
  }
}

TEST(PlansOnHost, checks_become_errors_of_the_call) {
  OnFakeDevice f(R"(
loop function gather(T: float32[40], I: int64[64]) -> (Y: float32[64])
  thread for t in 0..64 on "threadIdx.x"
    let j = checked_index(I[t], 40, 0)
    Y[t] = T[j where j >= 0]
)");
  std::vector<std::int64_t> index(64, 3);
  const auto table = numbers(40);
  DeviceArray<float> t({40}, table), out({64}, numbers(64));
  {
    DeviceArray<std::int64_t> i({64}, index);
    ASSERT_EQ(run(&f, {t.tensor(), i.tensor()}, {out.tensor()}), "");
    EXPECT_EQ(out.values(), std::vector<float>(64, table[3]));
  }
  index[5] = 41;
  DeviceArray<std::int64_t> i({64}, index);
  const std::string message = run(&f, {t.tensor(), i.tensor()}, {out.tensor()});
  EXPECT_NE(message.find("index 41"), std::string::npos) << message;
  EXPECT_NE(message.find("size 40"), std::string::npos) << message;
}

TEST(DeviceKernel, is_compiled_with_its_resources_and_comes_from_the_cache) {
  TENON_NEEDS_NVRTC();
  const Function f = parse_function(R"(
loop function heavy(X: float32[4096]) -> (Y: float32[4096])
  thread for b in 0..32 on "blockIdx.x"
    alloc tile: float32[128] shared
    thread for t in 0..128 on "threadIdx.x"
      tile[t] = X[b * 128 + t]
      evaluate thread_barrier()
      Y[b * 128 + t] = fma(tile[127 - t], 2.0, tile[t])
)");
  BuildOptions options;
  options.use_cache = false;
  const DeviceKernelCode code = compile_device_kernel(f, target(), options);
  EXPECT_EQ(code.resources(0).shared_bytes, 512);
  EXPECT_EQ(code.spill_bytes(), 0);
  const std::string text = report(code);
  EXPECT_NE(text.find("tenon_heavy_k0: blocks 32, 1, 1 of 128 threads"), std::string::npos) << text;
  EXPECT_NE(text.find("512 bytes of shared memory, no spills"), std::string::npos) << text;
  const Plan plan = plan_of(code);
  ASSERT_EQ(plan.steps.size(), 1U);
  EXPECT_EQ(plan.device, PlanDeviceKind::kCuda);
  EXPECT_EQ(plan.device_program.cubins.at(0).image, code.cubin.bytes);
  EXPECT_EQ(plan.inputs.at(0).alignment, 16U);
  try {
    compile_device_kernel(f, Target::parse("cpu"));
    FAIL();
  } catch (const TargetError& e) {
    EXPECT_EQ(e.code(), "E1290");
  }
}

}  // namespace
}  // namespace tenon::testing
