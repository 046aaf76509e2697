// The simplifier as a pass: before and after, and random programs that the interpreter runs both
// ways.

#include <gtest/gtest.h>

#include <random>

#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"

namespace tenon {
namespace {

struct SimplifyStmt : testing::Test {
  Buffer a = make_buffer("A", kFloat32, {imm(64)});
  Buffer b = make_buffer("B", kFloat32, {imm(64)});
  Expr i = var("i"), j = var("j");
  std::string text(const Stmt& s, const SimplifyOptions& options = {}) {
    return print(simplify(s, options));
  }
};

TEST_F(SimplifyStmt, loops_of_one_iteration_dissolve) {
  const Stmt body = store(b, {i * 8 + j}, load(a, {j}));
  EXPECT_EQ(text(make_for(i, imm(3), imm(1), make_for(j, imm(0), imm(8), body))),
            "for j in 0..8\n  B[j + 24] = A[j]\n");
}

TEST_F(SimplifyStmt, loops_stay_where_a_schedule_holds_them) {
  const Stmt nest =
      make_for(i, imm(3), imm(1), make_for(j, imm(0), imm(0), store(b, {i * 8 + j}, load(a, {j}))));
  EXPECT_TRUE(simplify(nest, {.keep_loops = true}).same_as(nest));
}

TEST_F(SimplifyStmt, guards_that_always_hold_vanish) {
  const Stmt guarded = make_if(lt(i * 8 + j, imm(64)), store(b, {i * 8 + j}, load(a, {j})));
  EXPECT_EQ(text(make_for(i, imm(0), imm(8), make_for(j, imm(0), imm(8), guarded))),
            "for i in 0..8\n  for j in 0..8\n    B[i * 8 + j] = A[j]\n");
  EXPECT_EQ(text(make_for(i, imm(0), imm(9), make_for(j, imm(0), imm(8), guarded))),
            "for i in 0..9\n  for j in 0..8\n    if i * 8 + j < 64\n      B[i * 8 + j] = A[j]\n");
}

TEST_F(SimplifyStmt, what_never_runs_vanishes) {
  const Stmt s = store(b, {i}, load(a, {i}));
  EXPECT_EQ(simplify(make_for(i, imm(0), imm(0), s)).as<SeqNode>()->stmts.size(), 0u);
  const Stmt never = make_if(lt(i, imm(0)), s, nullptr);
  EXPECT_EQ(simplify(make_for(i, imm(0), imm(4), never)).as<SeqNode>()->stmts.size(), 0u);
  EXPECT_EQ(text(make_seq({make_for(i, imm(0), imm(0), s), store(b, {imm(1)}, load(a, {imm(2)}))})),
            "B[1] = A[2]\n");
}

TEST_F(SimplifyStmt, predicates_of_blocks_and_accesses) {
  const Expr v = var("v");
  const Stmt block =
      make_block("B", {{v, {imm(0), imm(64)}, IterKind::kSpatial}}, {i * 8 + j},
                 lt(i * 8 + j, imm(64)), nullptr, store(b, {v}, load(a, {v}, ge(v, imm(0)))));
  const Stmt out = simplify(make_for(i, imm(0), imm(8), make_for(j, imm(0), imm(8), block)));
  const std::string printed = print(out);
  EXPECT_EQ(printed.find("where"), std::string::npos) << printed;
  EXPECT_EQ(printed.find(">="), std::string::npos) << printed;
}

TEST_F(SimplifyStmt, conditions_on_memory_say_nothing_about_later_statements) {
  const Expr full = lt(load(a, {imm(0)}), float_imm(kFloat32, 1));
  const Buffer n = make_buffer("n", kInt64, {imm(1)});
  const Expr small = lt(load(n, {imm(0)}), imm(5));
  const Stmt s = make_if(small, make_seq({store(n, {imm(0)}, imm(9)),
                                          make_if(small, store(b, {imm(0)}, load(a, {imm(0)})))}));
  EXPECT_TRUE(simplify(s).same_as(s));
  EXPECT_TRUE(full->dtype.is_bool());
}

TEST_F(SimplifyStmt, symbols_of_a_function_are_known) {
  const Expr n = var("n");
  const Buffer x = make_buffer("X", kFloat32, {n}), y = make_buffer("Y", kFloat32, {n});
  const Stmt body =
      make_for(i, imm(0), floordiv(n, imm(8)),
               make_for(j, imm(0), imm(8),
                        make_if(lt(i * 8 + j, n), store(y, {i * 8 + j}, load(x, {i * 8 + j})))));
  const Function f = simplify(make_function("f", {x}, {y}, {{n, 8, std::nullopt, 8}}, body));
  EXPECT_EQ(print(f->body),
            "for i in 0..n // 8\n  for j in 0..8\n    Y[i * 8 + j] = X[i * 8 + j]\n");
}

/// Random loop nests with guards and index arithmetic that stays inside a buffer of 64.
class Programs {
 public:
  explicit Programs(unsigned seed) : random_(seed) {}

