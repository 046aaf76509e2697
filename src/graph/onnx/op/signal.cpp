// Fourier transforms and windows.

#include "graph/onnx/tools.h"

namespace tenon::onnx {

std::vector<Conversion> signal_conversions() { return {}; }

}  // namespace tenon::onnx
