// Writes cases for the runner whose plans are made by hand: what the runtime does on a device,
// apart from the compiler. Usage write_cases FOLDER ARCH|--fake
//
// ARCH, such as sm_90a: kernels are compiled by NVRTC. --fake: images for the fake driver, small
// sizes.

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "gpu/device_case.h"
#include "runtime/device_plan.h"
#include "tenon/codegen/cuda.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

using Kind = DeviceParam::Kind;

constexpr const char* kKernels = R"(
typedef long long i64;
struct ErrorRecord { int claimed; int site; i64 value; i64 extent; };
__device__ i64 thread() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }

extern "C" __global__ void add(const float* x, const float* y, float* z, i64 n) {
  if (thread() < n) z[thread()] = x[thread()] + y[thread()];
}
extern "C" __global__ void zero(float* x, i64 n) {
  if (thread() < n) x[thread()] = 0.0f;
}
extern "C" __global__ void scan_step(const float* x, float* s, i64 t, i64 d) {
  if (thread() < d) s[thread()] = s[thread()] * 0.5f + x[t * d + thread()];
}
extern "C" __global__ void scale(const float* x, const float* c, float* y, i64 n) {
  if (thread() < n) y[thread()] = x[thread()] * c[0];
}
extern "C" __global__ void below(const float* x, unsigned char* holds) {
  if (thread() == 0) holds[0] = x[0] < 100.0f;
}
extern "C" __global__ void reverse(const float* x, float* y, i64 n) {
  extern __shared__ float tile[];
  for (i64 i = threadIdx.x; i < n; i += blockDim.x) tile[i] = x[i];
  __syncthreads();
  for (i64 i = threadIdx.x; i < n; i += blockDim.x) y[i] = tile[n - 1 - i];
}
extern "C" __global__ void gather(const float* x, const i64* at, float* y, ErrorRecord* error, i64 n) {
  const i64 i = thread();
  if (i >= n) return;
  if (at[i] >= 0 && at[i] < n) {
    y[i] = x[at[i]];
  } else if (atomicCAS(&error->claimed, 0, 1) == 0) {
    error->site = 0;
    error->value = at[i];
    error->extent = n;
  }
}
extern "C" __global__ void fault(const float* x, float* y) {
  y[(i64)1 << 46] = x[0];
}
)";
enum KernelNumber : std::uint32_t {
  kAdd,
  kZero,
  kScanStep,
  kScale,
  kBelow,
  kReverse,
  kGather,
  kFault
};

class Writer {
 public:
  Writer(std::filesystem::path folder, const std::string& arch)
      : folder_(std::move(folder)), is_fake_(arch == "--fake") {
    program_.kernels = {{"add", 0},   {"zero", 0},    {"scan_step", 0}, {"scale", 0},
                        {"below", 0}, {"reverse", 0}, {"gather", 0},    {"fault", 0}};
    if (is_fake_) {
      program_.cubins = {
          fake_cubin("add:4 zero:2 scan_step:4 scale:4 below:2 reverse:3 gather:5 fault:2")};
    } else {
      const Cubin cubin = compile_cuda(kKernels, arch);
      program_.cubins = {{cubin.arch, cubin.bytes}};
    }
  }

  void write_all() {
    write_add();
    write_scan();
    write_scratch();
    write_while();
    write_shared();
    write_gather();
    write_gather_error();
    write_fault();
  }

