#include "tenon/runtime/executable.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <numeric>
#include <thread>

#include "runtime/vector_add.h"
#include "tenon/runtime/profile.h"

namespace tenon {
namespace {

Array filled(std::initializer_list<std::int64_t> shape, float start) {
  Array a = Array::empty(shape, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a.mutable_data<float>()[i] = start + static_cast<float>(i);
  return a;
}

Executable vector_add() {
  return Executable({.plan = vector_add_plan(), .kernels = {vector_add_kernel}, .constants = {}});
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

std::string call_message(const Executable& f, std::vector<Array> inputs) {
  return message_of<ShapeError>([&] { f.call(inputs); });
}

TEST(ExecutableTest, one_plan_serves_every_size) {
  const Executable f = vector_add();
  for (const std::int64_t n : {1, 2, 16, 1000}) {
    const std::vector<Array> inputs = {filled({n}, 0), filled({n}, 10)};
    const std::vector<Array> results = f.call(inputs);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(shape_str(results[0].shape()), "[" + std::to_string(n) + "]");
    EXPECT_EQ(results[0].data<float>()[n - 1], 10 + 2 * static_cast<float>(n - 1));
  }
}

TEST(ExecutableTest, strided_and_misaligned_inputs_are_copied_and_just_work) {
  const Executable f = vector_add();
  const Array grid = filled({4, 4}, 0);
  const std::array<std::int64_t, 1> four = {4};
  const Array column =
      grid.transpose(std::array<int, 2>{1, 0}).slice(0, 1, 2).contiguous().reshape(four);
  std::vector<char> bytes(4 * 4 + 1);
  char* skewed = bytes.data() + (reinterpret_cast<std::uintptr_t>(bytes.data()) % 4 == 0 ? 1 : 0);
  std::memcpy(skewed, grid.raw(), 16);
  const std::int64_t stride = 4;
  const Array strided = Array::from_memory(const_cast<float*>(grid.data<float>()) + 1, four,
                                           {&stride, 1}, kFloat32, true, {});
  const std::vector<Array> inputs = {strided,
                                     Array::from_memory(skewed, four, {}, kFloat32, true, {})};
  const std::vector<Array> results = f.call(inputs);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(results[0].data<float>()[i], column.data<float>()[i] + static_cast<float>(i));
}

TEST(ExecutableTest, declared_strides_are_passed_on_and_checked) {
  Plan plan = vector_add_plan();
  plan.inputs[0].strides = {plan.program.constant(2)};
  const auto strided_add = [](tenon_kernel_context*, void* const* buffers,
                              const std::int64_t* sizes) -> std::int32_t {
    const float* x = static_cast<const float*>(buffers[0]);
    for (std::int64_t i = 0; i < sizes[0]; ++i) static_cast<float*>(buffers[2])[i] = x[2 * i];
    return 0;
  };
  const Executable f({.plan = plan, .kernels = {strided_add}, .constants = {}});
  const Array grid = filled({3, 2}, 0);
  const std::int64_t three = 3;
  const std::int64_t two = 2;
  const Array column = Array::from_memory(const_cast<float*>(grid.data<float>()), {&three, 1},
                                          {&two, 1}, kFloat32, true, {});
  EXPECT_EQ(f.call(std::vector<Array>{column, filled({3}, 0)})[0].data<float>()[2], 4);
  EXPECT_EQ(call_message(f, {filled({3}, 0), filled({3}, 0)}),
            "vector_add: argument 'X' has strides [1], expected [2] [E0457]");
}

TEST(ExecutableTest, wrong_arguments_are_named) {
  const Executable f = vector_add();
  const Array four = filled({4}, 0);
  EXPECT_EQ(call_message(f, {four}), "vector_add: got 1 inputs, expected 2 (X, Y) [E0454]");
  EXPECT_EQ(call_message(f, {four, filled({5}, 0)}),
            "vector_add: symbol 'n' is 4 in argument 'X' (axis 0) but 5 in argument 'Y' (axis 0) "
            "[E0452]");
  EXPECT_EQ(call_message(f, {filled({0}, 0), filled({0}, 0)}),
            "vector_add: symbol 'n' is 0 in argument 'X' (axis 0), expected at least 1 [E0453]");
  EXPECT_EQ(call_message(f, {four, filled({2, 2}, 0)}),
            "vector_add: argument 'Y' has rank 2, expected 1 [E0455]");
  EXPECT_EQ(
      message_of<DTypeError>([&] { f.call(std::vector<Array>{four, Array::zeros({4}, kInt64)}); }),
      "vector_add: argument 'Y' has dtype int64, expected float32 [E0553]");
  EXPECT_EQ(f.call(std::vector<Array>{four, four})[0].data<float>()[3], 6);  // still usable
}

TEST(ExecutableTest, wrong_results_are_named) {
  const Executable f = vector_add();
  const std::vector<Array> inputs = {filled({4}, 0), filled({4}, 1)};
  const auto into = [&](Array out) {
    return message_of<ShapeError>([&] { f.call_into(inputs, {&out, 1}); });
  };
  EXPECT_EQ(into(filled({5}, 0)), "vector_add: result 'Z' has shape [5], expected [4] [E0451]");
  EXPECT_EQ(into(filled({4}, 0).as_read_only()),
            "vector_add: result 'Z' is a read-only array [E0461]");
  EXPECT_EQ(into(inputs[1]),
            "vector_add: the memory of result 'Z' overlaps that of argument 'Y' [E0456]");
  EXPECT_EQ(
      into(filled({4, 2}, 0).slice(1, 0, 1).transpose(std::array<int, 2>{1, 0}).slice(0, 0, 1)),
      "vector_add: result 'Z' has rank 2, expected 1 [E0455]");
  const Array wide = filled({8}, 0);
  const std::int64_t four = 4;
  const std::int64_t two = 2;
  EXPECT_EQ(into(Array::from_memory(const_cast<float*>(wide.data<float>()), {&four, 1}, {&two, 1},
                                    kFloat32, false, {})),
            "vector_add: result 'Z' has strides [2], expected [1] [E0457]");
}

TEST(ExecutableTest, constant_shapes_print_both_shapes) {
  Plan plan;
  plan.name = "matmul";
  const PlanRegister size = plan.program.constant(512);
  plan.inputs = {{.name = "A", .dtype = kFloat32, .dims = {size, size}},
                 {.name = "B", .dtype = kFloat32, .dims = {size, size}}};
  const Executable f({.plan = plan, .kernels = {}, .constants = {}});
  EXPECT_EQ(call_message(f, {filled({512, 512}, 0), filled({512, 511}, 0)}),
            "matmul: argument 'B' has shape [512, 511], expected [512, 512] [E0451]");
}

TEST(ExecutableTest, symbol_ranges_multiples_and_further_checks) {
  Plan plan;
  plan.name = "heads";
  const PlanRegister n = plan.program.dim(0, 0);
  const PlanRegister m = plan.program.dim(0, 1);
  plan.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n, m}}};
  plan.symbols = {{.name = "n", .reg = n, .axis = 0, .min = 2, .max = 8, .multiple_of = 2}};
  plan.checks = {
      {PlanCheckKind::kLessEqual, m, plan.program.mul(n, plan.program.constant(3)), "width of X"}};
  const Executable f({.plan = plan, .kernels = {}, .constants = {}});
  EXPECT_EQ(call_message(f, {filled({10, 1}, 0)}),
            "heads: symbol 'n' is 10 in argument 'X' (axis 0), expected at least 2 and at most 8 "
            "[E0453]");
  EXPECT_EQ(call_message(f, {filled({3, 1}, 0)}),
            "heads: symbol 'n' is 3 in argument 'X' (axis 0), expected a multiple of 2 [E0453]");
  EXPECT_EQ(call_message(f, {filled({2, 7}, 0)}),
            "heads: width of X is 7, expected at most 6 [E0460]");
  EXPECT_EQ(f.call(std::vector<Array>{filled({2, 6}, 0)}).size(), 0u);
}

TEST(ExecutableTest, a_second_run_of_the_same_shapes_binds_and_allocates_nothing) {
  const Executable f = vector_add();
  tenon_context* context = nullptr;
  ASSERT_EQ(tenon_context_create(f.model(), &context), TENON_OK);
  const Array x = filled({64}, 0);
  const Array z = filled({64}, 0);
  const DLTensor inputs[2] = {x.tensor(), x.tensor()};
  const auto run = [&] { return tenon_context_run(context, inputs, 2, &z.tensor(), 1); };
  ASSERT_EQ(run(), TENON_OK);
  tenon_context_stats before;
  tenon_context_get_stats(context, &before);
  tenon_pool_stats pool_before;
  tenon_pool_get_stats(&pool_before);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(run(), TENON_OK);
  tenon_context_stats after;
  tenon_context_get_stats(context, &after);
  tenon_pool_stats pool_after;
  tenon_pool_get_stats(&pool_after);
  EXPECT_EQ(after.binds, before.binds);
  EXPECT_EQ(after.runs, before.runs + 100);
  EXPECT_EQ(pool_after.requests, pool_before.requests);
  tenon_context_destroy(context);
}

/// A context that its own kernel tries to run again.
tenon_context* reentered = nullptr;

TEST(ExecutableTest, a_context_serves_one_call_at_a_time) {
  const auto reenter = [](tenon_kernel_context*, void* const*,
                          const std::int64_t*) -> std::int32_t {
    return tenon_context_run(reentered, nullptr, 0, nullptr, 0) == TENON_ERROR_USAGE ? 0 : 1;
  };
  const Executable f({.plan = vector_add_plan(), .kernels = {reenter}, .constants = {}});
  ASSERT_EQ(tenon_context_create(f.model(), &reentered), TENON_OK);
  const Array x = filled({4}, 0);
  const Array z = filled({4}, 0);
  const DLTensor inputs[2] = {x.tensor(), x.tensor()};
  EXPECT_EQ(tenon_context_run(reentered, inputs, 2, &z.tensor(), 1), TENON_OK);
  EXPECT_NE(std::string(tenon_last_error()).find("the context is in use by another call [E1005]"),
            std::string::npos);
  tenon_context_destroy(reentered);
}

TEST(ExecutableTest, several_threads_call_one_executable) {
  const Executable f = vector_add();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::int64_t n = 1 + (i + t) % 5;
        const std::vector<Array> inputs = {filled({n}, static_cast<float>(t)), filled({n}, 0)};
        if (f.call(inputs)[0].data<float>()[0] != static_cast<float>(t)) wrong.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

/// A plan with everything that moves memory: a constant, a workspace buffer, scratch memory, a copy
/// into the second result. T = X + W in the arena; Y = T + T; Z = T.
Plan staged_plan() {
  Plan plan;
  plan.name = "staged";
  const PlanRegister n = plan.program.dim(0, 0);
  const PlanRegister bytes = plan.program.mul(n, plan.program.constant(4));
  plan.arena_bytes = plan.program.round_up(bytes, 64);
  plan.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}}};
  plan.results = {{.name = "Y", .dtype = kFloat32, .dims = {n}},
                  {.name = "Z", .dtype = kFloat32, .dims = {n}}};
  PlanConstant weights{.name = "W", .dtype = kFloat32, .bytes = 32};
  weights.data.resize(32);
  const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::memcpy(weights.data.data(), values, 32);
  plan.constants = {weights};
  plan.kernels = {{.name = "add"}};
  const PlanBufferId x = plan.add_argument_buffer(0);
  const PlanBufferId y = plan.add_argument_buffer(1);
  const PlanBufferId z = plan.add_argument_buffer(2);
  const PlanBufferId w = plan.add_constant_buffer(0);
  const PlanBufferId t = plan.add_workspace_buffer(kPlanNone, bytes);
  const PlanRegister scratch = plan.program.constant(128);
  plan.steps = {
      {.buffers = {x, w, t}, .sizes = {n}, .shared_bytes = scratch, .worker_bytes = scratch},
      {.buffers = {t, t, y}, .sizes = {n}},
      {.op = PlanStepOp::kCopy, .buffers = {z, t}}};
  return plan;
}

