#include <cstring>

#include "array_from_python.h"
#include "interpret_arrays.h"
#include "kernel.h"
#include "tenon/ir/print.h"

namespace tenon::python {
namespace {

namespace py = pybind11;

bool is_nan(const char* element, DType dtype) {
  if (!dtype.is_float()) return false;
  std::uint64_t bits = 0;
  std::memcpy(&bits, element, static_cast<std::size_t>(dtype.bytes()));
  const int mantissa_bits = dtype.bits == 64             ? 52
                            : dtype.bits == 32           ? 23
                            : dtype == DType::bfloat16() ? 7
                                                         : 10;
  const std::uint64_t magnitude = bits & ((std::uint64_t{1} << (dtype.bits - 1)) - 1);
  const std::uint64_t infinity = ((std::uint64_t{1} << (dtype.bits - 1 - mantissa_bits)) - 1)
                                 << mantissa_bits;
  return magnitude > infinity;
}

/// The position of the first element that differs, or -1.
std::int64_t first_difference(const Array& a, const Array& b) {
  const auto bytes = static_cast<std::size_t>(a.dtype().bytes());
  const auto* x = static_cast<const char*>(a.raw());
  const auto* y = static_cast<const char*>(b.raw());
  for (std::int64_t i = 0; i < a.size(); ++i, x += bytes, y += bytes) {
    if (std::memcmp(x, y, bytes) != 0 && !(is_nan(x, a.dtype()) && is_nan(y, b.dtype()))) return i;
  }
  return -1;
}

std::vector<Array> arrays_of(py::handle results) {
  if (!py::isinstance<py::tuple>(results)) return {to_array(results)};
  std::vector<Array> arrays;
  for (const py::handle result : results) arrays.push_back(to_array(result));
  return arrays;
}

}  // namespace

void compare_with_interpreter(const Kernel& kernel, const std::vector<Array>& inputs,
                              py::handle results) {
  const std::vector<Array> compiled = arrays_of(results);
  const std::vector<Array> interpreted = interpret_arrays(kernel.source, inputs);
  for (std::size_t i = 0; i < compiled.size(); ++i) {
    const std::int64_t at = first_difference(compiled[i].contiguous(), interpreted[i]);
    TENON_USER_CHECK(at < 0, NumericError, "E0703", kernel.executable.name(), ": element ", at,
                     " of result '", kernel.source->outputs[i]->name,
                     "' differs between the kernel and the interpreter\n", print(kernel.source));
  }
}

}  // namespace tenon::python
