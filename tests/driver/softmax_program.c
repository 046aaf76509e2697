/* Runs the kernel and plan that write_jit_model saved, through the C ABI alone: usage
 * softmax_program LIBRARY RESULT. Exits with 0 when every bit is the JIT's. */

#include <stdio.h>
#include <string.h>

#include "tenon/runtime/c_api.h"

#define ROWS 37
#define INNER 64
#define COLUMNS 100

#define EXPECT(condition)                                                              \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      printf("line %d: %s is false (%s)\n", __LINE__, #condition, tenon_last_error()); \
      return 1;                                                                        \
    }                                                                                  \
  } while (0)

static DLTensor matrix(float* data, int64_t* shape) {
  DLTensor tensor;
  memset(&tensor, 0, sizeof(tensor));
  tensor.data = data;
  tensor.device.device_type = kDLCPU;
  tensor.ndim = 2;
  tensor.dtype.code = kDLFloat;
  tensor.dtype.bits = 32;
  tensor.dtype.lanes = 1;
  tensor.shape = shape;
  return tensor;
}

static void fill(float* data, int size) {
  int i;
  for (i = 0; i < size; ++i) data[i] = (float)((i * 37 + 11) % 257 - 128) / 128.0f;
}

int main(int argc, char** argv) {
  static float x[ROWS * INNER], w[INNER * COLUMNS], y[ROWS * COLUMNS], expected[ROWS * COLUMNS];
  int64_t x_shape[2] = {ROWS, INNER}, w_shape[2] = {INNER, COLUMNS};
  tenon_model* model = NULL;
  tenon_context* context = NULL;
  DLTensor inputs[2], result;
  FILE* file;
  int num_threads;

  EXPECT(argc == 3);
  file = fopen(argv[2], "rb");
  EXPECT(file != NULL && fread(expected, sizeof(expected), 1, file) == 1 && fgetc(file) == EOF);
  fclose(file);
  fill(x, ROWS * INNER);
  fill(w, INNER * COLUMNS);
  inputs[0] = matrix(x, x_shape);
  inputs[1] = matrix(w, w_shape);
  EXPECT(tenon_model_load(argv[1], "softmax_of_product", &model) == TENON_OK);
  EXPECT(tenon_context_create(model, &context) == TENON_OK);
  tenon_model_release(model);
  for (num_threads = 1; num_threads <= 3; ++num_threads) {
    EXPECT(tenon_set_num_threads(num_threads) == TENON_OK);
    EXPECT(tenon_context_bind(context, inputs, 2) == TENON_OK);
    EXPECT(tenon_context_result(context, 0, &result) == TENON_OK);
    EXPECT(result.ndim == 2 && result.shape[0] == ROWS && result.shape[1] == COLUMNS);
    memset(y, 0, sizeof(y));
    result.data = y;
    EXPECT(tenon_context_run(context, inputs, 2, &result, 1) == TENON_OK);
    EXPECT(memcmp(y, expected, sizeof(y)) == 0);
  }
  tenon_context_destroy(context);
  return 0;
}