std::int32_t add_using_scratch(tenon_kernel_context* ctx, void* const* buffers,
                               const std::int64_t* sizes) {
  std::memset(ctx->workspace, 0x7f, 64);  // must not be anybody's data
  return vector_add_kernel(ctx, buffers, sizes);
}

TEST(ExecutableTest, workspace_constants_and_copies) {
  const Executable f({.plan = staged_plan(), .kernels = {add_using_scratch}, .constants = {}});
  const std::vector<Array> inputs = {filled({8}, 0)};
  const std::vector<Array> results = f.call(inputs);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(results[0].data<float>()[i], 2 * static_cast<float>(2 * i + 1));
    EXPECT_EQ(results[1].data<float>()[i], static_cast<float>(2 * i + 1));
  }
}

TEST(ExecutableTest, results_must_not_overlap_each_other) {
  const Executable f({.plan = staged_plan(), .kernels = {add_using_scratch}, .constants = {}});
  const std::vector<Array> inputs = {filled({4}, 0)};
  const Array eight = filled({8}, 0);
  std::vector<Array> results = {eight.slice(0, 0, 4), eight.slice(0, 3, 7)};
  EXPECT_EQ(message_of<ShapeError>([&] { f.call_into(inputs, results); }),
            "staged: the memory of result 'Z' overlaps that of result 'Y' [E0456]");
  results = {eight.slice(0, 0, 4), eight.slice(0, 4, 8)};
  EXPECT_NO_THROW(f.call_into(inputs, results));
}

