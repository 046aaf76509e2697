// Times compiled plans on the GPU of this machine: usage gpu_bench FOLDER [--seconds S]
//
// Needs the runtime and CUDA's driver alone. Each folder in FOLDER with a plan.bin and a bench.txt
// is a case; inputs are random and made here, so that large ones need not be carried. One JSON
// object a line: the device, the copy bandwidth of its memory, then the cases. Ours and the peer's
// runs alternate; times are medians of rounds. Exit code: 0 all ran, 1 something failed, 3 there is
// no device.
//
// bench.txt, one line for each:
//   input <dtype> <dims>...      float32, float16 or bfloat16
//   result <dtype> <dims>...
//   flops <number> | bytes <number> | launches <number>    of one run
//   product <m> <n> <k>          the case multiplies its two inputs: results are sampled and
//                                compared, and cuBLAS does the same where it is found (no TF32)

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "gpu/device_call.h"
#include "tenon/runtime/float_convert.h"

namespace {

namespace fs = std::filesystem;
using namespace tenon::gpu;  // NOLINT(google-build-using-namespace): a program about these

constexpr int kRounds = 7;

double now() {
  const auto t = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(t).count();
}
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Value {
  std::string dtype;
  std::vector<std::int64_t> dims;
  std::size_t count() const {
    std::size_t n = 1;
    for (const std::int64_t d : dims) n *= static_cast<std::size_t>(d);
    return n;
  }
  std::size_t width() const { return dtype == "float32" ? 4 : 2; }
  std::size_t num_bytes() const { return count() * width(); }
  tenon::DType element() const {
    return dtype == "bfloat16" ? tenon::DType::bfloat16()
                               : tenon::DType::float_(static_cast<int>(8 * width()));
  }
  DLDataType type() const {
    if (dtype == "bfloat16") return {kDLBfloat, 16, 1};
    return {kDLFloat, static_cast<std::uint8_t>(8 * width()), 1};
  }
};

struct Case {
  std::string name;
  Bytes plan;
  std::vector<Value> inputs, results;
  double flops = 0, bytes = 0, launches = 1;
  std::vector<std::int64_t> product;  ///< m, n, k
};

Case read_case(const fs::path& folder) {
  Case c;
  c.name = folder.filename().string();
  std::ifstream plan(folder / "plan.bin", std::ios::binary);
  if (!plan) fail("cannot read plan.bin");
  c.plan = {std::istreambuf_iterator<char>(plan), std::istreambuf_iterator<char>()};
  std::ifstream text(folder / "bench.txt");
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "input" || kind == "result") {
      Value v;
      words >> v.dtype;
      if (v.dtype != "float32" && v.dtype != "float16" && v.dtype != "bfloat16")
        fail("bench.txt has the dtype " + v.dtype);
      for (std::int64_t d = 0; words >> d;) v.dims.push_back(d);
      (kind == "input" ? c.inputs : c.results).push_back(v);
    } else if (kind == "flops") {
      words >> c.flops;
    } else if (kind == "bytes") {
      words >> c.bytes;
    } else if (kind == "launches") {
      words >> c.launches;
    } else if (kind == "product") {
      for (std::int64_t d = 0; words >> d;) c.product.push_back(d);
      if (c.product.size() != 3 || c.inputs.size() != 2 || c.results.size() != 1)
        fail("a product has m, n, k, two inputs and a result");
    } else if (!kind.empty()) {
      fail("a line of bench.txt begins with " + kind);
    }
  }
  return c;
}

/// Multiples of 1/8 in [-1, 1]: exact in every dtype, so that sums tell what was multiplied.
Bytes random_values(const Value& v, std::uint32_t seed, std::vector<float>* kept) {
  std::mt19937 random(seed);
  Bytes bytes(v.num_bytes());
  const tenon::DType dtype = v.element();
  kept->resize(v.count());
  for (std::size_t i = 0; i < v.count(); ++i) {
    const float x = (static_cast<float>(random() % 17) - 8.0f) / 8.0f;
    (*kept)[i] = x;
    tenon::store_float(dtype, x, &bytes[i * v.width()]);
  }
  return bytes;
}

