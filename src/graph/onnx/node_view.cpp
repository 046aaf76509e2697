#include "graph/onnx/node_view.h"

#include <numeric>

#include "graph/onnx/importer.h"
#include "graph/onnx/tools.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::onnx {

bool NodeView::has(std::size_t i) const {
  if (i >= node_.inputs.size() || node_.inputs[i].empty()) return false;
  const Entry* entry = scope_.find(node_.inputs[i]);
  return entry == nullptr || !entry->is_absent;
}

const Entry& NodeView::entry(std::size_t i) const {
  if (i >= node_.inputs.size() || node_.inputs[i].empty())
    invalid(detail::concat("input ", i, " is missing"));
  const Entry* entry = scope_.find(node_.inputs[i]);
  if (entry == nullptr)
    invalid(detail::concat("input '", node_.inputs[i], "' is computed by no node before"));
  if (!entry->failure.empty()) throw Unavailable{entry->failure};
  return *entry;
}

const Value& NodeView::in(std::size_t i) const {
  const Entry& found = entry(i);
  if (found.is_absent) invalid(detail::concat("input ", i, " is missing"));
  if (found.sequence)
    invalid(detail::concat("input '", node_.inputs[i], "' is a sequence, expected a tensor"));
  return found.value;
}

const std::vector<Value>& NodeView::sequence(std::size_t i) const {
  const Entry& found = entry(i);
  if (!found.sequence) invalid(detail::concat("input '", node_.inputs[i], "' is no sequence"));
  return *found.sequence;
}

Value NodeView::maybe(std::size_t i) const { return has(i) ? in(i) : nullptr; }

std::vector<Value> NodeView::all() const {
  std::vector<Value> values;
  for (std::size_t i = 0; i < node_.inputs.size(); ++i) values.push_back(in(i));
  return values;
}

bool NodeView::wants(std::size_t i) const {
  return i < node_.outputs.size() && !node_.outputs[i].empty();
}

const Attribute* NodeView::find(const std::string& name) const {
  for (const Attribute& a : node_.attributes) {
    if (a.name != name) continue;
    if (a.ref.empty()) return &a;
    for (const Scope* s = &scope_; s != nullptr; s = s->around) {
      if (const auto it = s->attributes.find(a.ref); it != s->attributes.end()) return it->second;
    }
    return nullptr;
  }
  return nullptr;
}

template <typename T>
const T* NodeView::get(const std::string& name, const char* kind) const {
  const Attribute* a = find(name);
  if (a == nullptr) return nullptr;
  const T* value = std::get_if<T>(&a->value);
  TENON_USER_CHECK(value != nullptr, ModelError, "E0882", "attribute '", name, "' should be ",
                   kind);
  return value;
}

std::int64_t NodeView::int_attr(const std::string& name) const {
  const auto* value = get<std::int64_t>(name, "an integer");
  TENON_USER_CHECK(value != nullptr, ModelError, "E0882", "attribute '", name, "' is missing");
  return *value;
}

std::int64_t NodeView::int_attr(const std::string& name, std::int64_t otherwise) const {
  const auto* value = get<std::int64_t>(name, "an integer");
  return value == nullptr ? otherwise : *value;
}

double NodeView::float_attr(const std::string& name, double otherwise) const {
  const auto* value = get<float>(name, "a float");
  return value == nullptr ? otherwise : double{*value};
}

std::string NodeView::string_attr(const std::string& name, const std::string& otherwise) const {
  const auto* value = get<std::string>(name, "a text");
  return value == nullptr ? otherwise : *value;
}

/// A list that is empty may have been written without its kind.
template <typename T>
std::vector<T> list_attr(const std::vector<T>* value) {
  return value == nullptr ? std::vector<T>() : *value;
}

std::vector<std::int64_t> NodeView::ints_attr(const std::string& name) const {
  return list_attr(get<std::vector<std::int64_t>>(name, "a list of integers"));
}

std::vector<float> NodeView::floats_attr(const std::string& name) const {
  return list_attr(get<std::vector<float>>(name, "a list of floats"));
}

std::vector<std::string> NodeView::strings_attr(const std::string& name) const {
  return list_attr(get<std::vector<std::string>>(name, "a list of texts"));
}

Array NodeView::tensor_attr(const std::string& name) const {
  const auto* value = get<Tensor>(name, "a tensor");
  TENON_USER_CHECK(value != nullptr, ModelError, "E0882", "attribute '", name, "' is missing");
  return to_array(*value, importer_.source());
}

const Graph& NodeView::graph_attr(const std::string& name) const {
  const auto* value = get<std::shared_ptr<const Graph>>(name, "a graph");
  TENON_USER_CHECK(value != nullptr, ModelError, "E0882", "attribute '", name, "' is missing");
  return **value;
}

DType NodeView::dtype_attr(const std::string& name, DataType otherwise) const {
  const auto type = static_cast<DataType>(int_attr(name, static_cast<std::int64_t>(otherwise)));
  const std::optional<DType> dtype = dtype_of(type);
  if (!dtype)
    unsupported(detail::concat("'", name, "' is ", to_string(type), ", which Tenon does not have"));
  return *dtype;
}

std::optional<std::vector<Expr>> NodeView::known(std::size_t i) const {
  return importer_.known(in(i));
}

std::optional<std::vector<Expr>> NodeView::known(const Value& v) const {
  return importer_.known(v);
}

