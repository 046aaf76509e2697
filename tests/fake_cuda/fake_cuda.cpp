// A libcuda.so.1 without a GPU: enough of the driver to run plans in tests. fake_cuda.h says how it
// behaves and how it is controlled.

#include "fake_cuda.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>

namespace fake_cuda {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{256} << 20;
constexpr std::size_t kGuardBytes = 256;
constexpr unsigned char kGuard = 0xa5;
enum Result : int {
  kOk = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinary = 209,
  kInvalidHandle = 400,
  kNotFound = 500,
  kIllegalAddress = 700,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
};

using Work = std::function<int()>;

struct Function {
  std::string name;
  int num_params = 0;
  int max_threads = 1024;
  int shared_bytes = 0;
  int max_dynamic_shared = 48 << 10;
};
struct Module {
  std::map<std::string, Function> functions;
};
struct Graph {
  std::vector<Work> work;
};
struct Stream {
  std::deque<Work> queue;
  std::uint64_t num_enqueued = 0;
  std::uint64_t num_done = 0;
  bool is_capturing = false;
  Graph capture;
};
struct Event {
  Stream* stream = nullptr;
  std::uint64_t position = 0;
};

struct State {
  std::recursive_mutex mutex;
  Controls controls;
  Counters counters;
  std::map<std::string, Kernel> kernels;
  std::vector<Launch> log;
  std::set<void*> modules, streams, events, graphs;
  char* arena = nullptr;
  int open = 0;  ///< how deep the driver is in work that touches the arena
  std::map<std::uint64_t, std::size_t> blocks;  ///< live, by address
  bool is_initialized = false;
  int sticky = kOk;
  int num_launches = 0;
  std::vector<void*> current;
  Stream default_stream;
};

State& state() {
  static State* s = new State();  // outlives everything that is destroyed at exit
  return *s;
}

void from_environment(const char* name, int* value) {
  if (const char* text = std::getenv(name)) *value = std::atoi(text);
}

/// Makes the arena accessible for as long as it lives.
class Open {
 public:
  Open() {
    State& s = state();
    if (s.arena == nullptr) {
      void* memory = mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      s.arena = static_cast<char*>(memory);
    }
    if (s.open++ == 0) mprotect(s.arena, kArenaBytes, PROT_READ | PROT_WRITE);
  }
  ~Open() {
    State& s = state();
    if (--s.open == 0) mprotect(s.arena, kArenaBytes, PROT_NONE);
  }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;
};

bool is_valid(std::uint64_t address, std::size_t bytes) {
  const auto& blocks = state().blocks;
  auto at = blocks.upper_bound(address);
  if (at == blocks.begin()) return false;
  --at;
  return address + bytes <= at->first + at->second;
}

/// Whether nobody wrote beyond a block. The arena is open.
bool guards_hold(std::uint64_t address, std::size_t bytes) {
  const auto* begin = reinterpret_cast<const unsigned char*>(address);
  for (std::size_t i = 0; i < kGuardBytes; ++i) {
    if (begin[bytes + i] != kGuard || *(begin - 1 - i) != kGuard) return false;
  }
  return true;
}

bool all_guards_hold() {
  const Open open;
  for (const auto& [address, bytes] : state().blocks) {
    if (!guards_hold(address, bytes)) return false;
  }
  return true;
}

int fail(int result) {
  if (result >= 700 && result < 800) state().sticky = result;
  return result;
}

/// Does the queued work of a stream up to `position`.
int drain(Stream& stream, std::uint64_t position = ~std::uint64_t{0}) {
  while (!stream.queue.empty() && stream.num_done < position && state().sticky == kOk) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    ++stream.num_done;
    const Open open;
    fail(work());
  }
  if (state().sticky == kOk && !all_guards_hold()) fail(kIllegalAddress);
  return state().sticky;
}

/// Null, 1 and 2 stand for the default streams.
bool is_default(void* handle) { return reinterpret_cast<std::uintptr_t>(handle) <= 2; }
bool is_stream(void* handle) { return is_default(handle) || state().streams.count(handle) != 0; }
Stream* stream_of(void* handle) {
  return is_default(handle) ? &state().default_stream : static_cast<Stream*>(handle);
}

int enqueue(void* handle, Work work) {
  State& s = state();
  if (s.sticky != kOk) return s.sticky;
  if (s.current.empty()) return kInvalidContext;
  if (!is_stream(handle)) return kInvalidHandle;
  Stream& stream = *stream_of(handle);
  if (stream.is_capturing) {
    stream.capture.work.push_back(std::move(work));
    return kOk;
  }
  stream.queue.push_back(std::move(work));
  ++stream.num_enqueued;
  return kOk;
}