TEST(ExecutableTest, a_declared_pair_may_share_its_memory) {
  Plan plan = vector_add_plan();
  plan.results[0].in_place_of = 0;
  const Executable f({.plan = plan, .kernels = {vector_add_kernel}, .constants = {}});
  const Array both = filled({8}, 0);
  const std::vector<Array> inputs = {both, filled({8}, 1)};
  std::vector<Array> results = {both};
  EXPECT_NO_THROW(f.call_into(inputs, results));
  EXPECT_EQ(both.data<float>()[7], 15);
  results = {inputs[1]};
  EXPECT_THROW(f.call_into(inputs, results), ShapeError);
}

TEST(ExecutableTest, index_errors_name_buffer_axis_and_line) {
  Plan plan = vector_add_plan();
  plan.kernels[0].sites = {
      {.kind = PlanSiteKind::kRead, .buffer = "table", .axis = 0, .source = "model.py:14"},
      {.kind = PlanSiteKind::kAssert, .buffer = "n is even"}};
  const auto failing = [](tenon_kernel_context* ctx, void* const*,
                          const std::int64_t* sizes) -> std::int32_t {
    const bool read = sizes[0] == 1;
    ctx->index_error = {read ? 0 : 1, 0, 7, 5};
    return read ? TENON_KERNEL_INDEX_ERROR : TENON_KERNEL_ASSERT_FAILED;
  };
  const Executable f({.plan = plan, .kernels = {failing}, .constants = {}});
  EXPECT_EQ(
      message_of<IndexError>([&] { f.call(std::vector<Array>{filled({1}, 0), filled({1}, 0)}); }),
      "vector_add: index 7 is out of range for axis 0 of size 5 when reading 'table' at "
      "model.py:14 [E0651]");
  EXPECT_EQ(
      message_of<IndexError>([&] { f.call(std::vector<Array>{filled({2}, 0), filled({2}, 0)}); }),
      "vector_add: assertion failed: n is even [E0652]");
}

