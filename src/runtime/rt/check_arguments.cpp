#include <string.h>

#include "runtime/rt/context.h"
#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

#define NAME(ref) TENON_PLAN_STRING(&m, ref)

bool is_host(const DLTensor& t) {
  return t.device.device_type == kDLCPU || t.device.device_type == kDLCUDAHost ||
         t.device.device_type == kDLROCMHost || t.device.device_type == kDLCUDAManaged;
}

void append_dtype(TextBuffer& text, unsigned code, unsigned bits, unsigned lanes) {
  switch (code) {
    case kDLInt:
      text.append("int%u", bits);
      break;
    case kDLUInt:
      text.append("uint%u", bits);
      break;
    case kDLFloat:
      text.append("float%u", bits);
      break;
    case kDLBfloat:
      text.append("bfloat%u", bits);
      break;
    case kDLComplex:
      text.append("complex%u", bits);
      break;
    case kDLBool:
      text.append("bool");
      break;
    default:
      text.append("dtype code %u with %u bits", code, bits);
  }
  if (lanes != 1) text.append("x%u", lanes);
}

void append_dims(TextBuffer& text, const std::int64_t* dims, std::uint32_t rank) {
  text.append("[");
  for (std::uint32_t i = 0; i < rank; ++i)
    text.append(i == 0 ? "%lld" : ", %lld", static_cast<long long>(dims[i]));
  text.append("]");
}

const char* kind_of(const tenon_model& m, std::size_t argument) {
  return argument < m.info.num_inputs ? "argument" : "result";
}

std::uint32_t dim_register(const tenon_model& m, const Argument& a, std::uint32_t axis) {
  return m.indices[a.dims.begin + axis];
}

tenon_status check_count(const tenon_model& m, std::size_t first, std::size_t expected,
                         std::int32_t got) {
  if (got >= 0 && static_cast<std::size_t>(got) == expected) return TENON_OK;
  TextBuffer names;
  for (std::size_t i = 0; i < expected; ++i)
    names.append("%s%.*s", i == 0 ? "" : ", ", NAME(m.arguments[first + i].name));
  const char* what = first == 0 ? "inputs" : "results";
  return fail(TENON_ERROR_SHAPE, "E0454", "%.*s: got %d %s, expected %llu (%s)", NAME(m.info.name),
              got, what, 0ull + expected, names.str());
}

bool is_where_plan_runs(const tenon_model& m, const DLTensor& t) {
  if (m.device.device_type == kDLCPU) return is_host(t);
  return t.device.device_type == m.device.device_type && t.device.device_id == m.device.device_id;
}

/// The message for a plan on a device.
tenon_status wrong_device(const tenon_model& m, std::size_t i, const DLTensor& t) {
  TextBuffer got;
  if (is_host(t)) {
    got.append("in host memory");
  } else if (t.device.device_type == kDLCUDA) {
    got.append("on cuda:%d", static_cast<int>(t.device.device_id));
  } else {
    got.append("on DLPack device %d:%d", static_cast<int>(t.device.device_type),
               static_cast<int>(t.device.device_id));
  }
  return fail(TENON_ERROR_TARGET, "E1125",
              "%.*s: %s '%.*s' is %s, expected cuda:%d\n  hint: copy it with .to(\"cuda:%d\")",
              NAME(m.info.name), kind_of(m, i), NAME(m.arguments[i].name), got.str(),
              static_cast<int>(m.device.device_id), static_cast<int>(m.device.device_id));
}

