// Runs cases (device_case.h) on the GPU of this machine and compares: usage runner FOLDER [--fault]
//
// Needs the runtime and CUDA's driver alone: no Python, no compiler. Each case runs several times:
// plainly, captured as a graph, replayed, and in a second context; results are compared with the
// expected ones within the case's tolerance, and run with run bit by bit. --fault runs the case
// `fault` and checks that the device is reported lost. Exit code: 0 all passed, 1 something failed,
// 3 there is no device.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gpu/device_call.h"
#include "tenon/runtime/float_convert.h"

namespace {

namespace fs = std::filesystem;
using namespace tenon::gpu;  // NOLINT(google-build-using-namespace): a program about these

struct DTypeRow {
  const char* name;
  DLDataType dtype;
};
constexpr DTypeRow kDTypes[] = {
    {"float32", {kDLFloat, 32, 1}}, {"float64", {kDLFloat, 64, 1}},
    {"float16", {kDLFloat, 16, 1}}, {"bfloat16", {kDLBfloat, 16, 1}},
    {"int8", {kDLInt, 8, 1}},       {"int16", {kDLInt, 16, 1}},
    {"int32", {kDLInt, 32, 1}},     {"int64", {kDLInt, 64, 1}},
    {"uint8", {kDLUInt, 8, 1}},     {"uint16", {kDLUInt, 16, 1}},
    {"uint32", {kDLUInt, 32, 1}},   {"uint64", {kDLUInt, 64, 1}},
    {"bool", {kDLBool, 8, 1}},
};

/// An input or expected result.
struct Value {
  DLDataType dtype = {};
  std::vector<std::int64_t> dims;
  double rtol = 0, atol = 0;
  Bytes bytes;

  DLDataType type() const { return dtype; }
  std::size_t num_bytes() const {
    std::size_t size = dtype.bits / 8u;
    for (const std::int64_t dim : dims) size *= static_cast<std::size_t>(dim);
    return size;
  }
};

struct Case {
  std::string name;
  Bytes plan;
  std::vector<Value> inputs, expected;
  std::string error;
};

Bytes read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Value read_value(const fs::path& folder, std::istringstream& line, bool is_result) {
  Value v;
  std::string name, dtype;
  line >> name >> dtype;
  if (is_result) line >> v.rtol >> v.atol;
  for (std::int64_t dim = 0; line >> dim;) v.dims.push_back(dim);
  for (const DTypeRow& row : kDTypes)
    if (dtype == row.name) v.dtype = row.dtype;
  if (v.dtype.bits == 0) fail("unknown dtype " + dtype);
  v.bytes = read_file(folder / (name + ".bin"));
  if (v.bytes.size() != v.num_bytes()) fail(name + ".bin has another length than its shape");
  return v;
}

Case read_case(const fs::path& folder) {
  Case c;
  c.name = folder.filename().string();
  c.plan = read_file(folder / "plan.bin");
  const Bytes text = read_file(folder / "case.txt");
  std::istringstream lines(std::string(text.begin(), text.end()));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "input") {
      c.inputs.push_back(read_value(folder, words, false));
    } else if (kind == "result") {
      c.expected.push_back(read_value(folder, words, true));
    } else if (kind == "error") {
      words >> c.error;
    } else if (!kind.empty()) {
      fail("a line of case.txt begins with " + kind);
    }
  }
  return c;
}

void fill(Arrays* arrays, const std::vector<Value>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) arrays->write(i, values[i].bytes);
}

/// So that what nobody writes shows.
void spoil(Arrays* arrays, const std::vector<Value>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    arrays->write(i, Bytes(values[i].bytes.size(), 0xcd));
}

std::vector<Bytes> read(const Arrays& arrays, const std::vector<Value>& values) {
  std::vector<Bytes> out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    out.emplace_back(values[i].bytes.size());
    arrays.read(i, out.back().data(), out.back().size());
  }
  return out;
}

/// Element `i` as a double; integers of 64 bits are compared bit by bit instead.
double element(const Value& v, const Bytes& bytes, std::size_t i) {
  const unsigned char* at = bytes.data() + i * (v.dtype.bits / 8u);
  if (v.dtype.code == kDLBfloat) return tenon::load_float(tenon::DType::bfloat16(), at);
  if (v.dtype.code == kDLFloat) return tenon::load_float(tenon::DType::float_(v.dtype.bits), at);
  std::uint64_t raw = 0;
  std::memcpy(&raw, at, v.dtype.bits / 8u);
  if (v.dtype.code == kDLInt) {
    const int shift = 64 - v.dtype.bits;
    return static_cast<double>(static_cast<std::int64_t>(raw << shift) >> shift);
  }
  return static_cast<double>(raw);
}

/// The largest error as a fraction of what is allowed; above 1 fails.
double compare(const Value& expected, const Bytes& got) {
  if (got == expected.bytes) return 0;
  const bool is_float = expected.dtype.code == kDLFloat || expected.dtype.code == kDLBfloat;
  if (!is_float && expected.dtype.bits == 64) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < got.size() / (expected.dtype.bits / 8u); ++i) {
    const double want = element(expected, expected.bytes, i);
    const double have = element(expected, got, i);
    if (want == have || (std::isnan(want) && std::isnan(have))) continue;
    const double allowed = expected.atol + expected.rtol * std::fabs(want);
    const double error = std::fabs(want - have);
    worst = std::max(worst, std::isfinite(error) && allowed > 0 ? error / allowed : INFINITY);
  }
  return worst;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Median time of a run that is waited for, and the host's share of runs that are not.