TEST(ExecutableTest, ctrl_c_stops_a_running_call_and_not_a_later_one) {
  std::signal(SIGINT, SIG_IGN);
  install_interrupt_handler();
  const auto interrupted_kernel = [](tenon_kernel_context* ctx, void* const* buffers,
                                     const std::int64_t* sizes) -> std::int32_t {
    if (sizes[0] == 3) std::raise(SIGINT);
    const auto task = [](tenon_kernel_context*, void*, std::int64_t, std::int64_t, std::int32_t) {
      return 0;
    };
    const std::int32_t status = ctx->parallel_for(ctx, 10, task, nullptr);
    return status != 0 ? status : vector_add_kernel(ctx, buffers, sizes);
  };
  const Executable f({.plan = vector_add_plan(), .kernels = {interrupted_kernel}, .constants = {}});
  const std::vector<Array> three = {filled({3}, 0), filled({3}, 0)};
  const std::vector<Array> four = {filled({4}, 0), filled({4}, 0)};
  EXPECT_EQ(message_of<Interrupted>([&] { f.call(three); }), "vector_add: interrupted [E1004]");
  EXPECT_NO_THROW(f.call(four));
  std::raise(SIGINT);  // none runs: dropped
  EXPECT_NO_THROW(f.call(four));
}

