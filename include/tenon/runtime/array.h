#pragma once

/// `Array`: an n-dimensional array in host memory or on a GPU.
///
/// **Memory model.** An `Array` is a counted handle; copies share the elements. The elements live
/// as long as any handle, view or exported DLPack tensor that uses them. Handles may be copied and
/// dropped from any thread; concurrent writes to the elements are the caller's affair. The elements
/// of an array on a device are read by kernels and copies alone; `raw` is an address there.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/runtime/dlpack.h"
#include "tenon/runtime/dtype.h"

namespace tenon {

using Shape = std::vector<std::int64_t>;

/// "[2, 3]".
std::string shape_str(std::span<const std::int64_t> shape);
/// The DLPack form of a dtype, and back; the latter raises DTypeError [E0554] for one that Tenon
/// does not have.
DLDataType to_dl_dtype(DType dtype);
DType from_dl_dtype(DLDataType dtype);

/// "cpu", "cuda:1".
std::string device_str(DLDevice device);
/// The device of "cpu", "cuda" (the first) or "cuda:1"; TargetError [E1133].
DLDevice parse_device(std::string_view text);

class Array {
 public:
  /// No array; `defined()` is false and nothing else may be called.
  Array() = default;
  Array(const Array& other);
  Array(Array&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  Array& operator=(Array other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Array();

  /// A row-major array of uninitialised elements from the runtime's pool, 64-byte aligned.
  /// ShapeError [E0458] for a negative size or a product beyond 64 bits, ResourceError [E1001] when
  /// memory runs out.
  static Array empty(std::span<const std::int64_t> shape, DType dtype);
  static Array empty(std::initializer_list<std::int64_t> shape, DType dtype) {
    return empty(std::span(shape.begin(), shape.size()), dtype);
  }
  /// The same on a device. TargetError [E1123], ResourceError [E1120 to E1128].
  static Array empty(std::span<const std::int64_t> shape, DType dtype, DLDevice device);
  /// The same in host memory with every byte 0.
  static Array zeros(std::span<const std::int64_t> shape, DType dtype);
  static Array zeros(std::initializer_list<std::int64_t> shape, DType dtype) {
    return zeros(std::span(shape.begin(), shape.size()), dtype);
  }
  /// A view of the caller's memory. `strides` are in elements, empty for row-major. `release` (may
  /// be empty) runs once when the last user goes.
  static Array from_memory(void* data, std::span<const std::int64_t> shape,
                           std::span<const std::int64_t> strides, DType dtype, bool read_only,
                           std::function<void()> release, DLDevice device = {kDLCPU, 0});
  /// A row-major copy of `values`; ShapeError [E0462] unless there is one for each element, of the
  /// dtype's size.
  template <typename T>
  static Array from_values(std::span<const std::int64_t> shape, DType dtype,
                           std::span<const T> values);

  /// Takes over a DLPack tensor (its deleter runs when the last user goes, also when this raises).
  /// TargetError [E0905] for a device other than the host's memory or a GPU that can be used,
  /// DTypeError [E0554].
  static Array from_dlpack(DLManagedTensor* tensor);
  /// The same for the versioned exchange; UnsupportedError [E0906] for another major version (only
  /// its deleter is called then).
  static Array from_dlpack(DLManagedTensorVersioned* tensor);
  /// A new tensor that keeps the elements alive until its deleter runs. The unversioned form cannot
  /// say "read only": it raises UnsupportedError [E0914] for a read-only array.
  DLManagedTensor* to_dlpack() const;
  DLManagedTensorVersioned* to_dlpack_versioned(bool is_copied = false) const;

  bool defined() const { return data_ != nullptr; }
  DLDevice device() const { return tensor().device; }
  bool is_on_host() const { return device().device_type != kDLCUDA; }
  DType dtype() const;
  int rank() const { return tensor().ndim; }
  std::span<const std::int64_t> shape() const {
    return {tensor().shape, static_cast<std::size_t>(rank())};
  }
  /// In elements; always present.
  std::span<const std::int64_t> strides() const {
    return {tensor().strides, static_cast<std::size_t>(rank())};
  }
  /// Number of elements.
  std::int64_t size() const;
  std::int64_t nbytes() const { return size() * dtype().bytes(); }
  bool read_only() const;
  /// Row-major without gaps. Axes of size 1 and empty arrays do not count against it.
  bool is_contiguous() const;
  /// The first element's address is a multiple of `bytes`.
  bool is_aligned(std::size_t bytes) const {
    return reinterpret_cast<std::uintptr_t>(raw()) % bytes == 0;
  }

  /// The first element.
  const void* raw() const { return static_cast<const char*>(tensor().data) + tensor().byte_offset; }
  /// The same for writing; InternalError on a read-only array.
  void* raw_mutable();
  template <typename T>
  const T* data() const {
    return static_cast<const T*>(raw());
  }
  template <typename T>
  T* mutable_data() {
    return static_cast<T*>(raw_mutable());
  }
  /// The DLPack view, valid while this handle lives.
  const DLTensor& tensor() const;

  /// This array where it is row-major and aligned for its element type, else a row-major copy.
  Array contiguous() const;
  /// The elements on `device`: this array where it is there, else a row-major copy. TargetError
  /// [E1123], ResourceError [E1120 to E1129].
  Array to(DLDevice device) const;
  /// A row-major copy, always, on the same device.
  Array copy() const;
  /// Copies the elements of `source`: same shape and dtype, any strides. Both are in host memory;
  /// TargetError [E1135].
  void assign(const Array& source);
  /// A view with another shape of equally many elements; ShapeError [E0462] otherwise or when not
  /// contiguous.
  Array reshape(std::span<const std::int64_t> shape) const;
  /// A view of [begin, end) along `axis`; ShapeError [E0462] when out of range.
  Array slice(int axis, std::int64_t begin, std::int64_t end) const;
  /// A view with its axes in another order; ShapeError [E0462] unless `order` is a permutation.
  Array transpose(std::span<const int> order) const;
  /// A view that may not be written.
  Array as_read_only() const;

 private:
  struct Data;
  explicit Array(Data* data) : data_(data) {}
  static Array from_bytes(std::span<const std::int64_t> shape, DType dtype, const void* values,
                          std::size_t count, std::size_t element_bytes);
  /// Another view of these elements; `offset` in elements from the first, empty strides for
  /// row-major.
  Array view(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
             std::int64_t offset) const;
  Array copy_on_device() const;
  Data* data_ = nullptr;
};

template <typename T>
Array Array::from_values(std::span<const std::int64_t> shape, DType dtype,
                         std::span<const T> values) {
  return from_bytes(shape, dtype, values.data(), values.size(), sizeof(T));
}

}  // namespace tenon
