/// CUDA text of small functions, one case per file in tests/cuda_on_host/golden: the function, a
/// line `---`, the text. Set TENON_UPDATE_GOLDEN=1 to rewrite what comes after.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tenon/codegen/cuda_module.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/verify.h"

namespace tenon::testing {
namespace {

namespace fs = std::filesystem;

fs::path folder() { return fs::path(TENON_SOURCE_FOLDER) / "tests" / "cuda_on_host" / "golden"; }

class CudaText : public ::testing::TestWithParam<std::string> {};

TEST_P(CudaText, is_this) {
  std::ifstream file(folder() / GetParam());
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str(), line = "---\n";
  const std::size_t middle = std::min(text.find(line), text.size());
  const Function f = parse_function(text.substr(0, middle), GetParam());
  verify(f);
  const std::string source = cuda_module(f, Target::parse("cuda -arch=sm_80")).source;
  if (std::getenv("TENON_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(folder() / GetParam()) << print(f) << line << source;
    return;
  }
  EXPECT_EQ(print(f), text.substr(0, middle));
  EXPECT_EQ(source, text.substr(std::min(middle + line.size(), text.size())));
}

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder()))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string title(const ::testing::TestParamInfo<std::string>& info) {
  return info.param.substr(0, info.param.find('.'));
}

INSTANTIATE_TEST_SUITE_P(Golden, CudaText, ::testing::ValuesIn(cases()), title);

}  // namespace
}  // namespace tenon::testing
