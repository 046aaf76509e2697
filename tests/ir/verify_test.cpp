#include "tenon/ir/verify.h"

#include <gtest/gtest.h>

#include "tenon/ir/builder.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"

namespace tenon {
namespace {

void expect_valid(const char* text) { EXPECT_NO_THROW(verify(parse_function(text))) << text; }

void expect_broken(const Function& f, const std::string& rule, const std::string& message) {
  const std::vector<Violation> found = find_violations(f);
  ASSERT_FALSE(found.empty()) << "no violation, expected " << rule << " in\n" << print(f);
  EXPECT_EQ(found[0].rule, rule) << found[0].message;
  EXPECT_NE(found[0].message.find(message), std::string::npos) << found[0].message;
  EXPECT_THROW(verify(f), VerifyError);
}

void expect_broken(const std::string& text, const std::string& rule, const std::string& message) {
  expect_broken(parse_function(text), rule, message);
}

/// A block function over A, B: float32[8, 8] -> C: float32[8, 8], with these lines as its body.
std::string over_squares(const std::string& body) {
  return "function f(A: float32[8, 8], B: float32[8, 8]) -> (C: float32[8, 8])\n" + body;
}
std::string loop_ir(const std::string& body) {
  return "loop function f[n](A: float32[n], I: int64[n]) -> (C: float32[n])\n" + body;
}

TEST(Verify, scheduled_functions_are_valid) {
  expect_valid(R"(function matmul(A: float32[64, 16], B: float32[16, 32]) -> (C: float32[64, 32])
  alloc C_register: float32[64, 32] register
  parallel for io in 0..11
    for j in 0..32
      unrolled for ii in 0..6
        block C_init
          spatial i in 0..64 = io * 6 + ii
          spatial j in 0..32 = j
          where io * 6 + ii < 64
          writes C_register[i, j]
          C_register[i, j] = 0.0
      for k in 0..16
        unrolled for ii in 0..6
          block C {reduction_order="chain"}
            spatial i in 0..64 = io * 6 + ii
            spatial j in 0..32 = j
            reduction k in 0..16 = k
            where io * 6 + ii < 64
            reads A[i, k], B[k, j], C_register[i, j]
            writes C_register[i, j]
            C_register[i, j] = fma(A[i, k], B[k, j], C_register[i, j])
      for ii in 0..6
        block C_register
          spatial i in 0..64 = io * 6 + ii
          spatial j in 0..32 = j
          where io * 6 + ii < 64
          reads C_register[i, j]
          writes C[i, j]
          C[i, j] = C_register[i, j]
)");
}

TEST(Verify, an_intermediate_may_be_recomputed_in_each_parallel_iteration) {
  expect_valid(R"(function window(A: float32[34]) -> (C: float32[32])
  alloc T: float32[34]
  parallel for io in 0..8
    for ii in 0..6
      block T
        spatial i in 0..34 = io * 4 + ii
        reads A[i]
        writes T[i]
        T[i] = A[i] + A[i]
    for ii in 0..4
      block C
        spatial i in 0..32 = io * 4 + ii
        reads T[i..i + 3]
        writes C[i]
        C[i] = T[i] + T[i + 1] + T[i + 2]
)");
}

TEST(Verify, loop_functions_are_valid) {
  expect_valid(R"(loop function f[n: multiple_of=4](A: float32[n]) -> (C: float32[n])
  parallel for i in 0..n // 4
    let base = i * 4
    alloc t: float32[4] register
    t[ramp(0, 1, 4)] = A[ramp(base, 1, 4) where ramp(base, 1, 4) < broadcast(n, 4)]
    C[ramp(base, 1, 4)] = t[ramp(0, 1, 4)] where ramp(base, 1, 4) < broadcast(n, 4)
)");
}

TEST(Verify, between_levels_the_common_rules_hold) {
  const char* text =
      "function f(A: float32[4, 4]) -> (C: float32[4])\n  for i in 0..4\n    C[i] = A[i, 0]\n";
  EXPECT_NO_THROW(verify_between_levels(parse_function(text)));
  const char* flat =
      "function f(A: float32[4, 4]) -> (C: float32[4])\n  for i in 0..4\n    C[i] = A[i]\n";
  EXPECT_THROW(verify_between_levels(parse_function(flat)), VerifyError);
}

TEST(Verify, the_message_shows_the_program_around_the_mistake) {
  const Function f = parse_function(over_squares(R"(
  for i in 0..8
    for j in 0..8
      C[i, j] = A[i, j]
)"));
  try {
    verify(f, "pass 'flatten'");
    FAIL();
  } catch (const VerifyError& e) {
    EXPECT_STREQ(
        e.what(),
        R"(function 'f' breaks rule 'outside_block' of block IR after pass 'flatten': a store to 'C' outside of any block [E9998]
  in:
    function f(A: float32[8, 8], B: float32[8, 8]) -> (C: float32[8, 8])
      for i in 0..8
        for j in 0..8
          C[i, j] = A[i, j]            <--- here)");
  }
}

// --- rules of all levels: one failing program each
// -------------------------------------------------------------------

TEST(VerifyRule, scope) {
  const Buffer c = make_buffer("C", kInt64, {imm(8)});
  const Expr i = var("i"), x = var("x");
  const Stmt loop = make_for(i, imm(0), imm(8), store(c, {i}, x));
  expect_broken(make_function("f", {}, {c}, {}, loop, Level::kLoop), "scope",
                "variable 'x' is used where it is not defined");
  const Buffer t = make_buffer("T", kInt64, {imm(8)});
  expect_broken(
      make_function("f", {}, {c}, {},
                    make_seq({make_allocate(t, make_seq({})), store(t, {imm(0)}, imm(1))}),
                    Level::kLoop),
      "scope", "buffer 'T' is used where it does not exist");
}

TEST(VerifyRule, definition) {
  const Expr i = var("i");
  const Stmt nest = make_for(i, imm(0), imm(8), make_for(i, imm(0), imm(8), make_seq({})));
  expect_broken(make_function("f", {}, {}, {}, nest, Level::kLoop), "definition",
                "variable 'i' is defined again");
  const Buffer t = make_buffer("T", kInt64, {imm(8)});
  expect_broken(make_function("f", {}, {}, {}, make_allocate(t, make_allocate(t, make_seq({}))),
                              Level::kLoop),
                "definition", "buffer 'T' is allocated twice");
}

TEST(VerifyRule, dtype) {
  expect_broken(loop_ir("  for i in 0i32..8i32\n    C[0] = 1.0"), "dtype",
                "the lower bound of a loop is int32, should be int64");
  expect_broken(loop_ir("  if 1\n    C[0] = 1.0"), "dtype",
                "the condition of an if is int64, should be bool");
  expect_broken(loop_ir("  C[0] = 1.0 where 1"), "dtype",
                "the predicate of a store is int64, should be bool");
  expect_broken(loop_ir("  C[3i32] = 1.0"), "dtype", "an index of 'C' is int32, should be int64");
}

TEST(VerifyRule, reduce) {
  expect_broken(loop_ir("  C[0] = reduce(sum, [k in 0..4], A[k])"), "reduce",
                "legal only inside a tensor expression");
}

TEST(VerifyRule, buffer) {
  expect_broken("loop function f(A: float32[4, 4] strides=[4]) -> ()\n  pass", "buffer",
                "'A' has 2 dimensions and 1 strides");
  expect_broken("loop function f(A: float32[4] align=3) -> ()\n  pass", "buffer",
                "alignment of buffer 'A' is 3");
}

TEST(VerifyRule, parameter) {
  expect_broken("loop function f(A: float32[4] local) -> ()\n  pass", "parameter",
                "'A' has scope local, should be global");
  expect_broken("loop function f(A: float32[4], A) -> ()\n  pass", "parameter", "listed twice");
}

TEST(VerifyRule, symbol) {
  expect_broken("function f[n](A: float32[n * 2]) -> ()\n  pass", "symbol",
                "'n' is not a whole dimension of any input");
  expect_broken("loop function f[n: min=4 max=2](A: float32[n]) -> ()\n  pass", "symbol",
                "'n' has an empty range");
}

TEST(VerifyRule, register_buffers) {
  expect_broken(loop_ir("  alloc t: float32[n] register\n  pass"), "register",
                "'t' has the size n, should be constant");
}

TEST(VerifyRule, input) { expect_broken(loop_ir("  A[0] = 1.0"), "input", "a store to input 'A'"); }

TEST(VerifyRule, loop) {
  expect_broken(loop_ir("  thread for i in 0..n\n    C[i] = 1.0"), "loop",
                "thread loop 'i' has thread axis ''");
}

// --- rules of loop IR
// ------------------------------------------------------------------------------------------------

TEST(VerifyRule, no_block) {
  expect_broken(loop_ir("  block b\n    C[0] = 1.0"), "no_block", "block 'b' in loop IR");
}

TEST(VerifyRule, arity_in_loop_ir) {
  expect_broken(loop_ir("  C[0, 1] = 1.0"), "arity",
                "a store to 'C' has 2 indices, should have one");
  expect_broken(loop_ir("  C[0] = A[]"), "arity", "a load of 'A' has 0 indices");
}

TEST(VerifyRule, lanes) {
  expect_broken(loop_ir("  C[ramp(0, 1, 4)] = 1.0"), "lanes",
                "a store of 1 lanes to 4 elements of 'C'");
}

TEST(VerifyRule, vector_reduce) {
  expect_broken(loop_ir("  C[0] = vector_reduce(\"-\", A[ramp(0, 1, 4)])"), "vector_reduce",
                "joined by -");
}

// --- rules of block IR
// -----------------------------------------------------------------------------------------------

TEST(VerifyRule, outside_block) {
  expect_broken(over_squares("  C[0, 0] = 1.0"), "outside_block",
                "a store to 'C' outside of any block");
}

TEST(VerifyRule, while_) {
  expect_broken(over_squares("  while true\n    pass"), "while", "outside of any block");
}

TEST(VerifyRule, vector) {
  expect_broken(
      over_squares(
          "  block b\n    writes C[0, 0]\n    C[0, 0] = vector_reduce(\"+\", broadcast(1.0, 4))"),
      "vector", "a vector expression (float32x4) in block IR");
}

TEST(VerifyRule, arity) {
  expect_broken(over_squares("  block b\n    writes C[0, 0]\n    C[0] = 1.0"), "arity",
                "a store to 'C' has 1 indices, the buffer 2");
  expect_broken(over_squares("  block b\n    writes C[0]\n    C[0, 0] = 1.0"), "arity",
                "a write region of 'C' has 1");
}

TEST(VerifyRule, allocation) {
  expect_broken(over_squares("  for i in 0..8\n    alloc t: float32[4]\n    pass"), "allocation",
                "'t' is allocated inside of a loop");
}

TEST(VerifyRule, block_name) {
  expect_broken(over_squares("  block b\n    pass\n  block b\n    pass"), "block_name",
                "two blocks are called 'b'");
}

TEST(VerifyRule, block_scope) {
  expect_broken(over_squares(R"(
  for i in 0..8
    for j in 0..8
      block C
        spatial x in 0..8 = i
        spatial y in 0..8 = j
        reads A[x, y]
        writes C[x, y]
        C[x, y] = A[i, y]
)"),
                "block_scope", "block 'C' uses 'i' of outside");
}

TEST(VerifyRule, binding) {
  expect_broken(R"(function f(I: int64[8]) -> (C: int64[8])
  for i in 0..8
    block C
      spatial x in 0..8 = I[i]
      writes C[x]
      C[x] = 1
)",
                "binding", "reads memory: I[i]");
}

std::string with_binding(const std::string& loops, const std::string& binding) {
  return "function f(A: float32[8]) -> (C: float32[8])\n" + loops +
         "      block C\n        spatial x in 0..8 = " + binding +
         "\n        reads A[x]\n        writes C[x]\n        C[x] = A[x]\n";
}

TEST(VerifyRule, domain) {
  expect_broken(with_binding("  for i in 0..3\n    for j in 0..3\n", "i * 3 + j"), "domain",
                "'x' is 8 at i = 2, j = 2, outside of its domain 0..8");
}

TEST(VerifyRule, cover) {
  expect_broken(with_binding("  for i in 0..2\n    for j in 0..3\n", "i * 4 + j"), "cover",
                "the loops never run 'x' = 3");
}

TEST(VerifyRule, parallel) {
  expect_broken(with_binding("  parallel for i in 0..2\n    for j in 0..8\n", "j"), "parallel",
                "every iteration of the parallel loop 'i' writes the same elements of 'C'");
  expect_broken(with_binding("  parallel for i in 0..3\n    for j in 0..4\n", "i * 2 + j"),
                "parallel", "two parallel iterations have the same 'x' = 2 at i = 1, j = 0");
  expect_valid(with_binding("  for i in 0..3\n    parallel for j in 0..4\n", "i * 2 + j").c_str());
  expect_broken(R"(function f(A: float32[8, 8]) -> (C: float32[8])
  for i in 0..8
    parallel for k in 0..8
      block C
        spatial i in 0..8 = i
        reduction k in 0..8 = k
        reads A[i, k], C[i]
        writes C[i]
        init
          C[i] = 0.0
        C[i] = C[i] + A[i, k]
)",
                "parallel",
                "the reduction variable 'k' of block 'C' is bound to the parallel loop 'k'");
}

TEST(VerifyRule, ordered) {
  expect_broken(R"(function f(A: float32[8]) -> (C: float32[8])
  parallel for i in 0..8
    block C
      ordered i in 0..8 = i
      reads A[i], C[i - 1]
      writes C[i]
      C[i] = select(i > 0, C[i - 1], 0.0) + A[i]
)",
                "ordered", "is bound to the parallel loop 'i', should be serial");
}

