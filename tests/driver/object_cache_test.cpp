#include "tenon/driver/object_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace tenon {
namespace {

namespace fs = std::filesystem;

std::vector<std::uint8_t> bytes_of(std::size_t n, std::uint8_t first) {
  std::vector<std::uint8_t> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::uint8_t>(first + i * 7);
  return bytes;
}

class ObjectCacheTest : public ::testing::Test {
 protected:
  ObjectCacheTest() {
    std::string name = fs::temp_directory_path().string() + "/tenon_cache_XXXXXX";
    root_ = ::mkdtemp(name.data());
    set_cache_warning_handler([this](const std::string& text) { warnings_.push_back(text); });
  }
  ~ObjectCacheTest() override {
    set_cache_warning_handler(nullptr);
    fs::remove_all(root_);
  }
  std::string folder() const { return root_ + "/sub/objects"; }
  std::vector<fs::path> entries() const {
    std::vector<fs::path> found;
    for (const auto& file : fs::directory_iterator(folder())) found.push_back(file.path());
    return found;
  }

  std::string root_;
  std::vector<std::string> warnings_;
};

TEST_F(ObjectCacheTest, gives_back_what_was_stored_to_this_and_later_processes) {
  const auto object = bytes_of(1000, 1);
  {
    ObjectCache cache(folder());
    EXPECT_FALSE(cache.find("key"));
    cache.store("key", object);
    EXPECT_EQ(cache.find("key"), object);
    EXPECT_FALSE(cache.find("another key"));
    EXPECT_EQ(cache.stats().hits, 1u);
    EXPECT_EQ(cache.stats().misses, 2u);
  }
  ObjectCache again(folder());
  EXPECT_EQ(again.find("key"), object);
  struct stat info = {};
  ASSERT_EQ(::stat(folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(ObjectCacheTest, every_flipped_byte_and_every_truncation_is_noticed) {
  ObjectCache cache(folder());
  const auto object = bytes_of(40, 3);
  cache.store("key", object);
  const fs::path entry = entries().at(0);
  std::ifstream in(entry, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const bool truncates : {false, true}) {
      std::string bad = truncates ? good.substr(0, at) : good;
      if (!truncates) bad[at] = static_cast<char>(bad[at] ^ 0x10);
      std::ofstream(entry, std::ios::binary) << bad;
      EXPECT_FALSE(cache.find("key")) << at;
      EXPECT_FALSE(fs::exists(entry)) << "a damaged entry is deleted";
    }
  }
  cache.store("key", object);
  EXPECT_EQ(cache.find("key"), object);
  EXPECT_EQ(cache.stats().damaged, 2 * good.size());
}

TEST_F(ObjectCacheTest, an_entry_of_another_key_under_the_same_hash_is_not_used) {
  ObjectCache cache(folder());
  cache.store("one", bytes_of(10, 1));
  const fs::path one = entries().at(0);
  cache.store("two", bytes_of(10, 2));
  for (const fs::path& path : entries()) {
    if (path != one) fs::copy_file(path, one, fs::copy_options::overwrite_existing);
  }
  EXPECT_FALSE(cache.find("one"));
  EXPECT_EQ(cache.find("two"), bytes_of(10, 2));
}

TEST_F(ObjectCacheTest, stays_within_its_bound_and_keeps_what_was_used_last) {
  ObjectCache cache(folder(), 10'000);
  for (int k = 0; k < 30; ++k) {
    cache.store("key" + std::to_string(k), bytes_of(900, static_cast<std::uint8_t>(k)));
  }
  std::uint64_t total = 0;
  for (const fs::path& path : entries()) total += fs::file_size(path);
  EXPECT_LE(total, 10'000u);
  EXPECT_GT(cache.stats().evicted, 0u);
  EXPECT_TRUE(cache.find("key29"));
}

TEST_F(ObjectCacheTest, a_folder_that_others_can_write_is_refused_with_one_warning) {
  fs::create_directories(folder());
  ASSERT_EQ(::chmod(folder().c_str(), 0777), 0);
  ObjectCache cache(folder());
  cache.store("key", bytes_of(10, 1));
  EXPECT_FALSE(cache.find("key"));
  EXPECT_FALSE(cache.enabled());
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_NE(warnings_[0].find("is not used: other users can write it"), std::string::npos);
}

TEST_F(ObjectCacheTest, a_folder_that_cannot_be_made_disables_the_cache) {
  std::ofstream(root_ + "/sub") << "a file";
  ObjectCache cache(folder());
  EXPECT_FALSE(cache.enabled());
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_NE(warnings_[0].find("it cannot be made"), std::string::npos);
}

TEST_F(ObjectCacheTest, a_full_disk_disables_the_cache_with_one_warning) {
  ObjectCache cache(folder());
  fs::remove_all(folder());  // stands for whatever makes writing fail
  cache.store("key", bytes_of(10, 1));
  cache.store("key", bytes_of(10, 1));
  EXPECT_FALSE(cache.enabled());
  EXPECT_EQ(warnings_.size(), 1u);
}

TEST_F(ObjectCacheTest, fifos_and_links_are_no_entries) {
  ObjectCache cache(folder());
  cache.store("key", bytes_of(10, 1));
  const fs::path entry = entries().at(0);
  fs::rename(entry, root_ + "/elsewhere");
  fs::create_symlink(root_ + "/elsewhere", entry);
  EXPECT_FALSE(cache.find("key"));
  fs::remove(entry);
  ASSERT_EQ(::mkfifo(entry.c_str(), 0600), 0);
  EXPECT_FALSE(cache.find("key"));
}

TEST_F(ObjectCacheTest, threads_share_a_folder) {
  ObjectCache cache(folder());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int k = 0; k < 50; ++k) {
        const std::string key = "key" + std::to_string(k % 10);
        const auto object = bytes_of(300, static_cast<std::uint8_t>(k % 10));
        cache.store(key, object);
        const auto found = cache.find(key);
        ASSERT_TRUE(found.has_value()) << t;
        ASSERT_EQ(*found, object);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(cache.stats().damaged, 0u);
}

TEST(CacheFolder, comes_from_the_environment) {
  ::setenv("TENON_CACHE_DIR", "/a/b", 1);
  EXPECT_EQ(default_cache_folder(), "/a/b");
  ::setenv("TENON_CACHE_DIR", "off", 1);
  EXPECT_EQ(default_cache_folder(), "");
  ::unsetenv("TENON_CACHE_DIR");
  ::setenv("XDG_CACHE_HOME", "/c", 1);
  EXPECT_EQ(default_cache_folder(), "/c/tenon");
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", "/d", 1);
  EXPECT_EQ(default_cache_folder(), "/d/.cache/tenon");
}

}  // namespace
}  // namespace tenon
