#pragma once

/// What `tn.build` returns.

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "call_executable.h"
#include "tenon/driver/build.h"

namespace tenon::python {

struct Kernel {
  CompiledKernel compiled;
  Executable executable;
  Function source;           ///< the scheduled function that was lowered
  std::string schedule;      ///< where it is from: "rule contraction", "the caller's"
  bool is_compared = false;  ///< each call is compared with the interpreter
  ResultShapes shapes;
};

/// The shapes of the outputs of `f`, where they are constant.
ResultShapes result_shapes(const Function& f);

/// Raises NumericError [E0703] unless `results` have the bits that the interpreter gets (all NaNs
/// count as equal).
void compare_with_interpreter(const Kernel& kernel, const std::vector<Array>& inputs,
                              pybind11::handle results);
/// What was compiled, how long it took and what the innermost loop is made of, for people.
std::string report(const Kernel& kernel);

}  // namespace tenon::python
