/* Milliseconds to open and load the library of a model named `encoder`: usage load_library PATH. */

#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

#include "encoder.h"

typedef tenon_status (*load_fn)(tenon_model**);

static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int main(int argc, char** argv) {
  const double start = milliseconds();
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  load_fn load = NULL;
  tenon_model* model = NULL;
  if (library == NULL) return 1;
  *(void**)&load = dlsym(library, "encoder_load");
  if (load == NULL || load(&model) != TENON_OK) return 2;
  printf("%.2f\n", milliseconds() - start);
  return 0;
}
