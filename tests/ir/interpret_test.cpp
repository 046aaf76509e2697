#include "tenon/ir/interpret.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <random>

#include "tenon/ir/builder.h"

namespace tenon {
namespace {

Expr f32(double v) { return float_imm(kFloat32, v); }

std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> d(-1, 1);
  std::vector<float> out(n);
  for (float& v : out) v = d(random);
  return out;
}

template <typename T>
ArrayView view(std::vector<T>& data, DType t, std::vector<std::int64_t> shape) {
  return {data.data(), t, std::move(shape)};
}
ArrayView view(std::vector<float>& data, std::vector<std::int64_t> shape) {
  return view(data, kFloat32, std::move(shape));
}

/// C = A B as te makes it, over symbols or constants; `rows` iterations of the outer loop.
Function matmul(const Expr& m, const Expr& n, const Expr& k, std::vector<Symbol> symbols = {},
                ForKind outer = ForKind::kSerial) {
  const Buffer a = make_buffer("A", kFloat32, {m, k}), b = make_buffer("B", kFloat32, {k, n}),
               c = make_buffer("C", kFloat32, {m, n});
  const Expr i = var("i"), j = var("j"), r = var("k"), vi = var("vi"), vj = var("vj"),
             vk = var("vk");
  const Stmt block =
      make_block("C",
                 {{vi, {imm(0), m}, IterKind::kSpatial},
                  {vj, {imm(0), n}, IterKind::kSpatial},
                  {vk, {imm(0), k}, IterKind::kReduction}},
                 {i, j, r}, nullptr, store(c, {vi, vj}, f32(0)),
                 store(c, {vi, vj}, fma(load(a, {vi, vk}), load(b, {vk, vj}), load(c, {vi, vj}))));
  const Stmt nest = make_for(i, imm(0), m, make_for(j, imm(0), n, make_for(r, imm(0), k, block)),
                             {.kind = outer});
  return make_function("matmul", {a, b}, {c}, std::move(symbols), nest);
}

std::vector<float> plain_matmul(const std::vector<float>& a, const std::vector<float>& b,
                                std::size_t m, std::size_t n, std::size_t k) {
  std::vector<float> c(m * n);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      float sum = 0;
      for (std::size_t r = 0; r < k; ++r) sum = std::fmaf(a[i * k + r], b[r * n + j], sum);
      c[i * n + j] = sum;
    }
  }
  return c;
}

TEST(Interpret, matmul_has_the_bits_of_plain_loops) {
  auto a = random_floats(64 * 64, 1), b = random_floats(64 * 64, 2);
  std::vector<float> c(64 * 64, NAN);
  const auto report = interpret(matmul(imm(64), imm(64), imm(64)),
                                {view(a, {64, 64}), view(b, {64, 64}), view(c, {64, 64})});
  EXPECT_EQ(report.text(), "");
  EXPECT_EQ(c, plain_matmul(a, b, 64, 64, 64));
}

TEST(Interpret, symbols_take_their_values_from_the_shapes) {
  const Expr m = var("m"), k = var("k");
  const Function f =
      matmul(m, imm(3), k, {{m, 0, std::nullopt, 1}, {k, 0, std::nullopt, 1}}, ForKind::kParallel);
  auto a = random_floats(5 * 7, 1), b = random_floats(7 * 3, 2);
  std::vector<float> c(5 * 3);
  EXPECT_EQ(interpret(f, {view(a, {5, 7}), view(b, {7, 3}), view(c, {5, 3})}).text(), "");
  EXPECT_EQ(c, plain_matmul(a, b, 5, 3, 7));
  std::vector<float> none;
  EXPECT_TRUE(interpret(f, {view(none, {0, 7}), view(b, {7, 3}), view(none, {0, 3})}).ok());
  EXPECT_THROW(interpret(f, {view(a, {7, 5}), view(b, {7, 3}), view(c, {5, 3})}), ShapeError);
  EXPECT_THROW(interpret(f, {view(a, {5, 7}), view(b, {7, 3})}), ShapeError);
  EXPECT_THROW(interpret(f, {view(a, DType::int_(32), {5, 7}), view(b, {7, 3}), view(c, {5, 3})}),
               DTypeError);
}

