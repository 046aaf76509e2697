// Statements, memory and threads of generated kernels.

#include <gtest/gtest.h>
#include <pthread.h>
#include <xmmintrin.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "codegen/kernel_runner.h"

namespace tenon::testing {
namespace {

std::vector<float> iota_floats(std::int64_t n, float first = 0) {
  std::vector<float> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), first);
  return v;
}

Symbol symbol(const char* name) { return Symbol{var(name), 0, std::nullopt, 1}; }

Stmt parallel(const Expr& v, const Expr& extent, const Stmt& body) {
  ForAttrs attrs;
  attrs.kind = ForKind::kParallel;
  return make_for(v, imm(0), extent, body, attrs);
}

/// Runs `f` on a thread with a stack of 1 MiB.
void run_on_small_stack(const std::function<void()>& f) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 1 << 20);
  pthread_t thread;
  const auto call = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attr, call, const_cast<std::function<void()>*>(&f)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attr);
}

TEST(Kernels, serial_loop_over_a_symbol_runs_for_sizes_0_and_1) {
  const Symbol n = symbol("n");
  const Buffer x = make_buffer("x", kFloat32, {n.var}), y = make_buffer("y", kFloat32, {n.var});
  const Expr i = var("i");
  const Function f = loop_function(
      "scale", {x}, {y},
      make_for(i, imm(0), n.var, store(y, {i}, load(x, {i}) * float_imm(kFloat32, 2))), {n});
  for (const std::int64_t size : {0, 1, 7, 100}) {
    std::vector<float> in = iota_floats(100), out(100, -1.0f);
    RunOptions options;
    options.sizes = {size};
    ASSERT_EQ(run_kernel(f, {in.data(), out.data()}, options).status, 0);
    for (std::int64_t k = 0; k < 100; ++k) {
      const auto at = static_cast<std::size_t>(k);
      ASSERT_EQ(out[at], k < size ? 2 * in[at] : -1.0f);
    }
  }
}

TEST(Kernels, outermost_parallel_loop_is_shared_by_the_workers_and_nested_ones_are_serial) {
  const Symbol n = symbol("n");
  const Buffer x = make_buffer("x", kFloat32, {n.var * 8});
  const Buffer y = make_buffer("y", kFloat32, {n.var * 8});
  const Expr i = var("i"), j = var("j"), factor = var("factor", kFloat32);
  const Expr at = i * 8 + j;
  const Stmt body = parallel(i, n.var, parallel(j, imm(8), store(y, {at}, load(x, {at}) * factor)));
  const Function f =
      loop_function("rows", {x}, {y}, make_let(factor, float_imm(kFloat32, 3), body), {n});
  for (const std::int64_t size : {0, 1, 2, 33}) {
    std::vector<float> in = iota_floats(33 * 8), out(33 * 8, -1.0f);
    RunOptions options;
    options.sizes = {size};
    const RunResult run = run_kernel(f, {in.data(), out.data()}, options);
    ASSERT_EQ(run.status, 0);
    EXPECT_EQ(run.num_parallel_calls, size == 0 ? 0 : 1);
    for (std::size_t k = 0; k < in.size(); ++k) {
      ASSERT_EQ(out[k], static_cast<std::int64_t>(k) < size * 8 ? 3 * in[k] : -1.0f);
    }
  }
}

TEST(Kernels, workspace_has_a_shared_part_and_one_for_each_worker) {
  const Symbol n = symbol("n");
  const Buffer x = make_buffer("x", kFloat32, {n.var}), y = make_buffer("y", kFloat32, {n.var});
  const Buffer shared = make_buffer("shared", kFloat32, {n.var});
  const Buffer first = make_buffer("first", kInt32, {imm(5000)});  // above 16 KiB
  const Buffer own = make_buffer("own", kFloat32, {n.var});
  const Expr i = var("i"), j = var("j"), k = var("k"), m = var("m");
  const Stmt fill = make_for(i, imm(0), n.var, store(shared, {i}, load(x, {i}) + load(x, {i})));
  const Stmt use =
      make_seq({store(first, {imm(4999)}, int_imm(kInt32, 1)),
                make_for(m, imm(0), n.var, store(own, {m}, load(shared, {m}) + load(x, {j}))),
                make_for(k, imm(0), imm(1), store(y, {j}, load(own, {j})))});
  const Stmt loop = parallel(j, n.var, make_allocate(first, make_allocate(own, use)));
  const Function f =
      loop_function("spaces", {x}, {y}, make_allocate(shared, make_seq({fill, loop})), {n});
  std::vector<float> in = iota_floats(77), out(77);
  RunOptions options;
  options.sizes = {77};
  ASSERT_EQ(run_kernel(f, {in.data(), out.data()}, options).status, 0);
  for (std::size_t k2 = 0; k2 < 77; ++k2) ASSERT_EQ(out[k2], 3 * in[k2]);
}