std::vector<Expr> NodeView::elements(const Value& v, const std::string& what) const {
  const std::optional<std::vector<Expr>> found = importer_.known(v);
  if (found) return *found;
  std::vector<std::string> deciding = importer_.deciding_inputs();
  if (!deciding.empty()) throw NeedsValues{std::move(deciding)};
  unsupported(
      detail::concat("the elements of ", what, " have to be known before the network runs"));
}

std::vector<Expr> NodeView::elements(std::size_t i) const {
  const Value& v = in(i);
  return elements(v, "input '" + node_.inputs[i] + "'");
}

std::vector<Expr> NodeView::sizes(std::size_t i) const {
  std::vector<Expr> all = elements(i);
  for (Expr& e : all) {
    if (!e->dtype.is_int())
      invalid(detail::concat("input '", node_.inputs[i], "' should hold integers, got ",
                             to_string(e->dtype)));
    e = cast(kInt64, e);
  }
  return all;
}

std::vector<std::int64_t> NodeView::ints(std::size_t i) const {
  std::vector<std::int64_t> all;
  for (const Expr& e : sizes(i)) {
    const auto value = as_int(e);
    if (!value)
      unsupported(detail::concat("input '", node_.inputs[i],
                                 "' depends on a size that is not fixed; give sizes="));
    all.push_back(*value);
  }
  return all;
}

std::int64_t NodeView::int_scalar(std::size_t i) const {
  const std::vector<std::int64_t> all = ints(i);
  if (all.size() != 1)
    invalid(
        detail::concat("input '", node_.inputs[i], "' should have one element, got ", all.size()));
  return all[0];
}

std::vector<double> NodeView::floats(std::size_t i) const {
  std::vector<double> all;
  for (const Expr& e : elements(i)) {
    const auto* value = e.as<FloatImmNode>();
    const auto integer = as_int(e);
    if (value == nullptr && !integer)
      unsupported(detail::concat("input '", node_.inputs[i], "' has to be constant"));
    all.push_back(value == nullptr ? static_cast<double>(*integer) : value->value);
  }
  return all;
}

/// The only symbol of `e`, or null.
Expr only_symbol(const Expr& e) {
  Expr symbol;
  const bool has_others = uses_var(e, [&](const VarNode& x) {
    if (!symbol) symbol = Expr(&x);
    return x.symbol == nullptr || symbol.get() != &x;
  });
  return has_others ? nullptr : symbol;
}

/// Whether `e` is not negative for all values of the symbol in the range.
bool is_never_negative(const Expr& e, const Expr& symbol, const SymbolRange& range) {
  Analyzer analyzer;
  analyzer.bind(Symbol{symbol, range.min, range.max, range.multiple_of});
  return analyzer.can_prove(ge(e, imm(0)));
}

void NodeView::need(const Expr& symbol, const SymbolRange& range) const {
  throw NeedsSizes{symbol.as<VarNode>()->name, {range, ""}};
}

bool NodeView::is_in_body() const { return scope_.is_in_body; }

bool NodeView::require_not_negative(const Expr& e) const {
  constexpr std::int64_t kTries = 64;
  if (holds(ge(e, imm(0)))) return true;
  const Expr symbol = only_symbol(e);
  if (!symbol || scope_.is_in_body) return false;
  const SymbolRange given = *symbol.as<VarNode>()->symbol;
  Analyzer analyzer;
  const AffineForm form = analyzer.affine(simplify(e));
  const std::int64_t slope = form.coefficient_of(symbol);
  // The bound of a linear size, or one that is found by trying.
  std::int64_t first = given.min + 1;
  if (slope > 0 && form.terms.size() == 1) first = std::max(first, -(form.constant / slope));
  SymbolRange range = given;
  for (range.min = first; range.min < first + kTries; ++range.min) {
    if (range.max && range.min > *range.max) return false;
    if (is_never_negative(e, symbol, range)) need(symbol, range);
  }
  range = given;
  if (slope >= 0 || form.terms.size() != 1) return false;
  range.max = form.constant / -slope;
  if (form.constant >= 0 && *range.max >= range.min && is_never_negative(e, symbol, range))
    need(symbol, range);
  return false;
}

bool NodeView::require_multiple(const Expr& size, std::int64_t divisor) const {
  if (holds(eq(floormod(size, imm(divisor)), imm(0)))) return true;
  const auto* v = size.as<VarNode>();
  if (v == nullptr || v->symbol == nullptr || scope_.is_in_body) return false;
  SymbolRange range = *v->symbol;
  const std::int64_t factor = divisor / std::gcd(range.multiple_of, divisor);
  if (__builtin_mul_overflow(range.multiple_of, factor, &range.multiple_of)) return false;
  need(size, range);
  return false;
}

std::vector<Entry> NodeView::run(const Graph& body, const std::vector<Entry>& inputs) const {
  return importer_.run_body(body, inputs, scope_);
}

std::vector<Entry> NodeView::attempt(const std::function<std::vector<Entry>()>& f) const {
  return importer_.attempt(f);
}

void NodeView::unsupported(const std::string& why) const {
  detail::raise<UnsupportedError>("E0880", why);
}

void NodeView::invalid(const std::string& why) const { detail::raise<ModelError>("E0881", why); }

}  // namespace tenon::onnx
