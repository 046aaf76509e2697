#pragma once

/// A compiled network as a shared library with a C header: docs/design/artefact.md.

#include <functional>
#include <string>
#include <vector>

#include "tenon/driver/library.h"
#include "tenon/graph/compile.h"

namespace tenon::graph {

struct ExportOptions {
  std::string name;  ///< the model's: exported functions begin with it
  std::vector<LevelName> levels;
  std::string runtime_object;  ///< path of tenon_rt.o
  std::string producer;        ///< what manifest and header name as the maker
  bool verify = false;         ///< check the program after each pass
  std::function<void()> poll =
      nullptr;  ///< called between kernels; what it throws stops the compilation
};

/// Compiles the network's kernels for each level and makes the library `path`. Its weights are the
/// network's own arrays, once for all levels. TargetError [E0936] when there is no level; the
/// errors of make_library.
void export_library(const CompiledNetwork& network, const std::string& path,
                    const ExportOptions& options);

}  // namespace tenon::graph
