#include <memory>

#include "runtime/array_data.h"
#include "tenon/runtime/array.h"
#include "tenon/runtime/device.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

/// Runs a DLPack tensor's deleter unless told otherwise.
template <typename Managed>
struct DeleteManaged {
  void operator()(Managed* tensor) const {
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
  }
};
template <typename Managed>
using Owned = std::unique_ptr<Managed, DeleteManaged<Managed>>;

/// An exported tensor and the handle that keeps its elements.
template <typename Managed>
struct Exported {
  Managed managed = {};
  Array array;
};

template <typename Managed>
Managed* make_exported(const Array& array) {
  auto exported = std::make_unique<Exported<Managed>>();
  exported->array = array;
  exported->managed.dl_tensor = array.tensor();
  exported->managed.manager_ctx = exported.get();
  exported->managed.deleter = [](Managed* self) {
    delete static_cast<Exported<Managed>*>(self->manager_ctx);
  };
  return &exported.release()->managed;
}

bool is_host(DLDeviceType device) {
  return device == kDLCPU || device == kDLCUDAHost || device == kDLROCMHost ||
         device == kDLCUDAManaged;
}

void check_tensor(const DLTensor& t) {
  const bool is_on_gpu = t.device.device_type == kDLCUDA;
  tenon_device_info info;
  TENON_USER_CHECK(is_host(t.device.device_type) ||
                       (is_on_gpu && tenon_device_get_info(t.device.device_id, &info) == TENON_OK),
                   TargetError, "E0905", "an array on device ",
                   static_cast<int>(t.device.device_type), ":", t.device.device_id,
                   " cannot be used: ",
                   is_on_gpu ? tenon_last_error() : "expected host memory or a GPU that CUDA knows",
                   "\n  hint: copy it to the CPU first");
  TENON_USER_CHECK(t.ndim >= 0 && static_cast<std::size_t>(t.ndim) <= kMaxRank &&
                       (t.ndim == 0 || t.shape != nullptr),
                   ShapeError, "E0462", "an array of rank ", t.ndim, " cannot be used");
}

template <typename Managed>
Array adopt_managed(Managed* tensor, bool read_only) {
  Owned<Managed> owned(tensor);
  const DLTensor& t = tensor->dl_tensor;
  check_tensor(t);
  const std::size_t rank = static_cast<std::size_t>(t.ndim);
  const std::span<const std::int64_t> strides(t.strides, t.strides != nullptr ? rank : 0);
  const DType dtype = from_dl_dtype(t.dtype);
  void* first = t.data != nullptr ? static_cast<char*>(t.data) + t.byte_offset : nullptr;
  const std::shared_ptr<Managed> keep(std::move(owned));
  const DLDevice device = is_host(t.device.device_type) ? DLDevice{kDLCPU, 0} : t.device;
  return Array::from_memory(first, {t.shape, rank}, strides, dtype, read_only, [keep] {}, device);
}

}  // namespace

DLDataType to_dl_dtype(DType dtype) {
  std::uint8_t code = kDLFloat;
  switch (dtype.code) {
    case DTypeCode::kInt:
      code = kDLInt;
      break;
    case DTypeCode::kUInt:
      code = kDLUInt;
      break;
    case DTypeCode::kFloat:
      code = kDLFloat;
      break;
    case DTypeCode::kBFloat:
      code = kDLBfloat;
      break;
    case DTypeCode::kBool:
      code = kDLBool;
      break;
  }
  return {code, dtype.bits, dtype.lanes};
}

DType from_dl_dtype(DLDataType t) {
  const bool width = t.bits == 8 || t.bits == 16 || t.bits == 32 || t.bits == 64;
  if (t.lanes == 1 && width) {
    if (t.code == kDLInt) return DType::int_(t.bits);
    if (t.code == kDLUInt) return DType::uint(t.bits);
    if (t.code == kDLFloat && t.bits != 8) return DType::float_(t.bits);
    if (t.code == kDLBfloat && t.bits == 16) return DType::bfloat16();
    if (t.code == kDLBool && t.bits == 8) return DType::bool_();
  }
  detail::raise<DTypeError>(
      "E0554",
      detail::concat("an array with DLPack dtype code ", static_cast<int>(t.code), ", ",
                     static_cast<int>(t.bits), " bits and ", t.lanes,
                     " lanes cannot be used\n  hint: convert it to float32, int64 or another dtype "
                     "that Tenon has"));
}

Array Array::from_dlpack(DLManagedTensor* tensor) { return adopt_managed(tensor, false); }

Array Array::from_dlpack(DLManagedTensorVersioned* tensor) {
  if (tensor->version.major != DLPACK_MAJOR_VERSION) {
    const std::uint32_t major = tensor->version.major;
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
    detail::raise<UnsupportedError>(
        "E0906", detail::concat("a DLPack tensor of version ", major,
                                " cannot be used: expected version ", DLPACK_MAJOR_VERSION));
  }
  return adopt_managed(tensor, (tensor->flags & DLPACK_FLAG_BITMASK_READ_ONLY) != 0);
}

DLManagedTensor* Array::to_dlpack() const {
  TENON_USER_CHECK(!read_only(), UnsupportedError, "E0914",
                   "a read-only array cannot be exported without a DLPack version\n  hint: ask for "
                   "max_version=(1, 0), or copy it");
  return make_exported<DLManagedTensor>(*this);
}

DLManagedTensorVersioned* Array::to_dlpack_versioned(bool is_copied) const {
  DLManagedTensorVersioned* out = make_exported<DLManagedTensorVersioned>(*this);
  out->version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  out->flags = (read_only() ? DLPACK_FLAG_BITMASK_READ_ONLY : 0) |
               (is_copied ? DLPACK_FLAG_BITMASK_IS_COPIED : 0);
  return out;
}

}  // namespace tenon
