// Plans for a device, run on the fake driver.

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "fake_cuda/control.h"
#include "runtime/device_plan.h"
#include "runtime/on_device.h"
#include "tenon/runtime/device.h"
#include "tenon/runtime/profile.h"

namespace tenon {
namespace {

using Kind = DeviceParam::Kind;

int vector_add(const fake_cuda::Launch& l) {
  const std::int64_t n = l.size(3);
  for (std::size_t i = 0; i < 3; ++i) {
    if (!fake_cuda::is_valid(l.pointer<float>(i), 4 * static_cast<std::size_t>(n))) return 700;
  }
  for (std::int64_t i = 0; i < n; ++i)
    l.pointer<float>(2)[i] = l.pointer<float>(0)[i] + l.pointer<float>(1)[i];
  return 0;
}

class DeviceRunTest : public testing::Test {
 protected:
  void SetUp() override {
    fake_cuda::start();
    fake_cuda::set_kernel("vector_add", vector_add);
  }
};

TEST_F(DeviceRunTest, a_plan_runs_and_binds_once_for_equal_shapes) {
  Loaded f(device_vector_add_plan());
  EXPECT_EQ(tenon_model_device(f.model()).device_type, kDLCUDA);
  OnDevice x({1, 2, 3}), y({10, 20, 30}), z({0, 0, 0});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(z.values(), Values({11, 22, 33}));
  tenon_context_stats stats;
  tenon_context_get_stats(f.context(), &stats);
  EXPECT_EQ(stats.binds, 1u);
  EXPECT_EQ(stats.runs, 5u);
  ASSERT_EQ(fake_cuda::counters().launches, 5);
  const fake_cuda::Launch& l = fake_cuda::log().back();
  EXPECT_EQ(l.grid[0], 1u);
  EXPECT_EQ(l.block[0], 128u);
  EXPECT_EQ(l.size(3), 3);
  DLTensor result;
  ASSERT_EQ(tenon_context_result(f.context(), 0, &result), TENON_OK);
  EXPECT_EQ(result.device.device_type, kDLCUDA);
}

TEST_F(DeviceRunTest, one_plan_serves_every_size) {
  Loaded f(device_vector_add_plan());
  for (const std::size_t n : {1u, 128u, 129u, 1000u}) {
    OnDevice x(Values(n, 1)), y(Values(n, 2)), z(Values(n, 0));
    EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
    EXPECT_EQ(z.values(), Values(n, 3));
    EXPECT_EQ(fake_cuda::log().back().grid[0], (n + 127) / 128);
  }
}

TEST_F(DeviceRunTest, the_second_run_with_the_same_arrays_is_captured_and_later_ones_replay) {
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0}), w({0, 0});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(f.stats().launches, 1u);
  EXPECT_EQ(f.stats().graph_captures, 1u);
  EXPECT_EQ(f.stats().graph_launches, 3u);
  // Another result: its first run is plain, and goes where it should.
  EXPECT_EQ(f.run({y.tensor(), y.tensor()}, {w.tensor()}), "");
  EXPECT_EQ(f.stats().launches, 2u);
  EXPECT_EQ(w.values(), Values({6, 8}));
  EXPECT_EQ(z.values(), Values({4, 6}));
  // Both sets are known by now.
  EXPECT_EQ(f.run({y.tensor(), y.tensor()}, {w.tensor()}), "");
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(f.stats().graph_launches, 5u);
  EXPECT_EQ(f.stats().graph_captures, 2u);
}

TEST_F(DeviceRunTest, graphs_of_more_sets_of_arrays_than_are_kept_are_made_again) {
  Loaded f(device_vector_add_plan());
  OnDevice x({1}), y({3});
  std::vector<std::unique_ptr<OnDevice>> results;
  for (int i = 0; i < 12; ++i) results.push_back(std::make_unique<OnDevice>(Values({0})));
  for (int round = 0; round < 3; ++round) {
    for (const auto& z : results) {
      EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z->tensor()}), "");
      EXPECT_EQ(z->values(), Values({4}));
    }
  }
  EXPECT_EQ(f.stats().graph_captures, 0u);  // each set was forgotten before it came again
}

