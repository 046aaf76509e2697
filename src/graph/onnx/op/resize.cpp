// Resize and Upsample.

#include "graph/onnx/tools.h"

namespace tenon::onnx {

std::vector<Conversion> resize_conversions() { return {}; }

}  // namespace tenon::onnx
