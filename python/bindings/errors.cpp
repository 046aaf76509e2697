#include <exception>
#include <string>

#include "bindings.h"
#include "tenon/runtime/executable.h"
#include "tenon/support/error.h"
#include "text.h"

namespace tenon::python {
namespace {

void set_error(const char* class_name, const Error& error) {
  const py::object cls = py::module_::import("tenon.errors").attr(class_name);
  PyErr_SetObject(cls.ptr(), cls(error.code(), to_text(error.what())).ptr());
}

/// Python's own handler has run too when Ctrl-C was pressed: its exception, once, is the one to
/// raise.
void set_interrupt() {
  if (PyErr_CheckSignals() == 0) PyErr_SetNone(PyExc_KeyboardInterrupt);
}

// Each class before the classes that it derives from.
#define TENON_ERROR_CLASSES(X) \
  X(ExpressionError)           \
  X(ScheduleError)             \
  X(GradientError)             \
  X(ShapeError)                \
  X(DTypeError)                \
  X(IndexError)                \
  X(NumericError)              \
  X(ModelError)                \
  X(UnsupportedError)          \
  X(TargetError) X(CacheError) X(UserError) X(ResourceError) X(InternalError) X(Error)

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const Interrupted&) {
    set_interrupt();
  }
#define TENON_TRANSLATE(Name) \
  catch (const Name& error) { \
    set_error(#Name, error);  \
  }
  TENON_ERROR_CLASSES(TENON_TRANSLATE)
#undef TENON_TRANSLATE
}
#undef TENON_ERROR_CLASSES

}  // namespace

void poll_signals() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

void bind_errors(py::module_&) { py::register_exception_translator(&translate); }

}  // namespace tenon::python