/// The product of the vendor's library, where it is installed.
class Blas {
 public:
  Blas() {
    const char* root = std::getenv("TENON_CUDA_PATH");
    for (const char* version : {".13", ".12", ".11", ""}) {
      const std::string file = std::string("libcublas.so") + version;
      for (const std::string& place :
           {root == nullptr ? file : std::string(root) + "/lib64/" + file,
            "/usr/local/cuda/lib64/" + file, file}) {
        if (library_ == nullptr) library_ = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
      }
    }
    if (library_ == nullptr) return;
    const auto create = reinterpret_cast<int (*)(void**)>(dlsym(library_, "cublasCreate_v2"));
    gemm_ = reinterpret_cast<Gemm>(dlsym(library_, "cublasGemmEx"));
    if (create == nullptr || gemm_ == nullptr || create(&handle_) != 0) gemm_ = nullptr;
  }
  bool is_there() const { return gemm_ != nullptr; }
  /// Row-major C = A B is column-major C' = B' A'. False where the library refuses.
  bool multiply(const Case& c, const Arrays& in, const Arrays& out) const {
    const auto type = [](const Value& v) {
      return v.dtype == "float32" ? 0 : v.dtype == "float16" ? 2 : 14;
    };
    const int m = static_cast<int>(c.product[0]), n = static_cast<int>(c.product[1]);
    const int k = static_cast<int>(c.product[2]);
    const float one = 1, zero = 0;
    constexpr int kCompute32 = 68;
    return gemm_(handle_, 0, 0, n, m, k, &one, in.at(1), type(c.inputs[1]), n, in.at(0),
                 type(c.inputs[0]), k, &zero, out.at(0), type(c.results[0]), n, kCompute32,
                 -1) == 0;
  }

 private:
  using Gemm = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int,
                       const void*, int, int, const void*, void*, int, int, int, int);
  void* library_ = nullptr;
  void* handle_ = nullptr;
  Gemm gemm_ = nullptr;
};

/// Seconds of one run: as many as fill `seconds` are queued, then waited for.
template <typename Run>
double seconds_of(const Run& run, double seconds) {
  const auto batch = [&](int count) {
    const double start = now();
    for (int i = 0; i < count; ++i) run();
    check(tenon_device_synchronize(0), "wait");
    return (now() - start) / count;
  };
  const double once = batch(1);
  return batch(std::clamp(static_cast<int>(seconds / std::max(once, 1e-7)), 1, 100000));
}

/// The largest error of 64 sampled elements, relative to sqrt(k).
double sampled_error(const Case& c, const Arrays& out, const std::vector<float>& a,
                     const std::vector<float>& b) {
  const std::size_t m = static_cast<std::size_t>(c.product[0]);
  const std::size_t n = static_cast<std::size_t>(c.product[1]);
  const std::size_t k = static_cast<std::size_t>(c.product[2]);
  std::vector<float> found(m * n);
  out.read(0, found.data(), 4 * found.size());
  std::mt19937 random(7);
  double worst = 0;
  for (int sample = 0; sample < 64; ++sample) {
    const std::size_t i = random() % m, j = random() % n;
    double sum = 0;
    for (std::size_t t = 0; t < k; ++t)
      sum += static_cast<double>(a[i * k + t]) * static_cast<double>(b[t * n + j]);
    worst = std::max(worst, std::abs(sum - static_cast<double>(found[i * n + j])));
  }
  return worst / std::sqrt(static_cast<double>(k));
}