TEST(ExecutableTest, kernels_run_with_round_to_nearest_and_subnormals) {
  const auto halve = [](tenon_kernel_context*, void* const* buffers,
                        const std::int64_t*) -> std::int32_t {
    const volatile float smallest = 1.17549435e-38F;
    static_cast<float*>(buffers[2])[0] = smallest * 0.5F;
    return 0;
  };
  const Executable f({.plan = vector_add_plan(), .kernels = {halve}, .constants = {}});
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);  // FTZ and DAZ
  const std::vector<Array> results = f.call(std::vector<Array>{filled({1}, 0), filled({1}, 0)});
  const unsigned after = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before);
  EXPECT_EQ(after & 0x8040, 0x8040u);
  EXPECT_GT(results[0].data<float>()[0], 0.0F);
}

TEST(ExecutableTest, steps_are_timed_for_as_long_as_a_profile_runs) {
  const Executable f = vector_add();
  const std::vector<Array> inputs = {filled({1000}, 0), filled({1000}, 10)};
  std::vector<Array> results = {filled({1000}, 0)};
  const std::vector<RunProfile> runs = f.profile(inputs, results, 3);
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(results[0].data<float>()[999], 10 + 2 * 999.0F);
  for (const RunProfile& run : runs) {
    ASSERT_EQ(run.steps.size(), 1U);
    EXPECT_EQ(run.steps[0].calls, 1U);
    EXPECT_GT(run.steps[0].nanoseconds, 0U);
    EXPECT_GE(run.nanoseconds, run.steps[0].nanoseconds);
  }
  EXPECT_TRUE(f.profile(inputs, results, 1, false)[0].steps.empty());
  EXPECT_TRUE(f.profile(inputs, results, 0).empty());
  EXPECT_THROW(f.profile(std::vector<Array>{inputs[0]}, results, 1), ShapeError);
  f.call_into(inputs, results);  // the context that was timed; its times are gone
}

TEST(ExecutableTest, times_need_room_for_each_step) {
  const Executable f = vector_add();
  tenon_context* context = nullptr;
  ASSERT_EQ(tenon_context_create(f.model(), &context), TENON_OK);
  tenon_step_times times[2] = {};
  EXPECT_EQ(tenon_model_num_steps(f.model()), 1);
  EXPECT_EQ(tenon_context_set_times(context, times, 2), TENON_ERROR_USAGE);
  EXPECT_STREQ(tenon_last_error(),
               "tenon_context_set_times: the model has 1 steps, got room for 2 [E1006]");
  EXPECT_EQ(tenon_context_set_times(nullptr, times, 1), TENON_ERROR_USAGE);
  EXPECT_EQ(tenon_context_set_times(context, times, 1), TENON_OK);
  EXPECT_EQ(tenon_context_set_times(context, nullptr, 0), TENON_OK);
  tenon_context_destroy(context);
}

TEST(ExecutableTest, missing_kernels_and_constants_are_refused) {
  EXPECT_EQ(message_of<ModelError>(
                [] { Executable({.plan = vector_add_plan(), .kernels = {}, .constants = {}}); }),
            "the plan has 1 kernels but 0 functions were given [E0910]");
  Plan plan = staged_plan();
  plan.constants[0].data = {};
  EXPECT_EQ(message_of<ModelError>([&] {
              Executable({.plan = plan, .kernels = {add_using_scratch}, .constants = {}});
            }),
            "no memory was given for constant 'W' [E0910]");
}

}  // namespace
}  // namespace tenon
