/* Changes every byte of the plans and weights of a library in memory, one at a time: each must be
 * refused. Usage damage_program; linked with the library of a model named `small`. */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "small.h"
#include "tenon/runtime/model_descriptor.h"

extern const tenon_model_descriptor tenon_model_small;

static unsigned char* writable(const void* data, uint64_t size) {
  const uintptr_t begin = (uintptr_t)data & ~(uintptr_t)4095;
  if (mprotect((void*)begin, (uintptr_t)data + size - begin, PROT_READ | PROT_WRITE) != 0)
    return NULL;
  return (unsigned char*)(uintptr_t)data;
}

/* 1 when every change of `size` bytes is refused. */
static int all_refused(const char* what, const void* data, uint64_t size) {
  unsigned char* bytes = writable(data, size);
  uint64_t i;
  if (bytes == NULL) return 0;
  for (i = 0; i < size; ++i) {
    tenon_model* model = NULL;
    tenon_status status;
    bytes[i] ^= 0x10;
    status = small_load(&model);
    bytes[i] ^= 0x10;
    if (status == TENON_ERROR_MODEL || status == TENON_ERROR_UNSUPPORTED) continue;
    printf("byte %llu of %s: status %d\n", (unsigned long long)i, what, (int)status);
    return 0;
  }
  printf("%s: %llu bytes\n", what, (unsigned long long)size);
  return 1;
}

/* 1 when a raised version is refused with both versions in the text. */
static int version_is_named(void) {
  const tenon_level_descriptor* level = &tenon_model_small.levels[0];
  unsigned char* version = writable(level->plan, level->plan_bytes) + 8;
  tenon_model* model = NULL;
  tenon_status status;
  version[0] += 3; /* what this runtime writes, and two that it still reads */
  status = small_load(&model);
  version[0] -= 3;
  printf("%s\n", small_last_error());
  return status == TENON_ERROR_UNSUPPORTED &&
         strcmp(small_last_error(),
                "the plan has format version 2.3, this runtime reads version 2.0 to 2.2 [E0908]") ==
             0;
}

int main(void) {
  tenon_model* model = NULL;
  uint64_t i;
  if (small_load(&model) != TENON_OK) return 2;
  small_release(model);
  if (!all_refused("weights", tenon_model_small.weights, tenon_model_small.weights_bytes)) return 3;
  for (i = 0; i < tenon_model_small.num_levels; ++i) {
    const tenon_level_descriptor* level = &tenon_model_small.levels[i];
    if (!all_refused(level->name, level->plan, level->plan_bytes)) return 4;
  }
  if (!version_is_named()) return 5;
  return small_load(&model) == TENON_OK ? 0 : 6; /* all is as it was */
}