TEST(VerifyRule, init) {
  const std::string head =
      "function f(A: float32[8]) -> (C: float32[8])\n  for i in 0..8\n    block C\n";
  expect_broken(head + R"(      spatial i in 0..8 = i
      reads A[i]
      writes C[i]
      init
        C[i] = 0.0
      C[i] = A[i]
)",
                "init", "has an init and no reduction variable");
  expect_broken(head + R"(      reduction k in 0..8 = i
      reads A[k], C[0]
      writes C[k]
      init
        C[k] = 0.0
      C[0] = C[0] + A[k]
)",
                "init", "uses the reduction variable 'k'");
}

std::string with_body(const std::string& reads, const std::string& writes,
                      const std::string& body) {
  return over_squares(
      "  for i in 0..8\n    for j in 0..8\n      block C\n        spatial i in 0..8 = i\n        "
      "spatial j in 0..8 = j\n" +
      ("        reads " + reads) + "\n        writes " + writes + "\n        " + body + "\n");
}

TEST(VerifyRule, regions) {
  expect_valid(with_body("A[i, 0..8]", "C[i, j]", "C[i, j] = A[i, 7]").c_str());
  expect_broken(with_body("A[i, j]", "C[i, j]", "C[i, j] = B[i, j]"), "regions",
                "its reads do not cover B[i, j]");
  expect_broken(with_body("A[i, j]", "C[i, j]", "C[i, j] = A[i, j + 1]"), "regions",
                "its reads do not cover A[i, j + 1]");
  expect_broken(with_body("A[i, j]", "B[i, j]", "C[i, j] = A[i, j]"), "regions",
                "its writes do not cover C[i, j]");
}

TEST(VerifyRule, spatial) {
  expect_broken(with_body("A[i, j]", "C[i, 0]", "C[i, 0] = A[i, j]"), "spatial",
                "every iteration of the spatial variable 'j' writes the same elements of 'C'");
}

TEST(VerifyRule, in_place) {
  expect_valid(R"(function f(A: float32[8]) -> (A)
  for i in 0..8
    block A
      spatial i in 0..8 = i
      reads A[i]
      writes A[i]
      A[i] = A[i] * 2.0
)");
  expect_broken(R"(function f(A: float32[8]) -> (A)
  for i in 0..7
    block A
      spatial i in 0..7 = i
      reads A[i + 1]
      writes A[i]
      A[i] = A[i + 1]
)",
                "in_place", "element A[i + 1] is read while another iteration writes 'A'");
}

}  // namespace
}  // namespace tenon
