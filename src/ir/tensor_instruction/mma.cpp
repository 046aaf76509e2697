#include "ir/tensor_instruction/tile.h"
#include "tenon/ir/builder.h"

namespace tenon::tensor {
namespace {

/// Columns 8 * half and on of the result. The right operand has the registers of its columns one
/// after the other.
LaneStep multiply(DType dtype, int half) {
  LaneStep step{LaneStep::Kind::kPtx};
  const std::string type = suffix(dtype);
  step.text = "mma.sync.aligned.m16n8k16.row.col.f32." + type + "." + type +
              ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};";
  using Kind = PtxOperand::Kind;
  for (int r = 0; r < 4; ++r)
    step.operands.push_back({Kind::kRegister, 0, 4 * half + r, true, true});
  for (int r = 0; r < 4; ++r) step.operands.push_back({Kind::kRegister, 1, r});
  for (int r = 0; r < 2; ++r) step.operands.push_back({Kind::kRegister, 2, 2 * half + r});
  return step;
}

TensorInstruction make(DType dtype) {
  TensorInstruction t;
  t.name = "mma_16x16x16_" + suffix(dtype);
  t.summary = "C[i, j] += sum over k of A[i, k] * B[k, j], float32 sums of 16 terms.";
  t.operands = {{"C", kFloat32, {Scope::kFragment}, 16, 16, true, true, &kAccumulatorLayout},
                {"A", dtype, {Scope::kFragment}, 16, 16, true, false, &kLeftLayout},
                {"B", dtype, {Scope::kFragment}, 16, 16, true, false, &kRightLayout}};
  t.tiles = make_tiles(t.operands);
  t.semantics = for_each(16, 16, [&](const Expr& i, const Expr& j) {
    const Expr k = var("k");
    const Expr sum = fma(cast(kFloat32, load(t.tiles[1], {i, k})),
                         cast(kFloat32, load(t.tiles[2], {k, j})), load(t.tiles[0], {i, j}));
    return make_for(k, imm(0), imm(16), store(t.tiles[0], {i, j}, sum));
  });
  t.cuda = {multiply(dtype, 0), multiply(dtype, 1)};
  return t;
}

}  // namespace

std::vector<TensorInstruction> make_mma() {
  return {make(DType::bfloat16()), make(DType::float_(16))};
}

}  // namespace tenon::tensor
