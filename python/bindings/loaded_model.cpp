#include <pybind11/stl.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "array_from_python.h"
#include "bindings.h"
#include "dtype.h"
#include "tenon/runtime/c_api.h"
#include "tenon/runtime/executable.h"

namespace tenon::python {
namespace {

/// A model in a shared library, called by the C ABI as any program calls it. May be used by several
/// threads.
class LoadedModel {
 public:
  /// ResourceError [E1003] for a file that cannot be opened as a library, ModelError [E0912] when
  /// it has no model of that name; what loading a plan raises.
  LoadedModel(const std::string& path, const std::string& name) {
    tenon_model* model = nullptr;
    {
      const py::gil_scoped_release released;  // checksums of all weights are verified
      throw_if_error(tenon_model_load(path.c_str(), name.c_str(), &model));
    }
    model_.reset(model);
  }

  /// (name, dtype, rank) of each input, or of each result.
  py::list arguments(bool is_result) const {
    const std::int32_t num_inputs = tenon_model_num_inputs(model_.get());
    const std::int32_t first = is_result ? num_inputs : 0;
    const std::int32_t count = is_result ? tenon_model_num_results(model_.get()) : num_inputs;
    py::list list;
    for (std::int32_t i = first; i < first + count; ++i) {
      tenon_argument_info info;
      throw_if_error(tenon_model_argument(model_.get(), i, &info));
      list.append(py::make_tuple(info.name, from_dl_dtype(info.dtype), info.rank));
    }
    return list;
  }

  /// New results, as a list.
  std::vector<Array> call(const py::args& given) const {
    std::vector<Array> arrays;
    for (const py::handle& value : given) arrays.push_back(to_array(value).contiguous());
    std::vector<DLTensor> inputs, targets;
    for (const Array& a : arrays) inputs.push_back(a.tensor());
    const py::gil_scoped_release released;
    const Context context(model_.get());
    const auto num_inputs = static_cast<std::int32_t>(inputs.size());
    throw_if_error(tenon_context_bind(context.get(), inputs.data(), num_inputs));
    std::vector<Array> results;
    for (std::int32_t i = 0; i < tenon_model_num_results(model_.get()); ++i) {
      DLTensor result;
      throw_if_error(tenon_context_result(context.get(), i, &result));
      const std::span<const std::int64_t> shape(result.shape,
                                                static_cast<std::size_t>(result.ndim));
      results.push_back(Array::empty(shape, from_dl_dtype(result.dtype)));
      targets.push_back(results.back().tensor());
    }
    throw_if_error(tenon_context_run(context.get(), inputs.data(), num_inputs, targets.data(),
                                     static_cast<std::int32_t>(targets.size())));
    return results;
  }

 private:
  class Context {
   public:
    explicit Context(tenon_model* model) { throw_if_error(tenon_context_create(model, &context_)); }
    ~Context() { tenon_context_destroy(context_); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    tenon_context* get() const { return context_; }

   private:
    tenon_context* context_ = nullptr;
  };
  struct Release {
    void operator()(tenon_model* model) const { tenon_model_release(model); }
  };
  std::unique_ptr<tenon_model, Release> model_;
};

}  // namespace

void bind_loaded_model(py::module_& module) {
  py::class_<LoadedModel>(module, "LoadedModel")
      .def(py::init<const std::string&, const std::string&>(), py::arg("path"), py::arg("name"))
      .def("arguments", &LoadedModel::arguments, py::arg("is_result"))
      .def("__call__", &LoadedModel::call);
}

}  // namespace tenon::python
