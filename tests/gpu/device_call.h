#pragma once

/// What programs on a GPU need besides the runtime: arrays there, models and contexts that are
/// freed, failures. No Python, no compiler, no test framework.

#include <cstdint>
#include <string>
#include <vector>

#include "tenon/runtime/device.h"

namespace tenon::gpu {

using Bytes = std::vector<unsigned char>;

constexpr DLDevice kHost = {kDLCPU, 0};
constexpr DLDevice kCuda = {kDLCUDA, 0};
/// CUDA's default stream, which needs no creating.
inline void* const kDefaultStream = reinterpret_cast<void*>(1);

/// Ends a case, not the program.
struct Failure {
  std::string what;
};

[[noreturn]] inline void fail(const std::string& what) { throw Failure{what}; }
inline void check(tenon_status status, const std::string& what) {
  if (status != TENON_OK) fail(what + ": " + tenon_last_error());
}

/// Memory on the device with the descriptors of one call. `Value` has `dims`, `type()` and
/// `num_bytes()`, and lives as long.
class Arrays {
 public:
  template <typename Value>
  explicit Arrays(const std::vector<Value>& values) {
    for (const Value& v : values) {
      void* data = nullptr;
      check(tenon_device_allocate(0, v.num_bytes(), "arrays of the runner", &data), "allocate");
      data_.push_back(data);
      DLTensor t = {data,    kCuda, static_cast<std::int32_t>(v.dims.size()), v.type(), nullptr,
                    nullptr, 0};
      t.shape = const_cast<std::int64_t*>(v.dims.data());
      tensors_.push_back(t);
    }
  }
  ~Arrays() {
    for (void* data : data_) tenon_device_free(0, data);
  }
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;

  void write(std::size_t i, const Bytes& bytes) {
    check(tenon_device_copy(kCuda, data_[i], kHost, bytes.data(), bytes.size()),
          "copy to the device");
  }
  void read(std::size_t i, void* to, std::uint64_t bytes) const {
    check(tenon_device_copy(kHost, to, kCuda, data_[i], bytes), "copy to the host");
  }
  const DLTensor* tensors() const { return tensors_.data(); }
  std::int32_t count() const { return static_cast<std::int32_t>(tensors_.size()); }
  void* at(std::size_t i) const { return data_[i]; }

 private:
  std::vector<void*> data_;
  std::vector<DLTensor> tensors_;
};

class Model {
 public:
  explicit Model(const Bytes& plan) {
    tenon_load_options options = {};
    options.struct_bytes = sizeof(options);
    check(tenon_model_load_memory(plan.data(), plan.size(), &options, &model_), "load");
  }
  ~Model() { tenon_model_release(model_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  tenon_model* get() const { return model_; }

 private:
  tenon_model* model_ = nullptr;
};

class Context {
 public:
  explicit Context(const Model& model) {
    check(tenon_context_create(model.get(), &context_), "context");
  }
  ~Context() { tenon_context_destroy(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  tenon_context* get() const { return context_; }
  tenon_status run(const Arrays& in, const Arrays& out) {
    return tenon_context_run(context_, in.tensors(), in.count(), out.tensors(), out.count());
  }

 private:
  tenon_context* context_ = nullptr;
};

}  // namespace tenon::gpu
