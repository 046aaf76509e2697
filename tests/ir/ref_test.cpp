#include "tenon/support/ref.h"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tenon/ir/builder.h"
#include "tenon/support/stack.h"

namespace tenon {
namespace {

int alive = 0;

struct Counted : RefCounted {
  Counted() { ++alive; }
  ~Counted() override { --alive; }
};
struct Derived : Counted {};

TEST(Ref, the_last_handle_frees_the_object) {
  {
    Ref<Counted> a(new Counted);
    const Ref<Counted> b = a;
    a = nullptr;
    EXPECT_EQ(alive, 1);
    EXPECT_TRUE(b);
    EXPECT_FALSE(a);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Ref, assignment_to_itself_and_moves_are_safe) {
  Ref<Counted> a(new Counted);
  const Ref<Counted>& same = a;
  a = same;
  EXPECT_EQ(alive, 1);
  Ref<Counted> b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): a moved-from handle is null
  a = std::move(b);
  EXPECT_EQ(a->ref_count.load(), 1);
  a = nullptr;
  EXPECT_EQ(alive, 0);
}

TEST(Ref, a_derived_handle_converts_and_a_raw_pointer_becomes_a_handle_again) {
  const Ref<Derived> derived(new Derived);
  const Ref<Counted> base = derived;
  EXPECT_EQ(base->ref_count.load(), 2);
  const Ref<Counted> again(base.get());
  EXPECT_EQ(base->ref_count.load(), 3);
  EXPECT_TRUE(again.same_as(base));
}

TEST(Ref, a_node_that_holds_the_last_handle_of_the_assigned_one_may_be_replaced_by_it) {
  Expr e = -(var("x") + 1);
  e = e.as<UnaryNode>()->a;  // frees the negation while its operand is being taken
  EXPECT_NE(e.as<BinaryNode>(), nullptr);
}

TEST(Ref, handles_may_be_copied_and_dropped_from_any_thread) {
  const Expr shared = var("x") + 1;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) {
        const Expr copy = shared;
        const Expr user = copy + i;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(shared->ref_count.load(), 1);
}

int count_down(int n) {
  return with_stack([&] { return n == 0 ? 0 : 1 + count_down(n - 1); });
}

TEST(WithStack, recursion_goes_on_where_the_stack_ends) { EXPECT_EQ(count_down(200000), 200000); }

TEST(WithStack, exceptions_and_thread_local_state_come_through) {
  const SpanScope scope(Span("a.py", 7));
  std::function<void(int)> fall = [&](int n) {
    with_stack([&] {
      if (n > 0) return fall(n - 1);
      throw std::runtime_error(SpanScope::current().str());
    });
  };
  try {
    fall(100000);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "a.py:7");
  }
}

}  // namespace
}  // namespace tenon