 private:
  Plan plan(const char* name) const {
    Plan p;
    p.name = name;
    p.device = PlanDeviceKind::kCuda;
    p.device_program = program_;
    p.kernels = {{.name = name}};
    return p;
  }
  /// A launch with one thread for each of `n`, by blocks of 256.
  static DeviceLaunch launch(Plan& plan, std::uint32_t kernel, PlanRegister n,
                             std::vector<DeviceParam> params) {
    PlanProgram& p = plan.program;
    const PlanRegister one = p.constant(1);
    DeviceLaunch l;
    l.kernel = kernel;
    l.grid = {p.floordiv(p.add(n, p.constant(255)), p.constant(256)), one, one};
    l.block = {256, 1, 1};
    l.params = std::move(params);
    l.grid_loops[0] = "i_outer";
    l.block_loops[0] = "i_inner";
    return l;
  }
  static PlanStep step(std::vector<PlanBufferId> buffers, std::vector<DeviceLaunch> launches) {
    PlanStep s = {.op = PlanStepOp::kLaunch, .kernel = 0, .buffers = std::move(buffers)};
    s.launches = std::move(launches);
    return s;
  }
  /// Values that are no pattern, each exact in float32.
  static Array numbers(std::int64_t size, std::uint32_t seed) {
    Array a = Array::empty({size}, kFloat32);
    for (std::int64_t i = 0; i < size; ++i) {
      seed = seed * 1664525u + 1013904223u;
      a.mutable_data<float>()[i] = static_cast<float>(seed >> 16) / 1024.0f - 32.0f;
    }
    return a;
  }

