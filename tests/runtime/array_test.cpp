#include "tenon/runtime/array.h"

#include <gtest/gtest.h>

#include "tenon/runtime/c_api.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

Array iota(std::initializer_list<std::int64_t> shape) {
  Array a = Array::empty(shape, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i) a.mutable_data<float>()[i] = static_cast<float>(i);
  return a;
}

std::vector<float> values(const Array& a) {
  const Array dense = a.copy();
  return {dense.data<float>(), dense.data<float>() + dense.size()};
}

TEST(ArrayTest, new_arrays_are_row_major_and_aligned) {
  const Array a = Array::empty({2, 3, 4}, kFloat32);
  EXPECT_EQ(shape_str(a.shape()), "[2, 3, 4]");
  EXPECT_EQ(shape_str(a.strides()), "[12, 4, 1]");
  EXPECT_TRUE(a.is_contiguous());
  EXPECT_TRUE(a.is_aligned(64));
  EXPECT_EQ(a.nbytes(), 96);
  EXPECT_EQ(Array::zeros({}, kInt64).data<std::int64_t>()[0], 0);
  EXPECT_EQ(Array::empty({3, 0, 5}, kFloat32).size(), 0);
  EXPECT_EQ(Array::empty({1, 2, 1, 2, 1, 2, 1, 2, 1}, kFloat32).size(), 16);
}

TEST(ArrayTest, impossible_shapes_are_refused) {
  EXPECT_THROW(Array::empty({-1}, kFloat32), ShapeError);
  EXPECT_THROW(Array::empty({std::int64_t{1} << 40, std::int64_t{1} << 40}, kFloat32), ShapeError);
  EXPECT_THROW(Array::empty({std::int64_t{1} << 62, 0}, kFloat32), ShapeError);
  EXPECT_THROW(Array::empty({std::int64_t{1} << 43}, kFloat32), ResourceError);
}

TEST(ArrayTest, views_share_elements_and_keep_them_alive) {
  Array column;
  {
    Array a = iota({3, 4});
    const std::array<int, 2> order = {1, 0};
    column = a.transpose(order).slice(0, 1, 2);
    a.mutable_data<float>()[5] = 50;
  }
  EXPECT_EQ(values(column), (std::vector<float>{1, 50, 9}));
  EXPECT_FALSE(column.transpose(std::array<int, 2>{1, 0}).is_contiguous());
}

TEST(ArrayTest, reshape_needs_equal_sizes_and_row_major_elements) {
  const Array a = iota({2, 6});
  const std::array<std::int64_t, 2> three = {3, 4};
  EXPECT_EQ(values(a.reshape(three))[7], 7);
  EXPECT_EQ(a.reshape(three).raw(), a.raw());
  EXPECT_THROW(a.slice(1, 0, 3).reshape(std::array<std::int64_t, 1>{6}), ShapeError);
  EXPECT_THROW(a.reshape(std::array<std::int64_t, 1>{11}), ShapeError);
  EXPECT_THROW(a.slice(1, 2, 7), ShapeError);
  EXPECT_THROW(a.transpose(std::array<int, 2>{0, 0}), ShapeError);
}

TEST(ArrayTest, contiguous_copies_only_what_is_strided_or_misaligned) {
  const Array a = iota({4, 4});
  EXPECT_EQ(a.contiguous().raw(), a.raw());
  const Array strided = a.slice(1, 1, 3);
  EXPECT_EQ(values(strided.contiguous()), (std::vector<float>{1, 2, 5, 6, 9, 10, 13, 14}));
  EXPECT_NE(strided.contiguous().raw(), strided.raw());
  std::vector<char> bytes(17, 0);
  const std::int64_t four = 4;
  const std::size_t skew = reinterpret_cast<std::uintptr_t>(bytes.data()) % 4 == 0 ? 1 : 0;
  const Array skewed = Array::from_memory(bytes.data() + skew, {&four, 1}, {}, kFloat32, false, {});
  EXPECT_TRUE(skewed.contiguous().is_aligned(4));
}

TEST(ArrayTest, negative_strides_are_read_from_the_first_element) {
  std::array<float, 3> memory = {1, 2, 3};
  const std::int64_t n = 3;
  const std::int64_t stride = -1;
  const Array reversed = Array::from_memory(&memory[2], {&n, 1}, {&stride, 1}, kFloat32, true, {});
  EXPECT_EQ(values(reversed), (std::vector<float>{3, 2, 1}));
}