int run_launch(const Launch& launch) {
  State& s = state();
  const int number = s.num_launches++;
  ++s.counters.launches;
  s.log.push_back(launch);
  if (number == s.controls.fail_launch) return s.controls.fail_launch_result;
  const auto kernel = s.kernels.find(launch.name);
  return kernel != s.kernels.end() ? kernel->second(launch) : kOk;
}

/// "FAKECUBIN sm_90a name:params[:threads[:shared]] ...".
int parse_image(const char* text, Module& module) {
  std::istringstream in(text);
  std::string word, arch;
  in >> word >> arch;
  if (word != "FAKECUBIN") return kInvalidImage;
  const int capability = std::atoi(arch.c_str() + 3);
  if (capability / 10 != state().controls.capability / 10) return kNoBinary;
  while (in >> word) {
    Function f;
    std::istringstream parts(word);
    std::string part;
    std::getline(parts, f.name, ':');
    if (std::getline(parts, part, ':')) f.num_params = std::atoi(part.c_str());
    if (std::getline(parts, part, ':')) f.max_threads = std::atoi(part.c_str());
    if (std::getline(parts, part, ':')) f.shared_bytes = std::atoi(part.c_str());
    module.functions[f.name] = f;
  }
  return kOk;
}

/// Kernels from the library FAKE_CUDA_KERNELS, for programs that cannot set them themselves.
void load_kernels() {
  using AddAll = void(void (*add)(const char*, Kernel));
  const char* path = std::getenv("FAKE_CUDA_KERNELS");
  void* library = path != nullptr ? dlopen(path, RTLD_NOW) : nullptr;
  auto* add_all = library != nullptr
                      ? reinterpret_cast<AddAll*>(dlsym(library, "fake_cuda_add_kernels"))
                      : nullptr;
  if (add_all != nullptr)
    add_all([](const char* name, Kernel kernel) { state().kernels[name] = kernel; });
}

bool is_capturing() {
  for (void* s : state().streams) {
    if (static_cast<Stream*>(s)->is_capturing) return true;
  }
  return false;
}

}  // namespace
}  // namespace fake_cuda

using namespace fake_cuda;
using Lock = std::lock_guard<std::recursive_mutex>;
using Handle = void*;
using Address = unsigned long long;

#define API extern "C" __attribute__((visibility("default"))) int
#define CONTROL __attribute__((visibility("default")))
/// What nearly every function begins with.
#define ENTER()                                  \
  State& s = state();                            \
  const Lock lock(s.mutex);                      \
  if (!s.is_initialized) return kNotInitialized; \
  if (s.sticky != kOk) return s.sticky

extern "C" {

CONTROL void fake_cuda_reset() {
  State& s = state();
  const Lock lock(s.mutex);
  for (void* stream : s.streams) static_cast<Stream*>(stream)->queue.clear();
  s.controls = Controls();
  s.counters = Counters();
  s.counters.live_allocations = static_cast<int>(s.blocks.size());
  s.kernels.clear();
  s.log.clear();
  s.sticky = kOk;
  s.num_launches = 0;
}
CONTROL Controls* fake_cuda_controls() { return &state().controls; }
CONTROL const Counters* fake_cuda_counters() { return &state().counters; }
CONTROL void fake_cuda_set_kernel(const char* name, Kernel kernel) {
  const Lock lock(state().mutex);
  state().kernels[name] = kernel;
}
CONTROL int fake_cuda_is_valid(const void* address, std::size_t bytes) {
  return is_valid(reinterpret_cast<std::uint64_t>(address), bytes) ? 1 : 0;
}
CONTROL const std::vector<Launch>* fake_cuda_log() { return &state().log; }
CONTROL int fake_cuda_enqueue(void* stream, int (*work)(void*), void* data) {
  ENTER();
  return enqueue(stream, [work, data] { return work(data); });
}
}

API cuInit(unsigned) {
  State& s = state();
  const Lock lock(s.mutex);
  from_environment("FAKE_CUDA_VERSION", &s.controls.version);
  from_environment("FAKE_CUDA_DEVICES", &s.controls.num_devices);
  from_environment("FAKE_CUDA_INIT", &s.controls.init_result);
  from_environment("FAKE_CUDA_CAPABILITY", &s.controls.capability);
  int memory = static_cast<int>(s.controls.memory_bytes);
  from_environment("FAKE_CUDA_MEMORY", &memory);
  s.controls.memory_bytes = static_cast<std::uint64_t>(memory);
  if (s.controls.init_result != kOk) return s.controls.init_result;
  s.is_initialized = true;
  load_kernels();
  return kOk;
}

