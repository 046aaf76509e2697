#pragma once

/// Protobuf messages, written field by field.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tenon::onnx {

class ProtobufWriter {
 public:
  void integer(std::uint32_t field, std::int64_t value) {
    varint(std::uint64_t{field} << 3);
    varint(static_cast<std::uint64_t>(value));
  }
  void float32(std::uint32_t field, float value) {
    varint(std::uint64_t{field} << 3 | 5);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    bytes_.append(bytes, sizeof value);
  }
  void text(std::uint32_t field, std::string_view value) {
    length(field, value.size());
    bytes_ += value;
  }
  void message(std::uint32_t field, const ProtobufWriter& value) { text(field, value.bytes_); }
  /// The start of a field of `size` bytes, which are appended elsewhere.
  void length(std::uint32_t field, std::uint64_t size) {
    varint(std::uint64_t{field} << 3 | 2);
    varint(size);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_.push_back(static_cast<char>((value & 127) | 128));
    bytes_.push_back(static_cast<char>(value));
  }

  std::string bytes_;
};

}  // namespace tenon::onnx
