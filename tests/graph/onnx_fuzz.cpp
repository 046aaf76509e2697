// Reads and imports damaged ONNX models.
//
// usage: onnx_fuzz FOLDER [--count=N] [--seed=S] [--save=FOLDER] [--max-bytes=B] [--file=MODEL]
//
// The models beneath FOLDER are the start; input i follows from the seed and i alone. Each input is
// read, imported and checked. What is not a UserError fails: other exceptions, crashes, more than
// 10 s, more memory than 4 times the file and 256 MiB. Then the seed is printed and the input is
// saved. --file runs one input alone. A run that fails exits with 1.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "graph/protobuf_tree.h"
#include "tenon/graph/onnx.h"
#include "tenon/ir/builder.h"
#include "tenon/support/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace {

namespace fs = std::filesystem;
using tenon::Array;
using tenon::graph::OnnxModel;
using tenon::graph::OnnxNetwork;
using tenon::graph::OnnxOptions;

constexpr unsigned kSeconds = 10;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kMemoryFactor = 4;  // red zones, and what was freed and is kept back
#else
constexpr std::size_t kMemoryFactor = 1;
#endif

struct Options {
  std::string folder, save = ".", file;
  std::uint64_t count = 5000, seed = 1;
  std::size_t max_bytes = 32768;
};

// What runs now, for the handlers of signals.
std::string input_now;
char saved_as[512] = "";
char what_runs[128] = "";

/// Writes the input; calls nothing that a signal handler may not call.
void save_input() {
  const int file = ::open(saved_as, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file >= 0) {
    [[maybe_unused]] const auto written = ::write(file, input_now.data(), input_now.size());
    ::close(file);
  }
}

void say(const char* text) {
  [[maybe_unused]] const auto written = ::write(2, text, std::strlen(text));
}

void report(const char* why) {
  save_input();
  say("FAILED: ");
  say(what_runs);
  say(": ");
  say(why);
  say("\n  input: ");
  say(saved_as);
  say("\n");
}

void on_signal(int signal) {
  report(signal == SIGALRM ? "takes more than 10 s" : "crashes");
  ::_exit(1);
}

void install_handlers() {
  static char stack[1 << 16];
  const stack_t place{stack, 0, sizeof stack};
  ::sigaltstack(&place, nullptr);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  ::sigaction(SIGALRM, &action, nullptr);
  ::sigaction(SIGABRT, &action, nullptr);  // of UndefinedBehaviorSanitizer too
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback([] { report("crashes"); });
#else
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) ::sigaction(signal, &action, nullptr);
  // What is reserved and not used counts as well, if it is absurd.
  const rlimit limit{8ULL << 30, 8ULL << 30};
  ::setrlimit(RLIMIT_AS, &limit);
#endif
}

/// The peak of the memory in use, in bytes; counted anew from each call of `forget_peak` on.
std::size_t peak_memory() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}
void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

/// Small integers for the inputs that decide shapes.
bool give_values(const OnnxNetwork& network, OnnxOptions* options) {
  for (const std::string& name : network.needed_values) {
    for (const tenon::graph::Value& v : network.inputs) {
      if (v->name != name) continue;
      std::vector<std::int64_t> shape;
      std::int64_t count = 1;
      for (const tenon::Expr& e : v->shape) {
        shape.push_back(tenon::as_int(e).value_or(2));
        if (shape.back() > 64) return false;
        count *= shape.back();
        if (count > 64) return false;
      }
      Array a = Array::empty(shape, v->dtype);
      auto* bytes = static_cast<unsigned char*>(a.raw_mutable());
      const auto size = static_cast<std::size_t>(a.nbytes());
      const auto step = static_cast<std::size_t>(v->dtype.bytes());
      std::memset(bytes, 0, size);
      for (std::size_t at = 0; v->dtype.is_int() && at < size; at += step)
        bytes[at] = static_cast<unsigned char>(1 + at / step % 3);
      options->values.emplace(name, a);
    }
  }
  return !network.needed_values.empty();
}

