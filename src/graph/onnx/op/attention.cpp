// attention

#include "graph/onnx/tools.h"

namespace tenon::onnx {

std::vector<Conversion> attention_conversions() { return {}; }

}  // namespace tenon::onnx
