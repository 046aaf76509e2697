// Parts of tensors: Slice, Split.

#include "graph/onnx/tools.h"

namespace tenon::onnx {

std::vector<Conversion> slice_conversions() { return {}; }

}  // namespace tenon::onnx
