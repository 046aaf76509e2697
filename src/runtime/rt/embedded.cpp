// The model of the library that this object is linked into. A library's functions have its model's
// name: the linker's input renames these (codegen/aot).

#include "runtime/rt/library.h"
#include "runtime/rt/message.h"

extern "C" {

/// What the library says of its model.
// NOLINTNEXTLINE(readability-identifier-naming): a symbol of the C side
__attribute__((visibility("hidden"))) extern const tenon_model_descriptor tenon_embedded_model;

tenon_status tenon_load_level(const char* level, tenon_model** out) {
  if (out == nullptr) {
    return tenon::rt::fail(TENON_ERROR_USAGE, "E1006", "the place for the loaded model is null");
  }
  return tenon::rt::load_descriptor(tenon_embedded_model, level, out);
}

tenon_status tenon_load(tenon_model** out) { return tenon_load_level(nullptr, out); }

}  // extern "C"
