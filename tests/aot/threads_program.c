/* Four threads share one model: usage threads_program X Y, files as for two_models_program. Linked
 * with the library of a model named `small`. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "small.h"

#define ROWS 300
#define NUM_THREADS 4

static float x[ROWS * 64], expected[ROWS * 10];
static tenon_model* model = NULL;

/* Runs shares of the rows, of other sizes in each round; null when all bits are right. */
static void* work(void* argument) {
  const int number = *(const int*)argument;
  tenon_context* context = NULL;
  int round;
  if (small_context_create(model, &context) != TENON_OK) return argument;
  for (round = 0; round < 50; ++round) {
    const int first = (round * 7 + number * 31) % (ROWS - 1);
    const int rows = 1 + (round * 13 + number) % (ROWS - first);
    float result[ROWS * 10];
    if (small_run(context, rows, x + first * 64, result) != TENON_OK) return argument;
    if (memcmp(result, expected + first * 10, sizeof(float) * 10 * (size_t)rows) != 0)
      return argument;
  }
  small_context_destroy(context);
  return NULL;
}

static int read_floats(const char* path, float* data, size_t count) {
  FILE* file = fopen(path, "rb");
  int ok = file != NULL && fread(data, sizeof(float), count, file) == count;
  if (file != NULL) fclose(file);
  return ok;
}

int main(int argc, char** argv) {
  pthread_t threads[NUM_THREADS];
  int numbers[NUM_THREADS], i, num_failed = 0;
  if (argc != 3 || !read_floats(argv[1], x, ROWS * 64) ||
      !read_floats(argv[2], expected, ROWS * 10))
    return 2;
  if (small_load(&model) != TENON_OK) return 3;
  for (i = 0; i < NUM_THREADS; ++i) {
    numbers[i] = i;
    if (pthread_create(&threads[i], NULL, work, &numbers[i]) != 0) return 4;
  }
  for (i = 0; i < NUM_THREADS; ++i) {
    void* failed = NULL;
    pthread_join(threads[i], &failed);
    num_failed += failed != NULL;
  }
  small_release(model);
  if (num_failed != 0) printf("%s\n", small_last_error());
  return num_failed;
}
