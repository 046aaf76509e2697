// Loads, stores and asynchronous copies.

#include "codegen/cuda/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon::codegen::cuda {
namespace {

constexpr int kMaxAffineDepth = 64;
constexpr int kWidestAccess = 16;
constexpr const char* kParts[] = {".x", ".y", ".z", ".w"};

bool is_private(const Buffer& buffer) {
  return buffer->scope == Scope::kLocal || buffer->scope == Scope::kRegister;
}

/// The text of each lane is the same.
bool is_uniform(const std::vector<Scalar>& lanes) {
  for (const Scalar& s : lanes) {
    if (s.text != lanes[0].text) return false;
  }
  return true;
}

Scalar zero_of(DType t) {
  const CType type = value_type(t.element());
  return t.is_float() ? float_literal(type, 0) : literal(type, 0);
}

Scalar guarded(const Scalar& p, const Scalar& value, DType t) {
  return {at(p, kOr) + " ? " + at(value, kOr) + " : " + zero_of(t).text, value.type, kTernary};
}

}  // namespace

std::string KernelEmitter::element(const Buffer& buffer, const Scalar& index) const {
  const auto it = buffers_.find(buffer.get());
  TENON_CHECK(it != buffers_.end(), "buffer '", buffer->name, "' is not there in the kernel");
  return it->second + "[" + index.text + "]";
}

std::string KernelEmitter::pointer(const Buffer& buffer, const Scalar& index) const {
  return "&" + element(buffer, index);
}

std::optional<KernelEmitter::AffineIndex> KernelEmitter::match_affine(const Expr& index,
                                                                      int depth) {
  if (depth > kMaxAffineDepth) return std::nullopt;
  if (const auto* n = index.as<RampNode>()) return AffineIndex{n->base, n->stride};
  if (const auto* n = index.as<BroadcastNode>()) {
    return AffineIndex{n->value, int_imm(n->dtype.element(), 0)};
  }
  const auto* n = index.as<BinaryNode>();
  if (n == nullptr) return std::nullopt;
  if (n->op != BinaryOp::kAdd && n->op != BinaryOp::kSub && n->op != BinaryOp::kMul) {
    return std::nullopt;
  }
  const auto a = match_affine(n->a, depth + 1);
  const auto b = a ? match_affine(n->b, depth + 1) : std::nullopt;
  if (!a || !b) return std::nullopt;
  if (n->op == BinaryOp::kAdd) return AffineIndex{a->base + b->base, a->stride + b->stride};
  if (n->op == BinaryOp::kSub) return AffineIndex{a->base - b->base, a->stride - b->stride};
  if (is_int(b->stride, 0)) return AffineIndex{a->base * b->base, a->stride * b->base};
  if (is_int(a->stride, 0)) return AffineIndex{a->base * b->base, a->base * b->stride};
  return std::nullopt;
}

std::optional<KernelEmitter::WideAccess> KernelEmitter::wide_access(DType element,
                                                                    int lanes) const {
  const int width = element.bytes(), bytes = width * lanes;
  if (lanes < 2 || (bytes != 4 && bytes != 8 && bytes != kWidestAccess)) return std::nullopt;
  if (width == 8) {
    const bool is_signed = element.is_signed_int();
    return WideAccess{element.is_float() ? "double2"
                      : is_signed        ? "longlong2"
                                         : "ulonglong2",
                      1, 2};
  }
  if (width == 4) {
    const char* type = element.is_float() ? "float" : element.is_signed_int() ? "int" : "uint";
    return WideAccess{type + std::to_string(lanes), 1, lanes};
  }
  const int num_parts = bytes / 4;
  const std::string type = num_parts == 1 ? "unsigned" : "uint" + std::to_string(num_parts);
  return WideAccess{type, 4 / width, num_parts};
}

std::optional<Expr> KernelEmitter::aligned_base(const Buffer& buffer, const Expr& index,
                                                int lanes) {
  if (is_private(buffer) || buffer->scope == Scope::kFragment) return std::nullopt;
  if (index->dtype.is_scalar()) return index;
  if (buffer->alignment < lanes * buffer->dtype.bytes()) return std::nullopt;
  const auto affine = match_affine(index);
  if (!affine || !is_int(affine->stride, 1)) return std::nullopt;
  keep_alive_.push_back(affine->base);
  const Modular m = analyzer_.modular(affine->base);
  if (m.modulus % lanes != 0 || m.remainder % lanes != 0) return std::nullopt;
  return affine->base;
}

