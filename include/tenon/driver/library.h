#pragma once

/// Kernels for several levels of instruction sets as one shared library: docs/design/artefact.md.

#include <string>
#include <vector>

#include "tenon/driver/build.h"
#include "tenon/runtime/array.h"

namespace tenon {

/// A level of instruction sets that a library has code for.
struct LevelName {
  std::string name;
  Target target;
};

/// The level of a text: "native" (this machine), a level or CPU name ("x86-64-v3", "znver4"), or a
/// target ("cpu -mcpu=znver4"). TargetError [E0930] for one that is not known, [E0931] for one that
/// no library can have code for.
LevelName parse_level(const std::string& text);

/// The levels, each target once, those that need more of the CPU first.
std::vector<LevelName> in_order_of_choice(const std::vector<LevelName>& levels);

/// Kernels of one level and the plan that calls them.
struct CompiledLevel {
  LevelName level;
  Plan plan;  ///< constants without data
  std::vector<KernelObject> kernels;
};

struct LibraryInput {
  std::string name;                   ///< the model's: exported functions begin with it
  std::string title;                  ///< the network's, for people
  std::vector<CompiledLevel> levels;  ///< in order of choice; at least one
  std::vector<Array> constants;       ///< of every level's plan
  std::string runtime_object;         ///< path of tenon_rt.o
  std::string producer;               ///< what manifest and header name as the maker
  int num_folded_batch_norms = 0;
};

/// UserError [E0932] for a name that is no C identifier or belongs to Tenon.
void check_model_name(const std::string& name);

/// Writes the library `path` and its header beside it (`path` with the extension .h); both appear
/// whole or not at all. ResourceError [E0933] where a file cannot be written or read, [E0934] where
/// linking fails, and the error of check_model_name.
void make_library(const LibraryInput& input, const std::string& path);

}  // namespace tenon
