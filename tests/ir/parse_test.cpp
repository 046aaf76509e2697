#include "tenon/ir/parse.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// The text is what print gives for the function that it describes.
void expect_round_trip(const std::string& text) {
  const Function f = parse_function(text);
  EXPECT_EQ(print(f), text);
  const Function again = parse_function(print(f));
  EXPECT_TRUE(structural_equal(f, again));
  EXPECT_EQ(structural_hash(f), structural_hash(again));
}

const char* const kMatmul =
    R"(function matmul(A: float32[64, 16], B: float32[16, 32]) -> (C: float32[64, 32])
  parallel for io in 0..11 {grain=2, note="a \"quoted\" text", weight=0.5}
    for j in 0..32
      unrolled for ii in 0..6
        for k in 0..16
          block C {reduction_order="chain"}
            spatial i in 0..64 = io * 6 + ii
            spatial j in 0..32 = j
            reduction k in 0..16 = k
            where io * 6 + ii < 64
            reads A[i, k], B[k, j], C[i, j]
            writes C[i, j]
            init
              C[i, j] = 0.0
            C[i, j] = fma(A[i, k], B[k, j], C[i, j])
)";

const char* const kSymbolic =
    R"(function rows[n: min=1 max=4096 multiple_of=16, m](X: float32[n, m] strides=[m + 8, 1], G: int32[] align=32) -> (Y: float32[n])
  alloc T: float32[n] local
  for i in 0..n
    block T
      spatial i in 0..n = i
      reads X[i, 0..m]
      writes T[i]
      T[i] = 0.0
      for j in 2..10
        if j < m and not X[i, j] > 0.0
          T[i] = T[i] + X[i, j]
        else
          pass
  for i in n - 4..n - 4 + 4
    block Y
      spatial i in 0..n = i
      reads T[i], G[]
      writes Y[i]
      Y[i] = T[i] * float32(G[])
)";

const char* const kLoops =
    R"(loop function saxpy[n](X: float32[n]) -> (Y: float32[n]) {alignment="checked", version=2}
  assert n >= 0, "n must not be negative\n"
  parallel for i in 0..n // 16 on "blockIdx.x"
    let base = i * 16
    alloc acc: float32[16] register
    acc[ramp(0, 1, 16)] = broadcast(0.0, 16)
    Y[ramp(base, 1, 16)] = fma(X[ramp(base, 1, 16) where broadcast(n, 16) > ramp(base, 1, 16)], broadcast(2.0, 16), acc[ramp(0, 1, 16)]) where broadcast(true, 16)
    evaluate vector_reduce("+", shuffle([X[ramp(0, 1, 4)], X[ramp(4, 2, 4)]], [0, 7, 2, 5]))
  while Y[0] < 1.0
    do
      let x = Y[0]
      Y[0] = x + 1.0
    seq
      Y[1] = let y = Y[0] in y * y
  vectorized for i in 0..8
    Y[i] = select(i % 2 == 0, min(X[i], -inf), exp(X[i])) where i < n
  for w: int32 in 0i32..4i32
    Y[int64(w)] = call("noise", float32) + reinterpret(float32, 7i32 << w ^ ~(w & 3i32))
)";

TEST(Parse, round_trip_of_block_functions) {
  expect_round_trip(kMatmul);
  const Function f = parse_function(kSymbolic);
  EXPECT_TRUE(structural_equal(f, parse_function(print(f)))) << print(f);
}

TEST(Parse, round_trip_of_loop_functions) { expect_round_trip(kLoops); }

TEST(Parse, a_long_signature_is_wrapped_and_read_back) {
  expect_round_trip(R"(loop function with_a_rather_long_name[first_size, second_size](
    input: float32[first_size, second_size],
    weights: float32[second_size, 128]
) -> (output: float32[first_size, 128])
  pass
)");
}