std::vector<Scalar> KernelEmitter::lane_indices(const Expr& index) {
  const auto affine = match_affine(index);
  if (!affine || index->dtype.is_scalar()) return emit(index).lanes;
  const Expr lanes = ramp(affine->base, affine->stride, index->dtype.lanes);
  keep_alive_.push_back(lanes);
  return emit(lanes).lanes;
}

void KernelEmitter::check_register_index(const Buffer& buffer, const Expr& index) const {
  if (buffer->scope != Scope::kRegister) return;
  bool is_constant = !uses_var(index, [&](const VarNode& v) { return unrolled_.count(&v) == 0; });
  post_order_visit(index, [&](const Node& n) { is_constant &= n.kind != NodeKind::kLoad; });
  TENON_USER_CHECK(is_constant, ScheduleError, "E1281", "buffer '", buffer->name,
                   "' in scope register is accessed at ", print(index),
                   ", which is no constant after unrolling\n  hint: unroll the loops around it, or "
                   "use scope \"local\"");
}

// --- loads

Value KernelEmitter::emit_load(const LoadNode& n) {
  TENON_CHECK(n.indices.size() == 1, "a load of '", n.buffer->name, "' with ", n.indices.size(),
              " indices in loop IR");
  const Expr& index = n.indices[0];
  check_register_index(n.buffer, index);
  const DType t = n.dtype.element();
  const auto count = static_cast<std::size_t>(n.dtype.lanes);
  std::vector<Scalar> predicate;  // empty: always
  if (n.predicate) predicate = find(n.predicate.get())->lanes;
  if (predicate.size() == 1)
    predicate.assign(count, count > 1 ? name_it(predicate[0]) : predicate[0]);
  for (std::size_t i = 0; i < count && !mask_.empty(); ++i) {
    const Scalar mask = *mask_of(i, count);
    if (predicate.size() < count) {
      predicate.push_back(mask);
    } else {
      predicate[i] = {at(mask, kAnd) + " && " + at(predicate[i], kEquality), CType::kBool, kAnd};
    }
  }
  const auto read = [&](const Scalar& at_index) {
    return from_memory(prelude_, t, {element(n.buffer, at_index), memory_type(t)});
  };
  const IntRange range = range_of(t);
  if (!predicate.empty() && has_effects_(index.get())) {
    if (count == 1) {
      return emit_branches(
          predicate[0], n.dtype, [&] { return Value{{read(emit_scalar(index))}, range}; },
          [&] { return Value{{zero_of(t)}, range}; });
    }
    for (Scalar& p : predicate) p = name_it(p, "c");
    Value out = {{}, range};
    const Value lanes = under_mask(predicate, [&] { return Value{lane_indices(index), {}}; });
    for (std::size_t i = 0; i < count; ++i) {
      out.lanes.push_back(guarded(predicate[i], read(lanes.lanes[i]), t));
    }
    return out;
  }
  const auto wide = wide_access(t, n.dtype.lanes);
  const auto base =
      wide && is_uniform(predicate) ? aligned_base(n.buffer, index, n.dtype.lanes) : std::nullopt;
  Value out = {{}, range};
  if (base) {
    const Scalar first = emit_scalar(*base);
    const std::string name = names_.unique(n.buffer->name + "_v");
    const std::string access = "*(const " + wide->type + "*)" + pointer(n.buffer, first);
    if (predicate.empty()) {
      line("const " + wide->type + " " + name + " = " + access + ";");
    } else {
      line(wide->type + " " + name + " = {};");
      line("if (" + predicate[0].text + ") " + name + " = " + access + ";");
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto per_part = static_cast<std::size_t>(wide->elements_per_part);
      const std::string part = name + (wide->num_parts > 1 ? kParts[i / per_part] : "");
      Scalar lane = {part, memory_type(t)};
      if (per_part > 1) {
        const std::size_t shift = i % per_part * 8 * static_cast<std::size_t>(t.bytes());
        const std::string bits =
            shift == 0 ? part : "(" + part + " >> " + std::to_string(shift) + ")";
        lane = convert({bits, CType::kU32}, memory_type(t));
      }
      out.lanes.push_back(from_memory(prelude_, t, lane));
    }
    return out;
  }
  const std::vector<Scalar> indices = lane_indices(index);
  for (std::size_t i = 0; i < count; ++i) {
    const Scalar value = read(indices[i]);
    out.lanes.push_back(predicate.empty() ? value : guarded(predicate[i], value, t));
  }
  return out;
}

// --- stores

