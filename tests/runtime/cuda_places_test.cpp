#include "runtime/cuda_places.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace tenon {
namespace {

namespace fs = std::filesystem;

// No machine has a library of these names.
constexpr CudaLibrary kLibrary = {
    "the test's library", {"libtenon_places.so.2", "libtenon_places.so.1"}, nullptr};

/// Sets an environment variable for a scope; null unsets it.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

class CudaPlacesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "tenon-places-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    set_cuda_package_folders("");
    fs::remove_all(folder_);
  }

  /// A library that opens, as `folder_/below`.
  std::string plant(const std::string& below) const {
    const fs::path path = fs::path(folder_) / below;
    fs::create_directories(path.parent_path());
    fs::copy_file(TENON_TEST_LIBRARY, path);
    return path;
  }
  std::string plant_text(const std::string& below, const std::string& text) const {
    const fs::path path = fs::path(folder_) / below;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }
  static std::string find() {
    CudaSearch search;
    return find_cuda_library(kLibrary, &search) ? search.path : "";
  }
  static std::string open() {
    CudaSearch search;
    void* handle = open_cuda_library(kLibrary, &search);
    if (handle == nullptr) return "";
    ::dlclose(handle);
    return search.path;
  }

  std::string folder_;
};

TEST_F(CudaPlacesTest, nothing_is_found_where_nothing_is) {
  const Variable place("TENON_CUDA_PATH", nullptr);
  EXPECT_EQ(find(), "");
  EXPECT_EQ(open(), "");
}

TEST_F(CudaPlacesTest, the_own_place_comes_before_the_loader_and_that_before_packages) {
  const std::string own = plant("own/lib64/libtenon_places.so.1");
  const std::string loader = plant("loader/libtenon_places.so.2");
  const std::string package = plant("site/nvidia/cu13/lib/libtenon_places.so.2");
  set_cuda_package_folders((folder_ + "/none\n" + folder_ + "/site").c_str());
  {
    const Variable place("TENON_CUDA_PATH", (folder_ + "/own").c_str());
    const Variable path("LD_LIBRARY_PATH", (folder_ + "/loader").c_str());
    EXPECT_EQ(find(), own);
    EXPECT_EQ(open(), own);
  }
  const Variable place("TENON_CUDA_PATH", nullptr);
  {
    const Variable path("LD_LIBRARY_PATH", (":/nowhere:" + folder_ + "/loader").c_str());
    EXPECT_EQ(find(), loader);
    EXPECT_EQ(open(), loader);
  }
  EXPECT_EQ(find(), package);
  EXPECT_EQ(open(), package);
}

TEST_F(CudaPlacesTest, the_own_place_is_a_toolkit_a_prefix_or_the_folder_itself) {
  const Variable place("TENON_CUDA_PATH", folder_.c_str());
  const std::string itself = plant("libtenon_places.so.2");
  EXPECT_EQ(find(), itself);
  const std::string prefix = plant("lib/libtenon_places.so.2");
  EXPECT_EQ(find(), prefix);
  const std::string toolkit = plant("lib64/libtenon_places.so.2");
  EXPECT_EQ(find(), toolkit);
  EXPECT_EQ(open(), toolkit);
}

TEST_F(CudaPlacesTest, the_newest_name_wins_among_packages) {
  const Variable place("TENON_CUDA_PATH", nullptr);
  plant("site/nvidia/z_old/lib/libtenon_places.so.1");
  const std::string newest = plant("site/nvidia/a_new/lib/libtenon_places.so.2");
  set_cuda_package_folders((folder_ + "/site").c_str());
  EXPECT_EQ(find(), newest);
  EXPECT_EQ(open(), newest);
}

TEST_F(CudaPlacesTest, none_means_that_nothing_is_looked_for) {
  plant("site/nvidia/cu13/lib/libtenon_places.so.2");
  set_cuda_package_folders((folder_ + "/site").c_str());
  const Variable place("TENON_CUDA_PATH", "none");
  EXPECT_FALSE(is_cuda_looked_for());
  EXPECT_EQ(find(), "");
  EXPECT_EQ(open(), "");
  char text[200];
  describe_cuda_places(text, sizeof(text));
  EXPECT_STREQ(text, "nowhere, because TENON_CUDA_PATH=none");
}

TEST_F(CudaPlacesTest, a_file_that_does_not_open_is_passed_over_and_named) {
  const std::string text = plant_text("lib64/libtenon_places.so.2", "no library\n");
  const Variable place("TENON_CUDA_PATH", folder_.c_str());
  CudaSearch search;
  EXPECT_EQ(open_cuda_library(kLibrary, &search), nullptr);
  EXPECT_NE(std::string(search.failures).find(text), std::string::npos) << search.failures;
  EXPECT_EQ(find(), "");
  const std::string good = plant("lib/libtenon_places.so.2");
  EXPECT_EQ(open(), good);
  EXPECT_EQ(find(), good);
}

TEST_F(CudaPlacesTest, the_loaders_table_is_read) {
  const Variable place("TENON_CUDA_PATH", nullptr);
  const CudaLibrary library = {"the C library", {"libc.so.6"}, nullptr};
  CudaSearch search;
  ASSERT_TRUE(find_cuda_library(library, &search));
  EXPECT_TRUE(fs::exists(search.path)) << search.path;
  EXPECT_EQ(fs::path(search.path).filename(), "libc.so.6");
}

TEST_F(CudaPlacesTest, the_places_are_named) {
  set_cuda_package_folders("/a\n/b");
  char text[400];
  {
    const Variable place("TENON_CUDA_PATH", "/opt/cuda");
    describe_cuda_places(text, sizeof(text));
    EXPECT_STREQ(text,
                 "TENON_CUDA_PATH='/opt/cuda', the system's loader, /usr/local/cuda*/lib64, "
                 "nvidia/*/lib of 2 folders of Python packages");
  }
  const Variable place("TENON_CUDA_PATH", nullptr);
  describe_cuda_places(text, 20);
  EXPECT_STREQ(text, "TENON_CUDA_PATH (no");
}

}  // namespace
}  // namespace tenon
