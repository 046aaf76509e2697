#include "tenon/runtime/array.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "runtime/array_data.h"
#include "tenon/runtime/device.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

constexpr std::int64_t kMaxBytes = std::int64_t{1} << 46;

}  // namespace

std::int64_t checked_size(std::span<const std::int64_t> shape, DType dtype) {
  std::int64_t size = 1;
  std::int64_t reach = 1;  // as if empty axes had one element
  for (const std::int64_t dim : shape) {
    TENON_USER_CHECK(dim >= 0, ShapeError, "E0458", "shape ", shape_str(shape),
                     " has a negative size");
    const bool overflow = __builtin_mul_overflow(reach, std::max<std::int64_t>(dim, 1), &reach);
    TENON_USER_CHECK(!overflow && reach <= kMaxBytes / dtype.bytes(), ShapeError, "E0458", "shape ",
                     shape_str(shape), " of ", to_string(dtype), " takes more than 2^46 bytes");
    size *= dim;
  }
  return size;
}

namespace {

void copy_elements(char* to, const std::int64_t* to_strides, const char* from,
                   const std::int64_t* from_strides, std::span<const std::int64_t> shape,
                   std::int64_t bytes) {
  if (shape.empty()) {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
    return;
  }
  const std::int64_t n = shape[0];
  if (shape.size() == 1 && to_strides[0] == 1 && from_strides[0] == 1) {
    if (n > 0) std::memcpy(to, from, static_cast<std::size_t>(n * bytes));
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    copy_elements(to + i * to_strides[0] * bytes, to_strides + 1,
                  from + i * from_strides[0] * bytes, from_strides + 1, shape.subspan(1), bytes);
  }
}

}  // namespace

std::string shape_str(std::span<const std::int64_t> shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return out + "]";
}

Array::Data* Array::Data::make(std::span<const std::int64_t> shape,
                               std::span<const std::int64_t> strides, DType dtype) {
  auto data = std::make_unique<Data>();
  const std::size_t rank = shape.size();
  std::int64_t* dims = data->inline_dims;
  if (rank > kInlineRank) {
    data->more_dims = std::make_unique<std::int64_t[]>(2 * rank);
    dims = data->more_dims.get();
  }
  std::copy(shape.begin(), shape.end(), dims);
  std::int64_t* steps = dims + rank;
  if (strides.empty()) {
    std::int64_t stride = 1;
    for (std::size_t k = rank; k-- > 0;) {
      steps[k] = stride;
      stride *= std::max<std::int64_t>(shape[k], 1);
    }
  } else {
    std::copy(strides.begin(), strides.end(), steps);
  }
  data->tensor.device = {kDLCPU, 0};
  data->tensor.ndim = static_cast<std::int32_t>(rank);
  data->tensor.dtype = to_dl_dtype(dtype);
  data->tensor.shape = dims;
  data->tensor.strides = steps;
  data->dtype = dtype;
  return data.release();
}

Array::Data::~Data() {
  if (pooled && tensor.device.device_type == kDLCUDA) {
    tenon_device_free(tensor.device.device_id, tensor.data);
  } else if (pooled) {
    tenon_pool_free(tensor.data);
  }
  if (release) release();
  if (base != nullptr) base->drop();
}

Array::Array(const Array& other) : data_(other.data_) {
  if (data_ != nullptr) data_->ref_count.fetch_add(1, std::memory_order_relaxed);
}

Array::~Array() {
  if (data_ != nullptr) data_->drop();
}

Array Array::empty(std::span<const std::int64_t> shape, DType dtype) {
  TENON_USER_CHECK(shape.size() <= kMaxRank, ShapeError, "E0462", "rank ", shape.size(),
                   " is above ", kMaxRank);
  const std::int64_t bytes = checked_size(shape, dtype) * dtype.bytes();
  Array out(Data::make(shape, {}, dtype));
  out.data_->tensor.data = tenon_pool_allocate(static_cast<std::uint64_t>(bytes));
  out.data_->pooled = true;
  TENON_USER_CHECK(out.data_->tensor.data != nullptr, ResourceError, "E1001",
                   "out of memory for an array of shape ", shape_str(shape), " and dtype ",
                   to_string(dtype));
  return out;
}

Array Array::zeros(std::span<const std::int64_t> shape, DType dtype) {
  Array out = empty(shape, dtype);
  if (out.nbytes() > 0) std::memset(out.raw_mutable(), 0, static_cast<std::size_t>(out.nbytes()));
  return out;
}

Array Array::from_memory(void* data, std::span<const std::int64_t> shape,
                         std::span<const std::int64_t> strides, DType dtype, bool read_only,
                         std::function<void()> release, DLDevice device) {
  TENON_USER_CHECK(shape.size() <= kMaxRank, ShapeError, "E0462", "rank ", shape.size(),
                   " is above ", kMaxRank);
  TENON_USER_CHECK(strides.empty() || strides.size() == shape.size(), ShapeError, "E0462",
                   strides.size(), " strides for rank ", shape.size());
  checked_size(shape, dtype);
  Array out(Data::make(shape, strides, dtype));
  out.data_->tensor.data = data;
  out.data_->tensor.device = device;
  out.data_->read_only = read_only;
  out.data_->release = std::move(release);
  return out;
}

