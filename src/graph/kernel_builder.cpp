#include "graph/kernel_builder.h"

#include <algorithm>
#include <cstring>

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/runtime/float_convert.h"

namespace tenon::graph {
namespace {

template <typename T>
T first_element(const ValueNode& v) {
  T x;
  std::memcpy(&x, v.data.raw(), sizeof x);
  return x;
}

bool is_scalar(const Value& v) {
  return v->is_constant() && v->shape.empty() && (v->dtype.bits >= 32 || v->dtype.is_bool());
}

/// Whether the place of an element of a row-major array of shape `from` in one of shape `to`, with
/// the same elements, takes divisions: between the dimensions that both have in front and at the
/// end, `to` has several.
bool takes_division(const std::vector<Expr>& from, const std::vector<Expr>& to) {
  const std::size_t common = std::min(from.size(), to.size());
  std::size_t front = 0, back = 0;
  while (front < common && same_extent(from[front], to[front])) ++front;
  while (front + back < common &&
         same_extent(from[from.size() - 1 - back], to[to.size() - 1 - back])) {
    ++back;
  }
  return std::count_if(to.begin() + static_cast<std::ptrdiff_t>(front),
                       to.end() - static_cast<std::ptrdiff_t>(back),
                       [](const Expr& e) { return !is_int(e, 1); }) > 1;
}

}  // namespace

Expr scalar_of(const ValueNode& v) {
  if (v.dtype == kFloat32) return float_imm(kFloat32, first_element<float>(v));
  if (v.dtype == kFloat64) return float_imm(kFloat64, first_element<double>(v));
  if (v.dtype.is_bool()) return bool_imm(first_element<bool>(v));
  if (v.dtype.bits == 32)
    return int_imm(v.dtype, v.dtype.is_signed_int()
                                ? first_element<std::int32_t>(v)
                                : std::int64_t{first_element<std::uint32_t>(v)});
  return int_imm(v.dtype, first_element<std::int64_t>(v));
}

KernelBuilder::KernelBuilder(const Stored& stored, std::vector<Expr> lead, bool is_flat,
                             bool splits_rows, bool packs_constants)
    : stored_(stored),
      lead_(std::move(lead)),
      is_flat_(is_flat && lead_.size() > 1),
      splits_rows_(splits_rows),
      packs_constants_(packs_constants) {
  rows_ = product(lead_);
  if (!is_flat_) return;
  if (!as_int(rows_) && !splits_rows_) rows_ = rows_symbol_ = te::symbol("rows");
  for (std::size_t d = 0; d < lead_.size(); ++d)
    lead_vars_.push_back(var("lead" + std::to_string(d)));
}

te::Tensor KernelBuilder::compute(const std::string& name, const std::vector<Expr>& inner,
                                  const std::function<Expr(const Indices&, const Indices&)>& f) {
  elements_.clear();
  std::vector<Expr> shape = is_flat_ ? std::vector<Expr>{rows_} : lead_;
  const std::size_t num_lead = shape.size();
  shape.insert(shape.end(), inner.begin(), inner.end());
  const auto element = [&](const Indices& v) {
    const auto split = v.begin() + static_cast<std::ptrdiff_t>(num_lead);
    const Indices in(split, v.end());
    if (!is_flat_) return f(Indices(v.begin(), split), in);
    row_ = v[0];
    const Expr e = f(lead_vars_, in);
    VarMap split_row;
    Expr rest = row_;
    for (std::size_t d = lead_.size(); d-- > 0;) {
      split_row[lead_vars_[d].get()] = d == 0 ? rest : floormod(rest, lead_[d]);
      rest = floordiv(rest, lead_[d]);
    }
    const bool is_split = uses_var(e, [&](const VarNode& x) { return split_row.count(&x) != 0; });
    needs_split_rows_ = needs_split_rows_ || (is_split && rows_symbol_);
    return is_split ? substitute(e, split_row) : e;
  };
  computed_.push_back(te::compute(shape, element, name));
  row_ = nullptr;
  return computed_.back();
}

te::Tensor KernelBuilder::compute_whole(const std::string& name, const std::vector<Expr>& shape,
                                        const std::function<Expr(const Indices&)>& f) {
  return add([&] { return te::compute(shape, f, name); });
}

te::Tensor KernelBuilder::add(const std::function<te::Tensor()>& make) {
  elements_.clear();
  const te::Tensor made = make();
  computed_.push_back(made);
  return made;
}

Value KernelBuilder::memory_of(const Value& v) const {
  Value base = v;
  while (stored_.count(base.get()) == 0 && base->is_op("reshape")) base = base->inputs[0];
  const bool is_there = stored_.count(base.get()) != 0 && !is_scalar(base);
  return is_there && (base == v || takes_division(v->shape, base->shape)) ? base : nullptr;
}

te::Tensor KernelBuilder::whole(const Value& v) {
  if (local(v.get()) != nullptr && !is_flat_) return *local(v.get());
  if (const Value memory = memory_of(v)) return param(memory, v->shape);
  return compute_whole("x", v->shape, [&](const Indices& indices) { return read(v, indices); });
}

bool KernelBuilder::starts_with_lead(const std::vector<Expr>& shape) const {
  if (shape.size() < lead_.size()) return false;
  for (std::size_t d = 0; d < lead_.size(); ++d) {
    if (!same_extent(shape[d], lead_[d])) return false;
  }
  return true;
}

bool KernelBuilder::is_lead(const Indices& indices) const {
  if (indices.size() < lead_vars_.size()) return false;
  for (std::size_t d = 0; d < lead_vars_.size(); ++d) {
    if (!indices[d].same_as(lead_vars_[d])) return false;
  }
  return true;
}

Expr KernelBuilder::row_of(const Indices& indices) const {
  if (is_lead(indices)) return row_;
  Expr row = imm(0);
  for (std::size_t d = 0; d < lead_.size(); ++d) row = row * lead_[d] + indices[d];
  return row;
}

Expr KernelBuilder::at_row(const te::Tensor& tensor, const Indices& lead, const Indices& inner) {
  Indices indices = is_flat_ ? Indices{row_of(lead)} : lead;
  indices.insert(indices.end(), inner.begin(), inner.end());
  return te::read(tensor, indices);
}

const te::Tensor* KernelBuilder::local(const ValueNode* v) const {
  const auto it = local_.find(v);
  return it == local_.end() ? nullptr : &it->second;
}

Expr KernelBuilder::read(const Value& v, const Indices& indices) {
  if (is_scalar(v)) return scalar_of(*v);
  if (const te::Tensor* tensor = local(v.get())) {
    if (!is_flat_) return te::read(*tensor, indices);
    Indices flat{row_of(indices)};
    flat.insert(flat.end(), indices.begin() + static_cast<std::ptrdiff_t>(lead_.size()),
                indices.end());
    return te::read(*tensor, flat);
  }
  const Value memory = memory_of(v);
  if (!memory) return computed_at(v, indices);
  if (is_flat_ && is_lead(indices) && starts_with_lead(v->shape)) {
    const auto num_lead = static_cast<std::ptrdiff_t>(lead_.size());
    std::vector<Expr> shape{rows_};
    shape.insert(shape.end(), v->shape.begin() + num_lead, v->shape.end());
    Indices flat{row_};
    flat.insert(flat.end(), indices.begin() + num_lead, indices.end());
    return te::read(param(memory, shape), flat);
  }
  return te::read(param(memory, v->shape), indices);
}

Expr KernelBuilder::computed_at(const Value& v, const Indices& indices) {
  std::vector<const ExprNode*> key;
  for (const Expr& e : indices) key.push_back(e.get());
  const auto known = elements_.find({v.get(), key});
  if (known != elements_.end()) return known->second.first;
  const Operator* op = operator_of(*v);
  TENON_CHECK(op != nullptr && op->element != nullptr, "'", v->op, "' is not in memory");
  const Expr e = op->element(
      *v, indices, [&](std::size_t i, const Indices& x) { return read(v->inputs[i], x); });
  elements_[{v.get(), key}] = {e, indices};
  return e;
}

void KernelBuilder::hold(const Value& v, const std::string& name) {
  if (stored_.count(v.get()) != 0 || local(v.get()) != nullptr || is_scalar(v)) return;
  const Value* base = &v;
  while (stored_.count(base->get()) == 0 && operator_of(**base)->kind == OperatorKind::kMovement)
    base = &(*base)->inputs[0];
  if (stored_.count(base->get()) != 0 || !starts_with_lead(v->shape)) return;
  const std::vector<Expr> inner(v->shape.begin() + static_cast<std::ptrdiff_t>(lead_.size()),
                                v->shape.end());
  const te::Tensor tensor = compute(name, inner, [&](const Indices& lead, const Indices& in) {
    Indices indices = lead;
    indices.insert(indices.end(), in.begin(), in.end());
    return read(v, indices);
  });
  define(v, tensor);
}

const te::Tensor& KernelBuilder::param(const Value& v, const std::vector<Expr>& shape) {
  for (const KernelParam& p : params_) {
    if (p.value == v && !p.is_packed && same_shape(p.tensor->shape, shape)) return p.tensor;
  }
  const std::string name = v->name.empty() ? "x" : "p" + std::to_string(params_.size());
  params_.push_back({te::placeholder(shape, v->dtype, name), v});
  return params_.back().tensor;
}

const te::Tensor& KernelBuilder::packed(const Value& v, bool is_transposed) {
  for (const KernelParam& p : params_) {
    if (p.value == v && p.is_packed) return p.tensor;
  }
  const Expr& columns = is_transposed ? v->shape.front() : v->shape.back();
  Expr depth = imm(1);
  for (std::size_t d = 0; d + 1 < v->shape.size(); ++d)
    depth = depth * v->shape[is_transposed ? d + 1 : d];
  params_.push_back(
      {te::placeholder({ceildiv(columns, imm(64)), depth, imm(64)}, v->dtype, "panels"), v, true,
       is_transposed});
  return params_.back().tensor;
}

std::vector<Expr> KernelBuilder::used_symbols() const {
  std::vector<Expr> found;
  const auto add = [&](const Expr& e) {
    post_order_visit(e, [&](const Node& n) {
      if (n.kind != NodeKind::kVar) return;
      const auto& v = static_cast<const VarNode&>(n);
      if (v.symbol == nullptr) return;
      for (const Expr& known : found) {
        if (known.get() == &v) return;
      }
      found.emplace_back(&v);
    });
  };
  for (const KernelParam& p : params_) {
    for (const Expr& e : p.tensor->shape) add(e);
  }
  const std::function<void(const te::Tensor&)> add_tensor = [&](const te::Tensor& t) {
    for (const Expr& e : t->shape) add(e);
    if (t->scan) {
      for (const auto* tensors : {&t->scan->init, &t->scan->body}) {
        for (const te::Tensor& x : *tensors) add_tensor(x);
      }
    }
    for (const Expr& e : t->body ? std::vector{t->body} : t->indices) {
      add(e);
      post_order_visit(e, [&](const Node& n) {
        if (n.kind != NodeKind::kReduce) return;
        for (const IterVar& axis : static_cast<const ReduceNode&>(n).axes) add(axis.domain.extent);
      });
    }
  };
  for (const te::Tensor& t : computed_) add_tensor(t);
  return found;
}

}  // namespace tenon::graph