TEST_F(DeviceRunTest, graphs_can_be_switched_off_and_a_failed_capture_is_no_failure) {
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  Loaded plain(device_vector_add_plan());
  EXPECT_EQ(tenon_context_bind(plain.context(), std::vector{x.tensor(), y.tensor()}.data(), 2),
            TENON_OK);
  EXPECT_EQ(tenon_context_set_graphs(plain.context(), 0), TENON_OK);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(plain.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(plain.stats().launches, 3u);
  EXPECT_EQ(plain.stats().graph_captures, 0u);

  fake_cuda::controls().fail_capture = 1;
  Loaded refused(device_vector_add_plan());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(refused.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(refused.stats().launches, 4u);
  EXPECT_EQ(z.values(), Values({4, 6}));
}

TEST_F(DeviceRunTest, arrays_elsewhere_are_named_with_the_cure) {
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  EXPECT_EQ(f.run({x.tensor(), y.tensor(kHost)}, {z.tensor()}, TENON_ERROR_TARGET),
            "vector_add: argument 'Y' is in host memory, expected cuda:0 [E1125]\n  hint: copy it "
            "with .to(\"cuda:0\")");
  EXPECT_EQ(f.run({x.tensor({kDLCUDA, 1}), y.tensor()}, {z.tensor()}, TENON_ERROR_TARGET),
            "vector_add: argument 'X' is on cuda:1, expected cuda:0 [E1125]\n  hint: copy it with "
            ".to(\"cuda:0\")");
  EXPECT_EQ(
      f.run({x.tensor({kDLROCM, 0}), y.tensor()}, {z.tensor()}, TENON_ERROR_TARGET).substr(0, 71),
      "vector_add: argument 'X' is on DLPack device 10:0, expected cuda:0 [E11");
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor(kHost)}, TENON_ERROR_TARGET).substr(0, 54),
            "vector_add: result 'Z' is in host memory, expected cud");
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");  // still usable
}

TEST_F(DeviceRunTest, launch_limits_are_refused_before_launching_with_limit_and_loop) {
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  const auto message = [&](const std::function<void(Plan&, DeviceLaunch&)>& change) {
    Plan plan = device_vector_add_plan();
    change(plan, plan.steps[0].launches[0]);
    Loaded f(plan);
    return f.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_TARGET);
  };
  EXPECT_EQ(message([](Plan&, DeviceLaunch& l) { l.block = {1025, 1, 1}; }),
            "vector_add: kernel 'vector_add' has 1025 x 1 x 1 threads in a block (loop i_inner), "
            "cuda:0 allows 1024 [E1127]\n  hint: split those loops");
  EXPECT_EQ(message([](Plan&, DeviceLaunch& l) { l.block = {32, 64, 1}; }),
            "vector_add: kernel 'vector_add' has 32 x 64 x 1 threads in a block (loop i_inner), "
            "cuda:0 allows 1024 [E1127]\n  hint: split those loops");
  EXPECT_EQ(message([](Plan&, DeviceLaunch& l) {
              l.block = {1, 1, 65};
              l.block_loops[2] = "k";
            }),
            "vector_add: kernel 'vector_add' has 65 threads along threadIdx.z (loop k), cuda:0 "
            "allows 64 [E1127]\n  hint: bind that loop to threadIdx.x, or split it");
  EXPECT_EQ(message([](Plan& p, DeviceLaunch& l) {
              l.grid[1] = p.program.constant(65536);
              l.grid_loops[1] = "j, k";
            }),
            "vector_add: kernel 'vector_add' has 65536 blocks along blockIdx.y (loop j, k), "
            "cuda:0 allows 65535 [E1127]\n  hint: bind that loop to blockIdx.x, or split it");
  EXPECT_EQ(
      message([](Plan& p, DeviceLaunch& l) {
        l.grid[0] = p.program.constant(std::int64_t{1} << 31);
      }).substr(0, 87),
      "vector_add: kernel 'vector_add' has 2147483648 blocks along blockIdx.x (loop i_outer), ");
  EXPECT_EQ(message([](Plan&, DeviceLaunch& l) { l.dynamic_shared_bytes = (227 << 10) + 4; }),
            "vector_add: kernel 'vector_add' (loop i_outer) has 232452 bytes of shared memory in a "
            "block, cuda:0 allows 232448 [E1127]\n  hint: use smaller tiles or fewer stages");
  EXPECT_EQ(message([](Plan& p, DeviceLaunch&) {
              p.device_program.cubins[0] = fake_cubin("vector_add:4:64");
            }),
            "vector_add: kernel 'vector_add' has 128 x 1 x 1 threads in a block (loop i_inner), "
            "but its registers allow 64 [E1127]\n  hint: use smaller blocks or register tiles");
  EXPECT_EQ(fake_cuda::counters().launches, 0);
}

