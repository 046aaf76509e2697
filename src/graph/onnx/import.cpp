#include <algorithm>
#include <unordered_set>

#include "graph/onnx/importer.h"
#include "tenon/ir/builder.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

using graph::OnnxOperatorReport;

constexpr int kMaxDepth = 64;               ///< functions and bodies within each other
constexpr std::int64_t kMaxNodes = 200000;  ///< of a model whose functions are expanded

/// The opset of "" under either of its names.
std::string normal_domain(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

template <typename E>
[[noreturn]] void rethrow(const E& e, const std::string& place) {
  throw E(e.code(), place + e.what());
}

/// Calls `f`; errors get `place` in front, those of an inner place keep theirs alone.
template <typename F>
auto with_place(const std::string& place, const F& f) {
  try {
    return f();
  } catch (const ShapeError& e) {
    rethrow(e, place);
  } catch (const DTypeError& e) {
    rethrow(e, place);
  } catch (const ModelError& e) {
    rethrow(e, place);
  } catch (const UnsupportedError& e) {
    rethrow(e, place);
  } catch (const ExpressionError& e) {
    rethrow(e, place);
  } catch (const IndexError& e) {
    rethrow(e, place);
  }
}

/// The first line of a message without its code.
std::string reason_of(const Error& e) {
  std::string text = e.what();
  text = text.substr(0, text.find('\n'));
  const std::size_t code = text.rfind(" [");
  return code == std::string::npos ? text : text.substr(0, code);
}

}  // namespace

const Entry* Scope::find(const std::string& name) const {
  for (const Scope* s = this; s != nullptr; s = s->around) {
    if (const auto it = s->names.find(name); it != s->names.end()) return &it->second;
  }
  return nullptr;
}

Importer::Importer(const Model& model, const TensorSource& source,
                   const graph::OnnxOptions& options,
                   const std::map<std::string, Dimension>& dimensions)
    : model_(model), source_(source), options_(options), dimensions_(dimensions) {}

std::string Importer::place(const Node& node) const {
  const std::string domain = normal_domain(node.domain);
  return source_.name + ": node '" +
         (node.name.empty() ? node.outputs.empty() ? "" : node.outputs[0] : node.name) + "' (" +
         (domain.empty() ? "" : domain + ".") + node.op_type + "): ";
}

Value Importer::make_network_input(const ValueInfo& declared) {
  const auto refuse = [&](const std::string& why) {
    detail::raise<UnsupportedError>("E0883",
                                    source_.name + ": input '" + declared.name + "' " + why);
  };
  // An optional is taken as what it holds: a call gives that.
  const bool is_optional = declared.type.kind == Type::Kind::kOptional && declared.type.element;
  const ValueInfo info{declared.name, is_optional ? *declared.type.element : declared.type};
  if (info.type.kind == Type::Kind::kSequence)
    refuse("is a sequence, whose length is not known before the network runs");
  if (info.type.kind != Type::Kind::kTensor) refuse("is no tensor");
  const std::optional<DType> dtype = dtype_of(info.type.data_type);
  if (!dtype) refuse("has elements of " + to_string(info.type.data_type));
  std::vector<Dim> dims;
  if (const auto it = options_.shapes.find(info.name); it != options_.shapes.end()) {
    for (const std::int64_t size : it->second) dims.push_back(size < 0 ? Dim() : Dim(size));
  } else if (info.type.shape) {
    dims = *info.type.shape;
  } else {
    refuse("has no shape in the model\n  hint: give it with shapes=");
  }
  std::vector<Expr> shape;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    std::string name = info.name + "_" + std::to_string(d);
    if (const auto* size = std::get_if<std::int64_t>(&dims[d]); size != nullptr && *size >= 0) {
      shape.push_back(imm(*size));
      continue;
    }
    if (const auto* given = std::get_if<std::string>(&dims[d]); given != nullptr && !given->empty())
      name = *given;
    if (const auto it = options_.sizes.find(name); it != options_.sizes.end()) {
      TENON_USER_CHECK(it->second >= 0, ShapeError, "E0887", source_.name, ": size ", it->second,
                       " of dimension '", name, "' is negative");
      shape.push_back(imm(it->second));
      continue;
    }
    auto it = dimensions_.find(name);
    for (; it != dimensions_.end() && !it->second.same_as.empty(); it = dimensions_.find(name))
      name = it->second.same_as;
    Expr& symbol = symbols_[name];
    if (!symbol) {
      const SymbolRange range = it == dimensions_.end() ? SymbolRange() : it->second.range;
      symbol = range.min == range.max ? imm(range.min)
                                      : te::symbol(name, range.min, range.max, range.multiple_of);
    }
    shape.push_back(symbol);
  }
  return graph::make_input(std::move(shape), *dtype, info.name);
}

