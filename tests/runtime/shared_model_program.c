/* Four threads share one model and one thread pool, under ThreadSanitizer: loads, contexts, calls,
 * errors and changes of the number of threads at once. Exits with 0 when all is right. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tenon/runtime/c_api.h"

extern const tenon_model_descriptor tenon_model_vector_add;

#define NUM_THREADS 4
#define NUM_ROUNDS 200
#define MAX_SIZE 5000

static tenon_model* model = NULL;

static DLTensor vector_of(float* data, int64_t* size) {
  DLTensor tensor;
  memset(&tensor, 0, sizeof(tensor));
  tensor.data = data;
  tensor.device.device_type = kDLCPU;
  tensor.ndim = 1;
  tensor.dtype.code = kDLFloat;
  tensor.dtype.bits = 32;
  tensor.dtype.lanes = 1;
  tensor.shape = size;
  return tensor;
}

/* One call with `size` elements; 1 when it is right. */
static int add(tenon_context* context, int64_t size, float first) {
  static _Thread_local float x[MAX_SIZE], y[MAX_SIZE], z[MAX_SIZE];
  int64_t shorter = size - 1, i;
  DLTensor inputs[2], result;
  for (i = 0; i < size; ++i) {
    x[i] = first + (float)i;
    y[i] = 0.5f;
  }
  inputs[0] = vector_of(x, &size);
  inputs[1] = vector_of(y, &shorter);
  result = vector_of(z, &size);
  if (tenon_context_run(context, inputs, 2, &result, 1) != TENON_ERROR_SHAPE) return 0;
  if (strstr(tenon_last_error(), "[E0452]") == NULL) return 0;
  inputs[1].shape = &size;
  if (tenon_context_run(context, inputs, 2, &result, 1) != TENON_OK) return 0;
  for (i = 0; i < size; ++i) {
    if (z[i] != x[i] + 0.5f) return 0;
  }
  return 1;
}

static void* work(void* argument) {
  const int number = *(const int*)argument;
  int round;
  for (round = 0; round < NUM_ROUNDS; ++round) {
    tenon_context* context = NULL;
    tenon_model* own = NULL;
    if (tenon_model_load_descriptor(&tenon_model_vector_add, NULL, &own) != TENON_OK)
      return argument;
    if (tenon_context_create(round % 2 == 0 ? model : own, &context) != TENON_OK) return argument;
    tenon_model_release(own);
    if (round % 16 == number && tenon_set_num_threads(1 + (round + number) % 4) != TENON_OK)
      return argument;
    if (!add(context, 2 + (round * 37 + number * 1013) % (MAX_SIZE - 2), (float)number))
      return argument;
    tenon_context_destroy(context);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[NUM_THREADS];
  int numbers[NUM_THREADS], i, num_failed = 0;
  if (tenon_model_load_descriptor(&tenon_model_vector_add, NULL, &model) != TENON_OK) return 2;
  for (i = 0; i < NUM_THREADS; ++i) {
    numbers[i] = i;
    if (pthread_create(&threads[i], NULL, work, &numbers[i]) != 0) return 3;
  }
  for (i = 0; i < NUM_THREADS; ++i) {
    void* failed = NULL;
    pthread_join(threads[i], &failed);
    num_failed += failed != NULL;
  }
  if (num_failed != 0) printf("%d of %d threads failed\n", num_failed, NUM_THREADS);
  tenon_model_release(model);
  tenon_stop_threads();
  return num_failed;
}
