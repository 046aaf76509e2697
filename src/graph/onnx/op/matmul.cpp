#include "graph/onnx/node_view.h"

namespace tenon::onnx {

std::vector<Conversion> matmul_conversions() { return {}; }

}  // namespace tenon::onnx