void Importer::define_constants(const Graph& graph, Scope* scope) {
  for (const Tensor& t : graph.initializers) {
    try {
      scope->names[t.name] = {graph::make_constant(to_array(t, source_), t.name)};
    } catch (const UnsupportedError& e) {
      if (!is_check_) throw;
      scope->names[t.name] = {nullptr, reason_of(e)};
    }
  }
  if (graph.sparse_initializers.empty()) return;
  detail::raise<UnsupportedError>("E0883", source_.name + ": constant '" +
                                               graph.sparse_initializers[0].values.name +
                                               "' is a sparse tensor");
}

void Importer::define_inputs(Scope* scope, std::vector<Value>* inputs) {
  for (const ValueInfo& info : model_.graph.inputs) {
    if (scope->names.count(info.name) != 0) continue;  // a constant that was an input before IR 4
    if (const auto it = options_.values.find(info.name); it != options_.values.end()) {
      scope->names[info.name] = {graph::make_constant(it->second, info.name)};
      continue;
    }
    try {
      inputs->push_back(make_network_input(info));
      network_inputs_.insert(inputs->back().get());
      Entry& entry = scope->names[info.name] = {inputs->back()};
      entry.may_be_absent = info.type.kind == Type::Kind::kOptional;
    } catch (const UnsupportedError& e) {
      if (!is_check_) throw;
      scope->names[info.name] = {nullptr, reason_of(e)};
    }
  }
}

const Function* Importer::find_function(const Node& node) const {
  for (const Function& f : model_.functions) {
    if (f.name == node.op_type && normal_domain(f.domain) == normal_domain(node.domain) &&
        f.overload == node.overload) {
      return &f;
    }
  }
  return nullptr;
}

std::int64_t Importer::version_of(const Node& node, const Scope& scope) const {
  const std::string domain = normal_domain(node.domain);
  for (const Scope* s = &scope; s != nullptr; s = s->around) {
    if (s->opsets == nullptr) continue;
    for (const auto& [name, version] : *s->opsets) {
      if (normal_domain(name) == domain) return version;
    }
    break;
  }
  TENON_USER_CHECK(domain.empty(), ModelError, "E0886", "the model names no opset for domain '",
                   domain, "'");
  return 1;
}

std::vector<Entry> Importer::results(const std::vector<std::string>& names, const Scope& scope,
                                     const char* what) const {
  std::vector<Entry> values;
  for (const std::string& name : names) {
    const Entry* entry = scope.find(name);
    TENON_USER_CHECK(entry != nullptr, ModelError, "E0881", "output '", name, "' of ", what,
                     " is computed by no node");
    if (!entry->failure.empty()) throw Unavailable{entry->failure};
    values.push_back(*entry);
  }
  return values;
}

std::vector<Entry> Importer::expand(const Function& function, const Node& node, Scope* scope) {
  const bool is_open =
      std::find(open_functions_.begin(), open_functions_.end(), &function) != open_functions_.end();
  TENON_USER_CHECK(!is_open, ModelError, "E0884", "function '", function.name, "' uses itself");
  TENON_USER_CHECK(node.inputs.size() <= function.inputs.size() &&
                       node.outputs.size() <= function.outputs.size(),
                   ModelError, "E0881", "function '", function.name, "' has ",
                   function.inputs.size(), " inputs and ", function.outputs.size(),
                   " outputs, the node ", node.inputs.size(), " and ", node.outputs.size());
  Scope inner;
  inner.opsets = &function.opsets;
  inner.depth = scope->depth + 1;
  inner.is_in_body = scope->is_in_body;
  const NodeView view(*this, *scope, node, 0);
  for (std::size_t i = 0; i < function.inputs.size(); ++i) {
    Entry& entry = inner.names[function.inputs[i]];
    entry.is_absent = !view.has(i);
    if (!entry.is_absent) entry = view.entry(i);
  }
  for (const Attribute& a : function.default_attributes) inner.attributes[a.name] = &a;
  for (const Attribute& a : node.attributes) {
    const Attribute* given = &a;
    if (!a.ref.empty()) {
      const auto it = scope->attributes.find(a.ref);
      if (it == scope->attributes.end()) continue;
      given = it->second;
    }
    inner.attributes[a.name] = given;
  }
  open_functions_.push_back(&function);
  import_nodes(function.nodes, &inner);
  open_functions_.pop_back();
  std::vector<std::string> names(
      function.outputs.begin(),
      function.outputs.begin() + static_cast<std::ptrdiff_t>(node.outputs.size()));
  return results(names, inner, "a function");
}

