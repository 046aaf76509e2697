#include "graph/onnx/node_view.h"

namespace tenon::onnx {

std::vector<Conversion> top_k_conversions() { return {}; }

}  // namespace tenon::onnx