/// Device, dtype and rank: what can be said before sizes are known.
tenon_status check_kind(const tenon_model& m, std::size_t i, const DLTensor& t) {
  const Argument& a = m.arguments[i];
  if (!is_where_plan_runs(m, t)) {
    if (m.device.device_type != kDLCPU) return wrong_device(m, i, t);
    return fail(TENON_ERROR_TARGET, "E0905",
                "%.*s: %s '%.*s' is on device %d:%d, expected host memory\n  hint: copy it with "
                ".to(\"cpu\"), or compile for its device",
                NAME(m.info.name), kind_of(m, i), NAME(a.name),
                static_cast<int>(t.device.device_type), static_cast<int>(t.device.device_id));
  }
  if (t.dtype.code != a.code || t.dtype.bits != a.bits || t.dtype.lanes != a.lanes) {
    TextBuffer got;
    TextBuffer expected;
    append_dtype(got, t.dtype.code, t.dtype.bits, t.dtype.lanes);
    append_dtype(expected, a.code, a.bits, a.lanes);
    return fail(TENON_ERROR_DTYPE, "E0553", "%.*s: %s '%.*s' has dtype %s, expected %s",
                NAME(m.info.name), kind_of(m, i), NAME(a.name), got.str(), expected.str());
  }
  if (t.ndim < 0 || static_cast<std::uint32_t>(t.ndim) != a.dims.count ||
      (t.ndim > 0 && t.shape == nullptr)) {
    return fail(TENON_ERROR_SHAPE, "E0455", "%.*s: %s '%.*s' has rank %d, expected %u",
                NAME(m.info.name), kind_of(m, i), NAME(a.name), t.ndim, a.dims.count);
  }
  for (std::int32_t k = 0; k < t.ndim; ++k) {
    if (t.shape[k] >= 0) continue;
    return fail(TENON_ERROR_SHAPE, "E0458", "%.*s: %s '%.*s' has a negative size %lld",
                NAME(m.info.name), kind_of(m, i), NAME(a.name), static_cast<long long>(t.shape[k]));
  }
  return TENON_OK;
}

tenon_status wrong_shape(const tenon_context& c, std::size_t i, const DLTensor& t) {
  const tenon_model& m = *c.model;
  const Argument& a = m.arguments[i];
  TextBuffer got;
  TextBuffer expected;
  append_dims(got, t.shape, a.dims.count);
  expected.append("[");
  for (std::uint32_t k = 0; k < a.dims.count; ++k) {
    expected.append(k == 0 ? "%lld" : ", %lld",
                    static_cast<long long>(c.registers[dim_register(m, a, k)]));
  }
  expected.append("]");
  return fail(TENON_ERROR_SHAPE, "E0451", "%.*s: %s '%.*s' has shape %s, expected %s",
              NAME(m.info.name), kind_of(m, i), NAME(a.name), got.str(), expected.str());
}

const Symbol* symbol_of(const tenon_model& m, std::uint32_t reg) {
  for (const Symbol& s : m.symbols) {
    if (s.reg == reg) return &s;
  }
  return nullptr;
}

tenon_status two_sizes(const tenon_model& m, const Symbol& s, const DLTensor* inputs, std::size_t i,
                       std::uint32_t axis) {
  return fail(TENON_ERROR_SHAPE, "E0452",
              "%.*s: symbol '%.*s' is %lld in argument '%.*s' (axis %u) but %lld in argument "
              "'%.*s' (axis %u)",
              NAME(m.info.name), NAME(s.name),
              static_cast<long long>(inputs[s.argument].shape[s.axis]),
              NAME(m.arguments[s.argument].name), s.axis,
              static_cast<long long>(inputs[i].shape[axis]), NAME(m.arguments[i].name), axis);
}

/// An input's dims against their registers.
tenon_status check_dims(const tenon_context& c, const DLTensor* inputs, std::size_t i) {
  const tenon_model& m = *c.model;
  const Argument& a = m.arguments[i];
  for (std::uint32_t axis = 0; axis < a.dims.count; ++axis) {
    const std::uint32_t reg = dim_register(m, a, axis);
    if (inputs[i].shape[axis] == c.registers[reg]) continue;
    const Symbol* symbol = symbol_of(m, reg);
    return symbol != nullptr ? two_sizes(m, *symbol, inputs, i, axis)
                             : wrong_shape(c, i, inputs[i]);
  }
  return TENON_OK;
}