  Function function() {
    return make_function("f", {in_}, {out_}, {}, make_seq({fill(), statement(4)}), Level::kLoop);
  }

 private:
  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  Stmt fill() {
    const Expr z = var("z");
    return make_for(z, imm(0), imm(64), store(out_, {z}, cast(kInt32, z)));
  }

  Expr number(int depth) {
    if (depth == 0) {
      const bool constant = vars_.empty() || pick(0, 3) == 0;
      return constant ? imm(pick(-3, 9))
                      : vars_[static_cast<std::size_t>(
                            pick(0, static_cast<std::int64_t>(vars_.size()) - 1))];
    }
    const Expr x = number(depth - 1), y = number(depth - 1);
    switch (pick(0, 7)) {
      case 0:
      case 1:
        return x + y;
      case 2:
        return x - y;
      case 3:
        return x * imm(pick(0, 8));
      case 4:
        return floordiv(x, imm(pick(1, 8)));
      case 5:
        return floormod(x, imm(pick(1, 8)));
      case 6:
        return min(x, y);
      default:
        return select(lt(x, y), x, y);
    }
  }

  Expr index() { return floormod(number(2), imm(64)); }

  Expr value() {
    const Expr condition = lt(number(1), number(1));
    const Expr read =
        load(pick(0, 1) == 0 ? in_ : out_, {index()}, pick(0, 2) == 0 ? condition : Expr(nullptr));
    return pick(0, 1) == 0 ? read + cast(kInt32, number(2))
                           : select(condition, read, cast(kInt32, number(1)));
  }

  Stmt statement(int depth) {
    const std::int64_t which = depth == 0 ? 0 : pick(0, 5);
    if (which <= 1)
      return store(out_, {index()}, value(),
                   pick(0, 2) == 0 ? le(number(1), number(1)) : Expr(nullptr));
    if (which == 2) return make_seq({statement(depth - 1), statement(depth - 1)});
    if (which == 3) {
      Stmt then_case = statement(depth - 1);
      return make_if(lt(number(2), number(1)), then_case,
                     pick(0, 1) == 0 ? statement(depth - 1) : Stmt(nullptr));
    }
    const Expr v = var("v");
    const Expr low = number(1), bound = number(1);
    vars_.push_back(v);
    Stmt body = statement(depth - 1);
    vars_.pop_back();
    if (which == 4) return make_let(v, bound, body);
    return make_for(v, low, pick(0, 2) == 0 ? floormod(bound, imm(5)) : imm(pick(0, 4)), body);
  }

  std::mt19937 random_;
  std::vector<Expr> vars_;
  Buffer in_ = make_buffer("in", kInt32, {imm(64)}), out_ = make_buffer("out", kInt32, {imm(64)});
};

std::vector<std::int32_t> run(const Function& f) {
  std::vector<std::int32_t> in(64), out(64);
  for (int k = 0; k < 64; ++k) in[static_cast<std::size_t>(k)] = k * 37 % 101;
  const auto report = interpret(f, {{in.data(), kInt32, {64}}, {out.data(), kInt32, {64}}});
  EXPECT_EQ(report.text(), "");
  return out;
}

TEST(SimplifyStmtFuzz, random_programs_keep_their_results) {
  int changed = 0;
  for (unsigned seed = 0; seed < 1500; ++seed) {
    const Function f = Programs(seed).function();
    const Function s = simplify(f);
    ASSERT_EQ(run(f), run(s)) << "seed " << seed << "\n" << print(f) << "became\n" << print(s);
    EXPECT_TRUE(structural_equal(s, simplify(s))) << "seed " << seed << "\n"
                                                  << print(s) << "then\n"
                                                  << print(simplify(s));
    changed += s.same_as(f) ? 0 : 1;
    const Function kept = simplify(f, {.keep_loops = true});
    ASSERT_EQ(run(f), run(kept)) << "seed " << seed << "\n"
                                 << print(f) << "became\n"
                                 << print(kept);
  }
  EXPECT_GT(changed, 1000);
}

}  // namespace
}  // namespace tenon
