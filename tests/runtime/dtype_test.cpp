#include "tenon/runtime/dtype.h"

#include <gtest/gtest.h>

#include "tenon/support/error.h"

namespace tenon {
namespace {

TEST(DTypeTest, names_round_trip) {
  for (const char* name : {"float64", "float32", "bfloat16", "float16", "int8", "int64", "uint8",
                           "uint64", "bool", "float32x16"}) {
    EXPECT_EQ(to_string(parse_dtype(name)), name);
  }
}

TEST(DTypeTest, unknown_name_lists_the_known_ones) {
  try {
    parse_dtype("float31");
    FAIL() << "accepted";
  } catch (const DTypeError& e) {
    EXPECT_NE(std::string(e.what()).find("unknown dtype 'float31' [E0501]"), std::string::npos)
        << e.what();
    EXPECT_NE(std::string(e.what()).find("bfloat16"), std::string::npos) << e.what();
  }
}

TEST(DTypeTest, promotion_follows_the_array_api) {
  EXPECT_EQ(promote(DType::int_(8), DType::uint(8)), DType::int_(16));
  EXPECT_EQ(promote(DType::float_(16), DType::bfloat16()), DType::float_(32));
  EXPECT_THROW(promote(DType::int_(64), DType::uint(64)), DTypeError);
  EXPECT_THROW(promote(DType::int_(32), DType::float_(32)), DTypeError);
}

}  // namespace
}  // namespace tenon
