#include "graph/onnx/wire.h"

#include <cstring>

#include "tenon/support/error.h"

namespace tenon::onnx {
namespace {

constexpr std::uint64_t kBytesForEachByte = 4;
constexpr std::uint64_t kBytesAtLeast = std::uint64_t{256} << 20U;
constexpr int kMaxVarintBytes = 10;

/// Whether a text is UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto at = [&](std::size_t k) {
      return k < text.size() ? static_cast<unsigned char>(text[k]) : 0U;
    };
    const unsigned lead = at(i);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((at(i + k) & 0xc0U) != 0x80U) return false;
    }
    const unsigned second = at(i + 1);
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90))
      return false;
    i += length;
  }
  return true;
}

}  // namespace

Source::Source(std::string name, std::string_view bytes)
    : name_(std::move(name)),
      bytes_(bytes),
      left_(kBytesForEachByte * bytes.size() + kBytesAtLeast) {}

void Source::charge(std::size_t bytes) {
  TENON_USER_CHECK(bytes <= left_, ModelError, "E0872", name_, ": the structures of ",
                   bytes_.size(), " bytes take more than ",
                   kBytesForEachByte * bytes_.size() + kBytesAtLeast,
                   " bytes of memory, which no sound model does");
  left_ -= bytes;
}

void Source::fail(const char* code, const char* at, const std::string& message) const {
  const auto place = at == nullptr ? 0 : at - bytes_.data();
  detail::raise<ModelError>(code, detail::concat(name_, ", byte ", place, ": ", message));
}

bool Wire::next() {
  start_ = at_;
  if (at_ == end_) return false;
  const std::uint64_t tag = varint();
  const std::uint64_t number = tag >> 3U, type = tag & 7U;
  if (number == 0 || number > 0x1fffffff)
    fail("E0870", detail::concat("field number ", number, " does not exist"));
  if (type != 0 && type != 1 && type != 2 && type != 5)
    fail("E0870",
         detail::concat("field ", number, " has the wire type ", type, ", expected 0, 1, 2 or 5"));
  field_ = static_cast<std::uint32_t>(number);
  type_ = static_cast<Type>(type);
  return true;
}

std::uint64_t Wire::varint() {
  std::uint64_t value = 0;
  for (int i = 0; i < kMaxVarintBytes; ++i) {
    if (at_ == end_) fail("E0870", "an integer is cut off by the end of its message");
    const auto byte = static_cast<std::uint8_t>(*at_++);
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << static_cast<unsigned>(7 * i);
    if ((byte & 0x80U) == 0) return value;
  }
  fail("E0870", "an integer has more than 10 bytes");
}

std::string_view Wire::take(std::uint64_t size) {
  const auto left = static_cast<std::uint64_t>(end_ - at_);
  if (size > left) {
    fail("E0870", detail::concat("field ", field_, " has ", size,
                                 " bytes, but its message ends after ", left));
  }
  const std::string_view taken(at_, static_cast<std::size_t>(size));
  at_ += size;
  return taken;
}

void Wire::expect(Type type) const {
  if (type_ != type) {
    fail("E0870", detail::concat("field ", field_, " has the wire type ", static_cast<int>(type_),
                                 ", expected ", static_cast<int>(type)));
  }
}

std::int64_t Wire::integer() {
  expect(Type::kVarint);
  return static_cast<std::int64_t>(varint());
}

float Wire::float32() {
  expect(Type::kFixed32);
  float value = 0;
  std::memcpy(&value, take(sizeof value).data(), sizeof value);
  return value;
}

std::string_view Wire::bytes() {
  expect(Type::kBytes);
  return take(varint());
}

std::string Wire::raw_text() {
  const std::string_view found = bytes();
  source_.charge(found.size());
  return std::string(found);
}

std::string Wire::text() {
  std::string found = raw_text();
  if (!is_utf8(found)) fail("E0870", detail::concat("the text in field ", field_, " is no UTF-8"));
  return found;
}

template <typename T>
void Wire::append_integers(std::vector<T>* values) {
  if (type_ == Type::kVarint) {
    source_.charge(3 * sizeof(T));
    values->push_back(static_cast<T>(varint()));
    return;
  }
  Wire packed(source_, bytes());
  packed.start_ = start_;
  packed.field_ = field_;
  while (packed.at_ != packed.end_) {
    source_.charge(3 * sizeof(T));
    values->push_back(static_cast<T>(packed.varint()));
  }
}

template <typename T>
void Wire::append_fixed(Type type, std::vector<T>* values) {
  std::string_view packed;
  if (type_ == Type::kBytes) {
    packed = bytes();
    if (packed.size() % sizeof(T) != 0) {
      fail("E0870", detail::concat("field ", field_, " has ", packed.size(),
                                   " bytes, which is no multiple of ", sizeof(T)));
    }
  } else {
    expect(type);
    packed = take(sizeof(T));
  }
  source_.charge(packed.size());
  const std::size_t before = values->size();
  values->resize(before + packed.size() / sizeof(T));
  if (!packed.empty()) std::memcpy(values->data() + before, packed.data(), packed.size());
}

void Wire::append_to(std::vector<std::int64_t>* values) { append_integers(values); }
void Wire::append_to(std::vector<std::uint64_t>* values) { append_integers(values); }
void Wire::append_to(std::vector<float>* values) { append_fixed(Type::kFixed32, values); }
void Wire::append_to(std::vector<double>* values) { append_fixed(Type::kFixed64, values); }

void Wire::skip() {
  switch (type_) {
    case Type::kVarint:
      varint();
      return;
    case Type::kFixed64:
      take(8);
      return;
    case Type::kBytes:
      bytes();
      return;
    case Type::kFixed32:
      take(4);
      return;
  }
}

}  // namespace tenon::onnx