API cuDriverGetVersion(int* version) {
  from_environment("FAKE_CUDA_VERSION", &state().controls.version);
  *version = state().controls.version;
  return kOk;
}

API cuGetErrorName(int result, const char** text) {
  switch (result) {
    case kInvalidValue:
      *text = "CUDA_ERROR_INVALID_VALUE";
      return kOk;
    case kOutOfMemory:
      *text = "CUDA_ERROR_OUT_OF_MEMORY";
      return kOk;
    case kNoDevice:
      *text = "CUDA_ERROR_NO_DEVICE";
      return kOk;
    case kIllegalAddress:
      *text = "CUDA_ERROR_ILLEGAL_ADDRESS";
      return kOk;
    case 701:
      *text = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES";
      return kOk;
    case 803:
      *text = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH";
      return kOk;
    default:
      *text = nullptr;
      return kInvalidValue;
  }
}

API cuGetErrorString(int result, const char** text) {
  *text = result == kIllegalAddress ? "an illegal memory access was encountered"
          : result == kNoDevice     ? "no CUDA-capable device is detected"
                                    : nullptr;
  return *text != nullptr ? kOk : kInvalidValue;
}

API cuDeviceGetCount(int* count) {
  ENTER();
  *count = s.controls.num_devices;
  return kOk;
}

API cuDeviceGet(int* device, int number) {
  ENTER();
  *device = number;
  return number >= 0 && number < s.controls.num_devices ? kOk : kInvalidDevice;
}

API cuDeviceGetName(char* name, int bytes, int) {
  std::strncpy(name, "Fake GPU", static_cast<std::size_t>(bytes));
  return kOk;
}

API cuDeviceGetAttribute(int* value, int attribute, int) {
  ENTER();
  switch (attribute) {
    case 1:
    case 2:
    case 3:
      *value = 1024;
      return kOk;
    case 4:
      *value = 64;
      return kOk;
    case 5:
      *value = 2147483647;
      return kOk;
    case 6:
    case 7:
      *value = 65535;
      return kOk;
    case 16:
      *value = 132;
      return kOk;
    case 75:
      *value = s.controls.capability / 10;
      return kOk;
    case 76:
      *value = s.controls.capability % 10;
      return kOk;
    case 97:
      *value = s.controls.shared_bytes_opt_in;
      return kOk;
    default:
      return kInvalidValue;
  }
}

API cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  ENTER();
  *bytes = s.controls.memory_bytes;
  return kOk;
}

API cuDevicePrimaryCtxRetain(Handle* context, int device) {
  ENTER();
  *context = reinterpret_cast<Handle>(static_cast<std::uintptr_t>(0x1000 + device));
  return kOk;
}
API cuDevicePrimaryCtxRelease_v2(int) { return kOk; }

API cuCtxPushCurrent_v2(Handle context) {
  ENTER();
  s.current.push_back(context);
  return kOk;
}

API cuCtxPopCurrent_v2(Handle* context) {
  State& s = state();
  const Lock lock(s.mutex);
  if (s.current.empty()) return kInvalidContext;
  *context = s.current.back();
  s.current.pop_back();
  return kOk;
}

API cuCtxSynchronize() {
  ENTER();
  if (is_capturing()) return kCaptureUnsupported;
  ++s.counters.waits;
  drain(s.default_stream);
  for (void* stream : s.streams) drain(*static_cast<Stream*>(stream));
  return s.sticky;
}

API cuModuleLoadData(Handle* module, const void* image) {
  ENTER();
  auto loaded = std::make_unique<Module>();
  const int result = parse_image(static_cast<const char*>(image), *loaded);
  if (result != kOk) return result;
  *module = loaded.release();
  s.modules.insert(*module);
  return kOk;
}

API cuModuleUnload(Handle module) {
  ENTER();
  if (s.modules.erase(module) == 0) return kInvalidHandle;
  delete static_cast<Module*>(module);
  return kOk;
}

API cuModuleGetFunction(Handle* function, Handle module, const char* name) {
  ENTER();
  auto& functions = static_cast<Module*>(module)->functions;
  const auto at = functions.find(name);
  if (at == functions.end()) return kNotFound;
  *function = &at->second;
  return kOk;
}

