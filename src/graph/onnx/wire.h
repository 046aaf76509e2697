#pragma once

/// Protobuf messages in memory, read field by field, without trust and without copies.
///
/// The wire format is that of protobuf.dev/programming-guides/encoding: a message is a list of
/// fields, each a tag (number and wire type) and a value.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::onnx {

/// What is being read: for messages, and for the memory that its structures may take.
class Source {
 public:
  /// `name` stands first in every message. Structures may take 4 bytes for each byte of the file,
  /// and 256 MiB.
  Source(std::string name, std::string_view bytes);

  /// Counts memory that a structure takes. ModelError [E0872] when the model takes too much.
  void charge(std::size_t bytes);
  /// Raises ModelError with the name and the place of `at` in the file.
  [[noreturn]] void fail(const char* code, const char* at, const std::string& message) const;
  std::string_view bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::string_view bytes_;
  std::uint64_t left_;  ///< bytes that may still be taken
};

/// The fields of one message. After `next` exactly one of the readers or `skip` is called.
class Wire {
 public:
  Wire(Source& source, std::string_view message)
      : source_(source), at_(message.data()), end_(message.data() + message.size()) {}

  /// Goes to the next field; false at the end of the message. ModelError [E0870] for a damaged tag.
  bool next();
  /// The number of the field.
  std::uint32_t field() const { return field_; }

  /// The value of a field of that kind; ModelError [E0870] for another wire type or a value that
  /// does not end within the message.
  std::int64_t integer();
  float float32();
  std::string_view bytes();
  /// Of a field that is a text: UTF-8, or ModelError [E0870].
  std::string text();
  /// Of a field that is bytes.
  std::string raw_text();
  /// One more value, or all of a packed field.
  void append_to(std::vector<std::int64_t>* values);
  void append_to(std::vector<std::uint64_t>* values);
  void append_to(std::vector<float>* values);
  void append_to(std::vector<double>* values);
  /// Passes over the value. Groups, which protobuf no longer writes, are refused.
  void skip();

  Source& source() const { return source_; }
  [[noreturn]] void fail(const char* code, const std::string& message) const {
    source_.fail(code, start_, message);
  }

 private:
  enum class Type : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  std::uint64_t varint();
  std::string_view take(std::uint64_t size);
  void expect(Type type) const;
  template <typename T>
  void append_integers(std::vector<T>* values);
  template <typename T>
  void append_fixed(Type type, std::vector<T>* values);

  Source& source_;
  const char* at_;
  const char* end_;
  const char* start_ = nullptr;  ///< of the field
  std::uint32_t field_ = 0;
  Type type_ = Type::kVarint;
};

}  // namespace tenon::onnx
