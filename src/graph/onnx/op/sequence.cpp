// Sequences and optionals. They are resolved while a model is imported: the network has tensors
// alone.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative, kDecomposed = Support::kDecomposed;
constexpr std::int64_t kMaxLength = 4096;

Entry sequence_of(std::vector<Value> elements) {
  Entry e;
  e.sequence = std::make_shared<const std::vector<Value>>(std::move(elements));
  return e;
}

std::vector<Entry> convert_identity(const NodeView& n) { return {n.entry(0)}; }

std::vector<Entry> convert_construct(const NodeView& n) {
  const std::vector<Value> elements = n.all();
  for (const Value& v : elements) {
    if (v->dtype != elements[0]->dtype) n.invalid("the tensors of a sequence have one dtype");
  }
  return {sequence_of(elements)};
}

std::vector<Entry> convert_empty(const NodeView& n) {
  n.dtype_attr("dtype", DataType::kFloat);
  return {sequence_of({})};
}

/// Operand `i` as a place among `count`; the last one where it is left out.
std::size_t position(const NodeView& n, std::size_t i, std::size_t count) {
  const auto size = static_cast<std::int64_t>(count);
  const std::int64_t at = n.has(i) ? n.int_scalar(i) : size - 1;
  if (at < -size || at >= size || size == 0)
    n.invalid(detail::concat("position ", at, " is out of range for ", size));
  return static_cast<std::size_t>(at < 0 ? at + size : at);
}

std::vector<Entry> convert_at(const NodeView& n) {
  const std::vector<Value>& elements = n.sequence(0);
  return {{elements[position(n, 1, elements.size())]}};
}

std::vector<Entry> convert_insert(const NodeView& n) {
  std::vector<Value> elements = n.sequence(0);
  const Value& x = n.in(1);
  if (!elements.empty() && elements[0]->dtype != x->dtype)
    n.invalid("the tensors of a sequence have one dtype");
  if (elements.size() >= static_cast<std::size_t>(kMaxLength))
    n.unsupported(detail::concat("a sequence of more than ", kMaxLength, " tensors"));
  std::size_t at = elements.size();
  if (n.has(2)) {
    const std::int64_t given = n.int_scalar(2), size = static_cast<std::int64_t>(elements.size());
    if (given < -size || given > size)
      n.invalid(detail::concat("position ", given, " is out of range for ", size));
    at = static_cast<std::size_t>(given < 0 ? given + size : given);
  }
  elements.insert(elements.begin() + static_cast<std::ptrdiff_t>(at), x);
  return {sequence_of(std::move(elements))};
}

std::vector<Entry> convert_erase(const NodeView& n) {
  std::vector<Value> elements = n.sequence(0);
  const std::size_t at = position(n, 1, elements.size());
  elements.erase(elements.begin() + static_cast<std::ptrdiff_t>(at));
  return {sequence_of(std::move(elements))};
}

std::vector<Entry> convert_length(const NodeView& n) {
  return {{reshape(int_vector({static_cast<std::int64_t>(n.sequence(0).size())}), {})}};
}

Value part(const Value& x, std::size_t axis, std::int64_t begin, std::int64_t size) {
  std::vector<Expr> begins(x->shape.size(), imm(0)), extents = x->shape;
  begins[axis] = imm(begin);
  extents[axis] = imm(size);
  return op("slice", {x}, {{"begins", begins}, {"extents", extents}});
}

Value without_axis(const Value& x, std::size_t axis) {
  std::vector<Expr> shape = x->shape;
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  return reshape(x, shape);
}

/// The sizes of the parts of `size` that operand 1 says.
std::vector<std::int64_t> part_sizes(const NodeView& n, std::int64_t size) {
  const bool is_list = n.has(1) && n.rank(1) == 1;
  std::vector<std::int64_t> sizes;
  if (is_list) {
    sizes = n.ints(1);
    std::int64_t left = size;
    for (const std::int64_t s : sizes) {
      if (s < 0 || s > left) n.invalid("the parts are not as large as the input together");
      left -= s;
    }
    if (left != 0) n.invalid("the parts are not as large as the input together");
    return sizes;
  }
  const std::int64_t each = n.has(1) ? n.int_scalar(1) : 1;
  if (each < 1) n.invalid(detail::concat("parts of size ", each));
  if (size / each >= kMaxLength)
    n.unsupported(detail::concat("a sequence of more than ", kMaxLength, " tensors"));
  for (std::int64_t begin = 0; begin < size; begin += std::min(each, size - begin))
    sizes.push_back(std::min(each, size - begin));
  return sizes;
}

