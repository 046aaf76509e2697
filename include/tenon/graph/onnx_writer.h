#pragma once

/// Networks as ONNX models. docs/design/onnx.md.

#include <string>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::graph {

/// Bytes of a file: some, or those of an array, which are not copied.
struct OnnxBytes {
  std::string bytes;
  Array array;  ///< row-major; looked at where `bytes` is empty
};

struct OnnxFiles {
  std::vector<OnnxBytes> model;
  std::vector<OnnxBytes> data;  ///< the weights, where they are in a file of their own
};

struct OnnxWriteOptions {
  std::string name;
  std::vector<std::string> input_names, output_names;
  /// The name of the file with the weights; empty: they are in the model.
  std::string data_file;
};

/// The network as a model of opset 18 and IR version 8; sizes that are symbols are named
/// dimensions. UnsupportedError [E0892] for an operator that is none of ONNX's (branches and loops,
/// operators of tensor expressions, unsigned shifts aside), [E0893] for a dtype or a size that the
/// operator cannot have there.
OnnxFiles write_onnx(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                     const OnnxWriteOptions& options);

/// Bytes of all constants that the network uses.
std::int64_t constant_bytes(const std::vector<Value>& outputs);

}  // namespace tenon::graph
