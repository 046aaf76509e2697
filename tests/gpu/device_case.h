#pragma once

/// A case for the runner on a GPU (runner.cpp): a folder with `plan.bin` (code and constants
/// inside), the inputs' and expected results' bytes, and `case.txt`, one line for each:
///
///   input  <name> <dtype> <dims>... : row-major, in <name>.bin
///   result <name> <dtype> <rtol> <atol> <dims>...
///   error  <code>                     runs fail with this code; results say their shapes alone
///
/// dtype is one of those that DTYPES lists. Names are file names without spaces.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "tenon/runtime/array.h"
#include "tenon/runtime/plan.h"

namespace tenon {

struct DeviceCase {
  std::string name;
  Plan plan;
  std::vector<Array> inputs;
  std::vector<Array> expected;
  double rtol = 0;
  double atol = 0;
  std::string error = {};  ///< "E0651"
};

/// Writes the case into `folder`/<name>; InternalError when that fails.
void write_device_case(const std::filesystem::path& folder, const DeviceCase& device_case);

}  // namespace tenon
