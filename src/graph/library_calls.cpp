#include "graph/library_calls.h"

#include <optional>

#include "runtime/cuda_places.h"
#include "tenon/ir/builder.h"
#include "tenon/runtime/extern_format.h"

namespace tenon::graph {
namespace {

using extern_format::MatmulAttributes;
using extern_format::MatmulType;

std::optional<MatmulType> type_of(DType dtype) {
  if (dtype == kFloat32) return MatmulType::kFloat32;
  if (dtype == DType::float_(16)) return MatmulType::kFloat16;
  if (dtype == DType::bfloat16()) return MatmulType::kBFloat16;
  return std::nullopt;
}

/// Whether the kernel is the product alone, of operands as they lie in memory.
bool is_plain_product(const GroupKernel& k) {
  const ValueNode& v = *k.result;
  return (v.is_op("linear") || v.is_op("matmul")) && !k.is_scheduled && k.fused.empty() &&
         k.operators.size() == 1 && k.params.size() == 2 && k.function->inputs.size() == 2 &&
         !k.params[0].is_packed && !k.params[1].is_packed;
}

/// The parameter that holds the value; null where it is there in another form only.
std::optional<std::size_t> position_of(const GroupKernel& k, const Value& value) {
  for (std::size_t i = 0; i < k.params.size(); ++i) {
    if (k.params[i].value == value) return i;
  }
  return std::nullopt;
}

/// Elements from one matrix to the next: `matrix`, or 0 for one that all share; null when neither.
Expr step_of(const Value& x, const Value& result, const Expr& matrix) {
  bool is_whole = true, is_shared = true;
  for (std::size_t d = 0; d + 2 < x->shape.size(); ++d) {
    is_whole = is_whole && same_extent(x->shape[d], result->shape[d]);
    is_shared = is_shared && is_int(x->shape[d], 1);
  }
  if (is_whole) return matrix;
  return is_shared ? imm(0) : Expr();
}

std::optional<LibraryCall> product_call(const GroupKernel& k) {
  if (!is_plain_product(k)) return std::nullopt;
  const Value &v = k.result, &x = v->inputs[0], &w = v->inputs[1];
  const std::optional<MatmulType> type = type_of(v->dtype);
  const std::optional<std::size_t> first = position_of(k, x), second = position_of(k, w);
  if (!type || x->dtype != v->dtype || !first || !second) return std::nullopt;
  const std::size_t rank = v->shape.size();
  const bool is_batched = w->shape.size() > 2;
  Expr batch = imm(1), rows = imm(1);
  for (std::size_t d = 0; d + 1 < rank; ++d) {
    const bool is_batch = is_batched && d + 2 < rank;
    (is_batch ? batch : rows) = (is_batch ? batch : rows) * v->shape[d];
  }
  const Expr &columns = v->shape.back(), &terms = x->shape.back();
  Expr x_step = imm(0), w_step = imm(0);
  if (is_batched) {
    x_step = step_of(x, v, rows * terms);
    w_step = step_of(w, v, terms * columns);
    if (!x_step || !w_step) return std::nullopt;
  }
  const MatmulAttributes attributes = {static_cast<std::uint32_t>(*type), 0,
                                       v->is_op("linear") ? 1u : 0u, 0};
  LibraryCall call;
  call.routine = {extern_format::kMatmulName,
                  {reinterpret_cast<const char*>(&attributes), sizeof(attributes)},
                  2};
  call.operands = {*first, *second};
  call.sizes = {batch, rows, columns, terms, x_step, w_step};
  call.workspace_bytes = extern_format::kMatmulWorkspaceBytes;
  call.library = kCublasLt.title;
  return call;
}

}  // namespace

std::map<std::size_t, LibraryCall> choose_library_calls(const Groups& groups, Libraries libraries) {
  std::map<std::size_t, LibraryCall> calls;
  if (libraries == Libraries::kNever) return calls;
  CudaSearch search;
  if (libraries == Libraries::kAuto && !find_cuda_library(kCublasLt, &search)) return calls;
  for (const ProgramStep& step : groups.program) {
    if (step.control) continue;
    std::optional<LibraryCall> call = product_call(groups.calls[step.call]);
    if (call) calls.emplace(step.call, std::move(*call));
  }
  return calls;
}

}  // namespace tenon::graph