TEST(Kernels, small_buffers_live_on_the_stack) {
  const Buffer y = make_buffer("y", kFloat32, {imm(64)});
  const Buffer tile = make_buffer("tile", kFloat32, {imm(64)}, Scope::kRegister);
  const Stmt body = make_seq({
      store(tile, {ramp(imm(0), imm(1), 64)}, const_like(kFloat32.with_lanes(64), 4)),
      store(y, {ramp(imm(0), imm(1), 64)}, load(tile, {ramp(imm(0), imm(1), 64)})),
  });
  const Function f = loop_function("tile", {}, {y}, make_allocate(tile, body));
  EXPECT_TRUE(is_int(workspace_of(f).shared_bytes, 0));
  std::vector<float> out(64);
  ASSERT_EQ(run_kernel(f, {out.data()}).status, 0);
  EXPECT_EQ(out[63], 4);
}

TEST(Kernels, vector_accesses_of_every_form) {
  constexpr int kLanes = 16;
  const Buffer x = make_buffer("x", kInt32, {imm(256)});
  const Buffer y = make_buffer("y", kInt32, {imm(16 * 8)});
  const Buffer index = make_buffer("index", kInt64, {imm(16)});
  const auto slot = [&](int k) { return ramp(imm(16 * k), imm(1), kLanes); };
  const Expr lanes = ramp(imm(0), imm(1), kLanes);
  const Expr is_low = lt(lanes, broadcast(imm(5), kLanes));
  const Stmt body = make_seq({
      store(y, {slot(0)}, load(x, {ramp(imm(3), imm(1), kLanes)})),
      store(y, {slot(1)}, load(x, {ramp(imm(3), imm(7), kLanes)})),
      store(y, {slot(2)}, load(x, {ramp(imm(30), imm(-1), kLanes)})),
      store(y, {slot(3)}, load(x, {broadcast(imm(9), kLanes)})),
      store(y, {slot(4)}, load(x, {load(index, {lanes})})),
      store(y, {slot(5)}, load(x, {lanes * broadcast(imm(2), kLanes) + lanes}, is_low)),
      store(y, {slot(6)}, load(x, {lanes}), is_low),
      store(y, {ramp(imm(16 * 8 - 1), imm(-1), kLanes)}, load(x, {lanes})),
  });
  const Function f = loop_function("accesses", {x, index}, {y}, body);
  std::vector<std::int32_t> in(256), out(16 * 8);
  std::iota(in.begin(), in.end(), 1000);
  std::vector<std::int64_t> where(16);
  for (std::size_t k = 0; k < 16; ++k) where[k] = static_cast<std::int64_t>((k * 37) % 256);
  for (const Target& target : runnable_targets()) {
    std::fill(out.begin(), out.end(), -1);
    ASSERT_EQ(run_kernel(f, {in.data(), where.data(), out.data()}, {target}).status, 0);
    for (std::size_t k = 0; k < 16; ++k) {
      const auto at = [&](std::size_t row) { return out[16 * row + k]; };
      ASSERT_EQ(at(0), in[3 + k]);
      ASSERT_EQ(at(1), in[3 + 7 * k]);
      ASSERT_EQ(at(2), in[30 - k]);
      ASSERT_EQ(at(3), in[9]);
      ASSERT_EQ(at(4), in[static_cast<std::size_t>(where[k])]);
      ASSERT_EQ(at(5), k < 5 ? in[3 * k] : 0);
      ASSERT_EQ(at(6), k < 5 ? in[k] : -1);
      ASSERT_EQ(at(7), in[15 - k]);
    }
  }
}

TEST(Kernels, vector_reduction_joins_halves) {
  for (const int lanes : {2, 6, 64}) {
    const Buffer x = make_buffer("x", kFloat32, {imm(lanes)}),
                 y = make_buffer("y", kFloat32, {imm(1)});
    const Expr value = vector_reduce(BinaryOp::kAdd, load(x, {ramp(imm(0), imm(1), lanes)}));
    const Function f = loop_function("sum", {x}, {y}, store(y, {imm(0)}, value));
    std::vector<float> in(static_cast<std::size_t>(lanes)), out(1);
    for (std::size_t k = 0; k < in.size(); ++k) in[k] = std::sin(static_cast<float>(k)) * 1e3f;
    std::vector<float> want = in;
    std::size_t n = want.size();
    for (; n % 2 == 0; n /= 2) {
      for (std::size_t k = 0; k < n / 2; ++k) want[k] += want[k + n / 2];
    }
    for (std::size_t k = 1; k < n; ++k) want[0] += want[k];
    ASSERT_EQ(run_kernel(f, {in.data(), out.data()}).status, 0);
    EXPECT_EQ(out[0], want[0]) << lanes;
  }
}