/// How far an input came: "read", "imported", or the code of the error.
std::string run_input() {
  std::string came;
  try {
    const OnnxModel model = OnnxModel::parse(input_now, "fuzz.onnx");
    try {
      OnnxOptions options;
      OnnxNetwork network = model.network(options);
      for (int i = 0; i < 3 && give_values(network, &options); ++i)
        network = model.network(options);
      came = network.needed_values.empty() ? "imported" : "needs values";
    } catch (const tenon::UserError& e) {
      came = e.code();
    }
    try {
      model.check();
    } catch (const tenon::UserError&) {
    }
  } catch (const tenon::UserError& e) {
    came = "not read, " + e.code();
  }
  return came;
}

/// Runs the input; what is wrong, or nothing.
std::string failure_of_input(std::map<std::string, int>* counts) {
  forget_peak();
  const std::size_t before = peak_memory();
  ::alarm(kSeconds);
  std::string failure;
  try {
    ++(*counts)[run_input()];
  } catch (const std::exception& e) {
    failure = std::string("throws ") + e.what();
  } catch (...) {
    failure = "throws something";
  }
  ::alarm(0);
  const std::size_t peak = peak_memory();
  if (failure.empty() && peak > before + kMemoryFactor * (4 * input_now.size() + (256U << 20)))
    failure = "takes " + std::to_string((peak - before) >> 20) + " MiB";
  return failure;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> read_corpus(const Options& options) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(options.folder)) {
    if (entry.path().extension() == ".onnx" && entry.file_size() <= options.max_bytes)
      paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const fs::path& path : paths) corpus.push_back(read_file(path));
  return corpus;
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const std::size_t equals = text.find('=');
    const std::string key = text.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (key == "--count") {
      options.count = std::stoull(value);
    } else if (key == "--seed") {
      options.seed = std::stoull(value);
    } else if (key == "--save") {
      options.save = value;
    } else if (key == "--file") {
      options.file = value;
    } else if (key == "--max-bytes") {
      options.max_bytes = std::stoull(value);
    } else {
      options.folder = text;
    }
  }
  return options;
}

int run_one_file(const Options& options) {
  input_now = read_file(options.file);
  std::snprintf(saved_as, sizeof saved_as, "%s/again.onnx", options.save.c_str());
  std::snprintf(what_runs, sizeof what_runs, "%.100s", options.file.c_str());
  std::map<std::string, int> counts;
  const std::string failure = failure_of_input(&counts);
  if (!failure.empty()) report(failure.c_str());
  for (const auto& [came, count] : counts) std::printf("%s\n", came.c_str());
  return failure.empty() ? 0 : 1;
}

int run_many(const Options& options) {
  const std::vector<std::string> corpus = read_corpus(options);
  if (corpus.empty()) {
    say("there are no models in the folder\n");
    return 1;
  }
  std::map<std::string, int> counts;
  int num_failed = 0;
  for (std::uint64_t i = 0; i < options.count; ++i) {
    std::mt19937_64 random(options.seed * 1000003 + i);
    const std::string& other = corpus[random() % corpus.size()];
    input_now = corpus[random() % corpus.size()];
    input_now = random() % 4 == 0 ? tenon::onnx::mutate_bytes(input_now, other, random)
                                  : tenon::onnx::mutate_fields(input_now, other, random);
    std::snprintf(saved_as, sizeof saved_as, "%s/onnx_fuzz_%llu_%llu.onnx", options.save.c_str(),
                  static_cast<unsigned long long>(options.seed),
                  static_cast<unsigned long long>(i));
    std::snprintf(what_runs, sizeof what_runs, "seed %llu, input %llu",
                  static_cast<unsigned long long>(options.seed),
                  static_cast<unsigned long long>(i));
    const std::string failure = failure_of_input(&counts);
    if (failure.empty()) continue;
    report(failure.c_str());
    ++num_failed;
  }
  std::printf("%llu inputs of %zu models, %d failed\n",
              static_cast<unsigned long long>(options.count), corpus.size(), num_failed);
  for (const auto& [came, count] : counts) std::printf("%8d %s\n", count, came.c_str());
  return num_failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  install_handlers();
  return options.file.empty() ? run_many(options) : run_one_file(options);
}