/// for i in 0..n: B[i + offset] = A[i + offset], at block level.
struct Copy {
  Buffer a = make_buffer("A", kFloat32, {imm(8)}), b = make_buffer("B", kFloat32, {imm(8)});
  Expr i = var("i"), vi = var("vi");
  std::vector<float> in = random_floats(8, 3), out = std::vector<float>(8);

  InterpretReport run(const Stmt& body, Level level = Level::kBlock,
                      const InterpretOptions& options = {}) {
    return interpret(make_function("copy", {a}, {b}, {}, body, level),
                     {view(in, {8}), view(out, {8})}, options);
  }
  Stmt block(const Stmt& body, const Expr& binding, ForKind kind = ForKind::kSerial,
             std::int64_t n = 8) const {
    return make_for(i, imm(0), imm(n),
                    make_block("B", {{vi, {imm(0), imm(8)}, IterKind::kSpatial}}, {binding},
                               nullptr, nullptr, body),
                    {.kind = kind});
  }
};

TEST(Interpret, out_of_bounds_reads_are_named) {
  Copy c;
  const SpanScope span(Span("user.py", 12));
  const auto report = c.run(c.block(store(c.b, {c.vi}, load(c.a, {c.vi + 1})), c.i));
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.text(),
            "out of bounds: read of A[8] is out of bounds: index 8 of dimension 0 is not in 0..8 "
            "(block B, i = 7, vi = 7) at user.py:12\n");
  EXPECT_THROW(report.check(), InternalError);
}

TEST(Interpret, out_of_bounds_writes_are_named_and_dropped) {
  Copy c;
  const auto report =
      c.run(make_for(c.i, imm(0), imm(9), store(c.b, {c.i - 1}, f32(1))), Level::kLoop);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_NE(report.text().find("write to B[-1] is out of bounds"), std::string::npos);
  EXPECT_EQ(c.out, std::vector<float>(8, 1.0F));
}

TEST(Interpret, uninitialised_reads_are_named) {
  Copy c;
  const auto report = c.run(c.block(store(c.b, {c.vi}, load(c.b, {c.vi}) + f32(1)), c.i));
  EXPECT_EQ(report.text(),
            "uninitialised: read of B[0], which is uninitialised (block B, i = 0, vi = 0)\n");
  const Buffer t = make_buffer("T", kFloat32, {imm(2)});
  const auto local = c.run(
      make_for(c.i, imm(0), imm(2),
               make_allocate(t, make_seq({make_if(eq(c.i, imm(0)), store(t, {imm(1)}, f32(1))),
                                          store(c.b, {c.i}, load(t, {imm(1)}))}))),
      Level::kLoop);
  EXPECT_EQ(local.text(), "uninitialised: read of T[1], which is uninitialised (i = 1)\n");
}

TEST(Interpret, races_between_parallel_iterations_are_named) {
  Copy c;
  const auto both_write =
      c.run(make_for(c.i, imm(0), imm(8), store(c.b, {floordiv(c.i, imm(2))}, f32(1)),
                     {.kind = ForKind::kParallel}),
            Level::kLoop);
  ASSERT_EQ(both_write.findings.size(), 1u);
  EXPECT_EQ(both_write.text(),
            "race: race on B[0]: it is written here and in another iteration of a parallel loop (i "
            "= 1)\n");
  const Stmt zero_all = make_for(var("z"), imm(0), imm(8), store(c.b, {imm(0)}, f32(0)));
  const auto read_after =
      c.run(make_seq({store(c.b, {imm(0)}, f32(0)),
                      make_for(c.i, imm(1), imm(7), store(c.b, {c.i}, load(c.b, {c.i - 1})),
                               {.kind = ForKind::kParallel})}),
            Level::kLoop);
  EXPECT_NE(read_after.text().find("read here and written in another iteration"), std::string::npos)
      << read_after.text();
  const auto write_after =
      c.run(make_seq({make_for(var("z"), imm(0), imm(8), store(c.b, {imm(0)}, f32(0))), zero_all,
                      make_for(c.i, imm(0), imm(3),
                               make_seq({store(c.b, {c.i + 1}, load(c.b, {imm(0)})),
                                         make_if(eq(c.i, imm(2)), store(c.b, {imm(0)}, f32(1)))}),
                               {.kind = ForKind::kParallel})}),
            Level::kLoop);
  EXPECT_NE(write_after.text().find("written here and read in another iteration"),
            std::string::npos)
      << write_after.text();
}

