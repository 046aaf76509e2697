#pragma once

/// `Ref<T>`: a one-word owning handle to an immutable, intrusively counted object.
///
/// **Memory model.** The count lives in the object, so a raw pointer met during a walk can always
/// be turned back into a handle. Handles may be copied and dropped from any thread; the objects are
/// immutable. When the last handle goes, `destroy(ptr)` (found by argument-dependent look-up) frees
/// the object.

#include <atomic>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

namespace tenon {

/// Base of counted objects that are not IR nodes (those have their own `destroy`).
struct RefCounted {
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  virtual ~RefCounted() = default;
  mutable std::atomic<int> ref_count{0};
};
inline void destroy(const RefCounted* object) { delete object; }

template <typename T>
class Ref {
 public:
  Ref() = default;
  // Implicit on purpose: null is an absent child, nodes become handles, handles those of a base.
  // NOLINTBEGIN(google-explicit-constructor)
  Ref(std::nullptr_t) {}
  Ref(const T* p) : ptr_(p) { retain(); }
  Ref(const Ref& other) : ptr_(other.ptr_) { retain(); }
  Ref(Ref&& other) noexcept : ptr_(std::exchange(other.ptr_, nullptr)) {}
  template <typename U,
            typename = std::enable_if_t<std::is_base_of_v<T, U> && !std::is_same_v<T, U>>>
  Ref(const Ref<U>& other) : ptr_(other.get()) {
    retain();
  }
  // NOLINTEND(google-explicit-constructor)
  Ref& operator=(Ref other) noexcept {  // by value: safe on self
    std::swap(ptr_, other.ptr_);
    return *this;
  }
  ~Ref() { release(); }

  const T* get() const { return ptr_; }
  const T* operator->() const { return ptr_; }
  const T& operator*() const { return *ptr_; }
  explicit operator bool() const { return ptr_ != nullptr; }
  /// Identity. There is deliberately no operator== and no operator<.
  bool same_as(const Ref& other) const { return ptr_ == other.ptr_; }
  /// The node as `N`, or null when its kind differs.
  template <typename N>
  const N* as() const {
    return ptr_ != nullptr && ptr_->kind == N::kKind ? static_cast<const N*>(ptr_) : nullptr;
  }

 private:
  void retain() const {
    if (ptr_ != nullptr) ptr_->ref_count.fetch_add(1, std::memory_order_relaxed);
  }
  void release() const {
    if (ptr_ != nullptr && ptr_->ref_count.fetch_sub(1, std::memory_order_acq_rel) == 1)
      destroy(ptr_);
  }
  const T* ptr_ = nullptr;
};

}  // namespace tenon