TEST_F(DeviceRunTest, much_shared_memory_is_asked_for) {
  Plan plan = device_vector_add_plan();
  plan.steps[0].launches[0].dynamic_shared_bytes = 100 << 10;
  Loaded f(plan);
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(fake_cuda::log().back().shared_bytes, 100u << 10);
}

TEST_F(DeviceRunTest, code_for_another_architecture_or_without_the_kernel_is_named) {
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  Plan plan = device_vector_add_plan();
  plan.device_program.cubins[0] = fake_cubin("vector_add:4", "sm_100a");
  EXPECT_EQ(Loaded(plan).run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_TARGET),
            "vector_add: its code is for sm_100a, but cuda:0 (Fake GPU) is sm_90 [E1124]\n  hint: "
            "compile it for \"cuda -arch=sm_90\"");
  plan.device_program.cubins[0] = fake_cubin("other:4");
  EXPECT_EQ(Loaded(plan).run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_MODEL),
            "vector_add: cubin 0 has no kernel 'vector_add' [E1130]");
  plan.device_program.cubins[0].image = {'E', 'L', 'F', 0};
  EXPECT_EQ(Loaded(plan).run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_MODEL),
            "vector_add: the driver does not take cubin 0 for sm_90a [E1130]\n  hint: build the "
            "plan again");
}

TEST_F(DeviceRunTest, loops_around_launches_nest_and_give_their_iteration) {
  // a (once), then for t in 0..2: { b, for u in 0..3: c }, then d.
  Plan plan = device_vector_add_plan();
  PlanProgram& p = plan.program;
  const PlanRegister one = p.constant(1), two = p.constant(2), three = p.constant(3);
  plan.device_program.cubins = {fake_cubin("a:1 b:2 c:3 d:1")};
  plan.device_program.kernels = {{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}};
  const auto launch = [&](std::uint32_t kernel, std::vector<DeviceParam> params,
                          std::vector<DeviceRepeat> repeats) {
    DeviceLaunch l;
    l.kernel = kernel;
    l.grid = {one, one, one};
    l.params = std::move(params);
    l.repeats = std::move(repeats);
    return l;
  };
  const DeviceRepeat t = {7, two}, u = {9, three};
  plan.steps[0].launches = {
      launch(0, {{Kind::kSize, two}}, {}),
      launch(1, {{Kind::kLoop, 0}, {Kind::kBuffer, 1}}, {t}),
      launch(2, {{Kind::kLoop, 0}, {Kind::kLoop, 1}, {Kind::kSize, three}}, {t, u}),
      launch(3, {{Kind::kSize, p.constant(5)}}, {{8, one}}),
      launch(0, {{Kind::kSize, one}}, {{11, p.constant(0)}}),
  };
  Loaded f(plan);
  OnDevice x({1}), y({2}), z({0});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  std::string trace;
  for (const fake_cuda::Launch& l : fake_cuda::log()) {
    trace += l.name;
    if (l.name == "b") trace += std::to_string(l.size(0));
    if (l.name == "c") trace += std::to_string(l.size(0)) + std::to_string(l.size(1));
  }
  const std::string once = "ab0c00c01c02b1c10c11c12d";
  EXPECT_EQ(trace, once + once + once);  // plain, captured, replayed
  EXPECT_EQ(f.stats().graph_captures, 1u);
}

