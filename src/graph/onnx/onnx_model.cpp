#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "graph/onnx/external_file.h"
#include "graph/onnx/importer.h"
#include "graph/onnx/model.h"

namespace tenon::graph {

struct OnnxModel::State {
  std::shared_ptr<const onnx::MappedFile> file;
  std::string copy;  ///< of a model in memory
  onnx::Model model;
  onnx::TensorSource source;

  void read(std::string_view bytes, const std::string& name,
            const std::optional<std::string>& root) {
    model = onnx::read_model(bytes, name);
    source.name = name;
    source.file = file;
    if (root) {
      source.open = [folder = *root](const std::string& location) {
        return onnx::open_beneath(folder, location);
      };
    }
  }
};

OnnxModel OnnxModel::open(const std::string& path,
                          const std::optional<std::string>& external_data_root) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  TENON_USER_CHECK(descriptor >= 0, ModelError, "E0876", "'", path,
                   "' cannot be opened: ", std::strerror(errno));
  auto state = std::make_shared<State>();
  state->file = std::make_shared<const onnx::MappedFile>(descriptor, path);
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  state->read(state->file->bytes(), slash == std::string::npos ? path : path.substr(slash + 1),
              external_data_root.value_or(folder));
  return OnnxModel(state);
}

OnnxModel OnnxModel::parse(const std::string& bytes, const std::string& name,
                           const std::optional<std::string>& external_data_root) {
  auto state = std::make_shared<State>();
  state->copy = bytes;
  state->read(state->copy, name, external_data_root);
  return OnnxModel(state);
}

using Dimensions = std::map<std::string, onnx::Dimension>;

/// What `f` returns for an importer. It starts again when a node turns out to have a meaning only
/// for some sizes of a dimension: these are what the network takes then.
template <typename F>
auto with_dimensions(const F& f) {
  Dimensions dimensions;
  while (true) {
    try {
      return f(dimensions);
    } catch (const onnx::NeedsSizes& e) {
      dimensions[e.name] = e.dimension;
    }
  }
}

OnnxNetwork OnnxModel::network(const OnnxOptions& options) const {
  return with_dimensions([&](const Dimensions& dimensions) {
    return onnx::Importer(state_->model, state_->source, options, dimensions).import_model();
  });
}

std::vector<OnnxOperatorReport> OnnxModel::check(const OnnxOptions& options) const {
  return with_dimensions([&](const Dimensions& dimensions) {
    return onnx::Importer(state_->model, state_->source, options, dimensions).check();
  });
}

std::vector<std::string> OnnxModel::input_names() const {
  std::vector<std::string> names;
  for (const onnx::ValueInfo& info : state_->model.graph.inputs) {
    bool is_constant = false;
    for (const onnx::Tensor& t : state_->model.graph.initializers)
      is_constant = is_constant || t.name == info.name;
    if (!is_constant) names.push_back(info.name);
  }
  return names;
}

std::string OnnxModel::name() const { return state_->model.graph.name; }

}  // namespace tenon::graph
