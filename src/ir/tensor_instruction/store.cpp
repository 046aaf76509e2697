#include "ir/tensor_instruction/tile.h"
#include "tenon/ir/builder.h"

namespace tenon::tensor {
namespace {

TensorInstruction make(const std::string& type, DType dtype) {
  TensorInstruction t;
  t.name = "store_" + type;
  t.summary = "D[i, j] = C[i, j] rounded to the dtype of D, a tile of 16 x 16 of float32 sums.";
  t.operands = {{"D", dtype, {Scope::kShared, Scope::kGlobal}, 16, 16, false, true},
                {"C", kFloat32, {Scope::kFragment}, 16, 16, true, false, &kAccumulatorLayout}};
  t.tiles = make_tiles(t.operands);
  t.semantics = for_each(16, 16, [&](const Expr& i, const Expr& j) {
    const Expr value = load(t.tiles[1], {i, j});
    return store(t.tiles[0], {i, j}, dtype == kFloat32 ? value : cast(dtype, value));
  });
  t.cuda = {{LaneStep::Kind::kStore}};
  return t;
}

}  // namespace

std::vector<TensorInstruction> make_store() {
  return {make("bf16", DType::bfloat16()), make("f16", DType::float_(16)), make("f32", kFloat32)};
}

}  // namespace tenon::tensor
