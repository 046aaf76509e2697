#pragma once

/// The elements of a model's tensors as arrays.

#include <functional>
#include <memory>

#include "graph/onnx/external_file.h"
#include "graph/onnx/model.h"
#include "tenon/runtime/array.h"

namespace tenon::onnx {

/// Where the bytes of tensors lie.
struct TensorSource {
  std::string name;  ///< stands first in messages
  /// Keeps the bytes of the model alive; null when arrays have to copy them.
  std::shared_ptr<const MappedFile> file;
  /// Opens a file that the model names; empty where there is no folder.
  std::function<std::shared_ptr<const MappedFile>(const std::string& location)> open;
};

/// The tensor as a row-major array, read only; a view of a file where the elements lie there as
/// they are used. ModelError [E0877] when the number of bytes or elements is not what the
/// dimensions say, or the external data lie outside of their file; UnsupportedError [E0874] for an
/// element type that Tenon does not have.
Array to_array(const Tensor& tensor, const TensorSource& source);

/// The dtype of an ONNX element type; nothing for one that Tenon does not have.
std::optional<DType> dtype_of(DataType type);

}  // namespace tenon::onnx