TEST(Interpret, consecutive_parallel_loops_do_not_race) {
  Copy c;
  const auto loop = [&](const Expr& value) {
    const Expr v = var("p");
    return make_for(v, imm(0), imm(8), store(c.b, {imm(7) - v}, value),
                    {.kind = ForKind::kParallel});
  };
  EXPECT_EQ(c.run(make_seq({loop(f32(1)), loop(f32(2)), loop(f32(3))}), Level::kLoop).text(), "");
}

TEST(Interpret, an_intermediate_used_in_one_parallel_iteration_belongs_to_it) {
  Copy c;
  const Buffer t = make_buffer("T", kFloat32, {imm(8)});
  const Expr u = var("u");
  const auto nest = [&](const Expr& read_at) {
    return make_allocate(
        t, make_for(c.i, imm(0), imm(4),
                    make_seq({make_for(u, imm(0), imm(2), store(t, {u}, load(c.a, {u + c.i}))),
                              store(c.b, {c.i}, load(t, {read_at}))}),
                    {.kind = ForKind::kParallel}));
  };
  EXPECT_EQ(c.run(nest(imm(1))).text(), "");
  EXPECT_NE(c.run(nest(imm(2))).text().find("uninitialised"), std::string::npos);
}

TEST(Interpret, a_block_outside_its_domain_is_named) {
  Copy c;
  const auto report = c.run(c.block(store(c.b, {min(c.vi, imm(7))}, f32(1)), c.i + 1));
  EXPECT_EQ(report.text(),
            "domain: iteration variable vi of block 'B' is 8, outside its domain 0..8 (block B, i "
            "= 7, vi = 8)\n");
}

TEST(Interpret, block_predicates_skip) {
  Copy c;
  const Stmt guarded =
      make_for(c.i, imm(0), imm(12),
               make_block("B", {{c.vi, {imm(0), imm(8)}, IterKind::kSpatial}}, {c.i},
                          lt(c.i, imm(8)), nullptr, store(c.b, {c.vi}, load(c.a, {c.vi}))));
  EXPECT_EQ(c.run(guarded).text(), "");
  EXPECT_EQ(c.out, c.in);
}

TEST(Interpret, select_and_predicates_are_lazy) {
  Copy c;
  const Expr value = select(lt(c.vi, imm(7)), load(c.a, {c.vi + 1}), f32(0));
  EXPECT_EQ(c.run(c.block(store(c.b, {c.vi}, value), c.i)).text(), "");
  EXPECT_EQ(c.out[7], 0.0F);
  EXPECT_EQ(c.out[0], c.in[1]);
  EXPECT_EQ(c.run(c.block(store(c.b, {c.vi}, load(c.a, {c.vi + 1}, lt(c.vi, imm(7)))), c.i)).text(),
            "");
}

TEST(Interpret, vectors_compute_per_lane) {
  Copy c;
  const Expr lanes = ramp(imm(0), imm(1), 8);
  const Expr mask = lt(lanes, broadcast(imm(5), 8));
  const Expr shifted = select(lt(lanes, broadcast(imm(7), 8)),
                              load(c.a, {lanes + broadcast(imm(1), 8)}), broadcast(f32(0), 8));
  EXPECT_EQ(c.run(store(c.b, {lanes}, shifted), Level::kLoop).text(), "");
  for (std::size_t l = 0; l < 7; ++l) EXPECT_EQ(c.out[l], c.in[l + 1]);
  std::fill(c.out.begin(), c.out.end(), 9.0F);
  EXPECT_EQ(c.run(store(c.b, {lanes * broadcast(imm(3), 8)}, load(c.a, {lanes}),
                        lt(lanes, broadcast(imm(2), 8))),
                  Level::kLoop)
                .text(),
            "");
  EXPECT_EQ(c.out, (std::vector<float>{c.in[0], 9, 9, c.in[1], 9, 9, 9, 9}));
  EXPECT_EQ(
      c.run(store(c.b, {lanes}, load(c.a, {lanes * broadcast(imm(2), 8)}), mask), Level::kLoop)
          .findings.size(),
      1u);
}