std::vector<Entry> Importer::run_body(const Graph& body, const std::vector<Entry>& inputs,
                                      const Scope& around) {
  TENON_USER_CHECK(around.depth < kMaxDepth, ModelError, "E0885", "bodies are nested deeper than ",
                   kMaxDepth);
  TENON_USER_CHECK(body.inputs.size() == inputs.size(), ModelError, "E0881", "the body '",
                   body.name, "' has ", body.inputs.size(), " inputs, expected ", inputs.size());
  Scope inner;
  inner.around = &around;
  inner.depth = around.depth + 1;
  inner.is_in_body = true;
  for (std::size_t i = 0; i < inputs.size(); ++i) inner.names[body.inputs[i].name] = inputs[i];
  const bool was_counting = is_counting_;
  is_counting_ = was_counting && counted_bodies_.insert(&body).second;
  define_constants(body, &inner);
  import_nodes(body.nodes, &inner);
  is_counting_ = was_counting;
  std::vector<std::string> names;
  for (const ValueInfo& info : body.outputs) names.push_back(info.name);
  return results(names, inner, "a body");
}

std::vector<Entry> Importer::attempt(const std::function<std::vector<Entry>()>& f) {
  const std::vector<OnnxOperatorReport> report = report_;
  const std::unordered_set<const Graph*> counted = counted_bodies_;
  const std::vector<const Function*> open = open_functions_;
  const bool was_counting = is_counting_;
  ++num_attempts_;
  try {
    std::vector<Entry> made = f();
    --num_attempts_;
    return made;
  } catch (...) {
    --num_attempts_;
    report_ = report;
    counted_bodies_ = counted;
    open_functions_ = open;
    is_counting_ = was_counting;
    throw;
  }
}

std::vector<Entry> Importer::apply(const Conversion& conversion, const NodeView& view,
                                   const Scope& scope) {
  try {
    if (conversion.convert_any != nullptr) return conversion.convert_any(view);
    std::vector<Entry> made;
    for (Value& v : conversion.convert(view)) made.push_back({std::move(v)});
    return made;
  } catch (const ShapeError&) {
    std::vector<Value> operands;
    for (const std::string& name : view.node().inputs) {
      const Entry* entry = scope.find(name);
      if (entry != nullptr && entry->value) operands.push_back(entry->value);
    }
    const std::optional<NeedsSizes> demand = agreeing_sizes(operands);
    if (demand && !scope.is_in_body) throw *demand;
    throw;
  }
}

std::vector<Entry> Importer::convert(const Node& node, Scope* scope) {
  ++num_nodes_;
  TENON_USER_CHECK(num_nodes_ <= kMaxNodes, ModelError, "E0885", "the model has more than ",
                   kMaxNodes, " nodes when its functions are expanded");
  if (const Function* function = find_function(node)) {
    TENON_USER_CHECK(scope->depth < kMaxDepth, ModelError, "E0885",
                     "functions are nested deeper than ", kMaxDepth);
    return expand(*function, node, scope);
  }
  const std::int64_t version = version_of(node, *scope);
  std::string reason;
  const Conversion* conversion =
      find_conversion(normal_domain(node.domain), node.op_type, version, &reason);
  if (conversion == nullptr) detail::raise<UnsupportedError>("E0880", reason);
  const NodeView view(*this, *scope, node, version);
  const bool is_standard = normal_domain(node.domain).empty();
  if (is_standard) check_num_inputs(view);
  std::vector<Entry> made;
  try {
    made = apply(*conversion, view, *scope);
  } catch (const InternalError&) {
    // Conversions may rely on dtypes that their operators take.
    if (is_standard) check_dtypes(view);
    throw;
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const bool is_there =
        i < made.size() && (made[i].value || made[i].sequence || made[i].is_absent);
    if (view.wants(i) && !is_there)
      view.unsupported(detail::concat("output ", i, " ('", node.outputs[i], "') is not computed"));
  }
  return made;
}