tenon_status check_symbol(const tenon_context& c, const Symbol& s) {
  const tenon_model& m = *c.model;
  const long long value = c.registers[s.reg];
  const Argument& a = m.arguments[s.argument];
  if (value < s.min || value > s.max) {
    TextBuffer range;
    range.append("at least %lld", static_cast<long long>(s.min));
    if (s.max != INT64_MAX) range.append(" and at most %lld", static_cast<long long>(s.max));
    return fail(TENON_ERROR_SHAPE, "E0453",
                "%.*s: symbol '%.*s' is %lld in argument '%.*s' (axis %u), expected %s",
                NAME(m.info.name), NAME(s.name), value, NAME(a.name), s.axis, range.str());
  }
  if (value % s.multiple_of != 0) {
    return fail(
        TENON_ERROR_SHAPE, "E0453",
        "%.*s: symbol '%.*s' is %lld in argument '%.*s' (axis %u), expected a multiple of %lld",
        NAME(m.info.name), NAME(s.name), value, NAME(a.name), s.axis,
        static_cast<long long>(s.multiple_of));
  }
  return TENON_OK;
}

tenon_status check_condition(const tenon_context& c, const Check& check) {
  const tenon_model& m = *c.model;
  const std::int64_t a = c.registers[check.a];
  const std::int64_t b = c.registers[check.b];
  const char* relation = nullptr;
  switch (static_cast<CheckKind>(check.kind)) {
    case CheckKind::kEqual:
      relation = a == b ? nullptr : "equal to";
      break;
    case CheckKind::kLessEqual:
      relation = a <= b ? nullptr : "at most";
      break;
    case CheckKind::kMultipleOf:
      relation = b == -1 || (b != 0 && a % b == 0) ? nullptr : "a multiple of";
      break;
  }
  if (relation == nullptr) return TENON_OK;
  return fail(TENON_ERROR_SHAPE, "E0460", "%.*s: %.*s is %lld, expected %s %lld", NAME(m.info.name),
              NAME(check.text), static_cast<long long>(a), relation, static_cast<long long>(b));
}

/// Strides present in the descriptor must be the declared or row-major ones; axes of size 1 and
/// empty arrays may have any.
tenon_status check_strides(const tenon_context& c, std::size_t i, const DLTensor& t) {
  const tenon_model& m = *c.model;
  const Argument& a = m.arguments[i];
  if (t.strides == nullptr && a.strides.count == 0) return TENON_OK;
  const std::int64_t* dims = c.dims.data() + c.dims_begin[i];
  const std::int64_t* expected = c.strides.data() + c.dims_begin[i];
  std::int64_t row_major = 1;
  bool same = true;
  for (std::uint32_t k = a.dims.count; k-- > 0;) {
    const std::int64_t stride = t.strides != nullptr ? t.strides[k] : row_major;
    same = same && (dims[k] == 1 || stride == expected[k]);
    if (dims[k] == 0) return TENON_OK;
    row_major *= dims[k];
  }
  if (same) return TENON_OK;
  TextBuffer got;
  TextBuffer wanted;
  append_dims(got, t.strides != nullptr ? t.strides : expected, a.dims.count);
  append_dims(wanted, expected, a.dims.count);
  return fail(TENON_ERROR_SHAPE, "E0457", "%.*s: %s '%.*s' has strides %s, expected %s",
              NAME(m.info.name), kind_of(m, i), NAME(a.name),
              t.strides != nullptr ? got.str() : "of a row-major array", wanted.str());
}

tenon_status check_pointer(const tenon_context& c, std::size_t i, const DLTensor& t) {
  const tenon_model& m = *c.model;
  const BoundArgument& bound = c.arguments[i];
  if (bound.bytes == 0) return TENON_OK;
  if (t.data == nullptr) {
    return fail(TENON_ERROR_USAGE, "E0463", "%.*s: %s '%.*s' has no memory (data is null)",
                NAME(m.info.name), kind_of(m, i), NAME(m.arguments[i].name));
  }
  if (reinterpret_cast<std::uintptr_t>(first_element(t)) % bound.alignment != 0) {
    return fail(TENON_ERROR_SHAPE, "E0459", "%.*s: %s '%.*s' is not aligned to %llu bytes",
                NAME(m.info.name), kind_of(m, i), NAME(m.arguments[i].name),
                0ull + bound.alignment);
  }
  return TENON_OK;
}