TEST(Parse, statements_keep_their_nesting) {
  const Buffer b = make_buffer("b", kInt64, {imm(4)});
  const auto set = [&](std::int64_t v) { return store(b, {imm(0)}, imm(v)); };
  const auto seq = [](std::vector<Stmt> s) { return make<SeqNode>(std::move(s)); };
  const Buffer t = make_buffer("t", kInt64, {imm(1)});
  const Expr x = var("x"), y = var("y");
  const std::vector<Stmt> cases = {
      set(1),
      seq({}),
      seq({set(1)}),
      seq({seq({})}),
      seq({seq({set(1), set(2)})}),
      seq({seq({set(1), set(2)}), set(3)}),
      seq({set(1), seq({set(2)})}),
      make_allocate(t, seq({set(1), set(2)})),
      make_allocate(t, seq({set(1)})),
      seq({make_allocate(t, set(1)), set(2)}),
      seq({make_allocate(t, seq({set(1), set(3)}))}),
      seq({set(1), make_let(x, imm(1), make_let(y, x, seq({set(2), set(3)})))}),
      seq({make_let(x, imm(1), make_allocate(t, seq({}))), seq({make_let(y, imm(2), set(1))})}),
      make_if(bool_imm(true), make_if(bool_imm(false), set(1)), set(2)),
      make_if(bool_imm(true), make_if(bool_imm(false), set(1), seq({set(2)}))),
  };
  for (const Stmt& s : cases) {
    const Function f = make_function("f", {b}, {}, {}, s, Level::kLoop);
    EXPECT_TRUE(structural_equal(f, parse_function(print(f)))) << print(f);
  }
}

TEST(Parse, expressions_keep_their_brackets) {
  const Expr i = var("i"), j = var("j"), p = var("p", kBoolType), x = var("x", kFloat32);
  for (const char* text : {"i + j + 1",
                           "i + (j + 1)",
                           "i - (j - 1)",
                           "i * (j + 1) // 2 % 3",
                           "i - -3",
                           "-i * 3",
                           "-(i * 3)",
                           "-(3)",
                           "-(-3)",
                           "-(-i)",
                           "~(i & j) | i ^ j << 2",
                           "(i | j) & 3",
                           "not p and i < j or p",
                           "not (p and p)",
                           "(i < j) == p",
                           "p == (not p)",
                           "not i == j",
                           "min(i, max(j, 0))",
                           "abs(x) / -x",
                           "-9223372036854775808 + i",
                           "(let y = i + 1 in y * y) + 1",
                           "let y = (let z = i in z) in y",
                           "select(p, 1.0, 2.5e+20)",
                           "0.1f64 + float64(x)",
                           "1.0f16 + float16(x)",
                           "inf_f64 - float64(x)",
                           "-inf * nan",
                           "-(inf) * nan",
                           "nan_bits(float32, 0x7ff4000000000000)",
                           "-0.0 + x",
                           "255u8 + uint8(i)",
                           "18446744073709551615u64",
                           "-128i8",
                           "reduce(sum, [k in 0..4, l in 2..i], x where k < l)",
                           "reduce(max, [ordered k in 0..4], i * k)",
                           "call(\"odd name\", int64)",
                           "call(\"exp\", float32, i)",
                           "tanh(x)",
                           "ramp(i, 2, 8) + broadcast(j, 8)",
                           "reinterpret(int32, x)",
                           "bool(i) and p",
                           "float32x4(broadcast(i, 4))"}) {
    const Expr e = parse_expr(text, {{i, j, p, x}, {}});
    EXPECT_EQ(print(e), text);
    EXPECT_TRUE(structural_equal(e, parse_expr(print(e), {{i, j, p, x}, {}}))) << text;
  }
}

TEST(Parse, every_float_comes_back_with_its_bits) {
  std::mt19937_64 random(7);
  for (int n = 0; n < 20000; ++n) {
    const auto bits = static_cast<std::uint32_t>(random());
    float narrow = 0;
    std::memcpy(&narrow, &bits, sizeof narrow);
    double wide = 0;
    const std::uint64_t wide_bits = random();
    std::memcpy(&wide, &wide_bits, sizeof wide);
    std::vector<Expr> values = {make<FloatImmNode>(kFloat64, wide),
                                make<FloatImmNode>(kFloat32, static_cast<double>(narrow))};
    if (std::isfinite(narrow)) {
      values.push_back(float_imm(DType::float_(16), static_cast<double>(narrow)));
      values.push_back(float_imm(DType::bfloat16(), static_cast<double>(narrow)));
    }
    for (const Expr& e : values) ASSERT_TRUE(structural_equal(e, parse_expr(print(e)))) << print(e);
  }
}

