#include "ir/tensor_instruction/tile.h"

#include "tenon/ir/builder.h"

namespace tenon {

// Lane l of a warp holds of each 8 x 8 quarter the elements 2 * (l % 4) and the next of row l / 4
// (column l / 4 of right operands); the quarters follow in the order of the registers of
// mma.sync.m16n8k16.
const FragmentLayout kAccumulatorLayout = {"accumulator", "lane / 4 + e / 2 % 2 * 8",
                                           "lane % 4 * 2 + e % 2 + e / 4 * 8"};
const FragmentLayout kLeftLayout = {"left", "lane / 4 + e / 2 % 2 * 8",
                                    "lane % 4 * 2 + e % 2 + e / 4 * 8"};
const FragmentLayout kRightLayout = {"right", "lane % 4 * 2 + e % 2 + e / 2 % 2 * 8",
                                     "lane / 4 + e / 4 * 8"};

}  // namespace tenon

namespace tenon::tensor {

std::vector<Buffer> make_tiles(const std::vector<TensorOperand>& operands) {
  std::vector<Buffer> tiles;
  for (const TensorOperand& o : operands) {
    tiles.push_back(make_buffer(o.name, o.dtype, {imm(o.rows), imm(o.columns)}, o.scopes[0]));
  }
  return tiles;
}

Stmt for_each(std::int64_t rows, std::int64_t columns,
              const std::function<Stmt(const Expr&, const Expr&)>& body) {
  const Expr i = var("i"), j = var("j");
  return make_for(i, imm(0), imm(rows), make_for(j, imm(0), imm(columns), body(i, j)));
}

std::string suffix(DType dtype) { return dtype == DType::bfloat16() ? "bf16" : "f16"; }

}  // namespace tenon::tensor
