#include <gtest/gtest.h>

#include "rules/comparison.h"
#include "rules/window_functions.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/visit.h"
#include "tenon/rules/default_schedule.h"

namespace tenon {
namespace {

using testing::forward;
using testing::input_gradient;
using testing::pooling;
using testing::Shape;
using testing::strided_input_gradient;
using testing::weight_gradient;

const Shape kShapes[] = {
    {2, 7, 9, 5, 33, 3, 1, 1},     // columns with a tail
    {1, 4, 40, 3, 64, 3, 1, 1},    // several tiles along a row
    {1, 5, 29, 4, 16, 5, 1, 2},    // tiles of two sizes
    {1, 9, 14, 8, 24, 3, 2, 1},    // stride
    {1, 8, 17, 2, 8, 3, 1, 2, 2},  // dilation
    {2, 1, 1, 4, 8, 3, 1, 1},      // one pixel
    {1, 3, 2, 4, 8, 7, 1, 3},      // a window larger than the image
    {0, 5, 5, 2, 8, 3, 1, 1},      // no image
};

TEST(ConvolutionRuleTest, forward) {
  for (const Shape& s : kShapes) {
    expect_same_results(
        forward(s), {random_array({s.n, s.h, s.w, s.c}, 1), random_array({s.k, s.k, s.c, s.oc}, 2)},
        Agreement::kBits);
  }
}

TEST(ConvolutionRuleTest, gradient_by_the_input) {
  for (const Shape& s : kShapes) {
    const std::vector<Array> inputs{random_array({s.n, s.out(s.h), s.out(s.w), s.oc}, 1),
                                    random_array({s.k, s.k, s.c, s.oc}, 2)};
    if (s.stride == 1) expect_same_results(input_gradient(s), inputs, Agreement::kBits);
    expect_same_results(strided_input_gradient(s), inputs, Agreement::kBits);
  }
}

TEST(ConvolutionRuleTest, gradient_by_the_weight) {
  for (const Shape& s : kShapes) {
    expect_same_results(weight_gradient(s),
                        {random_array({s.n, s.h, s.w, s.c}, 1),
                         random_array({s.n, s.out(s.h), s.out(s.w), s.oc}, 2)},
                        Agreement::kBits);
  }
}

TEST(ConvolutionRuleTest, pooling_and_depthwise) {
  for (const Shape& s : {Shape{2, 7, 9, 70, 0, 3, 2, 1}, Shape{1, 5, 18, 5, 0, 3, 1, 1},
                         Shape{1, 6, 6, 16, 0, 2, 2, 0}, Shape{1, 1, 1, 3, 0, 3, 1, 1}}) {
    const Array x = random_array({s.n, s.h, s.w, s.c}, 1), w = random_array({s.k, s.k, s.c}, 2);
    expect_same_results(pooling(s, true, false), {x}, Agreement::kBits);
    expect_same_results(pooling(s, false, false), {x}, Agreement::kBits);
    expect_same_results(pooling(s, false, true), {x, w}, Agreement::kBits);
  }
}

/// Whether every vectorized loop is at most a vector or whole vectors long.
bool has_whole_vectors(const Function& f, std::int64_t lanes) {
  bool whole = true;
  post_order_visit(f->body, [&](const Node& n) {
    if (n.kind != NodeKind::kFor) return;
    const auto& loop = static_cast<const ForNode&>(n);
    if (loop.attrs.kind != ForKind::kVectorized) return;
    const std::int64_t extent = as_int(loop.extent).value_or(lanes);
    whole = whole && (extent <= lanes || extent % lanes == 0);
  });
  return whole;
}

TEST(ConvolutionRuleTest, tiles_have_whole_vectors) {
  Target target = Target::host();
  const std::int64_t lanes = target.vector_bytes / 4;
  for (const std::int64_t channels : {20, 24, 40, 88, 100}) {
    const Shape s{1, 6, 9, 8, channels, 3, 1, 1};
    const Function scheduled = default_schedule(forward(s), target).function();
    EXPECT_TRUE(has_whole_vectors(scheduled, lanes)) << channels;
    expect_same_results(
        forward(s), {random_array({s.n, s.h, s.w, s.c}, 1), random_array({s.k, s.k, s.c, s.oc}, 2)},
        Agreement::kBits);
  }
}

/// Whether a loop that has no loop inside tests a condition.
bool has_condition_in_innermost_loop(const Function& f) {
  bool found = false;
  post_order_visit(f->body, [&](const Node& n) {
    if (n.kind != NodeKind::kFor) return;
    bool has_loop = false, has_condition = false;
    post_order_visit(static_cast<const ForNode&>(n).body, [&](const Node& inner) {
      has_loop |= inner.kind == NodeKind::kFor;
      has_condition |= inner.kind == NodeKind::kIf || inner.kind == NodeKind::kSelect;
    });
    found |= !has_loop && has_condition;
  });
  return found;
}

TEST(ConvolutionRuleTest, padding_leaves_no_condition_in_innermost_loops) {
  const Shape s{1, 20, 45, 16, 64, 3, 1, 1}, strided{1, 30, 45, 16, 64, 3, 2, 1};
  const Shape blocks{1, 20, 45, 640, 640, 3, 1, 1}, batch{7, 42, 45, 12, 64, 3, 1, 1};  // of sums
  for (const Function& f : {forward(s), forward(strided), input_gradient(s), weight_gradient(s),
                            weight_gradient(strided), forward(blocks), input_gradient(blocks),
                            weight_gradient(batch)}) {
    const Function lowered = lower(default_schedule(f, Target::host()).function());
    EXPECT_FALSE(has_condition_in_innermost_loop(lowered)) << f->name;
  }
}

}  // namespace
}  // namespace tenon