  /// Z[n] = X[n] + Y[n], a symbol in grid and parameters.
  void write_add() {
    const std::int64_t size = is_fake_ ? 1000 : std::int64_t{1} << 18;
    Plan p = plan("vector_add");
    const PlanRegister n = p.program.dim(0, 0);
    p.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}},
                {.name = "Y", .dtype = kFloat32, .dims = {n}}};
    p.results = {{.name = "Z", .dtype = kFloat32, .dims = {n}}};
    for (std::uint32_t i = 0; i < 3; ++i) p.add_argument_buffer(i);
    p.steps = {step(
        {0, 1, 2},
        {launch(p, kAdd, n,
                {{Kind::kBuffer, 0}, {Kind::kBuffer, 1}, {Kind::kBuffer, 2}, {Kind::kSize, n}})})};
    const Array x = numbers(size, 1), y = numbers(size, 2);
    Array z = Array::empty({size}, kFloat32);
    for (std::int64_t i = 0; i < size; ++i)
      z.mutable_data<float>()[i] = x.data<float>()[i] + y.data<float>()[i];
    write_device_case(folder_, {"vector_add", p, {x, y}, {z}});
  }

  /// S[d] after T steps s = s / 2 + X[t, d]: a hundred launches in one step of the plan.
  void write_scan() {
    const std::int64_t steps = 100, width = 300;
    Plan p = plan("scan");
    const PlanRegister t = p.program.dim(0, 0), d = p.program.dim(0, 1);
    p.inputs = {{.name = "X", .dtype = kFloat32, .dims = {t, d}}};
    p.results = {{.name = "S", .dtype = kFloat32, .dims = {d}}};
    for (std::uint32_t i = 0; i < 2; ++i) p.add_argument_buffer(i);
    const DeviceLaunch clear = launch(p, kZero, d, {{Kind::kBuffer, 1}, {Kind::kSize, d}});
    DeviceLaunch one =
        launch(p, kScanStep, d,
               {{Kind::kBuffer, 0}, {Kind::kBuffer, 1}, {Kind::kLoop, 0}, {Kind::kSize, d}});
    one.repeats = {{.id = 0, .count = t}};
    p.steps = {step({0, 1}, {clear, one})};
    const std::array<std::int64_t, 2> shape = {steps, width};
    const Array x = numbers(steps * width, 3).reshape(shape);
    Array s = Array::zeros({width}, kFloat32);
    for (std::int64_t k = 0; k < steps * width; ++k) {
      float& sum = s.mutable_data<float>()[k % width];
      sum = std::fma(sum, 0.5f,
                     x.data<float>()[k]);  // halving is exact, so that both roundings agree
    }
    write_device_case(folder_, {"scan_of_launches", p, {x}, {s}});
  }

  /// Y = C X through scratch memory, workspace and a copy; C is a constant.
  void write_scratch() {
    const std::int64_t size = 5000;
    Plan p = plan("scratch");
    PlanProgram& q = p.program;
    const PlanRegister n = q.dim(0, 0), bytes = q.mul(n, q.constant(4));
    p.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}}};
    p.results = {{.name = "Y", .dtype = kFloat32, .dims = {n}}};
    PlanConstant c = {.name = "C", .dtype = kFloat32, .bytes = 4};
    const float four = 4;
    c.data.resize(4);
    std::memcpy(c.data.data(), &four, 4);
    p.constants = {c};
    const PlanBufferId x = p.add_argument_buffer(0), y = p.add_argument_buffer(1);
    p.buffers[y].bytes = bytes;
    const PlanBufferId constant = p.add_constant_buffer(0);
    p.arena_bytes = q.round_up(bytes, 64);
    const PlanBufferId w = p.add_workspace_buffer(q.constant(0), bytes);
    PlanStep s = step({x, constant, w}, {launch(p, kScale, n,
                                                {{Kind::kBuffer, 0},
                                                 {Kind::kBuffer, 1},
                                                 {Kind::kScratch, q.constant(64)},
                                                 {Kind::kSize, n}}),
                                         launch(p, kScale, n,
                                                {{Kind::kScratch, q.constant(64)},
                                                 {Kind::kBuffer, 1},
                                                 {Kind::kBuffer, 2},
                                                 {Kind::kSize, n}})});
    s.shared_bytes = q.round_up(q.add(bytes, q.constant(64)), 64);
    p.steps = {s, {.op = PlanStepOp::kCopy, .buffers = {y, w}}};
    const Array input = numbers(size, 4);
    Array output = Array::empty({size}, kFloat32);
    for (std::int64_t i = 0; i < size; ++i)
      output.mutable_data<float>()[i] = 16 * input.data<float>()[i];
    write_device_case(folder_, {"scratch_and_constants", p, {input}, {output}});
  }

  /// Z = X + Y + Y + ... while Z[0] < 100: the condition is read back.
  void write_while() {
    const std::int64_t size = 500;
    Plan p = plan("while");
    PlanProgram& q = p.program;
    const PlanRegister n = q.dim(0, 0), bytes = q.mul(n, q.constant(4));
    p.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}},
                {.name = "Y", .dtype = kFloat32, .dims = {n}}};
    p.results = {{.name = "Z", .dtype = kFloat32, .dims = {n}}};
    for (std::uint32_t i = 0; i < 3; ++i) {
      p.add_argument_buffer(i);
      p.buffers[i].bytes = bytes;
    }
    p.arena_bytes = q.constant(64);
    const PlanBufferId holds = p.add_workspace_buffer(q.constant(0), q.constant(1));
    PlanRegion loop = {.num_steps = 2, .num_first = 1, .condition = 0, .count = q.constant(1000)};
    p.regions = {loop};
    const std::vector<DeviceParam> sums = {
        {Kind::kBuffer, 0}, {Kind::kBuffer, 1}, {Kind::kBuffer, 0}, {Kind::kSize, n}};
    p.steps = {{.op = PlanStepOp::kCopy, .buffers = {2, 0}},
               {.op = PlanStepOp::kLoop, .kernel = 0, .buffers = {holds}},
               step({2, holds},
                    {launch(p, kBelow, q.constant(1), {{Kind::kBuffer, 0}, {Kind::kBuffer, 1}})}),
               step({2, 1}, {launch(p, kAdd, n, sums)})};
    Array x = Array::zeros({size}, kFloat32), y = Array::zeros({size}, kFloat32);
    Array z = Array::zeros({size}, kFloat32);
    for (std::int64_t i = 0; i < size; ++i) {
      y.mutable_data<float>()[i] = static_cast<float>(i + 3);
      z.mutable_data<float>()[i] = 34 * static_cast<float>(i + 3);
    }
    write_device_case(folder_, {"while_loop", p, {x, y}, {z}});
  }

  /// A row reversed through 100 KB of shared memory, which has to be asked for.
  void write_shared() {
    const std::int64_t size = 25000;
    Plan p = plan("reverse");
    PlanProgram& q = p.program;
    const PlanRegister n = q.constant(size);
    p.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}}};
    p.results = {{.name = "Y", .dtype = kFloat32, .dims = {n}}};
    for (std::uint32_t i = 0; i < 2; ++i) p.add_argument_buffer(i);
    DeviceLaunch l = launch(p, kReverse, q.constant(1),
                            {{Kind::kBuffer, 0}, {Kind::kBuffer, 1}, {Kind::kSize, n}});
    l.dynamic_shared_bytes = 4 * static_cast<std::uint32_t>(size);
    p.steps = {step({0, 1}, {l})};
    const Array x = numbers(size, 5);
    Array y = Array::empty({size}, kFloat32);
    for (std::int64_t i = 0; i < size; ++i)
      y.mutable_data<float>()[i] = x.data<float>()[size - 1 - i];
    write_device_case(folder_, {"much_shared_memory", p, {x}, {y}});
  }

  Plan gather_plan() {
    Plan p = plan("gather");
    const PlanRegister n = p.program.dim(0, 0);
    p.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}},
                {.name = "I", .dtype = kInt64, .dims = {n}}};
    p.results = {{.name = "Y", .dtype = kFloat32, .dims = {n}}};
    for (std::uint32_t i = 0; i < 3; ++i) p.add_argument_buffer(i);
    p.kernels[0].sites = {{.kind = PlanSiteKind::kRead, .buffer = "X", .axis = 0}};
    p.steps = {step({0, 1, 2}, {launch(p, kGather, n,
                                       {{Kind::kBuffer, 0},
                                        {Kind::kBuffer, 1},
                                        {Kind::kBuffer, 2},
                                        {Kind::kError, 0},
                                        {Kind::kSize, n}})})};
    return p;
  }

  void write_gather() {
    const std::int64_t size = 1000;
    const Array x = numbers(size, 6);
    Array at = Array::empty({size}, kInt64), y = Array::empty({size}, kFloat32);
    for (std::int64_t i = 0; i < size; ++i) {
      at.mutable_data<std::int64_t>()[i] = (i * 37 + 5) % size;
      y.mutable_data<float>()[i] = x.data<float>()[(i * 37 + 5) % size];
    }
    write_device_case(folder_, {"gather", gather_plan(), {x, at}, {y}});
  }

  void write_gather_error() {
    const std::int64_t size = 1000;
    const Array x = numbers(size, 6);
    Array at = Array::zeros({size}, kInt64);
    at.mutable_data<std::int64_t>()[700] = size;
    DeviceCase c = {"gather_out_of_range", gather_plan(), {x, at}, {x}};
    c.error = "E0651";
    write_device_case(folder_, c);
  }

  void write_fault() {
    Plan p = plan("fault");
    const PlanRegister one = p.program.constant(1);
    p.inputs = {{.name = "X", .dtype = kFloat32, .dims = {one}}};
    p.results = {{.name = "Y", .dtype = kFloat32, .dims = {one}}};
    for (std::uint32_t i = 0; i < 2; ++i) p.add_argument_buffer(i);
    DeviceLaunch l = launch(p, kFault, one, {{Kind::kBuffer, 0}, {Kind::kBuffer, 1}});
    l.block = {1, 1, 1};
    p.steps = {step({0, 1}, {l})};
    write_device_case(folder_, {"fault", p, {numbers(1, 7)}, {numbers(1, 7)}});
  }

  std::filesystem::path folder_;
  bool is_fake_;
  DeviceProgram program_;
};

}  // namespace
}  // namespace tenon

int main(int argc, char** argv) {
  if (argc != 3) {
    std::printf("usage: write_cases FOLDER ARCH|--fake\n");
    return 2;
  }
  try {
    tenon::Writer(argv[1], argv[2]).write_all();
  } catch (const tenon::Error& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
  return 0;
}
