#include "tenon/te/renew.h"

#include <gtest/gtest.h>

#include "te/expressions.h"
#include "tenon/ir/interpret.h"
#include "tenon/te/scan.h"

namespace tenon::te {
namespace {

ArrayView view(std::vector<std::int64_t>& data, std::vector<std::int64_t> shape) {
  return {data.data(), kInt64, std::move(shape)};
}

/// a(t) = b(t - 1) + x[t], b(t) = a(t - 1) * 2.
std::vector<Tensor> exchange(const Tensor& x, const Tensor& a0, const Tensor& b0) {
  return scan(
      imm(3), {a0, b0},
      [&](const Expr& t, const std::vector<Tensor>& s) {
        Tensor a = compute({}, [&](const Indices&) { return read(s[1], {}) + read(x, {t}); }, "a");
        Tensor b = compute({}, [&](const Indices&) { return read(s[0], {}) * 2; }, "b");
        return std::vector<Tensor>{a, b};
      },
      "s");
}

struct TeRenewTest : testing::Test {
  Tensor x = placeholder({imm(3)}, kInt64, "x"), y = placeholder({imm(3)}, kInt64, "y");
  Tensor a0 = placeholder({}, kInt64, "a0"), b0 = placeholder({}, kInt64, "b0");
};

TEST_F(TeRenewTest, results_of_one_scan_stay_results_of_one_scan) {
  const std::vector<Tensor> s = exchange(x, a0, b0);
  const std::vector<Tensor> renewed = replace(s, {{x.get(), y}});
  EXPECT_EQ(renewed[0]->scan, renewed[1]->scan);
  EXPECT_NE(renewed[0]->scan, s[0]->scan);
  EXPECT_EQ(renewed[0]->scan->operands.size(), 1U);
  EXPECT_TRUE(renewed[0]->scan->operands[0].same_as(y));
}

TEST_F(TeRenewTest, a_scan_made_again_computes_the_same_of_other_tensors) {
  const Tensor doubled =
      compute({imm(3)}, [&](const Indices& i) { return read(y, i) * 2; }, "doubled");
  const std::vector<Tensor> renewed = replace(exchange(x, a0, b0), {{x.get(), doubled}});
  const Function f = function({y, a0, b0}, renewed, "f");
  std::vector<std::int64_t> in = {1, 10, 100}, a = {3}, b = {5}, as(3), bs(3);
  interpret(f, {view(in, {3}), view(a, {}), view(b, {}), view(as, {3}), view(bs, {3})}).check();
  EXPECT_EQ(as, (std::vector<std::int64_t>{7, 26, 214}));
  EXPECT_EQ(bs, (std::vector<std::int64_t>{6, 14, 52}));
}

TEST_F(TeRenewTest, what_depends_on_nothing_replaced_is_the_same) {
  const Tensor of_x = compute({imm(3)}, [&](const Indices& i) { return read(x, i) + 1; }, "of_x");
  const Tensor of_both =
      compute({imm(3)}, [&](const Indices& i) { return read(of_x, i) + read(y, i); }, "of_both");
  const std::vector<Tensor> renewed = replace({of_x, of_both}, {{y.get(), of_x}});
  EXPECT_TRUE(renewed[0].same_as(of_x));
  EXPECT_FALSE(renewed[1].same_as(of_both));
  EXPECT_EQ(operands_of(renewed[1]).size(), 1U);
}

TEST_F(TeRenewTest, producers_come_first_and_what_is_known_is_not_looked_into) {
  const Tensor of_x = compute({imm(3)}, [&](const Indices& i) { return read(x, i) + 1; }, "of_x");
  const Tensor top = compute({imm(3)}, [&](const Indices& i) { return read(of_x, i) * 2; }, "top");
  const std::vector<Tensor> order = in_order({top});
  ASSERT_EQ(order.size(), 3U);
  EXPECT_TRUE(order[0].same_as(x) && order[1].same_as(of_x) && order[2].same_as(top));
  EXPECT_EQ(in_order({top}, {{of_x.get(), y}}).size(), 1U);
}

}  // namespace
}  // namespace tenon::te