TEST(ArrayTest, read_only_arrays_and_their_views_cannot_be_written) {
  Array a = iota({4}).as_read_only();
  EXPECT_THROW(a.raw_mutable(), InternalError);
  EXPECT_TRUE(a.slice(0, 0, 2).read_only());
  EXPECT_THROW(a.to_dlpack(), UnsupportedError);
}

TEST(ArrayTest, assign_checks_shape_and_dtype) {
  Array a = iota({2, 2});
  a.assign(iota({2, 4}).slice(1, 2, 4));
  EXPECT_EQ(values(a), (std::vector<float>{2, 3, 6, 7}));
  EXPECT_THROW(a.assign(iota({4})), ShapeError);
  EXPECT_THROW(a.assign(Array::zeros({2, 2}, kInt32)), DTypeError);
}

TEST(ArrayTest, release_runs_once_when_the_last_user_goes) {
  int released = 0;
  float memory[4] = {};
  const std::int64_t n = 4;
  {
    const Array a = Array::from_memory(memory, {&n, 1}, {}, kFloat32, false, [&] { ++released; });
    const Array view = a.slice(0, 1, 2);
    DLManagedTensor* exported = view.to_dlpack();
    EXPECT_EQ(released, 0);
    exported->deleter(exported);
  }
  EXPECT_EQ(released, 1);
}

TEST(ArrayTest, dlpack_round_trips_share_memory_in_both_versions) {
  const Array a = iota({2, 3});
  const Array plain = Array::from_dlpack(a.to_dlpack());
  const Array versioned = Array::from_dlpack(a.as_read_only().to_dlpack_versioned());
  EXPECT_EQ(plain.raw(), a.raw());
  EXPECT_EQ(versioned.raw(), a.raw());
  EXPECT_FALSE(plain.read_only());
  EXPECT_TRUE(versioned.read_only());
  EXPECT_EQ(values(versioned), values(a));
}

TEST(ArrayTest, dlpack_dtypes_round_trip) {
  for (const char* name :
       {"float64", "float32", "bfloat16", "float16", "int8", "int64", "uint8", "uint64", "bool"}) {
    EXPECT_EQ(from_dl_dtype(to_dl_dtype(parse_dtype(name))), parse_dtype(name)) << name;
  }
  EXPECT_THROW(from_dl_dtype({kDLComplex, 64, 1}), DTypeError);
  EXPECT_THROW(from_dl_dtype({kDLFloat, 8, 1}), DTypeError);
  EXPECT_THROW(from_dl_dtype({kDLInt, 4, 1}), DTypeError);
  EXPECT_THROW(from_dl_dtype({kDLFloat, 32, 4}), DTypeError);
}

struct Foreign {
  DLManagedTensorVersioned managed = {};
  std::int64_t shape[1] = {4};
  float memory[6] = {9, 9, 1, 2, 3, 4};
  int deleted = 0;

  Foreign() {
    managed.version = {1, 0};
    managed.manager_ctx = this;
    managed.deleter = [](DLManagedTensorVersioned* self) {
      ++static_cast<Foreign*>(self->manager_ctx)->deleted;
    };
    managed.dl_tensor = {memory, {kDLCPU, 0}, 1, {kDLFloat, 32, 1}, shape, nullptr, 8};
  }
};

TEST(ArrayTest, foreign_tensors_may_have_an_offset_and_no_strides) {
  Foreign foreign;
  EXPECT_EQ(values(Array::from_dlpack(&foreign.managed)), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(foreign.deleted, 1);
}

TEST(ArrayTest, refused_foreign_tensors_are_deleted) {
  Foreign foreign;
  foreign.managed.dl_tensor.device = {kDLROCM, 0};
  EXPECT_THROW(Array::from_dlpack(&foreign.managed), TargetError);
  EXPECT_EQ(foreign.deleted, 1);
  foreign.managed.version.major = 2;
  EXPECT_THROW(Array::from_dlpack(&foreign.managed), UnsupportedError);
  EXPECT_EQ(foreign.deleted, 2);
}

}  // namespace
}  // namespace tenon
