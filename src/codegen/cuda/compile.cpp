#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "codegen/cuda/compile_failure.h"
#include "codegen/cuda/nvrtc.h"
#include "tenon/codegen/cuda.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

/// What NVRTC is told, the architecture first. Everything that decides about bits is named, though
/// some of it is NVRTC's default.
std::vector<std::string> compiler_options(const std::string& arch,
                                          const CudaCompileOptions& options) {
  TENON_USER_CHECK(
      options.max_registers == 0 || (options.max_registers >= 16 && options.max_registers <= 255),
      UserError, "E1104", "max_registers should be 0 or 16 to 255, got ", options.max_registers);
  std::vector<std::string> texts = {"--gpu-architecture=" + arch,
                                    "--std=c++17",
                                    "-default-device",
                                    "--fmad=false",
                                    "--ftz=false",
                                    "--prec-div=true",
                                    "--prec-sqrt=true",
                                    "--ptxas-options=-v"};  // -v: the log says what is spilled
  if (options.max_registers != 0) {
    texts.push_back(detail::concat("--maxrregcount=", options.max_registers));
  }
  return texts;
}

/// The number of "sm_90a" is 90; -1 where it is no architecture's name.
int arch_number(const std::string& arch) {
  if (arch.rfind("sm_", 0) != 0) return -1;
  int number = 0;
  const char* const end = arch.data() + arch.size();
  const auto [rest, error] = std::from_chars(arch.data() + 3, end, number);
  const bool has_suffix = end - rest == 1 && (*rest == 'a' || *rest == 'f');
  return error == std::errc() && (rest == end || has_suffix) ? number : -1;
}

/// NVRTC says in two ways that it has no such variant of a number that it has (sm_80a): as an
/// option that is wrong, or as a failure to compile whose log names nothing but its own flag.
bool is_arch_refused(int result, const std::string& log) {
  return result == cuda::kNvrtcInvalidOption ||
         (result == cuda::kNvrtcCompilation && log.find("--nv_arch flag") != std::string::npos &&
          log.find(cuda::kSourceName) == std::string::npos);
}

[[noreturn]] void raise_unknown_arch(const cuda::Nvrtc& library, const std::string& arch) {
  std::string known;
  for (const int number : library.archs) {
    known += detail::concat(known.empty() ? "" : ", ", "sm_", number);
  }
  detail::raise<TargetError>(
      "E1101", detail::concat("NVRTC ", library.major, ".", library.minor,
                              " does not compile for '", arch, "', it knows ", known,
                              " and their variants with a or f\n  hint: choose one of these, or "
                              "install another NVRTC; this one is '",
                              library.path, "'"));
}

/// Nothing but NVRTC itself is wrong.
void check(const cuda::Nvrtc& library, int result, const char* call) {
  TENON_USER_CHECK(result == cuda::kNvrtcSuccess, ResourceError, "E1102", call, " of NVRTC ",
                   library.major, ".", library.minor, " failed: ", library.error_string(result),
                   " (", result, ")\n  NVRTC: ", library.path,
                   "\n  hint: free memory; libnvrtc-builtins should lie beside libnvrtc; else "
                   "install NVRTC again");
}

