#include "tenon/driver/build.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tenon/driver/object_cache.h"
#include "tenon/driver/plan_sizes.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/canonical_bytes.h"

namespace tenon {
namespace {

/// y[i] = x[i] * factor over a symbolic size, as te makes it.
Function scale(double factor, const std::string& loop_name = "i") {
  const Symbol n{var("n"), 0, std::nullopt, 1};
  const Buffer x = make_buffer("x", kFloat32, {n.var}), y = make_buffer("y", kFloat32, {n.var});
  const Expr i = var(loop_name), vi = var("v" + loop_name);
  const Stmt body = store(y, {vi}, load(x, {vi}) * float_imm(kFloat32, factor));
  const Stmt block =
      make_block("y", {{vi, {imm(0), n.var}, IterKind::kSpatial}}, {i}, nullptr, nullptr, body);
  return make_function("scale", {x}, {y}, {n}, make_for(i, imm(0), n.var, block));
}

BuildOptions uncached() {
  BuildOptions options;
  options.use_cache = false;
  return options;
}

TEST(Build, a_block_function_becomes_an_executable_for_every_size) {
  const Executable run = build(scale(3), Target::host(), uncached());
  for (const std::int64_t size : {0, 1, 5, 1000}) {
    std::vector<float> values(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    const std::int64_t shape[] = {size};
    const Array x = Array::from_values<float>(shape, kFloat32, values);
    const std::vector<Array> results = run.call(std::span(&x, 1));
    ASSERT_EQ(results.size(), 1u);
    ASSERT_EQ(results[0].size(), size);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(results[0].data<float>()[i], 3 * values[i]);
    }
  }
}

TEST(Build, callers_see_the_shapes_that_were_declared) {
  const Buffer x = make_buffer("x", kFloat32, {imm(2), imm(3)});
  const Buffer y = make_buffer("y", kFloat32, {imm(3), imm(2)});
  const Expr i = var("i"), j = var("j"), vi = var("vi"), vj = var("vj");
  const Stmt block = make_block(
      "y", {{vi, {imm(0), imm(3)}, IterKind::kSpatial}, {vj, {imm(0), imm(2)}, IterKind::kSpatial}},
      {i, j}, nullptr, nullptr, store(y, {vi, vj}, load(x, {vj, vi})));
  const Function f = make_function("transpose", {x}, {y}, {},
                                   make_for(i, imm(0), imm(3), make_for(j, imm(0), imm(2), block)));
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::int64_t shape[] = {2, 3};
  const Array in = Array::from_values<float>(shape, kFloat32, values);
  const Array out = build(f, Target::host(), uncached()).call(std::span(&in, 1))[0];
  EXPECT_EQ(shape_str(out.shape()), "[3, 2]");
  EXPECT_EQ(out.data<float>()[1], 4);
}

TEST(Build, many_functions_compile_on_several_threads_in_order) {
  std::vector<Function> functions;
  for (int k = 0; k < 12; ++k) functions.push_back(scale(k));
  BuildOptions options = uncached();
  options.num_threads = 4;
  const auto kernels = compile_kernels(functions, Target::host(), options);
  ASSERT_EQ(kernels.size(), functions.size());
  const std::vector<float> ones = {1};
  const std::int64_t shape[] = {1};
  const Array x = Array::from_values<float>(shape, kFloat32, ones);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const auto results = make_executable(kernels[k]).call(std::span(&x, 1));
    EXPECT_EQ(results[0].data<float>()[0], static_cast<float>(k));
  }
}

TEST(Build, what_poll_throws_stops_the_build) {
  const std::vector<Function> functions = {scale(1), scale(2), scale(3)};
  BuildOptions options = uncached();
  options.num_threads = 2;
  options.poll = [] { throw std::runtime_error("stopped by the user"); };
  EXPECT_THROW(
      {
        try {
          compile_kernels(functions, Target::host(), options);
        } catch (const std::runtime_error& e) {
          EXPECT_STREQ(e.what(), "stopped by the user");
          throw;
        }
      },
      std::runtime_error);
}

TEST(Build, equal_functions_have_equal_keys_whatever_their_names_and_others_do_not) {
  EXPECT_EQ(canonical_bytes(scale(2, "i")), canonical_bytes(scale(2, "j")));
  EXPECT_NE(canonical_bytes(scale(2)), canonical_bytes(scale(3)));
}

TEST(Build, key_of_a_shared_expression_is_short) {
  const Buffer x = make_buffer("x", kFloat32, {imm(1)}), y = make_buffer("y", kFloat32, {imm(1)});
  Expr value = load(x, {imm(0)});
  for (int k = 0; k < 60; ++k) value = value * value;
  const Function f = make_function("f", {x}, {y}, {}, store(y, {imm(0)}, value), Level::kLoop);
  EXPECT_LT(canonical_bytes(f).size(), 2000u);
}

TEST(Build, second_build_comes_from_the_cache) {
  BuildOptions options;
  const CompiledKernel first = compile_kernel(scale(41), Target::host(), options);
  const CompiledKernel second = compile_kernel(scale(41), Target::host(), options);
  EXPECT_EQ(second.is_from_cache, ObjectCache::shared().enabled());
  EXPECT_FALSE(compile_kernel(scale(41), Target::host(), uncached()).is_from_cache);
}

TEST(Build, sites_are_read_from_the_attributes) {
  const Buffer x = make_buffer("x", kFloat32, {imm(4)}), y = make_buffer("y", kFloat32, {imm(4)});
  const Buffer at = make_buffer("at", kInt64, {imm(4)});
  const Expr i = var("i");
  const Expr checked = call(kInt64, "checked_index", {load(at, {i}), imm(4), imm(0)});
  const Stmt body =
      make_for(i, imm(0), imm(4), store(y, {i}, load(x, {checked}, ge(checked, imm(0)))));
  const Function f = make_function("gather", {x, at}, {y}, {}, body, Level::kLoop,
                                   {{"index_site_0", std::string("x\n0\nmodel.py:7")}});
  const CompiledKernel kernel = compile_kernel(f, Target::host(), uncached());
  ASSERT_EQ(kernel.sites.size(), 1u);
  EXPECT_EQ(kernel.sites[0].buffer, "x");
  EXPECT_EQ(kernel.sites[0].source, "model.py:7");
  const std::vector<float> values = {1, 2, 3, 4};
  const std::vector<std::int64_t> indices = {0, 3, 9, 1};
  const std::int64_t shape[] = {4};
  const std::vector<Array> inputs = {Array::from_values<float>(shape, kFloat32, values),
                                     Array::from_values<std::int64_t>(shape, kInt64, indices)};
  try {
    make_executable(kernel).call(inputs);
    FAIL();
  } catch (const IndexError& e) {
    EXPECT_EQ(e.code(), "E0651");
    EXPECT_NE(std::string(e.what()).find("model.py:7"), std::string::npos) << e.what();
  }
}

TEST(PlanSizes, expressions_become_instructions) {
  PlanProgram program;
  const Expr n = var("n");
  SymbolRegisters symbols;
  symbols[n.get()] = program.dim(0, 0);
  const PlanRegister a = add_size(&program, ceildiv(n, imm(8)) * 8 + 0, symbols);
  const PlanRegister b = add_size(&program, ceildiv(n, imm(8)) * 8, symbols);
  EXPECT_EQ(a, b) << "equal instructions are written once";
  EXPECT_THROW(add_size(&program, var("unknown"), symbols), InternalError);
}

}  // namespace
}  // namespace tenon

int main(int argc, char** argv) {
  // A cache of this test's own.
  std::string folder = std::filesystem::temp_directory_path().string() + "/tenon_build_XXXXXX";
  ::setenv("TENON_CACHE_DIR", ::mkdtemp(folder.data()), 1);
  ::testing::InitGoogleTest(&argc, argv);
  const int result = RUN_ALL_TESTS();
  std::filesystem::remove_all(folder);
  return result;
}
