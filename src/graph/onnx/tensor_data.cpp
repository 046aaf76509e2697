#include "graph/onnx/tensor_data.h"

#include <cstring>

#include "tenon/support/error.h"

namespace tenon::onnx {
namespace {

class Reader {
 public:
  Reader(const Tensor& tensor, const TensorSource& source) : tensor_(tensor), source_(source) {
    const auto dtype = dtype_of(tensor.type);
    TENON_USER_CHECK(dtype, UnsupportedError, "E0874", source.name, ": tensor '", tensor.name,
                     "' has elements of type ", to_string(tensor.type),
                     ", which Tenon does not have");
    dtype_ = *dtype;
    std::uint64_t count = 1;
    bool fits = true;
    for (const std::int64_t dim : tensor.dims)
      fits = !__builtin_mul_overflow(count, static_cast<std::uint64_t>(dim), &count) && fits;
    const auto element = static_cast<std::uint64_t>(dtype_.bytes());
    fits = !__builtin_mul_overflow(count, element, &bytes_) && fits && bytes_ <= kMaxBytes;
    if (!fits) fail("its dimensions multiply to more bytes than there can be");
    count_ = static_cast<std::size_t>(count);
  }

  Array read() {
    if (tensor_.external) return of_bytes(external_bytes(), external_);
    if (tensor_.raw) return of_bytes(*tensor_.raw, source_.file);
    if (dtype_ == kFloat32) return of_values(tensor_.floats, "float_data");
    if (dtype_ == kFloat64) return of_values(tensor_.doubles, "double_data");
    if (dtype_ == kInt64) return of_values(tensor_.int64s, "int64_data");
    if (dtype_ == DType::uint(32)) return of_narrow<std::uint32_t>(tensor_.uint64s, "uint64_data");
    if (dtype_ == DType::uint(64)) return of_values(tensor_.uint64s, "uint64_data");
    if (dtype_.bits == 32) return of_narrow<std::uint32_t>(tensor_.int32s, "int32_data");
    if (dtype_.bits == 16) return of_narrow<std::uint16_t>(tensor_.int32s, "int32_data");
    return of_narrow<std::uint8_t>(tensor_.int32s, "int32_data");
  }

 private:
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 48U;

  [[noreturn]] void fail(const std::string& message) const {
    detail::raise<ModelError>(
        "E0877", detail::concat(source_.name, ": tensor '", tensor_.name, "': ", message));
  }

  std::string_view external_bytes() {
    const ExternalData& where = *tensor_.external;
    if (!source_.open)
      fail(detail::concat("its data lie in '", where.location,
                          "', but there is no folder to look in"));
    external_ = source_.open(where.location);
    const std::string_view all = external_->bytes();
    const auto offset = static_cast<std::uint64_t>(where.offset);
    const auto length = where.length ? static_cast<std::uint64_t>(*where.length) : bytes_;
    if (offset > all.size() || length > all.size() - offset) {
      fail(detail::concat("its data are bytes ", offset, " to ", offset + length, " of '",
                          where.location, "', which has ", all.size()));
    }
    return all.substr(offset, length);
  }

  /// Little-endian elements, as the host's are.
  Array of_bytes(std::string_view bytes, const std::shared_ptr<const MappedFile>& file) {
    if (bytes.size() != bytes_) {
      fail(detail::concat(bytes.size(), " bytes of data, expected ", bytes_, " for ", count_,
                          " elements of ", tenon::to_string(dtype_)));
    }
    const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
    const bool is_aligned = address % static_cast<std::uintptr_t>(dtype_.bytes()) == 0;
    if (!file || !is_aligned || bytes.empty() || dtype_.is_bool()) return copy(bytes.data());
    return Array::from_memory(const_cast<char*>(bytes.data()), tensor_.dims, {}, dtype_, true,
                              [file] {});
  }

  Array copy(const void* values) {
    Array array = Array::empty(tensor_.dims, dtype_);
    if (bytes_ != 0) std::memcpy(array.raw_mutable(), values, bytes_);
    if (dtype_.is_bool()) {
      auto* flags = static_cast<std::uint8_t*>(array.raw_mutable());
      for (std::size_t i = 0; i < count_; ++i) flags[i] = flags[i] != 0 ? 1 : 0;
    }
    return array.as_read_only();
  }

  template <typename T>
  void check_count(const std::vector<T>& values, const char* field) {
    if (values.size() != count_)
      fail(detail::concat(values.size(), " elements in ", field, ", expected ", count_));
  }

  template <typename T>
  Array of_values(const std::vector<T>& values, const char* field) {
    check_count(values, field);
    return copy(values.data());
  }

  /// Elements of fewer bits than the field has.
  template <typename Element, typename T>
  Array of_narrow(const std::vector<T>& values, const char* field) {
    check_count(values, field);
    std::vector<Element> elements;
    elements.reserve(values.size());
    for (const T value : values) elements.push_back(static_cast<Element>(value));
    return copy(elements.data());
  }

  const Tensor& tensor_;
  const TensorSource& source_;
  DType dtype_;
  std::uint64_t bytes_ = 0;
  std::size_t count_ = 0;
  std::shared_ptr<const MappedFile> external_;
};

}  // namespace

std::optional<DType> dtype_of(DataType type) {
  switch (type) {
    case DataType::kFloat:
      return kFloat32;
    case DataType::kUInt8:
      return DType::uint(8);
    case DataType::kInt8:
      return DType::int_(8);
    case DataType::kUInt16:
      return DType::uint(16);
    case DataType::kInt16:
      return DType::int_(16);
    case DataType::kInt32:
      return kInt32;
    case DataType::kInt64:
      return kInt64;
    case DataType::kBool:
      return kBoolType;
    case DataType::kFloat16:
      return DType::float_(16);
    case DataType::kDouble:
      return kFloat64;
    case DataType::kUInt32:
      return DType::uint(32);
    case DataType::kUInt64:
      return DType::uint(64);
    case DataType::kBFloat16:
      return DType::bfloat16();
    case DataType::kUndefined:
    case DataType::kString:
    case DataType::kComplex64:
    case DataType::kComplex128:
    case DataType::kFloat8E4M3FN:
    case DataType::kFloat8E4M3FNUZ:
    case DataType::kFloat8E5M2:
    case DataType::kFloat8E5M2FNUZ:
    case DataType::kUInt4:
    case DataType::kInt4:
    case DataType::kFloat4E2M1:
    case DataType::kFloat8E8M0:
      return std::nullopt;
  }
  return std::nullopt;
}

Array to_array(const Tensor& tensor, const TensorSource& source) {
  return Reader(tensor, source).read();
}

}  // namespace tenon::onnx