OnnxOperatorReport& Importer::use_of(const Node& node, const Scope& scope) {
  const std::string domain = normal_domain(node.domain);
  for (OnnxOperatorReport& row : report_) {
    if (row.domain == domain && row.name == node.op_type) return row;
  }
  OnnxOperatorReport row;
  row.domain = domain;
  row.name = node.op_type;
  if (find_function(node) != nullptr) {
    row.status = "decomposed";
    row.reason = "a function of the model";
  } else {
    std::string reason;
    row.version = version_of(node, scope);
    const Conversion* c = find_conversion(domain, node.op_type, row.version, &reason);
    row.status = c == nullptr                     ? "unsupported"
                 : c->support == Support::kNative ? "native"
                                                  : "decomposed";
    row.reason = c == nullptr ? reason : c->note;
  }
  report_.push_back(row);
  return report_.back();
}

void Importer::fail_in_check(const Node& node, Scope* scope, const std::string& why,
                             bool is_final) {
  OnnxOperatorReport& row = use_of(node, *scope);
  if (is_final && row.status != "unsupported") {
    row.status = "unsupported";
    row.reason = why;
  }
  for (const std::string& name : node.outputs) scope->names[name] = {nullptr, why};
}

void Importer::import_node(const Node& node, Scope* scope) {
  const SpanScope span(Span(source_.name + ":" + (node.name.empty() ? node.op_type : node.name),
                            static_cast<int>(num_nodes_)));
  if (is_check_ && is_counting_) ++use_of(node, *scope).count;
  const bool is_reported = is_check_ && num_attempts_ == 0;
  std::vector<Entry> made;
  try {
    made = with_place(place(node), [&] { return convert(node, scope); });
  } catch (const UnsupportedError& e) {
    if (!is_reported) throw;
    return fail_in_check(node, scope, reason_of(e), true);
  } catch (const Unavailable& e) {
    if (!is_reported) throw;
    return fail_in_check(node, scope, e.why, false);
  } catch (const NeedsValues& e) {
    if (!is_reported) throw;
    return fail_in_check(node, scope, "the values of " + e.inputs[0] + " decide shapes", false);
  }
  for (std::size_t i = 0; i < node.outputs.size() && i < made.size(); ++i) {
    if (!node.outputs[i].empty()) scope->names[node.outputs[i]] = std::move(made[i]);
  }
}

void Importer::import_nodes(const std::vector<Node>& nodes, Scope* scope) {
  for (const Node& node : nodes) import_node(node, scope);
}

std::vector<std::string> Importer::deciding_inputs() const {
  std::vector<std::string> names;
  for (const Value& v : known_.sources()) {
    // An input of a body has another value each time.
    if (network_inputs_.count(v.get()) == 0) return {};
    names.push_back(v->name);
  }
  return names;
}

graph::OnnxNetwork Importer::import_model() {
  graph::OnnxNetwork network;
  network.name = model_.graph.name;
  Scope scope;
  scope.opsets = &model_.opsets;
  define_constants(model_.graph, &scope);
  define_inputs(&scope, &network.inputs);
  try {
    import_nodes(model_.graph.nodes, &scope);
  } catch (const NeedsValues& e) {
    network.needed_values = e.inputs;
    return network;
  }
  for (const ValueInfo& info : model_.graph.outputs) network.output_names.push_back(info.name);
  with_place(source_.name + ": ", [&] {
    for (const Entry& entry : results(network.output_names, scope, "the model")) {
      TENON_USER_CHECK(entry.value, UnsupportedError, "E0883", "output '",
                       network.output_names[network.outputs.size()], "' is ",
                       entry.sequence ? "a sequence" : "an optional without an element");
      network.outputs.push_back(entry.value);
    }
  });
  return network;
}

std::vector<OnnxOperatorReport> Importer::check() {
  is_check_ = true;
  Scope scope;
  scope.opsets = &model_.opsets;
  std::vector<Value> inputs;
  define_constants(model_.graph, &scope);
  define_inputs(&scope, &inputs);
  import_nodes(model_.graph.nodes, &scope);
  return report_;
}

}  // namespace tenon::onnx
