#include "tenon/ir/structural.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <functional>
#include <limits>

#include "tenon/ir/builder.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// Runs `f` on a thread whose stack is 1 MiB.
void on_small_stack(std::function<void()> f) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, std::size_t{1} << 20);
  pthread_t thread;
  const auto run = [](void* p) -> void* {
    (*static_cast<std::function<void()>*>(p))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attr, run, &f), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attr);
}

/// x squared `n` times, as a DAG of n nodes.
Expr squarings(const Expr& x, int n) {
  Expr e = x;
  for (int i = 0; i < n; ++i) e = e * e;
  return e;
}

Stmt copy_loop(const Buffer& b, const char* name) {
  const Expr i = var(name);
  return make_for(i, imm(0), imm(4), store(b, {i}, load(b, {i}) * 2));
}

TEST(Structural, names_of_definitions_do_not_matter) {
  const Buffer b = make_buffer("b", kInt64, {imm(4)});
  EXPECT_TRUE(structural_equal(copy_loop(b, "i"), copy_loop(b, "j")));
  EXPECT_EQ(structural_hash(copy_loop(b, "i")), structural_hash(copy_loop(b, "j")));
}

TEST(Structural, free_variables_and_buffers_are_identities) {
  const Expr i = var("i"), other = var("i");
  EXPECT_TRUE(structural_equal(i + 1, i + 1));
  EXPECT_FALSE(structural_equal(i + 1, other + 1));
  const Buffer b = make_buffer("b", kInt64, {imm(4)}), c = make_buffer("b", kInt64, {imm(4)});
  EXPECT_FALSE(structural_equal(copy_loop(b, "i"), copy_loop(c, "i")));
}

TEST(Structural, a_definition_matches_only_its_partner) {
  const Buffer b = make_buffer("b", kInt64, {imm(4), imm(4)});
  const auto nest = [&](bool swapped) {
    const Expr i = var("i"), j = var("j");
    const Stmt body = store(b, {i, j}, swapped ? j : i);
    return make_for(i, imm(0), imm(4), make_for(j, imm(0), imm(4), body));
  };
  EXPECT_TRUE(structural_equal(nest(false), nest(false)));
  EXPECT_FALSE(structural_equal(nest(false), nest(true)));
}

TEST(Structural, spans_do_not_matter_and_attributes_do) {
  const Buffer b = make_buffer("b", kInt64, {imm(4)});
  Stmt here, there;
  {
    const SpanScope scope(Span("a.py", 1));
    here = copy_loop(b, "i");
  }
  {
    const SpanScope scope(Span("a.py", 2));
    there = copy_loop(b, "i");
  }
  EXPECT_TRUE(structural_equal(here, there));
  EXPECT_EQ(structural_hash(here), structural_hash(there));
  const auto* loop = here.as<ForNode>();
  ForAttrs parallel = loop->attrs;
  parallel.kind = ForKind::kParallel;
  EXPECT_FALSE(structural_equal(here, with_attrs(*loop, parallel)));
  ForAttrs annotated = loop->attrs;
  annotated.annotations["grain"] = std::int64_t{4};
  EXPECT_FALSE(structural_equal(here, with_attrs(*loop, annotated)));
}

TEST(Structural, floats_are_compared_by_their_bits) {
  EXPECT_FALSE(structural_equal(float_imm(kFloat32, 0.0), float_imm(kFloat32, -0.0)));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(structural_equal(float_imm(kFloat32, nan), float_imm(kFloat32, nan)));
  EXPECT_FALSE(structural_equal(float_imm(kFloat32, 1), float_imm(kFloat64, 1)));
}

TEST(Structural, functions_compare_with_their_parameters_and_symbols) {
  const char* text =
      "loop function f[n: min=%](A: float32[n]) -> (C: float32[n] align=32)\n  C[0] = A[0]\n";
  const auto with_min = [&](const char* min) {
    std::string s = text;
    return parse_function(s.replace(s.find('%'), 1, min));
  };
  EXPECT_TRUE(structural_equal(with_min("1"), with_min("1")));
  EXPECT_EQ(structural_hash(with_min("1")), structural_hash(with_min("1")));
  EXPECT_FALSE(structural_equal(with_min("1"), with_min("2")));
}

