// Pad, and crops with padding.

#include "graph/onnx/tools.h"

namespace tenon::onnx {

std::vector<Conversion> pad_conversions() { return {}; }

}  // namespace tenon::onnx
