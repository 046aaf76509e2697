// A worker of the tuner: what local_executor starts in tests.

#include <cstdlib>
#include <cstring>
#include <string>

#include "tenon/tune/executor.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "exit") == 0) return 3;
  return tenon::tune::run_worker(0);
}
