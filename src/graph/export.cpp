#include "tenon/graph/export.h"

#include "graph/plan_writer.h"
#include "graph/schedule_for.h"

namespace tenon::graph {
namespace {

CompiledLevel compile_level(const NetworkSource& source, const LevelName& level,
                            const BuildOptions& build) {
  CompiledLevel made = {level, source.plan, {}};
  made.kernels = compile_objects(schedule_for(source, level.target).functions, level.target, build);
  for (std::size_t i = 0; i < made.kernels.size(); ++i) add_kernel(&made.plan, i, made.kernels[i]);
  return made;
}

}  // namespace

void export_library(const CompiledNetwork& network, const std::string& path,
                    const ExportOptions& options) {
  check_model_name(options.name);
  TENON_USER_CHECK(!options.levels.empty(), TargetError, "E0936",
                   "a library needs at least one level\n  hint: such as \"x86-64-v3\"");
  CompileOptions compile;
  compile.verify = options.verify;
  compile.poll = options.poll;
  LibraryInput input;
  input.name = options.name;
  input.title = network.executable.name();
  input.constants = network.executable.constants();
  input.runtime_object = options.runtime_object;
  input.producer = options.producer;
  input.num_folded_batch_norms = network.num_folded_batch_norms;
  for (const LevelName& level : in_order_of_choice(options.levels))
    input.levels.push_back(compile_level(network.source, level, build_options(compile)));
  make_library(input, path);
}

}  // namespace tenon::graph