/// Printing a DAG is in proportion to its nodes, not to its paths.
TEST(SharedExpressions, sixty_squarings_are_compared_hashed_walked_printed_and_read_at_once) {
  const Buffer a = make_buffer("A", kFloat32, {imm(4)}), c = make_buffer("C", kFloat32, {imm(4)});
  const auto make_f = [&] {
    return make_function("f", {a}, {c}, {}, store(c, {imm(0)}, squarings(load(a, {imm(0)}), 60)),
                         Level::kLoop);
  };
  const auto begin = std::chrono::steady_clock::now();
  const Function f = make_f();
  EXPECT_TRUE(structural_equal(f, make_f()));
  EXPECT_EQ(structural_hash(f), structural_hash(make_f()));
  int visited = 0;
  post_order_visit(f->body, [&](const Node&) { ++visited; });
  EXPECT_LT(visited, 100);
  const Stmt doubled = rewrite_exprs(
      f->body, [](const Expr& e) -> Expr { return e.as<LoadNode>() != nullptr ? e + e : nullptr; });
  EXPECT_FALSE(structural_equal(f->body, doubled));
  const std::string text = print(f);
  EXPECT_LT(text.size(), 3000u);
  EXPECT_NE(text.find("  share t0 = "), std::string::npos) << text;
  EXPECT_TRUE(structural_equal(f, parse_function(text)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

TEST(SharedExpressions, a_shared_expression_stays_under_the_let_that_it_uses) {
  const Buffer a = make_buffer("A", kFloat32, {imm(4)}), c = make_buffer("C", kFloat32, {imm(4)});
  const Expr outside = squarings(load(a, {imm(0)}), 8);
  const Expr x = var("x", kFloat32), y = var("y", kFloat32);
  const Expr under_x = squarings(x + outside, 8);
  const Expr under_y = squarings(y * under_x, 8);
  const Expr value = let(x, outside, let(y, under_x + under_x, under_y + under_x) + under_x);
  const Function f =
      make_function("f", {a}, {c}, {}, store(c, {imm(0)}, value + outside), Level::kLoop);
  const std::string text = print(f);
  EXPECT_LT(text.size(), 6000u);
  EXPECT_TRUE(structural_equal(f, parse_function(text))) << text;
  // two lets of one variable: what uses it has no single place, and is written out
  const Expr twice = let(x, outside, squarings(x, 5)) + let(x, outside + outside, squarings(x, 5));
  const Function g = make_function("g", {a}, {c}, {}, store(c, {imm(0)}, twice), Level::kLoop);
  EXPECT_TRUE(structural_equal(g, parse_function(print(g)))) << print(g);
}

TEST(SharedExpressions, headers_of_loops_and_blocks_share_too) {
  const Buffer c = make_buffer("C", kInt64, {imm(4)});
  const Expr n = load(c, {imm(0)});
  const Expr big = squarings(n, 12);
  const Expr i = var("i"), v = var("v");
  const Stmt block = make_block("b", {{v, {big, big + 1}, IterKind::kSpatial}}, {i + big},
                                lt(i, big), nullptr, store(c, {v}, squarings(v, 12)));
  const Function f =
      make_function("f", {}, {c}, {}, make_for(i, big, big * 2, make_if(lt(big, i + big), block)));
  EXPECT_LT(print(f).size(), 6000u);
  EXPECT_TRUE(structural_equal(f, parse_function(print(f)))) << print(f);
}

// --- depth
// -----------------------------------------------------------------------------------------------------------

/// Built without the limit that make() sets: a chain as deep as memory allows.
Expr unlimited_chain(int depth) {
  Expr e = imm(1);
  for (int i = 0; i < depth; ++i) e = Expr(new UnaryNode(UnaryOp::kNeg, e));
  return e;
}

TEST(Depth, a_million_nodes_are_built_compared_hashed_and_freed_without_recursion) {
  constexpr int kDepth = 1000000;
  on_small_stack([] {
    const Expr a = unlimited_chain(kDepth), b = unlimited_chain(kDepth);
    EXPECT_TRUE(structural_equal(a, b));
    EXPECT_EQ(structural_hash(a), structural_hash(b));
    Stmt s = make_seq({}), t = make_seq({});
    for (int i = 0; i < kDepth; ++i) {
      s = Stmt(new SeqNode({s}));
      t = Stmt(new SeqNode({t}));
    }
    EXPECT_TRUE(structural_equal(s, t));
  });
}

TEST(Depth, an_expression_at_the_limit_works_on_a_small_stack) {
  on_small_stack([] {
    const Buffer c = make_buffer("C", kInt64, {imm(4)});
    const Expr x = var("x");
    for (const bool to_the_left : {true, false}) {
      Expr e = x;
      while (e->depth < kMaxExprDepth) {
        e = to_the_left ? make<BinaryNode>(BinaryOp::kAdd, e, x)
                        : make<BinaryNode>(BinaryOp::kAdd, x, e);
      }
      EXPECT_THROW(make<BinaryNode>(BinaryOp::kAdd, e, x), ExpressionError);
      int visited = 0;
      post_order_visit(e, [&](const Node&) { ++visited; });
      EXPECT_GE(visited, kMaxExprDepth);
      const Expr replaced = substitute(e, {{x.get(), imm(3)}});
      EXPECT_FALSE(structural_equal(e, replaced));
      EXPECT_TRUE(structural_equal(replaced, parse_expr(print(replaced))));
      EXPECT_TRUE(structural_equal(e, parse_expr(print(e), {{x}, {}})));
    }
  });
}

TEST(Depth, a_shared_expression_at_the_limit_prints_and_reads_back) {
  on_small_stack([] {
    const Expr x = var("x");
    Expr e = x;
    while (e->depth < kMaxExprDepth) e = make<BinaryNode>(BinaryOp::kBitXor, e, e);
    EXPECT_TRUE(structural_equal(e, parse_expr(print(e), {{x}, {}})));
  });
}

TEST(Depth, statements_at_the_limit_work_on_a_small_stack) {
  on_small_stack([] {
    Stmt s = make_seq({});
    while (s->depth < kMaxStmtDepth) s = make_if(bool_imm(true), s);
    EXPECT_THROW(make_if(bool_imm(true), s), ExpressionError);
    const Function f = make_function("f", {}, {}, {}, s, Level::kLoop);
    EXPECT_TRUE(structural_equal(f, parse_function(print(f))));
    Stmt lets = make_seq({});
    while (lets->depth < kMaxStmtDepth) lets = make_let(var("x"), imm(1), lets);
    const Function g = make_function("g", {}, {}, {}, lets, Level::kLoop);
    EXPECT_TRUE(structural_equal(g, parse_function(print(g))));
  });
}

}  // namespace
}  // namespace tenon
