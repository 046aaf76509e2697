#pragma once

/// Calls of compiled code with arrays of Python: the path that has to be short.

#include <pybind11/pybind11.h>

#include <span>
#include <vector>

#include "tenon/runtime/executable.h"

namespace tenon::python {

/// The shapes of all results where no symbol is in them; else empty and `known` false.
struct ResultShapes {
  bool known = false;
  std::vector<Shape> shapes;
};

/// Runs `executable` on borrowed arguments, without the GIL. NumPy arrays and Tensors that are
/// row-major are read in place, everything else is converted or copied for the call. `out` is null
/// or None for new Tensors, else one writable array (a sequence of them for several results, None
/// for a new one), which is returned. One result is returned alone, several as a tuple. Raises
/// ShapeError, DTypeError and TargetError that name the argument, and what Executable::run raises.
pybind11::object call_executable(const Executable& executable, const ResultShapes& shapes,
                                 std::span<PyObject* const> arguments, PyObject* out);

/// The arguments as arrays that `executable` can be given, copied where they are strided or
/// misaligned.
std::vector<Array> to_inputs(const Executable& executable, std::span<PyObject* const> arguments);

/// Releases the GIL; one level cheaper than pybind11's scope.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace tenon::python
