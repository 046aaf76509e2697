#include <map>

#include "graph/onnx/importer.h"

namespace tenon::onnx {
namespace {

/// The newest version of each domain's opset that Tenon knows.
constexpr std::int64_t kNewestOpset = 27;

const std::multimap<std::pair<std::string, std::string>, Conversion>& conversions() {
  static const auto* const table = [] {
    auto* all = new std::multimap<std::pair<std::string, std::string>, Conversion>;
    for (const auto& family : {
             activation_conversions(),
             attention_conversions(),
             branch_conversions(),
             cast_conversions(),
             classical_conversions(),
             convolution_conversions(),
             cumulative_conversions(),
             deform_convolution_conversions(),
             determinant_conversions(),
             einsum_conversions(),
             elementwise_conversions(),
             gather_conversions(),
             generate_conversions(),
             image_conversions(),
             linear_attention_conversions(),
             loop_conversions(),
             loss_conversions(),
             matmul_conversions(),
             normalization_conversions(),
             pad_conversions(),
             pooling_conversions(),
             quantize_conversions(),
             quantized_convolution_conversions(),
             random_conversions(),
             rearrange_conversions(),
             recurrent_conversions(),
             reduce_conversions(),
             resize_conversions(),
             scan_conversions(),
             scatter_conversions(),
             select_conversions(),
             sequence_conversions(),
             shape_conversions(),
             signal_conversions(),
             slice_conversions(),
             softmax_conversions(),
             top_k_conversions(),
             training_conversions(),
             trigonometry_conversions(),
         }) {
      for (const Conversion& c : family) all->emplace(std::pair(c.domain, c.op), c);
    }
    return all;
  }();
  return *table;
}

}  // namespace

const Conversion* find_conversion(const std::string& domain, const std::string& op,
                                  std::int64_t version, std::string* reason) {
  if (domain.empty() && version > kNewestOpset) {
    *reason = detail::concat("opset ", version, " is newer than ", kNewestOpset,
                             ", the newest that Tenon knows");
    return nullptr;
  }
  const auto [begin, end] = conversions().equal_range({domain, op});
  const Conversion* best = nullptr;
  for (auto it = begin; it != end; ++it) {
    const Conversion& c = it->second;
    if (c.since <= version && (best == nullptr || c.since > best->since)) best = &c;
  }
  if (best == nullptr) {
    *reason = begin == end ? "Tenon has no such operator"
                           : detail::concat("the operator does not exist in opset ", version,
                                            " as Tenon knows it");
  }
  return best;
}

}  // namespace tenon::onnx
