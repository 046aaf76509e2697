#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tenon/runtime/c_api.h"

namespace tenon {
namespace {

/// A kernel context with the pool behind it and a count for every iteration.
struct Loop {
  tenon_kernel_context ctx = {};
  std::vector<std::atomic<int>> counts;
  std::vector<std::atomic<int>> inside;
  std::atomic<int> workers_seen{0};
  std::atomic<int> clashes{0};
  volatile std::int32_t interrupt = 0;

  Loop(std::size_t n, std::int32_t num_workers) : counts(n), inside(256) {
    ctx.parallel_for = tenon_parallel_for;
    ctx.num_workers = num_workers;
    ctx.interrupt = &interrupt;
  }
  std::int32_t run(tenon_task_fn task) {
    return ctx.parallel_for(&ctx, static_cast<std::int64_t>(counts.size()), task, this);
  }
  bool every_iteration_ran_once() const {
    for (const std::atomic<int>& c : counts) {
      if (c.load() != 1) return false;
    }
    return true;
  }
};

std::int32_t count_task(tenon_kernel_context* ctx, void* closure, std::int64_t begin,
                        std::int64_t end, std::int32_t worker) {
  Loop& loop = *static_cast<Loop*>(closure);
  if (worker < 0 || worker >= ctx->num_workers) return 77;
  if (loop.inside[static_cast<std::size_t>(worker)].fetch_add(1) != 0) loop.clashes.fetch_add(1);
  for (std::int64_t i = begin; i < end; ++i) loop.counts[static_cast<std::size_t>(i)].fetch_add(1);
  loop.inside[static_cast<std::size_t>(worker)].fetch_sub(1);
  return 0;
}

class ThreadPoolTest : public testing::Test {
 protected:
  void TearDown() override { tenon_set_num_threads(0); }
};

TEST_F(ThreadPoolTest, every_iteration_runs_once_for_any_count_and_number_of_threads) {
  for (const std::int32_t threads : {1, 2, 3, 8}) {
    ASSERT_EQ(tenon_set_num_threads(threads), TENON_OK);
    EXPECT_EQ(tenon_get_num_threads(), threads);
    for (const std::size_t n : {0, 1, 2, 3, 7, 49, 100, 129, 10'000}) {
      Loop loop(n, threads);
      EXPECT_EQ(loop.run(count_task), 0);
      EXPECT_TRUE(loop.every_iteration_ran_once()) << n << " iterations, " << threads << " threads";
      EXPECT_EQ(loop.clashes.load(), 0);
    }
  }
}

TEST_F(ThreadPoolTest, numbers_out_of_range_are_refused) {
  EXPECT_EQ(tenon_set_num_threads(-1), TENON_ERROR_USAGE);
  EXPECT_EQ(tenon_set_num_threads(257), TENON_ERROR_USAGE);
  EXPECT_STREQ(tenon_last_error(),
               "number of threads 257 must be between 0 (the default) and 256 [E1006]");
  EXPECT_GE(tenon_default_num_threads(), 1);
}

TEST_F(ThreadPoolTest, several_threads_really_work) {
  ASSERT_EQ(tenon_set_num_threads(2), TENON_OK);
  Loop loop(64, 2);
  const auto task = [](tenon_kernel_context*, void* closure, std::int64_t, std::int64_t,
                       std::int32_t worker) {
    static_cast<Loop*>(closure)->workers_seen.fetch_or(1 << worker);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return 0;
  };
  EXPECT_EQ(loop.run(task), 0);
  EXPECT_EQ(loop.workers_seen.load(), 3);
}

TEST_F(ThreadPoolTest, the_first_failure_is_returned_and_stops_the_rest) {
  const auto task = [](tenon_kernel_context*, void* closure, std::int64_t begin, std::int64_t end,
                       std::int32_t) {
    Loop& l = *static_cast<Loop*>(closure);
    for (std::int64_t i = begin; i < end; ++i) l.counts[static_cast<std::size_t>(i)].fetch_add(1);
    return begin == 0 ? 5 : 0;
  };
  for (const std::int32_t threads : {1, 2}) {
    ASSERT_EQ(tenon_set_num_threads(threads), TENON_OK);
    Loop loop(100'000, threads);
    EXPECT_EQ(loop.run(task), 5);
    // With two threads, the other may have been through before this one began.
    if (threads == 1) {
      EXPECT_FALSE(loop.every_iteration_ran_once());
    }
  }
}

TEST_F(ThreadPoolTest, an_interrupt_stops_at_the_next_chunk) {
  for (const std::int32_t threads : {1, 2}) {
    ASSERT_EQ(tenon_set_num_threads(threads), TENON_OK);
    Loop loop(1000, threads);
    const auto task = [](tenon_kernel_context*, void* closure, std::int64_t, std::int64_t,
                         std::int32_t) {
      Loop& l = *static_cast<Loop*>(closure);
      l.workers_seen.fetch_add(1);
      __atomic_store_n(&l.interrupt, 1, __ATOMIC_RELAXED);
      return 0;
    };
    EXPECT_EQ(loop.run(task), TENON_KERNEL_INTERRUPTED);
    EXPECT_LE(loop.workers_seen.load(), threads);
  }
}

TEST_F(ThreadPoolTest, a_nested_loop_runs_on_its_worker) {
  ASSERT_EQ(tenon_set_num_threads(2), TENON_OK);
  Loop loop(16 * 16, 2);
  const auto outer = [](tenon_kernel_context* ctx, void* closure, std::int64_t begin,
                        std::int64_t end, std::int32_t worker) {
    for (std::int64_t i = begin; i < end; ++i) {
      struct Inner {
        Loop* loop;
        std::int64_t row;
        std::int32_t worker;
      } inner = {static_cast<Loop*>(closure), i, worker};
      const auto task = [](tenon_kernel_context*, void* c, std::int64_t b, std::int64_t e,
                           std::int32_t w) {
        const Inner& in = *static_cast<Inner*>(c);
        for (std::int64_t k = b; k < e; ++k)
          in.loop->counts[static_cast<std::size_t>(in.row * 16 + k)].fetch_add(1);
        return w == in.worker ? 0 : 9;
      };
      const std::int32_t status = ctx->parallel_for(ctx, 16, task, &inner);
      if (status != 0) return status;
    }
    return 0;
  };
  EXPECT_EQ(loop.ctx.parallel_for(&loop.ctx, 16, outer, &loop), 0);
  EXPECT_TRUE(loop.every_iteration_ran_once());
}

TEST_F(ThreadPoolTest, callers_on_several_threads_do_not_disturb_each_other) {
  ASSERT_EQ(tenon_set_num_threads(2), TENON_OK);
  std::atomic<int> failures{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&failures] {
      for (int i = 0; i < 300; ++i) {
        Loop loop(97, 2);
        if (loop.run(count_task) != 0 || !loop.every_iteration_ran_once() ||
            loop.clashes.load() != 0)
          failures.fetch_add(1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failures.load(), 0);
}

TEST_F(ThreadPoolTest, the_number_may_change_between_and_during_loops_of_others) {
  std::atomic<bool> stop{false};
  std::thread changer([&stop] {
    for (int i = 0; !stop.load(); ++i) tenon_set_num_threads(1 + i % 4);
  });
  for (int i = 0; i < 300; ++i) {
    Loop loop(33, 4);
    ASSERT_EQ(loop.run(count_task), 0);
    ASSERT_TRUE(loop.every_iteration_ran_once());
  }
  stop = true;
  changer.join();
}

TEST_F(ThreadPoolTest, idle_workers_use_no_processor_time) {
  ASSERT_EQ(tenon_set_num_threads(4), TENON_OK);
  Loop loop(1000, 4);
  ASSERT_EQ(loop.run(count_task), 0);
  const auto cpu_ms = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const long before = cpu_ms();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_LE(cpu_ms() - before, 10);
}

TEST_F(ThreadPoolTest, a_forked_child_has_working_threads) {
  ASSERT_EQ(tenon_set_num_threads(2), TENON_OK);
  Loop before(100, 2);
  ASSERT_EQ(before.run(count_task), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);  // a child that hangs fails
    bool ok = true;
    for (int i = 0; i < 20 && ok; ++i) {
      Loop loop(100, 2);
      ok = loop.run(count_task) == 0 && loop.every_iteration_ran_once();
      void* block = tenon_pool_allocate(1000);
      ok = ok && block != nullptr;
      tenon_pool_free(block);
    }
    _exit(ok ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  Loop after(100, 2);
  EXPECT_EQ(after.run(count_task), 0);
}

TEST_F(ThreadPoolTest, stopped_workers_start_again) {
  ASSERT_EQ(tenon_set_num_threads(3), TENON_OK);
  for (int i = 0; i < 20; ++i) {
    Loop loop(50, 3);
    ASSERT_EQ(loop.run(count_task), 0);
    ASSERT_TRUE(loop.every_iteration_ran_once());
    tenon_stop_threads();
  }
}

TEST_F(ThreadPoolTest, an_application_may_run_the_loops_itself) {
  static std::atomic<int> calls{0};
  tenon_set_parallel_for(
      [](tenon_kernel_context* ctx, std::int64_t n, tenon_task_fn task, void* closure) {
        calls.fetch_add(1);
        return task(ctx, closure, 0, n, 0);
      });
  Loop loop(100, 2);
  EXPECT_EQ(loop.run(count_task), 0);
  tenon_set_parallel_for(nullptr);
  EXPECT_TRUE(loop.every_iteration_ran_once());
  EXPECT_EQ(calls.load(), 1);
}

}  // namespace
}  // namespace tenon
