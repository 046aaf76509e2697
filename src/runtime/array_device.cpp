#include <algorithm>
#include <charconv>

#include "runtime/array_data.h"
#include "tenon/runtime/array.h"
#include "tenon/runtime/device.h"
#include "tenon/runtime/executable.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

constexpr DLDevice kHost = {kDLCPU, 0};

void copy_bytes(void* to, DLDevice to_device, const void* from, DLDevice from_device,
                std::int64_t bytes) {
  throw_if_error(
      tenon_device_copy(to_device, to, from_device, from, static_cast<std::uint64_t>(bytes)));
}

/// Where the elements of a strided array begin and end, in elements from the first.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 1;
};

Range range_of(const Array& array) {
  Range range;
  for (int k = 0; k < array.rank(); ++k) {
    const auto axis = static_cast<std::size_t>(k);
    const std::int64_t reach = (array.shape()[axis] - 1) * array.strides()[axis];
    (reach < 0 ? range.begin : range.end) += reach;
  }
  return range;
}

/// A row-major copy in host memory of an array on a device that is not row-major: the memory that
/// it lies in is copied as a whole.
Array strided_to_host(const Array& array) {
  if (array.size() == 0) return Array::empty(array.shape(), array.dtype());
  const Range range = range_of(array);
  const std::int64_t bytes = array.dtype().bytes();
  const std::int64_t count = range.end - range.begin;
  Array memory = Array::empty({&count, 1}, array.dtype());
  copy_bytes(memory.raw_mutable(), kHost,
             static_cast<const char*>(array.raw()) + range.begin * bytes, array.device(),
             count * bytes);
  char* first = static_cast<char*>(memory.raw_mutable()) - range.begin * bytes;
  return Array::from_memory(first, array.shape(), array.strides(), array.dtype(), true, {}).copy();
}

}  // namespace

std::string device_str(DLDevice device) {
  return device.device_type == kDLCUDA ? "cuda:" + std::to_string(device.device_id) : "cpu";
}

DLDevice parse_device(std::string_view text) {
  if (text == "cpu") return kHost;
  if (text == "cuda") return {kDLCUDA, 0};
  constexpr std::string_view kPrefix = "cuda:";
  if (text.starts_with(kPrefix)) {
    int number = -1;
    const char* begin = text.data() + kPrefix.size();
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(begin, end, number);
    if (error == std::errc() && at == end && number >= 0) return {kDLCUDA, number};
  }
  detail::raise<TargetError>("E1133",
                             detail::concat("there is no device \"", text,
                                            "\"\n  hint: write \"cpu\", \"cuda\" or \"cuda:1\""));
}

Array Array::empty(std::span<const std::int64_t> shape, DType dtype, DLDevice device) {
  if (device.device_type != kDLCUDA) return empty(shape, dtype);
  TENON_USER_CHECK(shape.size() <= kMaxRank, ShapeError, "E0462", "rank ", shape.size(),
                   " is above ", kMaxRank);
  const std::int64_t bytes = checked_size(shape, dtype) * dtype.bytes();
  Array out(Data::make(shape, {}, dtype));
  out.data_->tensor.device = device;
  throw_if_error(tenon_device_allocate(device.device_id, static_cast<std::uint64_t>(bytes),
                                       "arrays", &out.data_->tensor.data));
  out.data_->pooled = true;
  return out;
}

Array Array::copy_on_device() const {
  if (!is_contiguous()) return strided_to_host(*this).to(device());
  Array out = empty(shape(), dtype(), device());
  copy_bytes(out.raw_mutable(), device(), raw(), device(), nbytes());
  return out;
}

Array Array::to(DLDevice target) const {
  const bool is_there = target.device_type == kDLCUDA ? device().device_type == kDLCUDA &&
                                                            device().device_id == target.device_id
                                                      : is_on_host();
  if (is_there) return *this;
  if (!is_contiguous()) {
    return is_on_host() ? copy().to(target) : strided_to_host(*this).to(target);
  }
  Array out = empty(shape(), dtype(), target);
  copy_bytes(out.raw_mutable(), target, raw(), device(), nbytes());
  return out;
}

}  // namespace tenon
