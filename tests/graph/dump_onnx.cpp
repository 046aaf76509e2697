// Prints what the ONNX reader sees, one line of JSON for each model (.onnx) and tensor (.pb) named
// on standard input, for tests/python/test_onnx_reader.py, which compares it with what the package
// onnx sees.

#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "graph/onnx/model.h"
#include "graph/onnx/tensor_data.h"
#include "tenon/support/error.h"

namespace tenon::onnx {
namespace {

using nlohmann::json;

json dump(const Attribute& a);
json dump(const Function& f);
json dump(const Graph& g);
json dump(const Node& n);
json dump(const ValueInfo& v);

json dump(const Tensor& t) {
  json j = {{"name", t.name},       {"dims", t.dims},       {"type", static_cast<int>(t.type)},
            {"floats", t.floats},   {"int32s", t.int32s},   {"int64s", t.int64s},
            {"doubles", t.doubles}, {"uint64s", t.uint64s}, {"strings", json::array()}};
  for (const std::string& s : t.strings) j["strings"].push_back(s.size());
  j["raw"] = t.raw ? json(std::vector<unsigned char>(t.raw->begin(), t.raw->end())) : json();
  return j;
}

json dump(const SparseTensor& t) {
  return {{"values", dump(t.values)}, {"indices", dump(t.indices)}, {"dims", t.dims}};
}

json dump(const Type& t) {
  json j = {{"kind", static_cast<int>(t.kind)}, {"type", static_cast<int>(t.data_type)}};
  if (t.element) j["element"] = dump(*t.element);
  if (!t.shape) return j;
  j["shape"] = json::array();
  for (const Dim& d : *t.shape) {
    if (const auto* size = std::get_if<std::int64_t>(&d))
      j["shape"].push_back(*size);
    else if (const auto* name = std::get_if<std::string>(&d))
      j["shape"].push_back(*name);
    else
      j["shape"].push_back(nullptr);
  }
  return j;
}

template <typename T>
json dump(const std::vector<T>& list) {
  json j = json::array();
  for (const T& element : list) j.push_back(dump(element));
  return j;
}

struct DumpValue {
  json operator()(std::monostate) const { return nullptr; }
  json operator()(float v) const { return {{"f", v}}; }
  json operator()(std::int64_t v) const { return {{"i", v}}; }
  json operator()(const std::string& v) const { return {{"s", v.size()}}; }
  json operator()(const Tensor& v) const { return {{"t", dump(v)}}; }
  json operator()(const SparseTensor& v) const { return {{"sparse", dump(v)}}; }
  json operator()(const Type& v) const { return {{"tp", dump(v)}}; }
  json operator()(const std::shared_ptr<const Graph>& v) const { return {{"g", dump(*v)}}; }
  json operator()(const std::vector<float>& v) const { return {{"floats", v}}; }
  json operator()(const std::vector<std::int64_t>& v) const { return {{"ints", v}}; }
  json operator()(const std::vector<std::string>& v) const { return {{"strings", v}}; }
  json operator()(const std::vector<Tensor>& v) const { return {{"tensors", dump(v)}}; }
  json operator()(const std::vector<std::shared_ptr<const Graph>>& v) const {
    json j = json::array();
    for (const auto& g : v) j.push_back(dump(*g));
    return {{"graphs", j}};
  }
};

json dump(const Attribute& a) {
  return {{"name", a.name}, {"ref", a.ref}, {"value", std::visit(DumpValue(), a.value)}};
}

json dump(const Node& n) {
  return {{"name", n.name},     {"op", n.op_type},      {"domain", n.domain},
          {"inputs", n.inputs}, {"outputs", n.outputs}, {"attributes", dump(n.attributes)}};
}

json dump(const ValueInfo& v) { return {{"name", v.name}, {"type", dump(v.type)}}; }

json dump(const Graph& g) {
  return {{"name", g.name},
          {"nodes", dump(g.nodes)},
          {"initializers", dump(g.initializers)},
          {"sparse", dump(g.sparse_initializers)},
          {"inputs", dump(g.inputs)},
          {"outputs", dump(g.outputs)},
          {"values", dump(g.values)}};
}

json dump(const Function& f) {
  return {{"name", f.name},
          {"domain", f.domain},
          {"inputs", f.inputs},
          {"outputs", f.outputs},
          {"attributes", f.attributes},
          {"defaults", dump(f.default_attributes)},
          {"nodes", dump(f.nodes)},
          {"opsets", f.opsets}};
}

json dump(const Model& m) {
  return {{"ir_version", m.ir_version}, {"producer", m.producer},         {"opsets", m.opsets},
          {"graph", dump(m.graph)},     {"functions", dump(m.functions)}, {"metadata", m.metadata}};
}

json dump(const Array& a) {
  const auto* bytes = static_cast<const unsigned char*>(a.raw());
  return {{"dtype", to_string(a.dtype())},
          {"shape", std::vector<std::int64_t>(a.shape().begin(), a.shape().end())},
          {"bytes", std::vector<unsigned char>(bytes, bytes + a.nbytes())}};
}

json dump_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  try {
    if (path.ends_with(".pb")) return dump(to_array(read_tensor(bytes, path), {path, nullptr, {}}));
    return dump(read_model(bytes, path));
  } catch (const Error& e) {
    return {{"error", e.what()}};
  }
}

}  // namespace
}  // namespace tenon::onnx

int main() {
  for (std::string path; std::getline(std::cin, path);)
    std::cout << tenon::onnx::dump_file(path).dump(-1, ' ', true,
                                                   nlohmann::json::error_handler_t::replace)
              << "\n";
  return 0;
}
