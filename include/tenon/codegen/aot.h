#pragma once

/// Kernels, weights and plans as one shared library, made without a compiler or linker of the
/// system. docs/design/artefact.md describes what is in it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/runtime/plan.h"
#include "tenon/runtime/target.h"

namespace tenon {

/// The kernels of one level of instruction sets and the plan that calls them.
struct LibraryLevel {
  std::string name;  ///< "x86-64-v3"
  Target target;
  std::vector<std::uint8_t> plan;    ///< serialized; constants lie beside it, in the weights
  std::vector<std::string> symbols;  ///< each kernel's in its object
  std::vector<std::vector<std::uint8_t>> objects;  ///< one for each kernel, in the plan's order
};

/// A part of the weights; they ascend and do not overlap, what is between them is 0.
struct LibraryWeight {
  const void* data = nullptr;  ///< not owned
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct LibraryParts {
  std::string name;   ///< of the model: a C identifier, which the exported functions begin with
  std::string title;  ///< of the network, for people
  Plan plan;          ///< what is common to the levels: arguments, symbols, constants
  std::vector<LibraryLevel> levels;
  std::vector<LibraryWeight> weights;
  std::uint64_t weights_bytes = 0;
  std::string runtime_object;  ///< path of tenon_rt.o
  std::string producer;        ///< "tenon 0.1.0"
  int num_folded_batch_norms = 0;
};

/// Writes the library `path` and beside it the header with the extension .h. Both appear whole or
/// not at all. ResourceError [E0933] when a file cannot be written or read, [E0934] when linking
/// fails. Links one library at a time in a process.
void write_library(const LibraryParts& parts, const std::string& path);

/// The C header of the model. Self-contained: C99 and C++.
std::string c_header(const LibraryParts& parts);

/// What code for `target` may use, as bits in the order of tenon/runtime/cpu_features.def.
std::uint64_t required_features(const Target& target);

/// True for a C identifier that is no keyword of C or C++ and does not begin with `tenon` or `_`.
bool is_model_name(std::string_view name);

}  // namespace tenon