API cuFuncSetAttribute(Handle function, int attribute, int value) {
  ENTER();
  if (attribute != 8 || value > s.controls.shared_bytes_opt_in) return kInvalidValue;
  static_cast<Function*>(function)->max_dynamic_shared = value;
  return kOk;
}

API cuFuncGetAttribute(int* value, int attribute, Handle function) {
  ENTER();
  const auto& f = *static_cast<const Function*>(function);
  if (attribute != 0 && attribute != 1) return kInvalidValue;
  *value = attribute == 0 ? f.max_threads : f.shared_bytes;
  return kOk;
}

API cuLaunchKernel(Handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, Handle stream, void** params, void**) {
  ENTER();
  const auto& f = *static_cast<const Function*>(function);
  if (s.controls.launch_result != kOk) return s.controls.launch_result;
  const std::uint64_t threads = std::uint64_t{bx} * by * bz;
  if (gx == 0 || gy == 0 || gz == 0 || threads == 0 || bz > 64 || gy > 65535 || gz > 65535)
    return kInvalidValue;
  if (threads > static_cast<std::uint64_t>(f.max_threads)) return 701;
  if (shared > static_cast<unsigned>(f.max_dynamic_shared)) return kInvalidValue;
  Launch launch = {f.name, {gx, gy, gz}, {bx, by, bz}, shared, {}};
  for (int i = 0; i < f.num_params; ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, params[i], sizeof(value));
    launch.params.push_back(value);
  }
  return enqueue(stream, [launch] { return run_launch(launch); });
}

API cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total_bytes) {
  ENTER();
  std::size_t used = 0;
  for (const auto& block : s.blocks) used += block.second;
  *total_bytes = s.controls.memory_bytes;
  *free_bytes = s.controls.memory_bytes > used ? s.controls.memory_bytes - used : 0;
  return kOk;
}

API cuMemAlloc_v2(Address* address, std::size_t bytes) {
  ENTER();
  if (s.current.empty()) return kInvalidContext;
  if (is_capturing()) return kCaptureUnsupported;
  std::size_t used = 0;
  for (const auto& block : s.blocks) used += block.second;
  if (used + bytes > s.controls.memory_bytes) return kOutOfMemory;
  const Open open;
  // First fit, with guards; blocks start on 256 bytes.
  std::uint64_t at = reinterpret_cast<std::uint64_t>(s.arena) + kGuardBytes;
  for (const auto& block : s.blocks) {
    if (at + bytes + kGuardBytes <= block.first - kGuardBytes) break;
    at = (block.first + block.second + 2 * kGuardBytes + 255) / 256 * 256;
  }
  if (at + bytes + kGuardBytes > reinterpret_cast<std::uint64_t>(s.arena) + kArenaBytes)
    return kOutOfMemory;
  auto* memory = reinterpret_cast<unsigned char*>(at);
  std::memset(memory - kGuardBytes, kGuard, kGuardBytes);
  std::memset(memory, 0xcd, bytes);  // what nobody wrote is no zero
  std::memset(memory + bytes, kGuard, kGuardBytes);
  s.blocks[at] = bytes;
  ++s.counters.allocations;
  ++s.counters.live_allocations;
  *address = at;
  return kOk;
}

API cuMemFree_v2(Address address) {
  ENTER();
  if (is_capturing()) return kCaptureUnsupported;
  const auto block = s.blocks.find(address);
  if (block == s.blocks.end()) return kInvalidValue;
  if (!all_guards_hold()) return fail(kIllegalAddress);
  s.blocks.erase(block);
  ++s.counters.frees;
  --s.counters.live_allocations;
  return kOk;
}

API cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, Handle stream) {
  ENTER();
  // As with pageable memory: the bytes are taken before the call returns.
  const auto* begin = static_cast<const unsigned char*>(from);
  const std::vector<unsigned char> copy(begin, begin + bytes);
  return enqueue(stream, [to, copy]() -> int {
    if (!is_valid(to, copy.size())) return kIllegalAddress;
    std::memcpy(reinterpret_cast<void*>(to), copy.data(), copy.size());
    return kOk;
  });
}

API cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, Handle stream) {
  ENTER();
  return enqueue(stream, [to, from, bytes]() -> int {
    if (!is_valid(from, bytes)) return kIllegalAddress;
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return kOk;
  });
}

API cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t bytes, Handle stream) {
  ENTER();
  return enqueue(stream, [to, from, bytes]() -> int {
    if (!is_valid(from, bytes) || !is_valid(to, bytes)) return kIllegalAddress;
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    return kOk;
  });
}

