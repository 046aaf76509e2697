/* What a caller does wrong gives a status and a text: linked with the library of a model named
 * `small`, from x: float32[n, 64] to result: float32[n, 10]. */

#include <stdio.h>
#include <string.h>

#include "small.h"

#define EXPECT(condition)                                                              \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      printf("line %d: %s is false (%s)\n", __LINE__, #condition, small_last_error()); \
      return 1;                                                                        \
    }                                                                                  \
  } while (0)
#define SAYS(text) (strstr(small_last_error(), text) != NULL)

int main(void) {
  static float x[4 * 64], y[4 * 10];
  int64_t x_shape[2] = {4, 64}, y_shape[2] = {4, 10}, wrong[2] = {4, 65};
  tenon_model* model = NULL;
  tenon_context* context = NULL;
  tenon_argument_info info;
  DLTensor in, out;
  EXPECT((small_runtime_version() >> 16) == TENON_C_API_VERSION_MAJOR);
  EXPECT(small_load(NULL) == TENON_ERROR_USAGE && SAYS("[E1006]"));
  EXPECT(small_load_level("pentium", &model) == TENON_ERROR_USAGE);
  EXPECT(SAYS("model 'small' has no level 'pentium'; it has ") && SAYS("x86-64-v3 [E0951]"));
  EXPECT(small_context_create(NULL, &context) == TENON_ERROR_USAGE);
  EXPECT(small_load_level("x86-64-v3", &model) == TENON_OK);
  EXPECT(strcmp(small_level(model), "x86-64-v3") == 0);
  EXPECT(small_num_inputs(model) == 1 && small_num_results(model) == 1);
  EXPECT(small_argument(model, 0, &info) == TENON_OK && strcmp(info.name, "x") == 0);
  EXPECT(small_argument(model, 2, &info) == TENON_ERROR_USAGE);
  EXPECT(small_context_create(model, NULL) == TENON_ERROR_USAGE);
  EXPECT(small_context_create(model, &context) == TENON_OK);
  EXPECT(small_context_result(context, 0, &out) == TENON_ERROR_USAGE && SAYS("not bound"));

  in = tenon_host_tensor(x, kDLFloat, 32, 2, x_shape);
  out = tenon_host_tensor(y, kDLFloat, 32, 2, y_shape);
  EXPECT(small_context_run(NULL, &in, 1, &out, 1) == TENON_ERROR_USAGE);
  EXPECT(small_context_run(context, NULL, 1, &out, 1) == TENON_ERROR_USAGE);
  EXPECT(small_context_run(context, &in, 0, &out, 1) == TENON_ERROR_SHAPE && SAYS("[E0454]"));
  in.shape = wrong;
  EXPECT(small_context_run(context, &in, 1, &out, 1) == TENON_ERROR_SHAPE);
  EXPECT(SAYS("'x'") && SAYS("[E0451]"));
  in.shape = x_shape;
  in.ndim = 1;
  EXPECT(small_context_run(context, &in, 1, &out, 1) == TENON_ERROR_SHAPE && SAYS("[E0455]"));
  in.ndim = 2;
  in.dtype.bits = 64;
  EXPECT(small_context_run(context, &in, 1, &out, 1) == TENON_ERROR_DTYPE && SAYS("'x'"));
  in.dtype.bits = 32;
  in.device.device_type = kDLCUDA;
  EXPECT(small_context_run(context, &in, 1, &out, 1) == TENON_ERROR_TARGET);
  in.device.device_type = kDLCPU;
  out.shape = x_shape;
  EXPECT(small_context_run(context, &in, 1, &out, 1) == TENON_ERROR_SHAPE && SAYS("'result'"));
  out.shape = y_shape;
  EXPECT(small_run(context, 4, NULL, y) == TENON_ERROR_USAGE && SAYS("[E0463]"));
  EXPECT(small_run(context, 4, x, x) == TENON_ERROR_SHAPE && SAYS("[E0456]"));
  EXPECT(small_run(context, -1, x, y) == TENON_ERROR_SHAPE);
  EXPECT(small_run(context, 4, x, y) == TENON_OK);
  EXPECT(small_run(context, 0, x, y) == TENON_OK);
  small_context_destroy(context);
  small_context_destroy(NULL);
  small_release(model);
  small_release(NULL);
  return 0;
}
