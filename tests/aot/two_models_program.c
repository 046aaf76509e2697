/* Two models in one process share one thread pool: usage two_models_program X Y. X holds 64 floats
 * for each of 300 rows, Y what the models give: 300 rows of 10, then of 5. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "other.h"
#include "small.h"

#define ROWS 300
#define EXPECT(condition)                                                                 \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      printf("line %d: %s is false (%s; %s)\n", __LINE__, #condition, small_last_error(), \
             other_last_error());                                                         \
      return 1;                                                                           \
    }                                                                                     \
  } while (0)

static int num_tasks(void) {
  int count = 0;
  struct dirent* entry;
  DIR* folder = opendir("/proc/self/task");
  if (folder == NULL) return -1;
  while ((entry = readdir(folder)) != NULL) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

static int num_own_loops = 0;
static int32_t own_loop(tenon_kernel_context* ctx, int64_t num_iterations, tenon_task_fn task,
                        void* closure) {
  ++num_own_loops;
  return task(ctx, closure, 0, num_iterations, 0);
}

static int read_floats(const char* path, float* data, size_t count) {
  FILE* file = fopen(path, "rb");
  int ok = file != NULL && fread(data, sizeof(float), count, file) == count;
  if (file != NULL) fclose(file);
  return ok;
}

int main(int argc, char** argv) {
  static float x[ROWS * 64], expected[ROWS * 15], small[ROWS * 10], other[ROWS * 5];
  tenon_model *small_model = NULL, *other_model = NULL;
  tenon_context *small_context = NULL, *other_context = NULL;
  int round;
  EXPECT(argc == 3);
  EXPECT(read_floats(argv[1], x, ROWS * 64) && read_floats(argv[2], expected, ROWS * 15));
  EXPECT(small_load(&small_model) == TENON_OK && other_load(&other_model) == TENON_OK);
  EXPECT(small_context_create(small_model, &small_context) == TENON_OK);
  EXPECT(other_context_create(other_model, &other_context) == TENON_OK);
  EXPECT(small_set_num_threads(3) == TENON_OK && other_get_num_threads() == 3);
  for (round = 0; round < 3; ++round) {
    if (round == 2) other_set_parallel_for(own_loop);
    memset(small, 0, sizeof(small));
    memset(other, 0, sizeof(other));
    EXPECT(small_run(small_context, ROWS, x, small) == TENON_OK);
    EXPECT(other_run(other_context, ROWS, x, other) == TENON_OK);
    EXPECT(memcmp(small, expected, sizeof(small)) == 0);
    EXPECT(memcmp(other, expected + ROWS * 10, sizeof(other)) == 0);
    EXPECT(num_tasks() == 3);
  }
  EXPECT(num_own_loops >= 2); /* both models' */
  small_set_parallel_for(NULL);
  other_stop_threads();
  EXPECT(num_tasks() == 1);
  EXPECT(small_set_num_threads(-1) == TENON_ERROR_USAGE);
  EXPECT(strstr(small_last_error(), "number of threads -1") != NULL);
  EXPECT(strcmp(other_last_error(), "") == 0);
  small_context_destroy(small_context);
  other_context_destroy(other_context);
  small_release(small_model);
  other_release(other_model);
  return 0;
}