TEST(Kernels, lazy_select_reads_only_what_is_taken) {
  // x has 4 elements: reading beyond would crash, since the index is far outside.
  const Buffer x = make_buffer("x", kFloat32, {imm(4)}), y = make_buffer("y", kFloat32, {imm(32)});
  const Expr i = var("i"), far = imm(std::int64_t{1} << 40);
  const Expr scalar = select(lt(i, imm(4)), load(x, {i}), float_imm(kFloat32, -1));
  const Expr lanes = ramp(imm(0), imm(1), 16);
  const Expr low = lt(lanes, broadcast(imm(4), 16));
  const Expr distant = select(low, lanes, broadcast(far, 16));
  const Expr vector = select(low, load(x, {distant}), const_like(kFloat32.with_lanes(16), -1));
  // The second operand would read far outside where the first is false.
  const Expr guarded = logical_and(lt(i, imm(0)), gt(load(x, {far + i}), float_imm(kFloat32, -5)));
  const Stmt body =
      make_seq({make_for(i, imm(0), imm(16), store(y, {i}, scalar)),
                store(y, {lanes + broadcast(imm(16), 16)}, vector),
                make_for(i, imm(0), imm(16), make_if(guarded, store(y, {i}, zero(kFloat32))))});
  const Function f = loop_function("lazy", {x}, {y}, body);
  std::vector<float> in = {5, 6, 7, 8}, out(32);
  for (const Target& target : runnable_targets()) {
    ASSERT_EQ(run_kernel(f, {in.data(), out.data()}, {target}).status, 0);
    for (std::size_t k = 0; k < 32; ++k) ASSERT_EQ(out[k], k % 16 < 4 ? in[k % 16] : -1.0f);
  }
}

TEST(Kernels, checked_index_reports_the_first_failure_and_the_read_gives_0) {
  const Buffer x = make_buffer("x", kFloat32, {imm(10)});
  const Buffer index = make_buffer("index", kInt64, {imm(16)});
  const Buffer y = make_buffer("y", kFloat32, {imm(16)});
  const Expr i = var("i");
  const auto gather = [&](const Expr& at) {
    const Expr checked = call(at->dtype, "checked_index", {at, imm(10), imm(3)});
    return load(x, {checked}, ge(checked, broadcast(imm(0), at->dtype.lanes)));
  };
  const Function scalar = loop_function(
      "gather", {x, index}, {y}, parallel(i, imm(16), store(y, {i}, gather(load(index, {i})))));
  const Expr lanes = ramp(imm(0), imm(1), 16);
  const Function vector =
      loop_function("gather", {x, index}, {y}, store(y, {lanes}, gather(load(index, {lanes}))));
  for (const Function& f : {scalar, vector}) {
    std::vector<float> in = iota_floats(10, 100), out(16);
    std::vector<std::int64_t> where(16, 9);
    RunResult run = run_kernel(f, {in.data(), where.data(), out.data()});
    EXPECT_EQ(run.status, TENON_KERNEL_OK);
    EXPECT_EQ(out[15], 109);
    for (const std::int64_t bad : {std::int64_t{10}, std::int64_t{-1}, std::int64_t{1} << 40}) {
      where[6] = bad;
      run = run_kernel(f, {in.data(), where.data(), out.data()});
      EXPECT_EQ(run.status, TENON_KERNEL_INDEX_ERROR);
      EXPECT_EQ(run.error.site, 3);
      EXPECT_EQ(run.error.value, bad);
      EXPECT_EQ(run.error.extent, 10);
      EXPECT_EQ(out[6], 0);
      EXPECT_EQ(out[7], 109);
    }
  }
}

TEST(Kernels, assert_stops_with_its_site) {
  const Symbol n = symbol("n");
  const Buffer y = make_buffer("y", kFloat32, {imm(1)});
  const Stmt check = make<AssertNode>(lt(n.var, imm(5)), "n is below 5");
  const Function f = loop_function(
      "checks", {}, {y}, make_seq({check, store(y, {imm(0)}, float_imm(kFloat32, 1))}), {n});
  ASSERT_EQ(kernel_info(f).asserts.size(), 1u);
  EXPECT_EQ(kernel_info(f).asserts[0].message, "n is below 5");
  std::vector<float> out = {0};
  RunOptions options;
  options.sizes = {5};
  EXPECT_EQ(run_kernel(f, {out.data()}, options).status, TENON_KERNEL_ASSERT_FAILED);
  EXPECT_EQ(out[0], 0);
  options.sizes = {4};
  EXPECT_EQ(run_kernel(f, {out.data()}, options).status, TENON_KERNEL_OK);
  EXPECT_EQ(out[0], 1);
}

