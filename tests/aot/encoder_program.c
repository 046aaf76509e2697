/* Embeds sentences with a library that tn.export made: usage encoder_program BATCHES VECTORS
 * [LEVEL]. BATCHES holds for each batch its size, its length (int64), ids (int64) and mask (bytes).
 * Prints the level that was chosen, or the error. C99 and C++. */

#include <stdio.h>
#include <stdlib.h>

#include "encoder.h"

#define DIMENSION 384

static int embed(tenon_context* context, FILE* batches, FILE* vectors) {
  int64_t size[2];
  while (fread(size, sizeof(size), 1, batches) == 1) {
    const size_t count = (size_t)(size[0] * size[1]);
    int64_t* ids = (int64_t*)malloc(count * sizeof(int64_t));
    uint8_t* mask = (uint8_t*)malloc(count);
    float* result = (float*)malloc((size_t)size[0] * DIMENSION * sizeof(float));
    int ok = ids != NULL && mask != NULL && result != NULL &&
             fread(ids, sizeof(int64_t), count, batches) == count &&
             fread(mask, 1, count, batches) == count &&
             encoder_run(context, size[0], size[1], ids, mask, result) == TENON_OK &&
             fwrite(result, DIMENSION * sizeof(float), (size_t)size[0], vectors) == (size_t)size[0];
    free(ids);
    free(mask);
    free(result);
    if (!ok) return 0;
  }
  return 1;
}

int main(int argc, char** argv) {
  tenon_model* model = NULL;
  tenon_context* context = NULL;
  FILE *batches, *vectors;
  tenon_status status;
  if (argc < 3) return 2;
  batches = fopen(argv[1], "rb");
  vectors = fopen(argv[2], "wb");
  if (batches == NULL || vectors == NULL) return 2;
  status = argc == 3 ? encoder_load(&model) : encoder_load_level(argv[3], &model);
  if (status != TENON_OK) {
    printf("status %d: %s\n", (int)status, encoder_last_error());
    return 3;
  }
  printf("%s\n", encoder_level(model));
  if (encoder_context_create(model, &context) != TENON_OK) return 4;
  encoder_release(model); /* the context keeps it */
  if (!embed(context, batches, vectors)) {
    printf("%s\n", encoder_last_error());
    return 5;
  }
  encoder_context_destroy(context);
  fclose(batches);
  return fclose(vectors) == 0 ? 0 : 6;
}
