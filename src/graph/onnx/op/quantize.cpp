#include "graph/onnx/node_view.h"

namespace tenon::onnx {

std::vector<Conversion> quantize_conversions() { return {}; }

}  // namespace tenon::onnx
