// Reads of images between their elements: GridSample, RoiAlign and the like.

#include "graph/onnx/tools.h"

namespace tenon::onnx {

std::vector<Conversion> image_conversions() { return {}; }

}  // namespace tenon::onnx
