#include "call_executable.h"

#include <pybind11/numpy.h>

#include <string>

#include "array_from_python.h"
#include "dtype.h"
#include "operand.h"
#include "tenon/support/error.h"

namespace tenon::python {
namespace {

namespace py = pybind11;

/// The descriptors of one call, and what was made for it.
class Call {
 public:
  Call(const Executable& executable, std::size_t num_inputs)
      : plan_(executable.plan()), num_inputs_(num_inputs) {
    const std::size_t count = num_inputs + plan_.results.size();
    if (count > kInline) more_.resize(count);
  }

  void add_input(std::size_t i, PyObject* value) {
    NumpyView view;
    if (!view_numpy(value, &view)) return add_array(i, input_array(i, value));
    data()[i] = view.tensor;
  }
  void add_result(std::size_t i, PyObject* value) {
    NumpyView view;
    if (!view_numpy(value, &view)) {
      const Array array = to_array(value, "result '" + plan_.results[i].name + "'");
      check_writable(i, !array.read_only());
      return add_array(num_inputs_ + i, array);
    }
    check_writable(i, view.is_writable);
    data()[num_inputs_ + i] = view.tensor;
  }
  void add_new_result(std::size_t i, const Array& array) {
    data()[num_inputs_ + i] = array.tensor();
  }
  /// The argument as an array that kernels take.
  Array input_array(std::size_t i, PyObject* value) const;

  std::span<const DLTensor> inputs() { return {data(), num_inputs_}; }
  std::span<const DLTensor> results() { return {data() + num_inputs_, plan_.results.size()}; }

 private:
  void add_array(std::size_t slot, Array array) {
    data()[slot] = array.tensor();
    kept_.push_back(std::move(array));
  }
  void check_writable(std::size_t i, bool is_writable) const {
    TENON_USER_CHECK(is_writable, ShapeError, "E0472", plan_.name, ": out= for result '",
                     plan_.results[i].name,
                     "' is a read-only array\n  hint: pass a writable array, or leave out= away");
  }
  DLTensor* data() { return more_.empty() ? inline_ : more_.data(); }

  static constexpr std::size_t kInline = 12;
  const Plan& plan_;
  std::size_t num_inputs_;
  DLTensor inline_[kInline];
  std::vector<DLTensor> more_;
  std::vector<Array> kept_;
};

Array Call::input_array(std::size_t i, PyObject* value) const {
  if (i >= plan_.inputs.size()) return to_array(value);  // too many: the call fails and says so
  const PlanArgument& declared = plan_.inputs[i];
  if (declared.dims.empty() && is_number(value)) {
    return to_array(py::module_::import("numpy").attr("asarray")(py::handle(value),
                                                                 numpy_dtype(declared.dtype)));
  }
  const Array array = to_array(value, "input '" + declared.name + "'");
  return declared.strides.empty() ? array.contiguous() : array;
}

/// The arrays of `out`, new ones where it has None; what the call returns.
py::object add_out(Call& call, const Executable& executable, PyObject* out) {
  const Plan& plan = executable.plan();
  if (plan.results.size() == 1) {
    call.add_result(0, out);
    return py::reinterpret_borrow<py::object>(out);
  }
  TENON_USER_CHECK(PySequence_Check(out) &&
                       PySequence_Size(out) == static_cast<py::ssize_t>(plan.results.size()),
                   ShapeError, "E0473", plan.name, " has ", plan.results.size(),
                   " results, so that out= takes a tuple of as many arrays");
  bool is_all_given = true;
  std::vector<Shape> shapes;
  py::tuple returned(plan.results.size());
  for (std::size_t i = 0; i < plan.results.size(); ++i) {
    auto item =
        py::reinterpret_steal<py::object>(PySequence_GetItem(out, static_cast<py::ssize_t>(i)));
    if (item.is_none()) {
      is_all_given = false;
      if (shapes.empty()) shapes = executable.result_shapes(call.inputs());
      const Array array = Array::empty(shapes[i], plan.results[i].dtype, executable.device());
      call.add_new_result(i, array);
      item = py::cast(array);
    } else {
      call.add_result(i, item.ptr());
    }
    returned[i] = std::move(item);
  }
  return is_all_given ? py::reinterpret_borrow<py::object>(out) : std::move(returned);
}

py::object returned(std::vector<Array> results) {
  if (results.size() == 1) return py::cast(std::move(results[0]));
  py::tuple all(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) all[i] = py::cast(std::move(results[i]));
  return all;
}

std::vector<Array> new_results(const Executable& executable, const ResultShapes& known,
                               Call& call) {
  const std::vector<PlanArgument>& results = executable.plan().results;
  const std::vector<Shape> computed =
      known.known ? std::vector<Shape>() : executable.result_shapes(call.inputs());
  const std::vector<Shape>& shapes = known.known ? known.shapes : computed;
  const DLDevice device = executable.device();
  std::vector<Array> arrays;
  arrays.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    arrays.push_back(Array::empty(shapes[i], results[i].dtype, device));
    call.add_new_result(i, arrays.back());
  }
  return arrays;
}

}  // namespace

py::object call_executable(const Executable& executable, const ResultShapes& shapes,
                           std::span<PyObject* const> arguments, PyObject* out) {
  Call call(executable, arguments.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) call.add_input(i, arguments[i]);
  if (out != nullptr && out != Py_None) {
    py::object returned = add_out(call, executable, out);
    const WithoutGil released;
    executable.run(call.inputs(), call.results());
    return returned;
  }
  std::vector<Array> results = new_results(executable, shapes, call);
  {
    const WithoutGil released;
    executable.run(call.inputs(), call.results());
  }
  return returned(std::move(results));
}

std::vector<Array> to_inputs(const Executable& executable, std::span<PyObject* const> arguments) {
  const Call call(executable, arguments.size());
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < arguments.size(); ++i)
    arrays.push_back(call.input_array(i, arguments[i]));
  return arrays;
}

}  // namespace tenon::python
