#include "cuda_on_host/host_module.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::testing {
namespace {

namespace fs = std::filesystem;

using Launch = const char* (*)(void (*)(void**), void**, const unsigned*, const unsigned*);

/// The text as host C++: what cannot be said by macros.
std::string for_host(std::string text) {
  const std::string dynamic = "extern __shared__";
  for (std::size_t at = text.find(dynamic); at != std::string::npos; at = text.find(dynamic)) {
    // The shim has one array for all.
    text.replace(at, text.find('\n', at) - at, "using ::tenon_shared;");
  }
  return text;
}

std::string library_text(const std::vector<CudaModule>& modules) {
  std::string text = "#include \"cuda_on_host/cuda_shim.h\"\n";
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const std::string space = "m" + std::to_string(i);
    text += "namespace " + space + " {\n" + for_host(modules[i].source) + "}\n";
    for (const CudaKernel& k : modules[i].kernels) {
      text += "extern \"C\" void host_" + k.name + "(void** a) { tenon_host::call(&" + space +
              "::" + k.name + ", a); }\n";
    }
  }
  return text + "extern \"C\" auto* const tenon_launch_pointer = &tenon_host_launch;\n";
}

}  // namespace

struct HostModule::Call {
  const Function& f;
  const CudaModule& module;
  const std::vector<void*>& buffers;
  VarMap sizes;
  std::vector<std::int64_t> size_values;
  std::vector<std::uint8_t>* scratch;
  DeviceErrorRecord* error;

  std::int64_t value(const Expr& e) const { return as_int(simplify(substitute(e, sizes))).value(); }
};

HostModule::HostModule(const std::vector<Function>& functions, const Target& target)
    : functions_(functions) {
  for (const Function& f : functions) {
    modules_.push_back(cuda_module(f, target, {.define_ptx = false}));
  }
  std::string folder = (fs::temp_directory_path() / "tenon_cuda_on_host_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = folder;
  const std::string source = folder_ + "/kernels.cpp", library = folder_ + "/kernels.so";
  std::ofstream(source) << library_text(modules_);
  const std::string command = std::string(TENON_HOST_COMPILER) +
                              " -std=c++20 -O1 -w -fPIC -shared -ffp-contract=off"
                              " -fno-strict-aliasing -fwrapv -I" TENON_SOURCE_FOLDER
                              "/include -I" TENON_SOURCE_FOLDER "/tests " +
                              source + " -o " + library + " > " + folder_ + "/log 2>&1";
  if (std::system(command.c_str()) != 0) {
    std::ifstream log(folder_ + "/log");
    std::stringstream words;
    words << log.rdbuf();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
    throw std::runtime_error("emitted text does not compile:\n" + words.str().substr(0, 4000));
  }
  library_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) throw std::runtime_error(dlerror());
}

HostModule::~HostModule() {
  if (library_ != nullptr) dlclose(library_);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void HostModule::launch(const Call& call, std::size_t index,
                        const std::vector<std::int64_t>& iterations) {
  const CudaKernel& kernel = call.module.kernels[index];
  std::vector<void*> arguments;
  for (const CudaParam& p : kernel.params) {
    const auto i = static_cast<std::size_t>(p.index);
    switch (p.kind) {
      case CudaParam::Kind::kBuffer:
        arguments.push_back(call.buffers.at(i));
        break;
      case CudaParam::Kind::kScratch:
        arguments.push_back(call.scratch->data() + call.value(p.offset));
        break;
      case CudaParam::Kind::kSize:
        arguments.push_back(reinterpret_cast<void*>(call.size_values.at(i)));
        break;
      case CudaParam::Kind::kLoop:
        arguments.push_back(reinterpret_cast<void*>(iterations.at(i)));
        break;
      case CudaParam::Kind::kError:
        arguments.push_back(call.error);
        break;
    }
  }
  unsigned grid[3], block[3];
  for (std::size_t d = 0; d < 3; ++d) {
    grid[d] = static_cast<unsigned>(std::max<std::int64_t>(call.value(kernel.grid[d]), 0));
    block[d] = static_cast<unsigned>(kernel.block[d]);
  }
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0) return;
  const std::string problem = launch(kernel.name, arguments.data(), grid, block);
  if (problem_.empty()) problem_ = problem;
}

std::string HostModule::launch(const std::string& kernel, void** arguments, const unsigned* grid,
                               const unsigned* block) const {
  void* entry = dlsym(library_, ("host_" + kernel).c_str());
  void* pointer = dlsym(library_, "tenon_launch_pointer");
  if (entry == nullptr || pointer == nullptr) throw std::runtime_error(kernel + " is missing");
  const std::string problem = (*static_cast<Launch*>(pointer))(
      reinterpret_cast<void (*)(void**)>(entry), arguments, grid, block);
  return problem.empty() ? "" : kernel + ": " + problem;
}

void HostModule::run_from(const Call& call, std::size_t begin, std::size_t end,
                          std::vector<std::int64_t>* iterations) {
  const std::size_t depth = iterations->size();
  for (std::size_t i = begin; i < end;) {
    const CudaKernel& kernel = call.module.kernels[i];
    if (kernel.repeats.size() <= depth) {
      launch(call, i++, *iterations);
      continue;
    }
    const CudaRepeat& repeat = kernel.repeats[depth];
    std::size_t last = i;
    while (last < end && call.module.kernels[last].repeats.size() > depth &&
           call.module.kernels[last].repeats[depth].id == repeat.id) {
      ++last;
    }
    const std::int64_t count = call.value(repeat.count);
    for (std::int64_t n = 0; n < count; ++n) {
      iterations->push_back(n);
      run_from(call, i, last, iterations);
      iterations->pop_back();
    }
    i = last;
  }
}

std::string HostModule::run(std::size_t function, const std::vector<void*>& buffers,
                            const std::vector<std::int64_t>& sizes, DeviceErrorRecord* error) {
  const Function& f = functions_.at(function);
  DeviceErrorRecord unused = {};
  std::vector<std::uint8_t> scratch;
  Call call = {f, modules_.at(function), buffers, {}, sizes, &scratch, error ? error : &unused};
  for (std::size_t i = 0; i < f->symbols.size(); ++i) {
    call.sizes[f->symbols[i].var.get()] = imm(sizes.at(i));
  }
  scratch.assign(static_cast<std::size_t>(call.value(call.module.scratch_bytes)) + 64, 0xff);
  problem_.clear();
  std::vector<std::int64_t> iterations;
  run_from(call, 0, call.module.kernels.size(), &iterations);
  return problem_;
}

}  // namespace tenon::testing
