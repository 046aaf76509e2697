#include "graph/onnx/node_view.h"

namespace tenon::onnx {

std::vector<Conversion> loss_conversions() { return {}; }

}  // namespace tenon::onnx