TEST(Parse, names_that_clash_or_are_keywords_still_read_back) {
  const Buffer a = make_buffer("for", kInt64, {imm(4)}), b = make_buffer("a b", kInt64, {imm(4)}),
               c = make_buffer("a_b", kInt64, {imm(4)});
  const Expr i = var("i"), i2 = var("i"), i3 = var("");
  const Stmt body = make_for(
      i, imm(0), imm(4),
      make_for(i2, imm(0), imm(4),
               make_for(i3, imm(0), imm(4), store(a, {i + i2}, load(b, {i}) + load(c, {i3})))));
  const Function f = make_function("my function", {b, c}, {a}, {}, body, Level::kLoop);
  EXPECT_TRUE(structural_equal(f, parse_function(print(f)))) << print(f);
}

TEST(Parse, a_block_may_reuse_the_names_of_loops_that_it_does_not_use) {
  const Function f = parse_function(kMatmul);
  EXPECT_NE(print(f).find("spatial j in 0..32 = j\n"), std::string::npos);
  // here the body uses the loop variable (which the verifier refuses), so the iteration variable is
  // renamed
  const Expr outer = var("j"), inner = var("j");
  const Buffer b = make_buffer("b", kInt64, {imm(4)});
  const Stmt block = make_block("b", {{inner, {imm(0), imm(4)}, IterKind::kSpatial}}, {outer},
                                nullptr, nullptr, store(b, {inner}, outer));
  const Function g = make_function("f", {}, {b}, {}, make_for(outer, imm(0), imm(4), block));
  EXPECT_NE(print(g).find("b[j_1] = j\n"), std::string::npos) << print(g);
  EXPECT_TRUE(structural_equal(g, parse_function(print(g))));
}

TEST(Parse, spans_are_lines_of_the_text) {
  const Function f = parse_function(
      "loop function f(A: float32[4]) -> (B: float32[4])\n\n  for i in 0..4\n    B[i] = A[i]\n",
      "case.txt");
  EXPECT_EQ(f->body->span.str(), "case.txt:3");
  EXPECT_EQ(f->body.as<ForNode>()->body->span.str(), "case.txt:4");
  EXPECT_NE(print(f, {.spans = true}).find("  for i in 0..4  # case.txt:3\n"), std::string::npos);
  EXPECT_TRUE(
      structural_equal(f, parse_function(print(f, {.mark = f->body.get(), .spans = true}))));
}

struct Wrong {
  const char* text;
  const char* message;
};

TEST(Parse, mistakes_are_named_with_their_place) {
  for (const Wrong& w : std::vector<Wrong>{
           {"",
            "line 1, column 1: expected 'function' at the beginning, got the end of the text "
            "[E0120]"},
           {"function f(A: float32[4]) -> (\n  pass", "expected the name of a buffer, got 'pass'"},
           {"function f(A: float31[4]) -> ()\n  pass",
            "expected a dtype such as float32, got 'float31' [E0120]"},
           {"function f() -> ()\n", "line 2, column 1: expected a deeper indented body"},
           {"function f(A: float32[4], A: float32[4]) -> ()\n  pass",
            "line 1, column 27: 'A' is defined twice [E0121]"},
           {"function f(A: float32[n]) -> ()\n  pass", "no variable 'n' is defined here [E0121]"},
           {"function f(A: float32[4]) -> ()\n  for i in 0 4\n    pass",
            "line 2, column 14: expected '..' after the lower bound, got '4'"},
           {"function f(A: float32[4]) -> ()\n  A[0] = 1",
            "line 2, column 3: no store of int64 to buffer 'A' of float32 [E0122]"},
           {"function f(A: float32[4]) -> ()\n  A[0] = 1.0 + 1",
            "no + of float32 and int64 [E0122]"},
           {"function f(A: float32[4]) -> ()\n  A[0] = A + 1.0", "'A' is a buffer: write A[...]"},
           {"function f(A: float32[4]) -> ()\n  B[0] = 1.0", "no buffer 'B' is defined here"},
           {"function f(A: bool[4]) -> ()\n  A[0] = 1 < 2 < 3", "comparisons do not chain"},
           {"function f(A: float32[4]) -> ()\n  A[1.0] = 1.0 where 3 +",
            "expected an expression, got the end of the line"},
           {"function f() -> ()\n    pass\n  pass",
            "this indentation fits none of the lines above"},
           {"function f() -> ()\n  assert true, \"no end", "a string should end on its line"},
           {"function f() -> ()\n  evaluate ramp(0, 1, 70000)",
            "should be an integer from 2 to 65535, got 70000"},
           {"function f() -> ()\n  evaluate 300u8", "300u8 does not fit uint8"},
           {"function f() -> ()\n  evaluate 1.5i8", "a number with a fraction should be a float"},
           {"function f() -> ()\n  evaluate 1e999", "is no number that float32 can hold"},
           {"function f() -> ()\n  evaluate ?",
            "this character begins no word, number or operator"},
           {"function f() -> ()\n  evaluate shuffle([broadcast(1, 2)], [2])",
            "a lane should be an integer from 0 to 1, got 2"},
           {"function f() -> ()\n  alloc t: int8[4]\n", "expected a statement"},
           {"function f() -> () {a=1, a=2}\n  pass", "the attribute 'a' is given twice"},
           {"function f() -> ()\n  for in in 0..4\n    pass",
            "expected the name of the loop's variable, got 'in'"},
       }) {
    try {
      parse_function(w.text);
      FAIL() << "accepted: " << w.text;
    } catch (const ExpressionError& e) {
      EXPECT_NE(std::string(e.what()).find(w.message), std::string::npos) << w.text << "\n"
                                                                          << e.what();
    }
  }
}

