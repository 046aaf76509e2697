#include "bindings.h"
#include "tenon/codegen/llvm.h"
#include "tenon/driver/object_cache.h"
#include "tenon/runtime/c_api.h"
#include "tenon/runtime/executable.h"

namespace tenon::python {

void bind_config(py::module_& module) {
  module.def("num_threads", &num_threads);
  module.def("set_num_threads", &set_num_threads);
  module.def("default_num_threads", &tenon_default_num_threads);
  module.def("codegen_version", &codegen_version);
  module.def("cache_folder", [] { return ObjectCache::shared().folder(); });
  module.def("use_cache_folder", &ObjectCache::use_folder);
}

}  // namespace tenon::python