TEST(Kernels, while_loop_runs_until_its_condition_fails) {
  const Buffer y = make_buffer("y", kInt32, {imm(1)});
  const Expr value = load(y, {imm(0)});
  const Stmt body = store(y, {imm(0)}, value * int_imm(kInt32, 3));
  const Function f =
      loop_function("powers", {}, {y}, make<WhileNode>(lt(value, int_imm(kInt32, 1000)), body));
  std::vector<std::int32_t> out = {2};
  ASSERT_EQ(run_kernel(f, {out.data()}).status, 0);
  EXPECT_EQ(out[0], 1458);
}

TEST(Kernels, floating_point_mode_is_set_for_the_call_and_restored) {
  const Buffer x = make_buffer("x", kFloat32, {imm(1)}), y = make_buffer("y", kFloat32, {imm(1)});
  const Expr half = float_imm(kFloat32, 0.5);
  const Function f = loop_function("halve", {x}, {y}, store(y, {imm(0)}, load(x, {imm(0)}) * half));
  std::vector<float> in = {1e-38f}, out = {0};
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | 0x8040u);  // flush to zero, denormals are zero
  ASSERT_EQ(run_kernel(f, {in.data(), out.data()}).status, 0);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(mode);
  EXPECT_EQ(after & 0xffc0u, (mode | 0x8040u) & 0xffc0u);
  EXPECT_EQ(std::fpclassify(out[0]), FP_SUBNORMAL);
}

TEST(Kernels, shared_expressions_are_emitted_once) {
  const Buffer x = make_buffer("x", kFloat32, {imm(1)}), y = make_buffer("y", kFloat32, {imm(1)});
  Expr value = load(x, {imm(0)});
  for (int k = 0; k < 60; ++k) value = value * value;
  for (int k = 0; k < 3000; ++k) value = value + float_imm(kFloat32, 1);  // deep, too
  const Function f = loop_function("squarings", {x}, {y}, store(y, {imm(0)}, value));
  std::vector<float> in = {1}, out = {0};
  ASSERT_EQ(run_kernel(f, {in.data(), out.data()}).status, 0);
  EXPECT_EQ(out[0], 3001);
}

TEST(Kernels, chains_of_lazy_selects_stay_short) {
  const Buffer x = make_buffer("x", kFloat32, {imm(16)}), y = make_buffer("y", kFloat32, {imm(17)});
  const Expr lanes = ramp(imm(0), imm(1), 16);
  Expr scalar = load(x, {imm(3)}), vector = load(x, {lanes});
  const auto step = [](const Expr& v) {
    const Expr bound = const_like(v->dtype, 40);
    return select(lt(v, bound), v + const_like(v->dtype, 1), v);
  };
  for (int k = 0; k < 60; ++k) {
    scalar = step(scalar);
    vector = step(vector);
  }
  const Stmt body = make_seq({store(y, {lanes}, vector), store(y, {imm(16)}, scalar)});
  const Function f = loop_function("selects", {x}, {y}, body);
  std::vector<float> in = iota_floats(16), out(17);
  ASSERT_EQ(run_kernel(f, {in.data(), out.data()}).status, 0);
  EXPECT_EQ(out[5], 40);
  EXPECT_EQ(out[16], 40);
}

TEST(Kernels, the_deepest_expressions_and_statements_compile_on_a_small_stack) {
  const Buffer x = make_buffer("x", kFloat32, {imm(1)}), y = make_buffer("y", kFloat32, {imm(1)});
  Expr value = load(x, {imm(0)});
  while (value->depth < kMaxExprDepth - 1) value = value + load(x, {imm(0)});
  Stmt body = store(y, {imm(0)}, value);
  while (body->depth < kMaxStmtDepth - 1)
    body = make_if(lt(load(x, {imm(0)}), float_imm(kFloat32, 2)), body);
  const Function f = loop_function("deep", {x}, {y}, body);
  std::vector<float> in = {1}, out = {0};
  run_on_small_stack([&] { ASSERT_EQ(run_kernel(f, {in.data(), out.data()}).status, 0); });
  EXPECT_GT(out[0], 9000);
}

TEST(Kernels, symbols_follow_the_grammar) {
  const Buffer y = make_buffer("y", kFloat32, {imm(1)});
  const Function f = loop_function("a b.c_1", {}, {y}, store(y, {imm(0)}, float_imm(kFloat32, 1)));
  EXPECT_EQ(kernel_symbol(f), "tenon_a_20_b_2e_c_1");
}

}  // namespace
}  // namespace tenon::testing