TEST(Parse, the_line_with_the_mistake_is_shown) {
  try {
    parse_function("loop function f(A: float32[4]) -> ()\n  A[0] = 1.0 * (2.0\n");
    FAIL() << "accepted";
  } catch (const ExpressionError& e) {
    EXPECT_NE(std::string(e.what()).find("line 2, column 16: this bracket is never closed "
                                         "[E0120]\n    A[0] = 1.0 * (2.0\n                 ^"),
              std::string::npos)
        << e.what();
  }
}

TEST(Parse, nesting_is_limited) {
  const auto repeat = [](const std::string& s, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += s;
    return out;
  };
  EXPECT_THROW(parse_expr(repeat("(", 100000)), ExpressionError);
  EXPECT_THROW(parse_expr(repeat("-", 100000) + "(1)"), ExpressionError);
  EXPECT_THROW(parse_expr(repeat("not ", 100000) + "true"), ExpressionError);
  EXPECT_THROW(parse_expr(repeat("1 + ", 100000) + "1"), ExpressionError);
  std::string loops = "loop function f() -> ()\n";
  for (int d = 1; d < 1100; ++d)
    loops += std::string(static_cast<std::size_t>(d), ' ') + "if true\n";
  EXPECT_THROW(parse_function(loops + std::string(1100, ' ') + "pass\n"), ExpressionError);
  std::string lets = "loop function f() -> ()\n" + repeat("  let x = 1\n", 1100) + "  pass\n";
  EXPECT_THROW(parse_function(lets), ExpressionError);
}

/// Any text gives a function or an ExpressionError; a function that comes out prints and reads
/// back.
TEST(Parse, mutated_texts_never_crash) {
  const std::vector<std::string> seeds = {kMatmul, kSymbolic, kLoops};
  const std::vector<std::string> words = {"for",   "in",         "..",
                                          "..+",   "(",          ")",
                                          "[",     "]",          "where",
                                          "let",   "share t = ", " = ",
                                          "\n",    "\n  ",       "0",
                                          "-1",    "1e9",        "i",
                                          "block", "alloc",      "reads",
                                          "\"",    "inf",        "broadcast(",
                                          ", 4)",  "{",          "}",
                                          "#",     "not",        "float32",
                                          ":",     "function",   "99999999999999999999",
                                          "\x80",  "\t",         "do",
                                          "seq",   "pass"};
  std::mt19937 random(1);
  int accepted = 0;
  for (int n = 0; n < 6000; ++n) {
    std::string text = seeds[random() % seeds.size()];
    const int edits = 1 + static_cast<int>(random() % 4);
    for (int e = 0; e < edits; ++e) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text.erase(at, 1 + random() % 6);
          break;
        case 1:
          text.insert(at, words[random() % words.size()]);
          break;
        case 2:
          text[at] = static_cast<char>(random() % 256);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 30));
          break;
      }
      if (text.empty()) text = "f";
    }
    try {
      const Function f = parse_function(text);
      ++accepted;
      ASSERT_TRUE(structural_equal(f, parse_function(print(f)))) << text << "\n---\n" << print(f);
    } catch (const ExpressionError&) {
      // the only class that bad text may raise
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace tenon