bool KernelEmitter::emit_wide_store(const StoreNode& n, const Value& value) {
  const DType t = n.value->dtype.element();
  const int lanes = n.value->dtype.lanes;
  const auto wide = wide_access(t, lanes);
  if (!wide || !mask_.empty()) return false;
  const auto base = aligned_base(n.buffer, n.indices[0], lanes);
  if (!base) return false;
  const Scalar first = emit_scalar(*base);
  std::string parts;
  const auto per_part = static_cast<std::size_t>(wide->elements_per_part);
  for (std::size_t i = 0; i < value.lanes.size(); i += per_part) {
    std::string part;
    for (std::size_t k = 0; k < per_part; ++k) {
      const Scalar element = to_memory(prelude_, t, value.lanes[i + k]);
      if (per_part == 1) {
        part = convert(element, memory_type(t)).text;
        break;
      }
      const CType unsigned_type = t.bytes() == 1 ? CType::kU8 : CType::kU16;
      const std::string bits = "(unsigned)" + at(convert(element, unsigned_type), kUnary);
      part += k == 0 ? bits
                     : " | " + bits + " << " +
                           std::to_string(k * 8 * static_cast<std::size_t>(t.bytes()));
    }
    parts += (parts.empty() ? "" : ", ") + part;
  }
  const std::string text = wide->num_parts == 1 ? parts : wide->type + "{" + parts + "}";
  line("*(" + wide->type + "*)" + pointer(n.buffer, first) + " = " + text + ";");
  return true;
}

void KernelEmitter::emit_store_lanes(const StoreNode& n, const Value& value) {
  if (emit_wide_store(n, value)) return;
  const DType t = n.value->dtype.element();
  const std::vector<Scalar> indices = lane_indices(n.indices[0]);
  const std::size_t count = indices.size();
  std::vector<Scalar> elements;
  for (std::size_t i = 0; i < count; ++i) {
    Scalar lane = value.lanes[value.lanes.size() == 1 ? 0 : i];
    // All lanes are computed before one is stored: the value may read what is stored to.
    if (count > 1) lane = name_it(lane);
    elements.push_back(to_memory(prelude_, t, lane));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto mask = mask_of(i, count);
    line((mask ? "if (" + mask->text + ") " : "") + element(n.buffer, indices[i]) + " = " +
         elements[i].text + ";");
  }
}

void KernelEmitter::emit_store(const StoreNode& n) {
  TENON_CHECK(n.indices.size() == 1, "a store to '", n.buffer->name, "' with ", n.indices.size(),
              " indices in loop IR");
  check_register_index(n.buffer, n.indices[0]);
  begin_statement({n.predicate, n.indices[0], n.value});
  const auto write = [&] {
    const auto* copy = n.value.as<CallNode>();
    if (copy != nullptr && thread_call(n.value) == ThreadCall::kAsyncCopy) {
      const auto* load = copy->args.at(0).as<LoadNode>();
      TENON_CHECK(load != nullptr, "an asynchronous copy of something but a load");
      emit_async_copy(n, *load);
    } else {
      emit_store_lanes(n, emit(n.value));
    }
  };
  memo_.emplace_back();
  if (!n.predicate) {
    write();
  } else {
    std::vector<Scalar> predicate = emit(n.predicate).lanes;
    if (is_uniform(predicate)) {
      emit_guarded_lines(predicate[0], write);
    } else {
      for (Scalar& p : predicate) p = name_it(p, "c");
      under_mask(predicate, [&] {
        write();
        return Value{};
      });
    }
  }
  memo_.pop_back();
}

void KernelEmitter::emit_async_copy(const StoreNode& n, const LoadNode& load) {
  const DType t = load.dtype.element();
  const int bytes = t.bytes() * load.dtype.lanes;
  std::vector<Scalar> predicate = {literal(CType::kBool, 1)};
  if (load.predicate) predicate = emit(load.predicate).lanes;
  const bool fits = (bytes == 4 || bytes == 8 || bytes == kWidestAccess) && mask_.empty() &&
                    is_uniform(predicate) && !has_effects_(load.indices[0].get());
  const auto to = fits ? aligned_base(n.buffer, n.indices[0], load.dtype.lanes) : std::nullopt;
  const auto from =
      to ? aligned_base(load.buffer, load.indices[0], load.dtype.lanes) : std::nullopt;
  if (!from) {  // a plain copy means the same, and waiting for it costs nothing
    emit_store_lanes(n, emit(Expr(&load)));
    return;
  }
  const std::string target = pointer(n.buffer, emit_scalar(*to));
  const std::string source = pointer(load.buffer, emit_scalar(*from));
  line(prelude_->use("tenon_copy_async") + "<" + std::to_string(bytes) + ">(" + target + ", " +
       source + ", " + predicate[0].text + ");");
}

}  // namespace tenon::codegen::cuda