/// A program that NVRTC frees at the end.
class Program {
 public:
  Program(const cuda::Nvrtc& library, const std::string& source) : library_(library) {
    check(
        library_,
        library_.create_program(&program_, source.c_str(), cuda::kSourceName, 0, nullptr, nullptr),
        "nvrtcCreateProgram");
  }
  ~Program() { library_.destroy_program(&program_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  int compile(const std::vector<std::string>& options) const {
    std::vector<const char*> texts;
    texts.reserve(options.size());
    for (const std::string& option : options) texts.push_back(option.c_str());
    return library_.compile_program(program_, static_cast<int>(texts.size()), texts.data());
  }

  std::string log() const {
    std::size_t bytes = 0;
    check(library_, library_.log_size(program_, &bytes), "nvrtcGetProgramLogSize");
    std::string text(bytes, '\0');
    if (bytes > 0) check(library_, library_.log(program_, text.data()), "nvrtcGetProgramLog");
    while (!text.empty() && (text.back() == '\0' || text.back() == '\n')) text.pop_back();
    return text;
  }

  std::string ptx() const {
    std::size_t bytes = 0;
    check(library_, library_.ptx_size(program_, &bytes), "nvrtcGetPTXSize");
    std::string text(bytes, '\0');
    check(library_, library_.ptx(program_, text.data()), "nvrtcGetPTX");
    while (!text.empty() && text.back() == '\0') text.pop_back();
    return text;
  }

  std::vector<std::uint8_t> cubin() const {
    std::size_t bytes = 0;
    check(library_, library_.cubin_size(program_, &bytes), "nvrtcGetCUBINSize");
    std::vector<std::uint8_t> code(bytes);
    check(library_, library_.cubin(program_, reinterpret_cast<char*>(code.data())),
          "nvrtcGetCUBIN");
    return code;
  }

 private:
  const cuda::Nvrtc& library_;
  cuda::Nvrtc::Program program_ = nullptr;
};

}  // namespace

const CudaKernelResources* Cubin::kernel(std::string_view name) const {
  const auto it = std::find_if(kernels.begin(), kernels.end(),
                               [&](const CudaKernelResources& k) { return k.name == name; });
  return it == kernels.end() ? nullptr : &*it;
}

std::string cuda_ptx(const std::string& source, const std::string& arch) {
  std::vector<std::string> texts = compiler_options(arch, {});
  const cuda::Nvrtc& library = cuda::nvrtc();
  const int number = arch_number(arch);
  if (std::find(library.archs.begin(), library.archs.end(), number) == library.archs.end()) {
    raise_unknown_arch(library, arch);
  }
  // For the virtual architecture: what ptxas is given.
  texts[0] = "--gpu-architecture=compute_" + arch.substr(3);
  texts.pop_back();
  const Program program(library, source);
  const int result = program.compile(texts);
  const std::string log = program.log();
  if (is_arch_refused(result, log)) raise_unknown_arch(library, arch);
  if (result == cuda::kNvrtcCompilation) cuda::raise_compile_failure(source, arch, log);
  check(library, result, "nvrtcCompileProgram");
  return program.ptx();
}

Cubin compile_cuda(const std::string& source, const std::string& arch,
                   const CudaCompileOptions& options) {
  std::vector<std::string> texts = compiler_options(arch, options);
  const cuda::Nvrtc& library = cuda::nvrtc();
  // Beside a driver these versions keep a cache of their own, whose hits would come without ptxas'
  // log. No part of the key: it decides about nothing that is compiled.
  if (std::pair(library.major, library.minor) >= std::pair(12, 9)) texts.emplace_back("--no-cache");
  const int number = arch_number(arch);
  if (std::find(library.archs.begin(), library.archs.end(), number) == library.archs.end()) {
    raise_unknown_arch(library, arch);
  }
  const auto start = std::chrono::steady_clock::now();
  const Program program(library, source);
  const int result = program.compile(texts);
  Cubin cubin;
  cubin.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  cubin.arch = arch;
  cubin.log = program.log();
  if (is_arch_refused(result, cubin.log)) raise_unknown_arch(library, arch);
  if (result == cuda::kNvrtcCompilation) cuda::raise_compile_failure(source, arch, cubin.log);
  check(library, result, "nvrtcCompileProgram");
  cuda::check_no_large_loss(source, arch, cubin.log);
  cubin.bytes = program.cubin();
  cubin.kernels = read_cubin(cubin.bytes, cubin.log);
  return cubin;
}

std::string cuda_compile_key(const std::string& arch, const CudaCompileOptions& options) {
  const std::vector<std::string> texts = compiler_options(arch, options);
  std::string key = cuda::nvrtc_identity();
  for (const std::string& text : texts) key += "\n" + text;
  return key;
}

NvrtcInfo nvrtc_info() {
  const cuda::Nvrtc& library = cuda::nvrtc();
  return {library.major, library.minor, library.path, library.archs};
}

}  // namespace tenon
