#pragma once

/// The C functions that a library has, under its model's name.

#include <array>
#include <string_view>

namespace tenon::codegen {

struct ExportedFunction {
  std::string_view symbol;       ///< in tenon_rt.o
  std::string_view suffix;       ///< of the exported name: "<model>_<suffix>"
  std::string_view declaration;  ///< "<returns> %(<parameters>)": % is the exported name
  std::string_view comment;
};

inline constexpr std::array kExportedFunctions = {
    ExportedFunction{"tenon_load", "load", "tenon_status %(tenon_model** out)",
                     "Loads the model at the best level that this CPU runs; checks every byte of "
                     "plan and weights.\nTENON_ERROR_TARGET: the CPU is below the lowest level. "
                     "Release the model when done."},
    ExportedFunction{"tenon_load_level", "load_level",
                     "tenon_status %(const char* level, tenon_model** out)",
                     "The same at a certain level, such as \"x86-64-v3\"; NULL: the best."},
    ExportedFunction{"tenon_model_retain", "retain", "void %(tenon_model* model)",
                     "Models are counted: loading gives one count, each context holds one. Threads "
                     "share a model."},
    ExportedFunction{"tenon_model_release", "release", "void %(tenon_model* model)", ""},
    ExportedFunction{"tenon_model_level", "level", "const char* %(const tenon_model* model)",
                     "The level that was chosen."},
    ExportedFunction{"tenon_model_num_inputs", "num_inputs", "int32_t %(const tenon_model* model)",
                     "Inputs and results, by number: inputs first."},
    ExportedFunction{"tenon_model_num_results", "num_results",
                     "int32_t %(const tenon_model* model)", ""},
    ExportedFunction{
        "tenon_model_argument", "argument",
        "tenon_status %(const tenon_model* model, int32_t index, tenon_argument_info* out)", ""},
    ExportedFunction{"tenon_context_create", "context_create",
                     "tenon_status %(tenon_model* model, tenon_context** out)",
                     "The state of one call at a time: each thread needs its own."},
    ExportedFunction{"tenon_context_destroy", "context_destroy", "void %(tenon_context* context)",
                     ""},
    ExportedFunction{
        "tenon_context_bind", "context_bind",
        "tenon_status %(tenon_context* context, const DLTensor* inputs, int32_t num_inputs)",
        "Checks inputs and computes all sizes; needed only to ask for the results' shapes first."},
    ExportedFunction{
        "tenon_context_result", "context_result",
        "tenon_status %(const tenon_context* context, int32_t index, DLTensor* out)",
        "Shape and dtype of a result for the inputs bound last; shape holds until the next bind."},
    ExportedFunction{"tenon_context_run", "context_run",
                     "tenon_status %(tenon_context* context, const DLTensor* inputs, int32_t "
                     "num_inputs, const DLTensor* results, int32_t num_results)",
                     "Computes the results into the given arrays. Allocates nothing while shapes "
                     "stay as they are."},
    ExportedFunction{"tenon_context_get_stats", "context_get_stats",
                     "void %(const tenon_context* context, tenon_context_stats* out)", ""},
    ExportedFunction{"tenon_last_error", "last_error", "const char* %(void)",
                     "Text of this thread's last failure; its first line ends with a code."},
    ExportedFunction{"tenon_runtime_version", "runtime_version", "uint32_t %(void)",
                     "(major << 16) | minor of the library's C API."},
    ExportedFunction{"tenon_set_num_threads", "set_num_threads",
                     "tenon_status %(int32_t num_threads)",
                     "Threads of one parallel loop, the caller's included; 0: as many as the "
                     "process may use.\nAll models of a process share one pool."},
    ExportedFunction{"tenon_get_num_threads", "get_num_threads", "int32_t %(void)", ""},
    ExportedFunction{"tenon_stop_threads", "stop_threads", "void %(void)",
                     "Stops the workers; the next parallel loop starts them again."},
    ExportedFunction{"tenon_set_parallel_for", "set_parallel_for",
                     "void %(tenon_parallel_for_fn parallel_for)",
                     "Runs parallel loops by the application's own threads; NULL restores the "
                     "pool.\nWorker numbers stay below ctx->num_workers; running tasks of a loop "
                     "do not share one."},
    ExportedFunction{"tenon_parallel_for", "parallel_for",
                     "int32_t %(tenon_kernel_context* ctx, int64_t num_iterations, tenon_task_fn "
                     "task, void* closure)",
                     ""},
    ExportedFunction{"tenon_interrupt", "interrupt", "void %(void)",
                     "Stops the calls that run now; safe in a signal handler."},
    ExportedFunction{"tenon_pool_allocate", "pool_allocate", "void* %(uint64_t bytes)",
                     "Aligned memory from the runtime's pool of freed blocks; NULL when there is "
                     "none."},
    ExportedFunction{"tenon_pool_free", "pool_free", "void %(void* data)", ""},
    ExportedFunction{"tenon_pool_trim", "pool_trim", "void %(uint64_t keep_bytes)", ""},
    ExportedFunction{"tenon_pool_set_limit", "pool_set_limit", "void %(uint64_t bytes)", ""},
    ExportedFunction{"tenon_pool_get_stats", "pool_get_stats", "void %(tenon_pool_stats* out)", ""},
};

}  // namespace tenon::codegen