TEST_F(DeviceRunTest, a_grid_with_zero_blocks_launches_nothing) {
  Plan plan = device_vector_add_plan();
  plan.symbols[0].min = 0;
  Loaded f(plan);
  OnDevice x({}), y({}), z({});
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(fake_cuda::counters().launches, 0);
}

/// Z = X + Y through the workspace: W = X + Y in scratch memory, Z = W copied by a step.
TEST_F(DeviceRunTest, scratch_memory_workspace_constants_and_copies_are_on_the_device) {
  Plan plan = device_vector_add_plan();
  PlanProgram& p = plan.program;
  const PlanRegister bytes = p.mul(plan.symbols[0].reg, p.constant(4));
  plan.arena_bytes = p.constant(1024);
  const Values three = {3, 3, 3};
  PlanConstant c = {.name = "C", .dtype = kFloat32, .bytes = 12};
  c.data.resize(12);
  std::memcpy(c.data.data(), three.data(), 12);
  plan.constants = {c};
  const PlanBufferId constant = plan.add_constant_buffer(0);
  const PlanBufferId w = plan.add_workspace_buffer(p.constant(64), bytes);
  plan.steps[0].buffers = {0, constant, w};
  // Twice: into the scratch memory, which nobody reads, and into W.
  plan.steps[0].shared_bytes = p.constant(512);
  DeviceLaunch to_scratch = plan.steps[0].launches[0];
  to_scratch.params[2] = {Kind::kScratch, p.constant(128)};
  plan.steps[0].launches.insert(plan.steps[0].launches.begin(), to_scratch);
  plan.steps.push_back({.op = PlanStepOp::kCopy, .buffers = {2, w}});
  plan.buffers[2].bytes = bytes;
  Loaded f(plan);
  OnDevice x({1, 2, 5}), y({0, 0, 0}), z({0, 0, 0});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
    EXPECT_EQ(z.values(), Values({4, 5, 8}));
  }
  const auto& log = fake_cuda::log();
  EXPECT_EQ(log[0].params[2] - log[1].params[2], 1024u + 128 - 64);
}

int out_of_range(const fake_cuda::Launch& l) {
  auto* e = l.pointer<DeviceErrorRecord>(0);
  if (l.size(1) < 2) return 0;
  *e = {1, 0, l.size(1), 2};
  return 0;
}

TEST_F(DeviceRunTest, an_index_out_of_range_is_the_error_that_the_cpu_gives) {
  Plan plan = device_vector_add_plan();
  plan.kernels = {{.name = "first"}, {.name = "gather"}};
  plan.kernels[1].sites = {
      {.kind = PlanSiteKind::kRead, .buffer = "X", .axis = 1, .source = "a.py:3"}};
  plan.device_program.cubins = {fake_cubin("vector_add:4 gather:2")};
  plan.device_program.kernels.push_back({"gather", 0});
  PlanStep gather = {.op = PlanStepOp::kLaunch, .kernel = 1, .buffers = {0}};
  DeviceLaunch l = plan.steps[0].launches[0];
  l.kernel = 1;
  l.params = {{Kind::kError, 0}, {Kind::kSize, plan.symbols[0].reg}};
  gather.launches = {l};
  plan.steps.push_back(gather);
  fake_cuda::set_kernel("gather", out_of_range);
  Loaded f(plan);
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  OnDevice one({1}), other({2}), sum({0});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_INDEX),
              "vector_add: index 2 is out of range for axis 1 of size 2 when reading 'X' at "
              "a.py:3 [E0651]");
    EXPECT_EQ(f.run({one.tensor(), other.tensor()}, {sum.tensor()}), "");  // the record is cleared
  }
}