TEST(Interpret, vector_reductions_join_by_halving) {
  Copy c;
  for (const int n : {2, 4, 6, 8}) {
    const Expr sum = vector_reduce(BinaryOp::kAdd, load(c.a, {ramp(imm(0), imm(1), n)}));
    EXPECT_EQ(c.run(store(c.b, {imm(0)}, sum), Level::kLoop).text(), "");
    const std::vector<float>& x = c.in;
    const float expected = n == 2   ? x[0] + x[1]
                           : n == 4 ? (x[0] + x[2]) + (x[1] + x[3])
                           : n == 6
                               ? ((x[0] + x[3]) + (x[1] + x[4])) + (x[2] + x[5])
                               : ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
    EXPECT_EQ(c.out[0], expected) << n;
  }
}

TEST(Interpret, shuffles_pick_lanes) {
  Copy c;
  const Expr low = load(c.a, {ramp(imm(0), imm(1), 4)}),
             high = load(c.a, {ramp(imm(4), imm(1), 4)});
  const Expr mixed =
      make<ShuffleNode>(std::vector<Expr>{low, high}, std::vector<std::int64_t>{7, 0, 4, 3});
  EXPECT_EQ(c.run(store(c.b, {ramp(imm(0), imm(1), 4)}, mixed), Level::kLoop).text(), "");
  EXPECT_EQ((std::vector<float>{c.out.begin(), c.out.begin() + 4}),
            (std::vector<float>{c.in[7], c.in[0], c.in[4], c.in[3]}));
}

TEST(Interpret, checked_indices_give_minus_one_and_an_index_error) {
  const Buffer t = make_buffer("table", kFloat32, {imm(4)}),
               ids = make_buffer("ids", kInt64, {imm(3)}),
               out = make_buffer("out", kFloat32, {imm(3)});
  const Expr i = var("i");
  const Expr index = call(kInt64, "checked_index", {load(ids, {i}), imm(4), imm(0)});
  const Function f = make_function(
      "gather", {t, ids}, {out}, {},
      make_for(i, imm(0), imm(3), store(out, {i}, load(t, {index}, ge(index, imm(0))))));
  std::vector<float> table{1, 2, 3, 4}, result(3);
  std::vector<std::int64_t> good{3, 0, 1}, bad{3, 4, -1};
  EXPECT_TRUE(interpret(f, {view(table, {4}), view(good, kInt64, {3}), view(result, {3})}).ok());
  EXPECT_EQ(result, (std::vector<float>{4, 1, 2}));
  const auto report = interpret(f, {view(table, {4}), view(bad, kInt64, {3}), view(result, {3})});
  EXPECT_EQ(report.text(), "index error: index 4 is out of range 0..4 (i = 1)\n");
  EXPECT_EQ(result, (std::vector<float>{4, 0, 0}));
  EXPECT_THROW(report.check(), IndexError);
}

TEST(Interpret, shared_values_are_computed_once) {
  Copy c;
  Expr x = load(c.a, {imm(0)});
  for (int level = 0; level < 60; ++level) x = x * x;
  EXPECT_EQ(c.run(store(c.b, {imm(0)}, x), Level::kLoop).text(), "");
  Expr v = load(c.a, {ramp(imm(0), imm(1), 8)});
  for (int level = 0; level < 60; ++level)
    v = select(lt(v, broadcast(f32(level * 0.01), 8)), v * v, v + v);
  EXPECT_EQ(c.run(store(c.b, {ramp(imm(0), imm(1), 8)}, v), Level::kLoop).text(), "");
}

TEST(Interpret, deep_expressions_do_not_overflow_the_stack) {
  Copy c;
  Expr x = f32(0);
  for (int level = 0; level < 9000; ++level) x = x + load(c.a, {imm(level % 8)});
  EXPECT_EQ(c.run(store(c.b, {imm(0)}, x), Level::kLoop).text(), "");
}

TEST(Interpret, narrow_types_round_at_every_operation) {
  const Buffer a = make_buffer("A", DType::bfloat16(), {imm(1)}),
               b = make_buffer("B", DType::int_(8), {imm(1)}),
               o = make_buffer("O", DType::bfloat16(), {imm(2)});
  const Stmt body = make_seq(
      {store(o, {imm(0)}, cast(DType::bfloat16(), cast(kFloat32, load(a, {imm(0)})) * f32(1.01))),
       store(o, {imm(1)}, cast(DType::bfloat16(), load(b, {imm(0)}) * load(b, {imm(0)})))});
  std::vector<std::uint16_t> in{0x3f80}, out(2);
  std::vector<std::int8_t> small{100};
  EXPECT_TRUE(interpret(make_function("f", {a, b}, {o}, {}, body),
                        {view(in, DType::bfloat16(), {1}), view(small, DType::int_(8), {1}),
                         view(out, DType::bfloat16(), {2})})
                  .ok());
  EXPECT_EQ(out[0], 0x3f81);  // 1.0078125
  EXPECT_EQ(out[1], 0x4180);  // 100 * 100 wraps to 16
}

