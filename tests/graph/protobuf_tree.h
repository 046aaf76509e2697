#pragma once

/// Protobuf messages as trees, to change one field and keep the lengths around it right.

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::onnx {

struct ProtobufField {
  std::uint32_t number = 0;
  int wire_type = 0;
  std::uint64_t varint = 0;             ///< of wire type 0
  std::string bytes;                    ///< of the others, as they are; without `children`
  std::vector<ProtobufField> children;  ///< of bytes that can be read as a message
};

/// The fields of a message; nothing for bytes that are none. What may be a message is taken as one.
std::optional<std::vector<ProtobufField>> parse_protobuf(std::string_view bytes, int depth = 0);
std::string write_protobuf(const std::vector<ProtobufField>& fields);

/// Changes `message` in one to four places: numbers, texts, fields that are removed, doubled,
/// moved, or taken from `other`.
std::string mutate_fields(std::string_view message, std::string_view other,
                          std::mt19937_64& random);
/// Changes `bytes` in one place, whatever they mean: bits, cuts, parts that are moved or from
/// `other`.
std::string mutate_bytes(std::string_view bytes, std::string_view other, std::mt19937_64& random);

}  // namespace tenon::onnx
