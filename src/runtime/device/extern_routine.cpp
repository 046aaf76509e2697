#include "runtime/device/extern_routine.h"

#include <string.h>

#include "runtime/rt/message.h"

namespace tenon::device {

const ExternRoutine* find_routine(const char* name, std::size_t length) {
  const ExternRoutine* const routines[] = {&kMatmulRoutine};
  for (const ExternRoutine* r : routines) {
    if (strlen(r->name) == length && memcmp(r->name, name, length) == 0) return r;
  }
  return nullptr;
}

tenon_status damaged_extern(const ExternProblem& problem, const char* what) {
  return rt::fail(TENON_ERROR_MODEL, "E0907", "%s: the plan is damaged: %s", problem.subject, what);
}

}  // namespace tenon::device
