// Whole networks without a GPU: compiled for one, their plans run by the device runtime on the fake
// driver, whose kernels are the emitted text compiled for the host; compared with the CPU's
// network.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "codegen/needs_nvrtc.h"
#include "cuda_on_host/host_code.h"
#include "fake_cuda/control.h"
#include "runtime/on_device.h"
#include "tenon/graph/compile.h"
#include "tenon/graph/control.h"
#include "tenon/graph/transform.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/lower.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/runtime/device.h"
#include "tenon/te/tensor.h"

namespace tenon::testing {
namespace {

using graph::CompiledNetwork;
using graph::make_constant;
using graph::make_input;
using graph::make_op;
using graph::Value;

Array wave(const Shape& shape, float scale) {
  Array a = Array::empty(shape, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a.mutable_data<float>()[i] = scale * static_cast<float>(i * 7 % 23 - 11);
  return a;
}

/// A network for a GPU whose code is that of the host.
class OnFakeDevice {
 public:
  OnFakeDevice(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
               const graph::CompileOptions& compiled_as = {}) {
    fake_cuda::start();
    const Target target = Target::parse("cuda -arch=sm_90a");
    const CompiledNetwork network = graph::compile(inputs, outputs, "network", target, compiled_as);
    std::vector<Function> lowered;
    for (const Function& f : network.source.functions)
      lowered.push_back(lower(default_schedule(f, target).function()));
    module_ = std::make_unique<HostModule>(lowered, target);
    run_kernels_of(*module_);
    Plan plan = network.executable.plan();
    for (std::size_t i = 0; i < lowered.size(); ++i)
      plan.device_program.cubins.at(i).image = fake_cubin(*module_, i);
    for (std::size_t i = 0; i < plan.constants.size(); ++i) {
      const Array& c = network.executable.constants()[i];
      const auto* bytes = static_cast<const std::uint8_t*>(c.raw());
      plan.constants[i].data.assign(bytes, bytes + c.nbytes());
    }
    loaded_ = std::make_unique<Loaded>(plan);
  }

  /// Runs it several times, so that a graph is replayed; `result` gets what the last one gave.
  void run(const Array& input, Array* result) {
    DLTensor in = on_device(input), out = on_device(*result);
    for (int again = 0; again < 3; ++again) {
      ASSERT_EQ(loaded_->run({in}, {out}), "");
    }
    const auto bytes = static_cast<std::uint64_t>(result->nbytes());
    ASSERT_EQ(tenon_device_copy({kDLCPU, 0}, result->mutable_data<float>(), {kDLCUDA, 0}, out.data,
                                bytes),
              TENON_OK);
    tenon_device_free(0, in.data);
    tenon_device_free(0, out.data);
  }

 private:
  static DLTensor on_device(const Array& a) {
    void* data = nullptr;
    const auto bytes = static_cast<std::uint64_t>(a.nbytes());
    EXPECT_EQ(tenon_device_allocate(0, bytes, "test", &data), TENON_OK) << tenon_last_error();
    EXPECT_EQ(tenon_device_copy({kDLCUDA, 0}, data, {kDLCPU, 0}, a.raw(), bytes), TENON_OK);
    return {data,
            {kDLCUDA, 0},
            static_cast<std::int32_t>(a.shape().size()),
            to_dl_dtype(a.dtype()),
            const_cast<std::int64_t*>(a.shape().data()),
            nullptr,
            0};
  }

  std::unique_ptr<HostModule> module_;
  std::unique_ptr<Loaded> loaded_;
};

/// The network on the fake device gives what it gives on the CPU.
void expect_same(const std::vector<Value>& inputs, const Value& output,
                 const std::vector<Shape>& shapes, const graph::CompileOptions& options = {}) {
  const CompiledNetwork on_cpu =
      graph::compile(inputs, {output}, "network", Target::host(), {.use_cache = false});
  OnFakeDevice on_gpu(inputs, {output}, options);
  for (const Shape& shape : shapes) {
    const Array x = wave(shape, 0.125F);
    const Array expected = on_cpu.executable.call(std::vector<Array>{x})[0];
    Array got = Array::zeros(expected.shape(), expected.dtype());
    on_gpu.run(x, &got);
    for (std::int64_t i = 0; i < got.size(); ++i) {
      const float y = expected.data<float>()[i];
      ASSERT_NEAR(got.data<float>()[i], y, 1e-5F * (1 + std::fabs(y))) << "element " << i;
    }
  }
}

TEST(NetworksOnHost, dense_layers_and_softmax_for_every_batch) {
  TENON_NEEDS_NVRTC();
  const Value x = make_input({te::symbol("b"), imm(20)}, kFloat32, "x");
  const Value w = make_constant(wave({72, 20}, 0.03F)), bias = make_constant(wave({72}, 0.1F));
  const Value u = make_constant(wave({9, 72}, 0.02F));
  const Value h = make_op("relu", {make_op("add", {make_op("linear", {x, w}), bias})});
  expect_same({x}, make_op("softmax", {make_op("linear", {h, u})}), {{1, 20}, {5, 20}, {70, 20}});
}

TEST(NetworksOnHost, products_of_a_library_are_what_the_kernels_compute) {
  TENON_NEEDS_NVRTC();
  fake_cuda::start();
  fake_cuda::reset_cublaslt();
  const graph::CompileOptions always = {.libraries = graph::Libraries::kAlways};
  const Value x = make_input({te::symbol("b"), imm(20)}, kFloat32, "x");
  const Value w = make_constant(wave({72, 20}, 0.03F)), bias = make_constant(wave({72}, 0.1F));
  const Value u = make_constant(wave({72, 9}, 0.02F));
  const Value h = make_op("relu", {make_op("add", {make_op("linear", {x, w}), bias})});
  expect_same({x}, make_op("softmax", {make_op("matmul", {h, u})}), {{1, 20}, {5, 20}}, always);
  EXPECT_EQ(fake_cuda::cublaslt_counters().products, 12);  // two, for two shapes, three times
  // Matrices for each batch, and one for all.
  const Value z = make_input({imm(3), te::symbol("m"), imm(6)}, kFloat32, "z");
  const Value own = make_constant(wave({3, 6, 5}, 0.1F));
  const Value shared = make_constant(wave({1, 6, 4}, 0.1F));
  for (const Value& matrices : {own, shared})
    expect_same({z}, make_op("matmul", {z, matrices}), {{3, 2, 6}, {3, 7, 6}}, always);
  EXPECT_EQ(fake_cuda::cublaslt_counters().products, 24);
}

TEST(NetworksOnHost, products_are_a_librarys_only_where_that_is_asked_for) {
  TENON_NEEDS_NVRTC();
  fake_cuda::start();  // which has a cuBLASLt beside it
  const Value x = make_input({te::symbol("b"), imm(20)}, kFloat32, "x");
  const Value alone = make_op("linear", {x, make_constant(wave({8, 20}, 0.03F))});
  const Value fused = make_op("relu", {make_op("linear", {x, make_constant(wave({9, 20}, 0.1F))})});
  const auto compiled = [&](graph::Libraries libraries, const char* target) {
    return graph::compile({x}, {alone, fused}, "network", Target::parse(target),
                          {.libraries = libraries});
  };
  const auto count = [](const CompiledNetwork& network) {
    return std::count_if(network.calls.begin(), network.calls.end(),
                         [](const graph::KernelCall& c) { return c.library == "cuBLASLt"; });
  };
  const char* gpu = "cuda -arch=sm_90a";
  const CompiledNetwork never = compiled(graph::Libraries::kNever, gpu);
  const CompiledNetwork automatic = compiled(graph::Libraries::kAuto, gpu);
  const CompiledNetwork always = compiled(graph::Libraries::kAlways, gpu);
  const CompiledNetwork on_cpu = compiled(graph::Libraries::kAlways, "cpu");
  EXPECT_EQ(count(never), 0);
  EXPECT_EQ(count(automatic), 1);
  EXPECT_EQ(count(always), 2);
  EXPECT_EQ(count(on_cpu), 0);
  EXPECT_EQ(never.calls.size(), 2u);
  EXPECT_EQ(always.calls.size(), 3u);
  EXPECT_EQ(never.report().find("libraries"), std::string::npos);
  EXPECT_EQ(on_cpu.report().find("libraries"), std::string::npos);
  EXPECT_NE(automatic.report().find("libraries: auto, 1 of 2 kernel calls"), std::string::npos);
  EXPECT_NE(always.report().find("library cuBLASLt, whose order of sums is its own"),
            std::string::npos);
  // Costs are those of the products, whoever computes them.
  EXPECT_EQ(always.costs({{4, 20}})[0].operations, never.costs({{4, 20}})[0].operations);
}

TEST(NetworksOnHost, a_value_of_several_readers) {
  TENON_NEEDS_NVRTC();
  const Value x = make_input({imm(6), imm(33)}, kFloat32, "x");
  const Value w = make_constant(wave({33, 33}, 0.02F));
  const Value y = make_op("tanh", {make_op("linear", {x, w})});
  expect_same({x}, make_op("add", {make_op("softmax", {y}), make_op("mul", {y, x})}), {{6, 33}});
}

using Numbers = std::vector<std::int64_t>;

/// A window operator, and its gradients by both operands, on the device as on the CPU.
void expect_same_window(const std::string& op, const Shape& x_shape, const Shape& w_shape,
                        const graph::OpAttrs& attrs) {
  SCOPED_TRACE(op + " of " + std::to_string(w_shape.size() - 2) + " axes");
  std::vector<Expr> dims;
  for (const std::int64_t d : x_shape) dims.push_back(imm(d));
  dims[0] = te::symbol("n");
  const Value x = make_input(dims, kFloat32, "x"), w = make_constant(wave(w_shape, 0.02F));
  const Value y = make_op(op, {x, w}, attrs);
  const Value cotangent = make_op("mul", {y, y});
  expect_same({x}, y, {x_shape});
  for (const Value& gradient : graph::vjp({y}, {x, w}, {cotangent})) {
    expect_same({x}, gradient, {x_shape});
  }
}

TEST(NetworksOnHost, windows_of_any_stride_and_groups_and_their_gradients) {
  TENON_NEEDS_NVRTC();
  expect_same_window("conv", {2, 31, 8}, {4, 8, 12},
                     {{"strides", Numbers{3}}, {"padding", Numbers{2, 2}}});
  expect_same_window("conv", {2, 6, 7, 32}, {3, 3, 8, 32},
                     {{"groups", std::int64_t{4}}, {"padding", Numbers{1, 1, 1, 1}}});
}

TEST(NetworksOnHost, a_recurrence_is_a_loop_around_launches) {
  TENON_NEEDS_NVRTC();
  const Value x = make_input({te::symbol("t"), imm(3), imm(5)}, kFloat32, "x");
  graph::LoopParts loop;
  loop.op = "scan";
  loop.count = x->shape[0];
  loop.is_reverse = true;
  loop.init = {make_constant(wave({3, 5}, 0.05F))};
  loop.stacked = {x};
  loop.iteration = make_input({}, kInt64, "i");
  loop.states = {make_input({imm(3), imm(5)}, kFloat32, "h")};
  loop.slices = {make_input({imm(3), imm(5)}, kFloat32, "row")};
  const Value product = make_op("linear", {loop.states[0], make_constant(wave({5, 5}, 0.04F))});
  loop.next = {make_op("tanh", {make_op("add", {product, loop.slices[0]})})};
  loop.results = loop.next;
  expect_same({x}, make_op("exp", {make_loop(loop)[1]}), {{1, 3, 5}, {6, 3, 5}});
}

}  // namespace
}  // namespace tenon::testing