struct Times {
  double run = 0, enqueue = 0;
};

Times measure(Context& context, const Arrays& in, const Arrays& out) {
  std::vector<double> samples;
  for (int i = 0; i < 30; ++i) {
    const auto start = std::chrono::steady_clock::now();
    check(context.run(in, out), "timed run");
    samples.push_back(seconds_since(start));
  }
  std::nth_element(samples.begin(), samples.begin() + 15, samples.end());
  Times times;
  times.run = samples[15];
  check(tenon_context_set_stream(context.get(), kDefaultStream), "set_stream");
  check(context.run(in, out), "run on a stream");
  check(tenon_context_synchronize(context.get()), "wait");
  constexpr int kRuns = 200;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kRuns; ++i) check(context.run(in, out), "run on a stream");
  times.enqueue = seconds_since(start) / kRuns;
  check(tenon_context_synchronize(context.get()), "wait");
  check(tenon_context_set_stream(context.get(), nullptr), "set_stream");
  return times;
}

void expect_error(const Case& c, Context& context, const Arrays& in, const Arrays& out) {
  for (int i = 0; i < 3; ++i) {
    const tenon_status status = context.run(in, out);
    if (status == TENON_OK) fail("the run works, expected " + c.error);
    if (std::string(tenon_last_error()).find("[" + c.error + "]") == std::string::npos)
      fail(std::string("expected ") + c.error + ", got: " + tenon_last_error());
  }
  std::printf("%-28s %-8s\n", c.name.c_str(), c.error.c_str());
}

void run_case(const Case& c) {
  const Model model(c.plan);
  Context context(model), other(model);
  Arrays in(c.inputs), out(c.expected);
  fill(&in, c.inputs);
  if (!c.error.empty()) return expect_error(c, context, in, out);
  std::vector<Bytes> first;
  double worst = 0;
  // Plain, captured, replayed, replayed; then another context.
  for (int i = 0; i < 5; ++i) {
    spoil(&out, c.expected);
    check((i < 4 ? context : other).run(in, out), "run " + std::to_string(i));
    const std::vector<Bytes> got = read(out, c.expected);
    if (i == 0) first = got;
    if (got != first) fail("run " + std::to_string(i) + " gives other bits than run 0");
    for (std::size_t k = 0; k < got.size(); ++k)
      worst = std::max(worst, compare(c.expected[k], got[k]));
  }
  tenon_device_run_stats stats;
  tenon_context_get_device_stats(context.get(), &stats);
  char text[160];
  std::snprintf(text, sizeof(text), "an error is %.3g times what is allowed", worst);
  if (!(worst <= 1)) fail(text);
  const Times times = measure(context, in, out);
  std::printf("%-28s ok       error/allowed %8.2g  run %9.2f us  enqueue %7.2f us  %s\n",
              c.name.c_str(), worst, times.run * 1e6, times.enqueue * 1e6,
              stats.graph_launches != 0 ? "graph" : "plain");
}

/// The device is lost by the first run; every later call has to say so.
void run_fault(const Case& c) {
  const Model model(c.plan);
  Context context(model);
  Arrays in(c.inputs), out(c.expected);
  fill(&in, c.inputs);
  for (int i = 0; i < 3; ++i) {
    if (context.run(in, out) != TENON_ERROR_RESOURCE ||
        std::string(tenon_last_error()).find("[E1128]") == std::string::npos)
      fail(std::string("expected a lost device, got: ") + tenon_last_error());
  }
  std::printf("%-28s ok       %s\n", c.name.c_str(), tenon_last_error());
  void* data = nullptr;
  if (tenon_device_allocate(0, 100, "x", &data) == TENON_OK) fail("memory of a lost device");
}

int run_all(const fs::path& folder, bool is_fault) {
  tenon_device_info info;
  if (tenon_device_get_info(0, &info) != TENON_OK) {
    std::printf("no device: %s\n", tenon_last_error());
    return 3;
  }
  std::printf("%s, sm_%d%d, %d multiprocessors, %.1f GiB, driver for CUDA %d.%d\n", info.name,
              info.capability_major, info.capability_minor, info.num_multiprocessors,
              static_cast<double>(info.memory_bytes) / (1 << 30), info.driver_version / 1000,
              info.driver_version % 1000 / 10);
  std::vector<fs::path> cases;
  for (const auto& entry : fs::directory_iterator(folder))
    if (fs::exists(entry.path() / "case.txt")) cases.push_back(entry.path());
  std::sort(cases.begin(), cases.end());
  int failed = 0, passed = 0, skipped = 0;
  for (const fs::path& path : cases) {
    if ((path.filename() == "fault") != is_fault) continue;
    try {
      const Case c = read_case(path);
      is_fault ? run_fault(c) : run_case(c);
      ++passed;
    } catch (const Failure& failure) {
      // A library that is not on this machine is no failure of a case that calls it.
      if (failure.what.find("[E1310]") != std::string::npos) {
        std::printf("%-28s skipped  %s\n", path.filename().c_str(), failure.what.c_str());
        ++skipped;
        continue;
      }
      std::printf("%-28s FAILED   %s\n", path.filename().c_str(), failure.what.c_str());
      ++failed;
    }
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed", passed, failed);
  if (skipped != 0) std::printf(", %d skipped", skipped);
  std::printf("\n");
  return failed != 0 || passed == 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::printf("usage: runner FOLDER [--fault]\n");
    return 2;
  }
  return run_all(argv[1], argc > 2 && std::strcmp(argv[2], "--fault") == 0);
}