API cuMemcpyPeerAsync(Address to, Handle, Address from, Handle, std::size_t bytes, Handle stream) {
  return cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}

API cuMemsetD8Async(Address to, unsigned char value, std::size_t count, Handle stream) {
  ENTER();
  return enqueue(stream, [to, value, count]() -> int {
    if (!is_valid(to, count)) return kIllegalAddress;
    std::memset(reinterpret_cast<void*>(to), value, count);
    return kOk;
  });
}

API cuMemsetD32Async(Address to, unsigned value, std::size_t count, Handle stream) {
  ENTER();
  return enqueue(stream, [to, value, count]() -> int {
    if (!is_valid(to, 4 * count)) return kIllegalAddress;
    for (std::size_t i = 0; i < count; ++i) reinterpret_cast<unsigned*>(to)[i] = value;
    return kOk;
  });
}

API cuStreamCreate(Handle* stream, unsigned) {
  ENTER();
  *stream = new Stream();
  s.streams.insert(*stream);
  return kOk;
}

API cuStreamDestroy_v2(Handle stream) {
  ENTER();
  if (s.streams.erase(stream) == 0) return kInvalidHandle;
  drain(*static_cast<Stream*>(stream));
  delete static_cast<Stream*>(stream);
  return s.sticky;
}

API cuStreamSynchronize(Handle stream) {
  ENTER();
  if (!is_stream(stream)) return kInvalidHandle;
  if (stream_of(stream)->is_capturing) return kCaptureUnsupported;
  ++s.counters.waits;
  return drain(*stream_of(stream));
}

API cuEventCreate(Handle* event, unsigned) {
  ENTER();
  *event = new Event();
  s.events.insert(*event);
  return kOk;
}

API cuEventDestroy_v2(Handle event) {
  ENTER();
  if (s.events.erase(event) == 0) return kInvalidHandle;
  delete static_cast<Event*>(event);
  return kOk;
}

API cuEventRecord(Handle event, Handle stream) {
  ENTER();
  *static_cast<Event*>(event) = {stream_of(stream), stream_of(stream)->num_enqueued};
  return kOk;
}

API cuEventSynchronize(Handle event) {
  ENTER();
  const Event& e = *static_cast<const Event*>(event);
  return e.stream != nullptr ? drain(*e.stream, e.position) : kOk;
}

API cuEventElapsedTime(float* milliseconds, Handle, Handle) {
  *milliseconds = 1;
  return kOk;
}

API cuStreamWaitEvent(Handle stream, Handle event, unsigned) {
  ENTER();
  const Event e = *static_cast<const Event*>(event);
  return enqueue(stream,
                 [e]() -> int { return e.stream != nullptr ? drain(*e.stream, e.position) : kOk; });
}

#ifndef FAKE_CUDA_WITHOUT_GRAPHS
API cuStreamBeginCapture_v2(Handle stream, int) {
  ENTER();
  if (s.streams.count(stream) == 0) return kInvalidHandle;
  Stream& captured = *static_cast<Stream*>(stream);
  captured.is_capturing = true;
  captured.capture.work.clear();
  return kOk;
}

API cuStreamEndCapture(Handle stream, Handle* graph) {
  ENTER();
  Stream& captured = *static_cast<Stream*>(stream);
  captured.is_capturing = false;
  *graph = nullptr;
  if (s.controls.fail_capture != 0) return kCaptureInvalidated;
  *graph = new Graph(std::move(captured.capture));
  captured.capture = Graph();
  s.graphs.insert(*graph);
  ++s.counters.captures;
  return kOk;
}

API cuGraphInstantiateWithFlags(Handle* executable, Handle graph, unsigned long long) {
  ENTER();
  *executable = new Graph(*static_cast<const Graph*>(graph));
  s.graphs.insert(*executable);
  return kOk;
}

API cuGraphLaunch(Handle executable, Handle stream) {
  ENTER();
  if (s.graphs.count(executable) == 0) return kInvalidHandle;
  ++s.counters.graph_launches;
  for (const Work& work : static_cast<const Graph*>(executable)->work) {
    const int result = enqueue(stream, work);
    if (result != kOk) return result;
  }
  return kOk;
}

API cuGraphExecDestroy(Handle executable) {
  ENTER();
  if (s.graphs.erase(executable) == 0) return kInvalidHandle;
  delete static_cast<Graph*>(executable);
  return kOk;
}

API cuGraphDestroy(Handle graph) { return cuGraphExecDestroy(graph); }
#endif