/// Result `r` against argument `i`: no byte in common, unless the plan lets the result take that
/// input's place exactly.
tenon_status check_overlap(const tenon_context& c, std::size_t r, const DLTensor& result,
                           std::size_t i, const DLTensor& other) {
  const tenon_model& m = *c.model;
  const std::uintptr_t a = reinterpret_cast<std::uintptr_t>(first_element(result));
  const std::uintptr_t b = reinterpret_cast<std::uintptr_t>(first_element(other));
  const std::uint64_t a_bytes = static_cast<std::uint64_t>(c.arguments[r].bytes);
  const std::uint64_t b_bytes = static_cast<std::uint64_t>(c.arguments[i].bytes);
  if (a_bytes == 0 || b_bytes == 0 || a >= b + b_bytes || b >= a + a_bytes) return TENON_OK;
  if (m.arguments[r].in_place_of == i && a == b && a_bytes == b_bytes) return TENON_OK;
  return fail(TENON_ERROR_SHAPE, "E0456",
              "%.*s: the memory of result '%.*s' overlaps that of %s '%.*s'", NAME(m.info.name),
              NAME(m.arguments[r].name), kind_of(m, i), NAME(m.arguments[i].name));
}

#undef NAME

}  // namespace

tenon_status check_inputs(const tenon_model& model, const DLTensor* inputs,
                          std::int32_t num_inputs) {
  tenon_status status = check_count(model, 0, model.info.num_inputs, num_inputs);
  for (std::size_t i = 0; i < model.info.num_inputs && status == TENON_OK; ++i)
    status = check_kind(model, i, inputs[i]);
  return status;
}

tenon_status check_shapes(const tenon_context& context, const DLTensor* inputs) {
  const tenon_model& m = *context.model;
  tenon_status status = TENON_OK;
  for (std::size_t i = 0; i < m.info.num_inputs && status == TENON_OK; ++i)
    status = check_dims(context, inputs, i);
  for (std::size_t i = 0; i < m.symbols.size() && status == TENON_OK; ++i)
    status = check_symbol(context, m.symbols[i]);
  for (std::size_t i = 0; i < m.checks.size() && status == TENON_OK; ++i)
    status = check_condition(context, m.checks[i]);
  return status;
}

tenon_status check_results(const tenon_context& context, const DLTensor* results,
                           std::int32_t num_results) {
  const tenon_model& m = *context.model;
  const std::size_t first = m.info.num_inputs;
  tenon_status status = check_count(m, first, m.info.num_results, num_results);
  for (std::size_t i = 0; i < m.info.num_results && status == TENON_OK; ++i) {
    const DLTensor& t = results[i];
    const DLDataType expected = {m.arguments[first + i].code, m.arguments[first + i].bits,
                                 m.arguments[first + i].lanes};
    const std::uint32_t rank = m.arguments[first + i].dims.count;
    const std::int64_t* dims = context.dims.data() + context.dims_begin[first + i];
    const bool same_kind =
        is_where_plan_runs(m, t) && memcmp(&t.dtype, &expected, sizeof(expected)) == 0 &&
        t.ndim == static_cast<std::int32_t>(rank) && (rank == 0 || t.shape != nullptr);
    if (!same_kind) {
      status = check_kind(m, first + i, t);
    } else {
      for (std::uint32_t k = 0; k < rank && status == TENON_OK; ++k) {
        if (t.shape[k] != dims[k]) status = wrong_shape(context, first + i, t);
      }
    }
  }
  return status;
}

tenon_status check_memory(const tenon_context& context, const DLTensor* inputs,
                          const DLTensor* results) {
  const tenon_model& m = *context.model;
  const std::size_t num_inputs = m.info.num_inputs;
  const std::size_t num_arguments = m.arguments.size();
  for (std::size_t i = 0; i < num_arguments; ++i) {
    const DLTensor& t = i < num_inputs ? inputs[i] : results[i - num_inputs];
    tenon_status status = check_strides(context, i, t);
    if (status == TENON_OK) status = check_pointer(context, i, t);
    if (status != TENON_OK) return status;
  }
  for (std::size_t r = num_inputs; r < num_arguments; ++r) {
    for (std::size_t i = 0; i < r; ++i) {
      const DLTensor& other = i < num_inputs ? inputs[i] : results[i - num_inputs];
      const tenon_status status = check_overlap(context, r, results[r - num_inputs], i, other);
      if (status != TENON_OK) return status;
    }
  }
  return TENON_OK;
}

}  // namespace tenon::rt
