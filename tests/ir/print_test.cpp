#include "tenon/ir/print.h"

#include <gtest/gtest.h>

#include <limits>

#include "tenon/ir/builder.h"

namespace tenon {
namespace {

Expr f32(double v) { return float_imm(kFloat32, v); }

struct Matmul {
  Buffer a = make_buffer("A", kFloat32, {imm(64), imm(16)});
  Buffer b = make_buffer("B", kFloat32, {imm(16), imm(32)});
  Buffer c = make_buffer("C", kFloat32, {imm(64), imm(32)});
  Expr i = var("i"), j = var("j"), k = var("k");
  Stmt nest;
  Function f;

  Matmul() {
    const Expr vi = var("i"), vj = var("j"), vk = var("k");
    const Stmt body =
        store(c, {vi, vj}, fma(load(a, {vi, vk}), load(b, {vk, vj}), load(c, {vi, vj})));
    const Stmt block = make_block("C",
                                  {{vi, {imm(0), imm(64)}, IterKind::kSpatial},
                                   {vj, {imm(0), imm(32)}, IterKind::kSpatial},
                                   {vk, {imm(0), imm(16)}, IterKind::kReduction}},
                                  {i, j, k}, nullptr, store(c, {vi, vj}, f32(0)), body,
                                  {{"reduction_order", std::string("chain")}});
    nest = make_for(i, imm(0), imm(64),
                    make_for(j, imm(0), imm(32), make_for(k, imm(0), imm(16), block)),
                    {.kind = ForKind::kParallel});
    f = make_function("matmul", {a, b}, {c}, {}, nest);
  }
};

TEST(Print, a_scheduled_block_function_reads_like_its_loops) {
  EXPECT_EQ(print(Matmul().f),
            R"(function matmul(A: float32[64, 16], B: float32[16, 32]) -> (C: float32[64, 32])
  parallel for i in 0..64
    for j in 0..32
      for k in 0..16
        block C {reduction_order="chain"}
          spatial i in 0..64 = i
          spatial j in 0..32 = j
          reduction k in 0..16 = k
          reads A[i, k], B[k, j], C[i, j]
          writes C[i, j]
          init
            C[i, j] = 0.0
          C[i, j] = fma(A[i, k], B[k, j], C[i, j])
)");
}

TEST(Print, a_loop_is_marked_by_its_variable) {
  const Matmul m;
  EXPECT_NE(print(m.nest, {.mark = m.j.get()}).find("\n  for j in 0..32            <--- here\n"),
            std::string::npos);
}

}  // namespace
}  // namespace tenon