void run_case(const Case& c, const Blas& blas, double seconds) {
  const Model model(c.plan);
  Context context(model);
  Arrays in(c.inputs), out(c.results);
  std::vector<std::vector<float>> values(c.inputs.size());
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    in.write(i, random_values(c.inputs[i], static_cast<std::uint32_t>(i), &values[i]));
  }
  const auto ours = [&] { check(context.run(in, out), "run"); };
  check(tenon_context_set_stream(context.get(), kDefaultStream), "set_stream");
  ours();
  check(tenon_device_synchronize(0), "wait");
  const bool is_product = !c.product.empty();
  const double error = is_product ? sampled_error(c, out, values[0], values[1]) : 0;
  if (!(error < 1e-3)) fail("a sampled element is wrong by " + std::to_string(error));
  const bool has_peer = is_product && blas.is_there() && blas.multiply(c, in, out);
  std::vector<double> graph, plain, peer;
  for (int round = 0; round < kRounds; ++round) {
    check(tenon_context_set_graphs(context.get(), 1), "set_graphs");
    graph.push_back(seconds_of(ours, seconds));
    check(tenon_context_set_graphs(context.get(), 0), "set_graphs");
    plain.push_back(seconds_of(ours, seconds));
    if (has_peer) peer.push_back(seconds_of([&] { blas.multiply(c, in, out); }, seconds));
  }
  const double best = std::min(median(graph), median(plain));
  std::printf("{\"case\": \"%s\", \"plain_us\": %.3f, \"graph_us\": %.3f", c.name.c_str(),
              median(plain) * 1e6, median(graph) * 1e6);
  std::printf(", \"plain_us_per_launch\": %.3f, \"graph_us_per_launch\": %.3f",
              median(plain) * 1e6 / c.launches, median(graph) * 1e6 / c.launches);
  if (c.flops > 0) std::printf(", \"tflops\": %.3f", c.flops / best * 1e-12);
  if (c.bytes > 0) std::printf(", \"gb_per_s\": %.1f", c.bytes / best * 1e-9);
  if (is_product) std::printf(", \"sampled_error\": %.2g", error);
  if (has_peer) {
    std::printf(", \"cublas_us\": %.3f, \"share_of_cublas\": %.3f", median(peer) * 1e6,
                median(peer) / best);
  }
  std::printf("}\n");
}

/// Bytes per second that a copy in the device's memory reads and writes.
double copy_bandwidth(std::size_t bytes, double seconds) {
  void *from = nullptr, *to = nullptr;
  check(tenon_device_allocate(0, bytes, "copy", &from), "allocate");
  check(tenon_device_allocate(0, bytes, "copy", &to), "allocate");
  std::vector<double> rounds;
  for (int i = 0; i < kRounds; ++i) {
    rounds.push_back(seconds_of(
        [&] { check(tenon_device_copy(kCuda, to, kCuda, from, bytes), "copy"); }, seconds));
  }
  tenon_device_free(0, from);
  tenon_device_free(0, to);
  return 2 * static_cast<double>(bytes) / median(rounds);
}

int run_all(const fs::path& folder, double seconds) {
  tenon_device_info info;
  if (tenon_device_get_info(0, &info) != TENON_OK) {
    std::printf("{\"no_device\": true}\n");
    return 3;
  }
  const Blas blas;
  const std::size_t copied = static_cast<std::size_t>(
      std::min<std::uint64_t>(std::uint64_t{1} << 30, info.memory_bytes / 8));
  std::printf(
      "{\"device\": \"%s\", \"sm\": %d, \"driver_cuda\": \"%d.%d\", \"cublas\": %s, "
      "\"copy_gb_per_s\": %.1f}\n",
      info.name, 10 * info.capability_major + info.capability_minor, info.driver_version / 1000,
      info.driver_version % 1000 / 10, blas.is_there() ? "true" : "false",
      copy_bandwidth(copied, seconds) * 1e-9);
  std::vector<fs::path> cases;
  for (const auto& entry : fs::directory_iterator(folder))
    if (fs::exists(entry.path() / "bench.txt")) cases.push_back(entry.path());
  std::sort(cases.begin(), cases.end());
  int failed = 0;
  for (const fs::path& path : cases) {
    try {
      run_case(read_case(path), blas, seconds);
    } catch (const Failure& failure) {
      std::printf("{\"case\": \"%s\", \"failed\": true}\n", path.filename().c_str());
      std::fprintf(stderr, "%s: %s\n", path.filename().c_str(), failure.what.c_str());
      ++failed;
    }
    std::fflush(stdout);
  }
  return failed != 0 || cases.empty() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::printf("usage: gpu_bench FOLDER [--seconds S]\n");
    return 2;
  }
  const bool has_seconds = argc > 3 && std::strcmp(argv[2], "--seconds") == 0;
  return run_all(argv[1], has_seconds ? std::strtod(argv[3], nullptr) : 0.05);
}
