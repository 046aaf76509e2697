/// What lowering made of GPU schedules, as CUDA text on the CPU, against the interpreter, bit for
/// bit: the lowered functions of tests/ir/golden, and those in the folder that
/// TENON_LOWERED_FOLDER names (one function a file).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <sstream>

#include "codegen/kernel_runner.h"
#include "codegen/needs_nvrtc.h"
#include "cuda_on_host/host_module.h"
#include "tenon/codegen/cuda.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon::testing {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

/// The lowered functions, with names that differ.
std::vector<Function> lowered_functions() {
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::directory_iterator(fs::path(TENON_SOURCE_FOLDER) / "tests" / "ir" / "golden")) {
    files.push_back(entry.path());
  }
  if (const char* folder = std::getenv("TENON_LOWERED_FOLDER")) {
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Function> functions;
  for (const fs::path& path : files) {
    std::string text = text_of(path);
    const std::size_t middle = text.find("---\n");
    if (middle != std::string::npos) text = text.substr(middle + 4);
    if (text.find("loop function") != 0 || text.find("thread for") == std::string::npos) continue;
    const Function f = parse_function(text, path.filename().string());
    const std::string name = "l" + std::to_string(functions.size()) + "_" + f->name;
    functions.push_back(
        make_function(name, f->inputs, f->outputs, f->symbols, f->body, f->level, f->attrs));
  }
  return functions;
}

/// Arguments for symbols that are all 21, or the next value that their range allows.
struct Arguments {
  std::vector<std::int64_t> symbols;
  std::vector<Cells> cells;
  std::vector<std::int64_t> sizes;

  explicit Arguments(const Function& f) {
    VarMap values;
    for (const Symbol& s : f->symbols) {
      std::int64_t v = std::max<std::int64_t>(s.min, 21);
      v = (v + s.multiple_of - 1) / s.multiple_of * s.multiple_of;
      symbols.push_back(v);
      values[s.var.get()] = imm(v);
    }
    int seed = 0;
    for (const Buffer& b : f->params()) {
      std::int64_t size = 1;
      for (const Expr& d : b->shape) size *= as_int(simplify(substitute(d, values))).value();
      sizes.push_back(size);
      cells.emplace_back(b->dtype, size);
      fill(b->dtype, size, seed++);
    }
  }
  void fill(DType t, std::int64_t size, int seed) {
    for (std::int64_t i = 0; i < size; ++i) {
      if (t.is_float()) {
        cells.back().set_float(i, static_cast<double>((i * 7 + seed) % 23) * 0.37 - 4.0);
      } else {
        cells.back().set_int(i, (i * 3 + seed) % 7);
      }
    }
  }
  std::vector<void*> pointers() {
    std::vector<void*> out;
    for (Cells& c : cells) out.push_back(c.data());
    return out;
  }
};

bool same(const Cells& a, const Cells& b, DType t, std::int64_t i) {
  if (!t.is_float()) return a.int_at(i) == b.int_at(i);
  const double x = a.float_at(i), y = b.float_at(i);
  return (std::isnan(x) && std::isnan(y)) || (x == y && std::signbit(x) == std::signbit(y));
}

TEST(LoweredOnHost, kernels_have_the_bits_of_the_interpreter) {
  const std::vector<Function> functions = lowered_functions();
  ASSERT_GE(functions.size(), 7U);
  HostModule module(functions, Target::parse("cuda -arch=sm_80"));
  for (std::size_t k = 0; k < functions.size(); ++k) {
    const Function& f = functions[k];
    Arguments wanted(f), got(f);
    std::vector<ArrayView> views;
    const std::vector<Buffer> params = f->params();
    for (std::size_t i = 0; i < params.size(); ++i) {
      views.push_back({wanted.cells[i].data(), params[i]->dtype, {wanted.sizes[i]}});
      if (params[i]->shape.size() != 1) {
        VarMap values;
        for (std::size_t s = 0; s < f->symbols.size(); ++s) {
          values[f->symbols[s].var.get()] = imm(wanted.symbols[s]);
        }
        views.back().shape.clear();
        for (const Expr& d : params[i]->shape) {
          views.back().shape.push_back(as_int(simplify(substitute(d, values))).value());
        }
      }
    }
    InterpretOptions options;
    options.symbols = wanted.symbols;
    const InterpretReport report = interpret(f, views, options);
    ASSERT_TRUE(report.ok()) << f->name << "\n" << report.text();
    ASSERT_EQ(module.run(k, got.pointers(), got.symbols), "") << f->name;
    for (std::size_t i = 0; i < params.size(); ++i) {
      for (std::int64_t at = 0; at < wanted.sizes[i]; ++at) {
        ASSERT_TRUE(same(wanted.cells[i], got.cells[i], params[i]->dtype, at))
            << f->name << ": " << params[i]->name << "[" << at << "]\n"
            << module.module(k).source;
      }
    }
  }
}

TEST(LoweredOnHost, kernels_compile_and_keep_their_values_in_registers) {
  TENON_NEEDS_NVRTC();
  for (const Function& f : lowered_functions()) {
    const CudaModule m = cuda_module(f, Target::parse("cuda -arch=sm_90a"));
    const Cubin cubin = compile_cuda(m.source, "sm_90a");
    for (const CudaKernel& k : m.kernels) {
      const CudaKernelResources* r = cubin.kernel(k.name);
      ASSERT_NE(r, nullptr) << k.name;
      EXPECT_EQ(r->spill_store_bytes.value_or(0), 0) << k.name << "\n" << m.source;
    }
  }
}

}  // namespace
}  // namespace tenon::testing