TEST_F(DeviceRunTest, branches_and_loops_read_the_device) {
  // for t below the int64 in N, at most 10: Z = Z + Y; if the byte in B: Z = Z + Y, else Z = Z + X.
  Plan plan = device_vector_add_plan();
  PlanProgram& p = plan.program;
  const PlanRegister one = p.constant(1);
  plan.inputs.push_back({.name = "N", .dtype = kInt64, .dims = {}});
  plan.inputs.push_back({.name = "B", .dtype = DType::uint(8), .dims = {}});
  plan.buffers.clear();
  for (std::uint32_t i = 0; i < 5; ++i) plan.add_argument_buffer(i);  // X Y N B Z
  plan.arena_bytes = p.constant(64);
  plan.buffers.push_back({PlanBufferKind::kWorkspace, 0, p.constant(0), p.constant(8)});
  const DeviceLaunch add = plan.steps[0].launches[0];
  const auto step = [&](PlanBufferId from) {
    PlanStep s = {.op = PlanStepOp::kLaunch, .kernel = 0, .buffers = {4, from, 4}};
    s.launches = {add};
    return s;
  };
  PlanRegion loop = {.num_steps = 1, .count = p.constant(10)};
  loop.count_buffer = 0;
  loop.iteration = 1;
  PlanRegion branch = {.num_steps = 2, .num_first = 1, .condition = 0};
  plan.regions = {loop, branch};
  plan.steps = {{.op = PlanStepOp::kLoop, .kernel = 0, .buffers = {2, 5}},
                step(1),
                {.op = PlanStepOp::kBranch, .kernel = 1, .buffers = {3}},
                step(1),
                step(0)};
  (void)one;
  Loaded f(plan);
  OnDevice x({100}), y({1}), z({0});
  OnDevice bits({0, 0, 0, 0});  // N in the first 8 bytes, B in the ninth
  for (const std::int64_t n : {3, 0, 7, 70}) {
    for (const unsigned char b : {0, 1}) {
      DLTensor number = bits.tensor();
      number.ndim = 0;
      number.dtype = {kDLInt, 64, 1};
      DLTensor flag = number;
      flag.dtype = {kDLUInt, 8, 1};
      flag.byte_offset = 8;
      const float zero = 0;
      DLTensor sum = z.tensor();
      ASSERT_EQ(tenon_device_copy(kCuda, number.data, kHost, &n, 8), TENON_OK);
      ASSERT_EQ(tenon_device_copy(kCuda, static_cast<char*>(flag.data) + 8, kHost, &b, 1),
                TENON_OK);
      ASSERT_EQ(tenon_device_copy(kCuda, sum.data, kHost, &zero, 4), TENON_OK);
      EXPECT_EQ(f.run({x.tensor(), y.tensor(), number, flag}, {sum}), "");
      EXPECT_EQ(z.values(), Values({static_cast<float>((n < 10 ? n : 10) + (b != 0 ? 1 : 100))}));
    }
  }
  EXPECT_EQ(f.stats().graph_captures, 0u);  // what runs depends on data
}

TEST_F(DeviceRunTest, on_the_callers_stream_runs_do_not_wait) {
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  void* stream = nullptr;
  {
    // What an application that has a stream of its own does.
    using Create = int(void**, unsigned);
    auto* create = reinterpret_cast<Create*>(
        dlsym(dlopen(FAKE_CUDA_FOLDER "/fake_cuda/libcuda.so.1", RTLD_NOW), "cuStreamCreate"));
    ASSERT_EQ(create(&stream, 1), 0);
  }
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  ASSERT_EQ(tenon_context_set_stream(f.context(), stream), TENON_OK);
  const int launches = fake_cuda::counters().launches;
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(fake_cuda::counters().launches, launches);  // queued
  EXPECT_EQ(tenon_context_synchronize(f.context()), TENON_OK);
  EXPECT_EQ(fake_cuda::counters().launches, launches + 2);
  EXPECT_EQ(z.values(), Values({4, 6}));
  EXPECT_EQ(tenon_context_set_stream(f.context(), nullptr), TENON_OK);
}

