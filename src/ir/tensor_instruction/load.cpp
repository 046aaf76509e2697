// Tiles of left and right operands from shared memory. `ldmatrix` reads four matrices of 8 x 8:
// lane l gives the address of row l % 8 of matrix l / 8, and matrix m becomes register m of the
// fragment. The form `.trans` transposes each matrix on its way.

#include "ir/tensor_instruction/tile.h"
#include "tenon/ir/builder.h"

namespace tenon::tensor {
namespace {

struct Form {
  const char* name;     ///< without the dtype
  const char* operand;  ///< name of the tile
  const char* formula;  ///< of the summary
  const FragmentLayout* layout;
  bool transposed;           ///< the tile lies transposed in shared memory
  bool trans;                ///< ldmatrix with .trans
  const char *row, *column;  ///< of the address of each lane, in shared memory
};

// Register m holds rows m % 2 * 8 and columns m / 2 * 8 of a left operand, of a right one the same
// quarters of its transpose.
const char* const kAlong = "lane % 8 + lane / 8 % 2 * 8";
const char* const kAcross = "lane / 16 * 8";
const char* const kAlongSwapped = "lane % 8 + lane / 16 * 8";
const char* const kAcrossSwapped = "lane / 8 % 2 * 8";

TensorInstruction make(const Form& form, DType dtype) {
  TensorInstruction t;
  t.name = std::string(form.name) + "_" + suffix(dtype);
  t.summary = std::string(form.formula) + ", a tile of 16 x 16 from shared memory.";
  t.operands = {
      {form.operand, dtype, {Scope::kFragment}, 16, 16, false, true, form.layout},
      {std::string(form.operand) + "_shared", dtype, {Scope::kShared}, 16, 16, true, false}};
  t.tiles = make_tiles(t.operands);
  t.semantics = for_each(16, 16, [&](const Expr& i, const Expr& j) {
    return store(t.tiles[0], {i, j},
                 form.transposed ? load(t.tiles[1], {j, i}) : load(t.tiles[1], {i, j}));
  });
  LaneStep step{LaneStep::Kind::kPtx};
  step.text = std::string("ldmatrix.sync.aligned.m8n8.x4") + (form.trans ? ".trans" : "") +
              ".shared.b16 {%0, %1, %2, %3}, [%4];";
  for (int r = 0; r < 4; ++r)
    step.operands.push_back({PtxOperand::Kind::kRegister, 0, r, true, false});
  step.operands.push_back({PtxOperand::Kind::kAddress, 1, 0, false, true, form.row, form.column});
  t.cuda = {step};
  return t;
}

std::vector<TensorInstruction> both(const Form& form) {
  return {make(form, DType::bfloat16()), make(form, DType::float_(16))};
}

std::vector<TensorInstruction> joined(std::vector<TensorInstruction> a,
                                      const std::vector<TensorInstruction>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

std::vector<TensorInstruction> make_load_a() {
  return joined(both({"load_a", "A", "A[i, k] = A_shared[i, k]", &kLeftLayout, false, false, kAlong,
                      kAcross}),
                both({"load_a_transposed", "A", "A[i, k] = A_shared[k, i]", &kLeftLayout, true,
                      true, kAlongSwapped, kAcrossSwapped}));
}

std::vector<TensorInstruction> make_load_b() {
  return joined(both({"load_b", "B", "B[k, j] = B_shared[k, j]", &kRightLayout, false, true, kAlong,
                      kAcross}),
                both({"load_b_transposed", "B", "B[k, j] = B_shared[j, k]", &kRightLayout, true,
                      false, kAlongSwapped, kAcrossSwapped}));
}

}  // namespace tenon::tensor
