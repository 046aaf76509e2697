#pragma once

/// Arrays of a device and loaded plans, for tests that run on the fake driver.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tenon/runtime/device.h"
#include "tenon/runtime/plan.h"

namespace tenon {

using Values = std::vector<float>;

inline const DLDevice kHost = {kDLCPU, 0};
inline const DLDevice kCuda = {kDLCUDA, 0};

/// Memory of the device with a copy of some values.
class OnDevice {
 public:
  explicit OnDevice(const Values& values) : size_(static_cast<std::int64_t>(values.size())) {
    EXPECT_EQ(tenon_device_allocate(0, 4 * values.size(), "arrays", &data_), TENON_OK)
        << tenon_last_error();
    EXPECT_EQ(tenon_device_copy(kCuda, data_, kHost, values.data(), 4 * values.size()), TENON_OK)
        << tenon_last_error();
  }
  ~OnDevice() { tenon_device_free(0, data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  DLTensor tensor(DLDevice device = kCuda) {
    return {data_, device, 1, {kDLFloat, 32, 1}, &size_, nullptr, 0};
  }
  Values values() const {
    Values out(static_cast<std::size_t>(size_));
    EXPECT_EQ(tenon_device_copy(kHost, out.data(), kCuda, data_, 4 * out.size()), TENON_OK)
        << tenon_last_error();
    return out;
  }

 private:
  void* data_ = nullptr;
  std::int64_t size_;
};

/// A model with one context.
class Loaded {
 public:
  explicit Loaded(const Plan& plan) : bytes_(serialize(plan)) {
    tenon_load_options options = {};
    options.struct_bytes = sizeof(options);
    EXPECT_EQ(tenon_model_load_memory(bytes_.data(), bytes_.size(), &options, &model_), TENON_OK)
        << tenon_last_error();
    EXPECT_EQ(tenon_context_create(model_, &context_), TENON_OK) << tenon_last_error();
  }
  ~Loaded() {
    tenon_context_destroy(context_);
    tenon_model_release(model_);
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  /// The message of a run; "" when it works.
  std::string run(std::vector<DLTensor> inputs, std::vector<DLTensor> results,
                  tenon_status expected = TENON_OK) {
    const tenon_status status =
        tenon_context_run(context_, inputs.data(), static_cast<std::int32_t>(inputs.size()),
                          results.data(), static_cast<std::int32_t>(results.size()));
    EXPECT_EQ(status, expected) << tenon_last_error();
    return status == TENON_OK ? "" : tenon_last_error();
  }
  tenon_context* context() { return context_; }
  tenon_model* model() { return model_; }
  tenon_device_run_stats stats() {
    tenon_device_run_stats out;
    tenon_context_get_device_stats(context_, &out);
    return out;
  }

 private:
  std::vector<std::uint8_t> bytes_;
  tenon_model* model_ = nullptr;
  tenon_context* context_ = nullptr;
};

}  // namespace tenon