TEST(Interpret, strided_buffers_follow_their_strides) {
  BufferNode* node = new BufferNode;
  const Buffer a(node);
  node->name = "A";
  node->dtype = kFloat32;
  node->shape = {imm(2), imm(3)};
  node->strides = {imm(1), imm(2)};
  const Buffer o = make_buffer("O", kFloat32, {imm(2), imm(3)});
  const Expr i = var("i"), j = var("j");
  std::vector<float> in{1, 2, 3, 4, 5, 6}, out(6);
  const Function f = make_function(
      "t", {a}, {o}, {},
      make_for(i, imm(0), imm(2), make_for(j, imm(0), imm(3), store(o, {i, j}, load(a, {i, j})))));
  EXPECT_TRUE(interpret(f, {view(in, {2, 3}), view(out, {2, 3})}).ok());
  EXPECT_EQ(out, (std::vector<float>{1, 3, 5, 2, 4, 6}));
}

TEST(Interpret, a_third_reader_does_not_hide_the_first) {
  // In iteration 0 of i one reader; in iteration 1 two, then a writer that is ordered after those.
  Copy c;
  const Expr j = var("j");
  const Expr two = select(eq(c.i, imm(0)), imm(1), imm(2));
  const Stmt reads = make_for(j, imm(0), two, store(c.b, {c.i * 2 + j}, load(c.b, {imm(7)})),
                              {.kind = ForKind::kParallel});
  const Stmt write = store(c.b, {imm(7)}, f32(1), nullptr);
  const Stmt body = make_seq(
      {write, make_for(c.i, imm(0), imm(2), make_seq({reads, make_if(eq(c.i, imm(1)), write)}),
                       {.kind = ForKind::kParallel})});
  const auto report = c.run(body, Level::kLoop);
  ASSERT_EQ(report.findings.size(), 1u) << report.text();
  EXPECT_NE(report.text().find("race on B[7]: it is written here and read in another iteration"),
            std::string::npos)
      << report.text();
}

TEST(Interpret, control_flow) {
  Copy c;
  const Buffer n = make_buffer("n", kInt64, {imm(1)});
  const Expr x = var("x", kFloat32);
  const Stmt count = make_allocate(
      n,
      make_seq({store(n, {imm(0)}, imm(0)),
                make<WhileNode>(lt(load(n, {imm(0)}), imm(5)),
                                make_let(x, load(c.a, {load(n, {imm(0)})}),
                                         make_seq({store(c.b, {load(n, {imm(0)})}, x + x),
                                                   store(n, {imm(0)}, load(n, {imm(0)}) + 1)})))}));
  EXPECT_EQ(c.run(count, Level::kLoop).text(), "");
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(c.out[i], c.in[i] + c.in[i]);
  const Stmt forever = make<WhileNode>(bool_imm(true), store(c.b, {imm(0)}, f32(0)));
  EXPECT_EQ(c.run(forever, Level::kLoop, {.max_stores = 1000}).findings.at(0).kind,
            Finding::Kind::kLimit);
  EXPECT_EQ(c.run(make<AssertNode>(bool_imm(false), "n is positive"), Level::kLoop).text(),
            "assert: assertion failed: n is positive\n");
}

TEST(Interpret, calls_are_expanded_or_refused) {
  Copy c;
  const Stmt body = store(c.b, {imm(0)}, call(kFloat32, "twice", {load(c.a, {imm(0)})}));
  EXPECT_THROW(c.run(body, Level::kLoop), UnsupportedError);
  InterpretOptions options;
  options.expand_call = [](const CallNode& n) { return n.args[0] + n.args[0]; };
  EXPECT_TRUE(c.run(body, Level::kLoop, options).ok());
  EXPECT_EQ(c.out[0], c.in[0] + c.in[0]);
}

}  // namespace
}  // namespace tenon
