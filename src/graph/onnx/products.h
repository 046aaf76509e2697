#pragma once

/// Products of matrices and quantized results, for several families of conversions.

#include "graph/onnx/node_view.h"

namespace tenon::onnx {

/// a @ b as NumPy's matmul, for floats and integers. ModelError [E0881] for scalars, sizes that
/// differ, and different dtypes.
Value matrix_product(const NodeView& n, Value a, Value b);

/// ModelError [E0881] unless operand `i` is of int8 or uint8.
void check_bytes(const NodeView& n, std::size_t i);

/// round(x * scale) + zero point, saturated to the dtype of the zero point. `x` is int32.
Value requantized(const Value& x, const Value& scale, const Value& zero_point);

}  // namespace tenon::onnx
