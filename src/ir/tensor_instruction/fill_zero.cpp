#include "ir/tensor_instruction/tile.h"
#include "tenon/ir/builder.h"

namespace tenon::tensor {

std::vector<TensorInstruction> make_fill_zero() {
  TensorInstruction t;
  t.name = "fill_zero_f32";
  t.summary = "C[i, j] = 0, float32 sums of 16 x 16.";
  t.operands = {{"C", kFloat32, {Scope::kFragment}, 16, 16, false, true, &kAccumulatorLayout}};
  t.tiles = make_tiles(t.operands);
  t.semantics = for_each(16, 16, [&](const Expr& i, const Expr& j) {
    return store(t.tiles[0], {i, j}, zero(kFloat32));
  });
  t.cuda = {{LaneStep::Kind::kFill}};
  return {t};
}

}  // namespace tenon::tensor
