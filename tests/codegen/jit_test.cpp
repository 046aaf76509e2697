// Loading, freeing and inspecting code.

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "codegen/kernel_runner.h"
#include "tenon/codegen/inspect.h"

namespace tenon::testing {
namespace {

Function add_constant(const std::string& name, double constant) {
  const Buffer x = make_buffer("x", kFloat32, {imm(64)}), y = make_buffer("y", kFloat32, {imm(64)});
  const Expr at = ramp(imm(0), imm(1), 64);
  return loop_function(
      name, {x}, {y},
      store(y, {at}, load(x, {at}) + const_like(kFloat32.with_lanes(64), constant)));
}

void build_and_run(double constant) {
  std::vector<float> in(64, 1.0f), out(64);
  ASSERT_EQ(run_kernel(add_constant("add", constant), {in.data(), out.data()}).status, 0);
  ASSERT_EQ(out[63], 1.0f + static_cast<float>(constant));
}

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST(Jit, dropped_kernels_give_their_memory_back) {
  for (int k = 0; k < 30; ++k) build_and_run(k);
  const std::int64_t before = resident_bytes();
  for (int k = 0; k < 200; ++k) build_and_run(k + 100);
  EXPECT_LE(resident_bytes() - before, 4 << 20);
}

TEST(Jit, several_functions_share_an_object) {
  const std::vector<Function> functions = {add_constant("one", 1), add_constant("two", 2)};
  const ObjectCode object = compile_to_object(functions, Target::host());
  ASSERT_EQ(object.symbols, (std::vector<std::string>{"tenon_one", "tenon_two"}));
  const auto code = load_object(object.bytes);
  EXPECT_GT(code->size_bytes(), 0u);
  std::vector<float> in(64, 1.0f), out(64);
  void* buffers[] = {in.data(), out.data()};
  tenon_kernel_context ctx = {};
  for (const std::string& symbol : object.symbols) {
    const auto kernel = reinterpret_cast<tenon_kernel_fn>(code->address(symbol));
    ASSERT_EQ(kernel(&ctx, buffers, nullptr), 0);
  }
  EXPECT_EQ(out[0], 3.0f);
  EXPECT_THROW(code->address("tenon_three"), InternalError);
}

TEST(Jit, equal_functions_give_equal_objects) {
  const Function f = add_constant("same", 1);
  const Function g = add_constant("same", 1);
  EXPECT_EQ(compile_to_object(std::span(&f, 1), Target::host()).bytes,
            compile_to_object(std::span(&g, 1), Target::host()).bytes);
}

TEST(Jit, modules_compile_in_parallel) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int k = 0; k < 5; ++k) build_and_run(t * 10 + k);
    });
  }
  for (std::thread& t : threads) t.join();
}

TEST(Jit, an_object_that_is_none_is_refused) {
  const std::vector<std::uint8_t> bytes(100, 7);
  try {
    load_object(bytes);
    FAIL();
  } catch (const ResourceError& e) {
    EXPECT_EQ(e.code(), "E1010");
    EXPECT_NE(std::string(e.what()).find("compiled code cannot be loaded"), std::string::npos);
  }
}

/// rows x columns accumulators in registers.
Function tile_kernel(int rows, int columns) {
  const Buffer a = make_buffer("A", kFloat32, {imm(rows * 64)});
  const Buffer b = make_buffer("B", kFloat32, {imm(64 * columns)});
  const Buffer c = make_buffer("C", kFloat32, {imm(rows * columns)});
  const Buffer tile = make_buffer("tile", kFloat32, {imm(rows * columns)}, Scope::kRegister);
  const Expr k = var("k");
  std::vector<Stmt> zeros, steps, copies;
  for (int r = 0; r < rows; ++r) {
    const Expr row = ramp(imm(r * columns), imm(1), columns);
    zeros.push_back(store(tile, {row}, zero(kFloat32.with_lanes(columns))));
    const Expr a_value = broadcast(load(a, {k + r * 64}), columns);
    const Expr b_row = load(b, {ramp(k * columns, imm(1), columns)});
    steps.push_back(store(tile, {row}, fma(a_value, b_row, load(tile, {row}))));
    copies.push_back(store(c, {row}, load(tile, {row})));
  }
  return loop_function(
      "tile", {a, b}, {c},
      make_allocate(tile, make_seq({make_seq(zeros), make_for(k, imm(0), imm(64), make_seq(steps)),
                                    make_seq(copies)})));
}

TEST(Inspect, register_tiles_have_no_spills_and_too_large_ones_do) {
  for (const Target& target : runnable_targets()) {
    const RegisterTile tile = target.register_tile(kFloat32);
    const Function good = tile_kernel(tile.rows, tile.columns);
    const KernelStats stats = inspect_assembly(assembly(std::span(&good, 1), target));
    EXPECT_TRUE(stats.has_loop);
    EXPECT_EQ(stats.num_fma, tile.rows * tile.columns / target.vector_lanes(kFloat32));
    EXPECT_EQ(stats.num_vector_spills, 0) << target.mcpu;
    EXPECT_GE(stats.fma_density(), 0.5) << target.mcpu;
    const Function bad = tile_kernel(3 * tile.rows, tile.columns);
    EXPECT_GT(inspect_assembly(assembly(std::span(&bad, 1), target)).num_vector_spills, 0);
  }
}

TEST(Inspect, the_loop_that_stays_is_not_unrolled) {
  const Function f = tile_kernel(6, 64);
  const std::string text = llvm_ir(std::span(&f, 1), Target::host());
  EXPECT_NE(text.find("llvm.loop.unroll.disable"), std::string::npos);
  const std::string width = std::to_string(8 * Target::host().vector_bytes);
  EXPECT_NE(text.find("\"prefer-vector-width\"=\"" + width + "\""), std::string::npos);
}

}  // namespace
}  // namespace tenon::testing
