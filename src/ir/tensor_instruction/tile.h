#pragma once

/// Pieces of the semantics of tensor instructions.

#include <functional>

#include "tenon/ir/tensor_instruction.h"

namespace tenon::tensor {

/// The buffers that the operands stand for.
std::vector<Buffer> make_tiles(const std::vector<TensorOperand>& operands);
/// `body(i, j)` for all elements of a tile.
Stmt for_each(std::int64_t rows, std::int64_t columns,
              const std::function<Stmt(const Expr&, const Expr&)>& body);

/// "bf16" or "f16".
std::string suffix(DType dtype);

/// The instructions of each file.
std::vector<TensorInstruction> make_fill_zero();
std::vector<TensorInstruction> make_load_a();
std::vector<TensorInstruction> make_load_b();
std::vector<TensorInstruction> make_mma();
std::vector<TensorInstruction> make_store();

}  // namespace tenon::tensor
