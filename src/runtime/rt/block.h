#pragma once

/// `Block<T>`: an owned array of plain values whose allocation may fail; the artefact runtime has
/// no exceptions.

#include <stdlib.h>
#include <string.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace tenon::rt {

template <typename T>
class Block {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { free(data_); }

  /// `count` zeroed values instead of the present ones; false when memory runs out.
  [[nodiscard]] bool allocate(std::size_t count) {
    free(data_);
    size_ = 0;
    data_ = static_cast<T*>(calloc(count != 0 ? count : 1, sizeof(T)));
    if (data_ == nullptr) return false;
    size_ = count;
    return true;
  }
  /// A copy of `count` values at `source`, which may be unaligned.
  [[nodiscard]] bool copy_from(const void* source, std::size_t count) {
    if (!allocate(count)) return false;
    if (count != 0) memcpy(data_, source, count * sizeof(T));
    return true;
  }

  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Plain `new` and `delete` without the C++ library.
template <typename T>
T* make_object() {
  void* memory = calloc(1, sizeof(T) > alignof(T) ? sizeof(T) : alignof(T));
  return memory != nullptr ? ::new (memory) T() : nullptr;
}
template <typename T>
void free_object(T* object) {
  if (object == nullptr) return;
  object->~T();
  free(object);
}

}  // namespace tenon::rt
