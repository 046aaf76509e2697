#include "tenon/runtime/dtype.h"

#include <algorithm>
#include <array>

#include "tenon/support/error.h"

namespace tenon {
namespace {

struct Named {
  std::string_view name;
  DType dtype;
};

constexpr std::array kNames = {
    Named{"float64", DType::float_(64)},  Named{"float32", DType::float_(32)},
    Named{"bfloat16", DType::bfloat16()}, Named{"float16", DType::float_(16)},
    Named{"int8", DType::int_(8)},        Named{"int16", DType::int_(16)},
    Named{"int32", DType::int_(32)},      Named{"int64", DType::int_(64)},
    Named{"uint8", DType::uint(8)},       Named{"uint16", DType::uint(16)},
    Named{"uint32", DType::uint(32)},     Named{"uint64", DType::uint(64)},
    Named{"bool", DType::bool_()},
};

std::string known_names() {
  std::string out;
  for (const Named& n : kNames) out += (out.empty() ? "" : ", ") + std::string(n.name);
  return out;
}

}  // namespace

std::string to_string(DType dtype) {
  for (const Named& n : kNames) {
    if (n.dtype == dtype.element()) {
      return std::string(n.name) + (dtype.lanes > 1 ? "x" + std::to_string(dtype.lanes) : "");
    }
  }
  TENON_CHECK(false, "a dtype without a name: code ", static_cast<int>(dtype.code), " bits ",
              static_cast<int>(dtype.bits));
  return {};
}

DType parse_dtype(std::string_view name) {
  std::string_view element = name;
  int lanes = 1;
  if (const std::size_t x = name.find('x'); x != std::string_view::npos && x + 1 < name.size()) {
    element = name.substr(0, x);
    lanes = 0;
    for (const char c : name.substr(x + 1)) {
      TENON_USER_CHECK(c >= '0' && c <= '9' && lanes < 10000, DTypeError, "E0501",
                       "unknown dtype '", name, "'");
      lanes = lanes * 10 + (c - '0');
    }
    TENON_USER_CHECK(lanes >= 1 && lanes <= 65535, DTypeError, "E0501", "unknown dtype '", name,
                     "'");
  }
  for (const Named& n : kNames) {
    if (n.name == element) return n.dtype.with_lanes(lanes);
  }
  detail::raise<DTypeError>(
      "E0501", detail::concat("unknown dtype '", name, "'\n  hint: one of ", known_names()));
}

DType promote(DType a, DType b) {
  if (a.element() == b.element()) return a;
  const auto fail = [&]() {
    detail::raise<DTypeError>(
        "E0502", detail::concat("dtypes ", to_string(a), " and ", to_string(b),
                                " have no common dtype\n  hint: convert one with te.cast"));
  };
  if (a.is_float() && b.is_float()) {
    if (a.bits == b.bits) return DType::float_(32, a.lanes);  // float16 with bfloat16
    return a.bits > b.bits ? a : b;
  }
  if (!a.is_int() || !b.is_int()) fail();
  if (a.code == b.code) return a.bits > b.bits ? a : b;
  const DType& s = a.is_signed_int() ? a : b;
  const DType& u = a.is_signed_int() ? b : a;
  if (u.bits >= 64) fail();
  return DType::int_(std::max<int>(s.bits, u.bits * 2), a.lanes);
}

}  // namespace tenon