std::vector<Entry> convert_split(const NodeView& n) {
  const Value& x = n.in(0);
  const auto axis =
      static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", 0), x->shape.size()));
  const auto size = as_int(x->shape[axis]);
  if (!size) n.unsupported("a split along a size that is not fixed into a sequence");
  const bool keeps_axis = n.has(1) || n.int_attr("keepdims", 1) != 0;
  std::vector<Value> parts;
  std::int64_t begin = 0;
  for (const std::int64_t s : part_sizes(n, *size)) {
    parts.push_back(part(x, axis, begin, s));
    if (!keeps_axis) parts.back() = without_axis(parts.back(), axis);
    begin += s;
  }
  return {sequence_of(std::move(parts))};
}

std::vector<Entry> convert_concat(const NodeView& n) {
  std::vector<Value> elements = n.sequence(0);
  if (elements.empty()) n.unsupported("the concatenation of an empty sequence");
  const bool is_new = n.int_attr("new_axis", 0) != 0;
  const std::size_t rank = elements[0]->shape.size() + (is_new ? 1 : 0);
  const std::int64_t axis = normal_axis(n, n.int_attr("axis"), rank);
  for (Value& v : elements) {
    if (v->shape.size() + (is_new ? 1 : 0) != rank)
      n.invalid("the tensors of the sequence have different numbers of dimensions");
    if (!is_new) continue;
    std::vector<Expr> shape = v->shape;
    shape.insert(shape.begin() + axis, imm(1));
    v = reshape(v, shape);
  }
  return {{op("concat", elements, {{"axis", axis}})}};
}

std::vector<Entry> convert_map(const NodeView& n) {
  const Graph& body = n.graph_attr("body");
  const std::size_t length = n.sequence(0).size();
  std::vector<std::vector<Value>> made(body.outputs.size());
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<Entry> inputs;
    for (std::size_t k = 0; k < n.num_inputs(); ++k) {
      const Entry& given = n.entry(k);
      if (!given.sequence) {
        inputs.push_back(given);
        continue;
      }
      if (given.sequence->size() != length) n.invalid("the sequences have different lengths");
      inputs.push_back({(*given.sequence)[i]});
    }
    const std::vector<Entry> results = n.run(body, inputs);
    for (std::size_t k = 0; k < results.size(); ++k) {
      if (!results[k].value) n.invalid("the body of a map gives tensors");
      made[k].push_back(results[k].value);
    }
  }
  std::vector<Entry> sequences;
  for (std::vector<Value>& elements : made) sequences.push_back(sequence_of(std::move(elements)));
  return sequences;
}

std::vector<Entry> convert_optional(const NodeView& n) {
  if (n.has(0)) return {n.entry(0)};
  Entry absent;
  absent.is_absent = true;
  return {absent};
}

std::vector<Entry> convert_get_element(const NodeView& n) {
  if (n.entry(0).is_absent) n.invalid("the optional has no element");
  Entry element = n.entry(0);
  element.may_be_absent = false;
  return {element};
}

std::vector<Entry> convert_has_element(const NodeView& n) {
  if (n.has(0) && n.entry(0).may_be_absent)
    n.unsupported("whether an optional input of the model is there");
  return {{bool_scalar(n.has(0))}};
}

}  // namespace

std::vector<Conversion> sequence_conversions() {
  return {
      {"ConcatFromSequence", 11, kNative, nullptr, "", "", convert_concat},
      {"Identity", 1, kNative, nullptr, "", "", convert_identity},
      {"Optional", 15, kNative, nullptr, "", "", convert_optional},
      {"OptionalGetElement", 15, kNative, nullptr, "", "", convert_get_element},
      {"OptionalHasElement", 15, kNative, nullptr, "", "", convert_has_element},
      {"SequenceAt", 11, kNative, nullptr, "", "", convert_at},
      {"SequenceConstruct", 11, kNative, nullptr, "", "", convert_construct},
      {"SequenceEmpty", 11, kNative, nullptr, "", "", convert_empty},
      {"SequenceErase", 11, kNative, nullptr, "", "", convert_erase},
      {"SequenceInsert", 11, kNative, nullptr, "", "", convert_insert},
      {"SequenceLength", 11, kNative, nullptr, "", "", convert_length},
      {"SequenceMap", 17, kDecomposed, nullptr, "", "the body for each element", convert_map},
      {"SplitToSequence", 11, kDecomposed, nullptr, "", "slices", convert_split},
  };
}

}  // namespace tenon::onnx
