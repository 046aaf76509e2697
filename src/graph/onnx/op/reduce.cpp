#include "graph/onnx/node_view.h"

namespace tenon::onnx {

std::vector<Conversion> reduce_conversions() { return {}; }

}  // namespace tenon::onnx
