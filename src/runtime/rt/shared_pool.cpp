#include "runtime/rt/shared_pool.h"

#include "runtime/rt/message.h"
#include "runtime/rt/thread_pool.h"

// C++ has no way to ask for a unique symbol that all compilers follow.
__asm__(
    ".pushsection .bss.tenon_thread_pool_v1,\"aw\",@nobits\n"
    ".balign 8\n"
    ".globl tenon_thread_pool_v1\n"
    ".type tenon_thread_pool_v1, @gnu_unique_object\n"
    ".size tenon_thread_pool_v1, 8\n"
    "tenon_thread_pool_v1:\n"
    ".zero 8\n"
    ".popsection\n");

extern "C" __attribute__((visibility("default"))) const tenon::rt::SharedPool* tenon_thread_pool_v1;

namespace tenon::rt {
namespace {

/// The published pool; this runtime's own where there is none yet.
const SharedPool& pool_of_process() {
  const SharedPool* pool = __atomic_load_n(&tenon_thread_pool_v1, __ATOMIC_ACQUIRE);
  if (pool != nullptr) [[likely]]
    return *pool;
  __atomic_compare_exchange_n(&tenon_thread_pool_v1, &pool, &kOwnPool, false, __ATOMIC_ACQ_REL,
                              __ATOMIC_ACQUIRE);
  return pool != nullptr ? *pool : kOwnPool;
}

}  // namespace
}  // namespace tenon::rt

using namespace tenon::rt;  // NOLINT(google-build-using-namespace): the C functions below are this
                            // file's surface

extern "C" {

int32_t tenon_parallel_for(tenon_kernel_context* ctx, int64_t num_iterations, tenon_task_fn task,
                           void* closure) {
  return pool_of_process().parallel_for(ctx, num_iterations, task, closure);
}

tenon_status tenon_set_num_threads(int32_t num_threads) {
  if (num_threads < 0 || num_threads > kMaxThreads) {
    return fail(TENON_ERROR_USAGE, "E1006",
                "number of threads %d must be between 0 (the default) and %d", num_threads,
                kMaxThreads);
  }
  if (!pool_of_process().set_num_threads(num_threads)) {
    return fail(TENON_ERROR_USAGE, "E1006",
                "the number of threads cannot be changed inside a parallel loop");
  }
  return TENON_OK;
}

int32_t tenon_get_num_threads(void) { return pool_of_process().get_num_threads(); }

int32_t tenon_default_num_threads(void) { return default_num_threads(); }

void tenon_stop_threads(void) { pool_of_process().stop_threads(); }

void tenon_set_parallel_for(tenon_parallel_for_fn parallel_for) {
  pool_of_process().set_parallel_for(parallel_for);
}

}  // extern "C"
