#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "tenon/runtime/c_api.h"

namespace tenon {
namespace {

tenon_pool_stats stats() {
  tenon_pool_stats out;
  tenon_pool_get_stats(&out);
  return out;
}

TEST(MemoryPoolTest, blocks_are_aligned_and_usable_at_every_size) {
  for (std::uint64_t bytes = 0; bytes < (std::uint64_t{9} << 20); bytes = bytes * 5 / 4 + 1) {
    void* block = tenon_pool_allocate(bytes);
    ASSERT_NE(block, nullptr);
    const std::uintptr_t alignment = bytes >= (2u << 20) ? (2u << 20) : 64;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u) << bytes;
    std::memset(block, 0x5a, bytes);
    tenon_pool_free(block);
  }
  tenon_pool_free(nullptr);
}

TEST(MemoryPoolTest, a_freed_block_is_used_again) {
  void* first = tenon_pool_allocate(100'000);
  tenon_pool_free(first);
  const std::uint64_t before = stats().system_calls;
  void* second = tenon_pool_allocate(100'001);
  EXPECT_EQ(second, first);
  EXPECT_EQ(stats().system_calls, before);
  tenon_pool_free(second);
}

TEST(MemoryPoolTest, the_cache_is_bounded_and_drops_the_oldest) {
  tenon_pool_trim(0);
  EXPECT_EQ(stats().cached_bytes, 0u);
  tenon_pool_set_limit(8 << 20);
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(tenon_pool_allocate(1 << 20));
  for (void* block : blocks) tenon_pool_free(block);
  EXPECT_LE(stats().cached_bytes, std::uint64_t{8} << 20);
  EXPECT_GE(stats().cached_bytes, std::uint64_t{6} << 20);
  void* newest = tenon_pool_allocate(1 << 20);
  EXPECT_EQ(newest, blocks.back());
  tenon_pool_free(newest);
  tenon_pool_set_limit(256 << 20);
  tenon_pool_trim(0);
}

TEST(MemoryPoolTest, absurd_requests_give_null) {
  EXPECT_EQ(tenon_pool_allocate(~std::uint64_t{0}), nullptr);
  EXPECT_EQ(tenon_pool_allocate(std::uint64_t{1} << 46), nullptr);
}

TEST(MemoryPoolTest, threads_may_allocate_and_free_together) {
  const std::uint64_t live = stats().live_bytes;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 2000; ++i) {
        const std::uint64_t bytes = static_cast<std::uint64_t>((i * 37 + t * 101) % 5000 + 1);
        unsigned char* block = static_cast<unsigned char*>(tenon_pool_allocate(bytes));
        block[0] = static_cast<unsigned char>(t);
        block[bytes - 1] = static_cast<unsigned char>(t);
        ASSERT_EQ(block[0], t);
        tenon_pool_free(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stats().live_bytes, live);
}

}  // namespace
}  // namespace tenon
