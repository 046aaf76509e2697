// Dropout where nothing is dropped. What draws random numbers is not supported.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// The identity in inference, or when nothing is dropped, with a mask that keeps everything.
std::vector<Value> convert_dropout(const NodeView& n) {
  const Value& x = n.in(0);
  bool drops = false;
  if (n.version() < 7) {
    drops = n.int_attr("is_test", 0) == 0 && n.float_attr("ratio", 0.5) != 0;
  } else if (n.version() >= 12) {
    drops = n.has(2) && n.floats(2) != std::vector<double>{0};
    if (drops && n.has(1)) drops = n.floats(1) != std::vector<double>{0};
  }
  if (drops) n.unsupported("training mode, which draws random numbers");
  std::vector<Value> results{x};
  if (n.wants(1)) {
    const DType t = n.version() < 10 ? x->dtype : kBoolType;
    results.push_back(broadcast(cast_to(scalar(kFloat32, 1), t), x->shape));
  }
  return results;
}

std::vector<Value> refuse(const NodeView& n) {
  n.unsupported("it draws random numbers, which ONNX does not define");
}

}  // namespace

std::vector<Conversion> random_conversions() {
  return {
      {"Bernoulli", 15, kNative, refuse},        {"Dropout", 1, kNative, convert_dropout},
      {"Multinomial", 7, kNative, refuse},       {"RandomNormal", 1, kNative, refuse},
      {"RandomNormalLike", 1, kNative, refuse},  {"RandomUniform", 1, kNative, refuse},
      {"RandomUniformLike", 1, kNative, refuse},
  };
}

}  // namespace tenon::onnx