TEST_F(DeviceRunTest, captures_and_copies_on_several_threads_do_not_disturb_each_other) {
  // The driver refuses copies that wait, and allocations, while a run is captured.
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&wrong, t] {
      for (int round = 0; round < 30; ++round) {
        Loaded f(device_vector_add_plan());
        const Values ones(static_cast<std::size_t>(10 + t), 1);
        OnDevice x(ones), y(ones), z(ones);
        for (int i = 0; i < 3; ++i) f.run({x.tensor(), y.tensor()}, {z.tensor()});
        wrong += z.values() != Values(ones.size(), 2) || f.stats().graph_captures != 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(DeviceRunTest, steps_are_timed_when_asked_for) {
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  tenon_step_times times[1] = {};
  ASSERT_EQ(tenon_context_set_times(f.context(), times, 1), TENON_OK);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(times[0].calls, 3u);
  EXPECT_GT(times[0].nanoseconds, 0u);
}

TEST_F(DeviceRunTest, freed_memory_is_reused_and_given_back) {
  tenon_device_trim_pool(0, 0);
  tenon_device_pool_stats before, after;
  tenon_device_get_pool_stats(0, &before);
  for (int i = 0; i < 10; ++i) OnDevice x(Values(1000, 1));
  tenon_device_get_pool_stats(0, &after);
  EXPECT_EQ(after.requests - before.requests, 10u);
  EXPECT_EQ(after.driver_calls - before.driver_calls, 1u);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  EXPECT_GE(after.cached_bytes, 4000u);
  EXPECT_EQ(tenon_device_trim_pool(0, 0), TENON_OK);
  tenon_device_get_pool_stats(0, &after);
  EXPECT_EQ(after.cached_bytes, 0u);
}

TEST_F(DeviceRunTest, contexts_give_everything_back) {
  const int live = fake_cuda::counters().live_allocations;
  tenon_device_pool_stats before, after;
  tenon_device_get_pool_stats(0, &before);
  {
    Plan plan = device_vector_add_plan();
    plan.arena_bytes = plan.program.constant(5000);
    Loaded f(plan);
    OnDevice x({1, 2}), y({3, 4}), z({0, 0});
    EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  }
  tenon_device_get_pool_stats(0, &after);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  tenon_device_trim_pool(0, 0);
  EXPECT_LE(fake_cuda::counters().live_allocations, live);
}

TEST_F(DeviceRunTest, out_of_memory_frees_the_pool_retries_and_shows_who_holds_what) {
  tenon_device_trim_pool(0, 0);
  void* held = nullptr;
  void* freed = nullptr;
  ASSERT_EQ(tenon_device_allocate(0, 20 << 20, "weights", &held), TENON_OK);
  ASSERT_EQ(tenon_device_allocate(0, 30 << 20, "batch", &freed), TENON_OK);
  tenon_device_free(0, freed);
  // 30 MiB are cached, 14 are free: 40 MiB need the pool emptied.
  void* more = nullptr;
  ASSERT_EQ(tenon_device_allocate(0, 40 << 20, "batch", &more), TENON_OK) << tenon_last_error();
  void* none = nullptr;
  EXPECT_EQ(tenon_device_allocate(0, 10 << 20, "results", &none), TENON_ERROR_RESOURCE);
  const std::string message = tenon_last_error();
  EXPECT_EQ(none, nullptr);
  EXPECT_NE(message.find("out of memory on cuda:0: 10.0 MiB for results, "), std::string::npos)
      << message;
  EXPECT_NE(message.find("of 64.0 MiB are free [E1126]\n"), std::string::npos) << message;
  EXPECT_LT(message.find("40.0 MiB  batch (1)\n"), message.find("20.0 MiB  weights (1)\n"))
      << message;
  EXPECT_NE(message.find("other programs and the driver\n  hint: drop arrays"), std::string::npos)
      << message;
  tenon_device_free(0, held);
  tenon_device_free(0, more);
  tenon_device_trim_pool(0, 0);
  EXPECT_EQ(tenon_device_allocate(0, 10 << 20, "results", &none), TENON_OK);
  tenon_device_free(0, none);
  tenon_device_trim_pool(0, 0);
}

TEST_F(DeviceRunTest, a_plan_whose_workspace_does_not_fit_is_named) {
  Plan plan = device_vector_add_plan();
  plan.arena_bytes = plan.program.constant(100 << 20);
  Loaded f(plan);
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  EXPECT_NE(f.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_RESOURCE)
                .find("100.0 MiB for workspace of vector_add, "),
            std::string::npos);
}

TEST_F(DeviceRunTest, a_launch_that_the_driver_refuses_is_no_end_of_the_device) {
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  fake_cuda::controls().launch_result = 701;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_RESOURCE),
              "kernel 'vector_add' of 'vector_add': cuLaunchKernel on cuda:0 failed: "
              "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES [E1129]");
  }
  fake_cuda::controls().launch_result = 0;
  EXPECT_EQ(f.run({x.tensor(), y.tensor()}, {z.tensor()}), "");
  EXPECT_EQ(z.values(), Values({4, 6}));
}