Array Array::from_bytes(std::span<const std::int64_t> shape, DType dtype, const void* values,
                        std::size_t count, std::size_t element_bytes) {
  Array out = empty(shape, dtype);
  TENON_USER_CHECK(static_cast<std::int64_t>(count) == out.size() &&
                       static_cast<int>(element_bytes) == dtype.bytes(),
                   ShapeError, "E0462", count, " values of ", element_bytes,
                   " bytes do not fill an array of shape ", shape_str(shape), " and dtype ",
                   to_string(dtype));
  if (count != 0) std::memcpy(out.raw_mutable(), values, count * element_bytes);
  return out;
}

DType Array::dtype() const { return data_->dtype; }
const DLTensor& Array::tensor() const { return data_->tensor; }
bool Array::read_only() const { return data_->read_only; }

std::int64_t Array::size() const {
  std::int64_t size = 1;
  for (const std::int64_t dim : shape()) size *= dim;
  return size;
}

bool Array::is_contiguous() const {
  std::int64_t expected = 1;
  bool same = true;
  for (int k = rank() - 1; k >= 0; --k) {
    const std::int64_t dim = tensor().shape[k];
    if (dim == 0) return true;
    same = same && (dim == 1 || tensor().strides[k] == expected);
    expected *= dim;
  }
  return same;
}

void* Array::raw_mutable() {
  TENON_CHECK(!data_->read_only, "write access to a read-only array");
  return const_cast<void*>(raw());
}

Array Array::copy() const {
  if (!is_on_host()) return copy_on_device();
  Array out = empty(shape(), dtype());
  copy_elements(static_cast<char*>(out.raw_mutable()), out.tensor().strides,
                static_cast<const char*>(raw()), tensor().strides, shape(), dtype().bytes());
  return out;
}

Array Array::contiguous() const {
  return is_contiguous() && (size() == 0 || is_aligned(static_cast<std::size_t>(dtype().bytes())))
             ? *this
             : copy();
}

void Array::assign(const Array& source) {
  TENON_USER_CHECK(std::ranges::equal(shape(), source.shape()), ShapeError, "E0451",
                   "an array of shape ", shape_str(source.shape()),
                   " cannot be copied into one of shape ", shape_str(shape()));
  TENON_USER_CHECK(dtype() == source.dtype(), DTypeError, "E0553", "an array of dtype ",
                   to_string(source.dtype()), " cannot be copied into one of dtype ",
                   to_string(dtype()));
  TENON_USER_CHECK(is_on_host() && source.is_on_host(), TargetError, "E1135", "an array on ",
                   device_str(source.device()), " cannot be copied into one on ",
                   device_str(device()), " in place\n  hint: copy it with .to(\"cpu\") first");
  copy_elements(static_cast<char*>(raw_mutable()), tensor().strides,
                static_cast<const char*>(source.raw()), source.tensor().strides, shape(),
                dtype().bytes());
}

Array Array::view(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
                  std::int64_t offset) const {
  Array out(Data::make(shape, strides, dtype()));
  out.data_->tensor.data =
      const_cast<char*>(static_cast<const char*>(raw())) + offset * dtype().bytes();
  out.data_->tensor.device = device();
  out.data_->read_only = data_->read_only;
  data_->ref_count.fetch_add(1, std::memory_order_relaxed);
  out.data_->base = data_;
  return out;
}

Array Array::reshape(std::span<const std::int64_t> shape) const {
  TENON_USER_CHECK(shape.size() <= kMaxRank, ShapeError, "E0462", "rank ", shape.size(),
                   " is above ", kMaxRank);
  TENON_USER_CHECK(checked_size(shape, dtype()) == size(), ShapeError, "E0462",
                   "an array of shape ", shape_str(this->shape()), " cannot be viewed as ",
                   shape_str(shape));
  TENON_USER_CHECK(is_contiguous(), ShapeError, "E0462", "an array of shape ",
                   shape_str(this->shape()), " and strides ", shape_str(strides()),
                   " is not row-major and cannot be reshaped without a copy");
  return view(shape, {}, 0);
}

Array Array::slice(int axis, std::int64_t begin, std::int64_t end) const {
  TENON_USER_CHECK(axis >= 0 && axis < rank(), ShapeError, "E0462", "axis ", axis,
                   " of an array of rank ", rank());
  const std::int64_t dim = tensor().shape[axis];
  TENON_USER_CHECK(begin >= 0 && begin <= end && end <= dim, ShapeError, "E0462", "slice [", begin,
                   ", ", end, ") of axis ", axis, " with size ", dim);
  Shape dims(shape().begin(), shape().end());
  dims[static_cast<std::size_t>(axis)] = end - begin;
  return view(dims, strides(), begin * tensor().strides[axis]);
}

Array Array::transpose(std::span<const int> order) const {
  Shape dims;
  Shape steps;
  std::vector<bool> used(static_cast<std::size_t>(rank()), false);
  for (const int axis : order) {
    TENON_USER_CHECK(axis >= 0 && axis < rank() && !used[static_cast<std::size_t>(axis)],
                     ShapeError, "E0462", "transpose needs each axis of rank ", rank(), " once");
    used[static_cast<std::size_t>(axis)] = true;
    dims.push_back(tensor().shape[axis]);
    steps.push_back(tensor().strides[axis]);
  }
  TENON_USER_CHECK(static_cast<int>(order.size()) == rank(), ShapeError, "E0462",
                   "transpose needs each axis of rank ", rank(), " once");
  return view(dims, steps, 0);
}

Array Array::as_read_only() const {
  Array out = view(shape(), strides(), 0);
  out.data_->read_only = true;
  return out;
}

}  // namespace tenon
