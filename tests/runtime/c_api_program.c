/* Loads a model from a shared library through the C ABI alone: usage c_api_program LIBRARY. Exits
 * with 0 when all is right. */

#include <stdio.h>
#include <string.h>

#include "tenon/runtime/c_api.h"

#define EXPECT(condition)                                                              \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      printf("line %d: %s is false (%s)\n", __LINE__, #condition, tenon_last_error()); \
      return 1;                                                                        \
    }                                                                                  \
  } while (0)

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

int main(int argc, char** argv) {
  tenon_model* model = NULL;
  tenon_context* context = NULL;
  tenon_argument_info info;
  DLTensor inputs[2];
  DLTensor result;
  float x[1000];
  float y[1000];
  float z[1000];
  int64_t size = 1000;
  int64_t shorter = 999;
  int i;

  EXPECT(argc == 2);
  EXPECT((tenon_runtime_version() >> 16) == TENON_C_API_VERSION_MAJOR);
  EXPECT(tenon_model_load(argv[1], "missing", &model) == TENON_ERROR_MODEL);
  EXPECT(strstr(tenon_last_error(), "has no model 'missing'") != NULL);
  EXPECT(tenon_model_load(argv[1], "newer", &model) == TENON_ERROR_UNSUPPORTED);
  EXPECT(strstr(tenon_last_error(), "descriptor has version 3, this runtime reads version 2"));
  EXPECT(tenon_model_load(argv[1], "future", &model) == TENON_ERROR_TARGET);
  EXPECT(strcmp(tenon_last_error(),
                "this CPU cannot run model 'future': level future needs what only newer runtimes "
                "know, which it lacks [E0950]") == 0);
  EXPECT(tenon_model_load_level(argv[1], "vector_add", "none", &model) == TENON_ERROR_USAGE);
  EXPECT(strcmp(tenon_last_error(),
                "model 'vector_add' has no level 'none'; it has future, any [E0951]") == 0);
  EXPECT(tenon_model_load_level(argv[1], "vector_add", "future", &model) == TENON_ERROR_TARGET);
  EXPECT(tenon_model_load(argv[0], "vector_add", NULL) == TENON_ERROR_USAGE);
  EXPECT(tenon_model_load(argv[1], "vector_add", &model) == TENON_OK);
  EXPECT(strcmp(tenon_model_level(model), "any") == 0 && strcmp(tenon_model_level(NULL), "") == 0);
  EXPECT(tenon_model_num_inputs(model) == 2 && tenon_model_num_results(model) == 1);
  EXPECT(tenon_model_argument(model, 1, &info) == TENON_OK && strcmp(info.name, "Y") == 0 &&
         info.rank == 1);

  for (i = 0; i < 1000; ++i) {
    x[i] = (float)i;
    y[i] = 0.5f;
    z[i] = -1.0f;
  }
  inputs[0] = vector_of(x, &size);
  inputs[1] = vector_of(y, &size);
  EXPECT(tenon_context_create(model, &context) == TENON_OK);
  tenon_model_release(model); /* the context keeps it */
  EXPECT(tenon_context_bind(context, inputs, 2) == TENON_OK);
  EXPECT(tenon_context_result(context, 0, &result) == TENON_OK);
  EXPECT(result.ndim == 1 && result.shape[0] == 1000);
  result.data = z;
  EXPECT(tenon_context_run(context, inputs, 2, &result, 1) == TENON_OK);
  for (i = 0; i < 1000; ++i) EXPECT(z[i] == x[i] + y[i]);

  inputs[1] = vector_of(y, &shorter);
  EXPECT(tenon_context_run(context, inputs, 2, &result, 1) == TENON_ERROR_SHAPE);
  EXPECT(strcmp(tenon_last_error(),
                "vector_add: symbol 'n' is 1000 in argument 'X' (axis 0) but 999 in argument 'Y' "
                "(axis 0) [E0452]") == 0);
  tenon_context_destroy(context);
  return 0;
}