/// In a child, as nothing on a lost device works again in a process: 0 when all is as it should be.
int use_lost_device() {
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  const auto message = [&] {
    return f.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_RESOURCE);
  };
  fake_cuda::controls().fail_launch = 0;
  const std::string lost =
      "cuda:0 is lost since vector_add failed with CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory "
      "access was encountered): nothing on it can be used in this process [E1128]\n";
  if (message().find(lost) != 0) return 1;
  if (message().find(lost) != 0) return 2;  // and says so again
  void* more = nullptr;
  if (tenon_device_allocate(0, 100, "more", &more) != TENON_ERROR_RESOURCE) return 3;
  float value = 0;
  if (tenon_device_copy(kHost, &value, kCuda, z.tensor().data, 4) != TENON_ERROR_RESOURCE) return 4;
  if (std::string(tenon_last_error()).find(lost) != 0) return 5;
  if (tenon_device_synchronize(0) != TENON_ERROR_RESOURCE) return 6;
  Loaded another(device_vector_add_plan());
  if (another.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_RESOURCE).find(lost) != 0)
    return 7;
  return testing::Test::HasFailure() ? 8 : 0;
}

TEST_F(DeviceRunTest, after_an_illegal_address_every_call_says_that_the_device_is_lost) {
  EXPECT_EXIT(std::exit(use_lost_device()), testing::ExitedWithCode(0), "");
}

int name_kernel() {
  setenv("TENON_CUDA_SYNC", "1", 1);
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  fake_cuda::controls().fail_launch = 1;
  f.run({x.tensor(), y.tensor()}, {z.tensor()});
  const std::string message = f.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_RESOURCE);
  return message.find("lost since kernel 'vector_add' of 'vector_add' failed") != message.npos ? 0
                                                                                               : 1;
}

TEST_F(DeviceRunTest, with_TENON_CUDA_SYNC_the_kernel_is_named) {
  EXPECT_EXIT(std::exit(name_kernel()), testing::ExitedWithCode(0), "");
}

int write_beyond(const fake_cuda::Launch& l) {
  l.pointer<float>(2)[l.size(3) * 40] = 1;
  return 0;
}

int find_write_beyond() {
  fake_cuda::set_kernel("vector_add", write_beyond);
  Loaded f(device_vector_add_plan());
  OnDevice x({1, 2}), y({3, 4}), z({0, 0});
  return f.run({x.tensor(), y.tensor()}, {z.tensor()}, TENON_ERROR_RESOURCE).empty() ? 1 : 0;
}

TEST_F(DeviceRunTest, the_fake_driver_sees_writes_beyond_a_block) {
  EXPECT_EXIT(std::exit(find_write_beyond()), testing::ExitedWithCode(0), "");
}

TEST_F(DeviceRunTest, device_memory_cannot_be_read_on_the_host) {
  EXPECT_DEATH(
      {
        OnDevice x({1, 2});
        std::fprintf(stderr, "%f", static_cast<double>(*static_cast<float*>(x.tensor().data)));
      },
      "");
}

TEST_F(DeviceRunTest, functions_for_contexts_refuse_those_of_the_host) {
  EXPECT_EQ(tenon_context_set_stream(nullptr, nullptr), TENON_ERROR_USAGE);
  EXPECT_STREQ(tenon_last_error(),
               "tenon_context_set_stream: not a context of a plan for a device [E1006]");
  EXPECT_EQ(tenon_context_synchronize(nullptr), TENON_ERROR_USAGE);
  EXPECT_EQ(tenon_model_device(nullptr).device_type, kDLCPU);
}

}  // namespace
}  // namespace tenon
