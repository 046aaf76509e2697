// How near a register tile comes to the machine's peak, and what compiling costs. Not a test: run
// it on a quiet machine.
//
// usage: tenon_micro_kernel [rows columns]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "tenon/codegen/inspect.h"
#include "tenon/codegen/jit.h"
#include "tenon/codegen/llvm.h"
#include "tenon/ir/builder.h"
#include "tenon/runtime/kernel_abi.h"

namespace tenon {
namespace {

constexpr std::int64_t kDepth = 256;
constexpr std::int64_t kRepeats = 64;  ///< tiles in one call

double seconds_of(const std::function<void()>& f) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  for (int k = 0; k < 200; ++k) {
    const auto start = Clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

/// C[rows, columns] = A[rows, depth] @ B[depth, columns], repeated.
Function tile_kernel(int rows, int columns) {
  const Buffer a = make_buffer("A", kFloat32, {imm(rows * kDepth)});
  const Buffer b = make_buffer("B", kFloat32, {imm(kDepth * columns)});
  const Buffer c = make_buffer("C", kFloat32, {imm(rows * columns)});
  const Buffer tile = make_buffer("tile", kFloat32, {imm(rows * columns)}, Scope::kRegister);
  const Expr k = var("k"), repeat = var("repeat");
  const auto row = [&](int r) { return ramp(imm(r * columns), imm(1), columns); };
  std::vector<Stmt> zeros, steps, copies;
  const Expr b_row = load(b, {ramp(k * columns, imm(1), columns)});
  for (int r = 0; r < rows; ++r) {
    zeros.push_back(store(tile, {row(r)}, zero(kFloat32.with_lanes(columns))));
    const Expr a_value = broadcast(load(a, {k + r * kDepth}), columns);
    steps.push_back(store(tile, {row(r)}, fma(a_value, b_row, load(tile, {row(r)}))));
    copies.push_back(store(c, {row(r)}, load(tile, {row(r)})));
  }
  const Stmt body = make_allocate(
      tile, make_seq({make_seq(zeros), make_for(k, imm(0), imm(kDepth), make_seq(steps)),
                      make_seq(copies)}));
  return make_function("tile", {a, b}, {c}, {}, make_for(repeat, imm(0), imm(kRepeats), body),
                       Level::kLoop);
}

/// 12 independent chains of fused multiply-adds on registers.
Function peak_kernel(int lanes) {
  const Buffer x = make_buffer("x", kFloat32, {imm(12 * lanes)});
  const Buffer tile = make_buffer("tile", kFloat32, {imm(12 * lanes)}, Scope::kRegister);
  const Expr k = var("k");
  std::vector<Stmt> loads, steps, stores;
  for (int r = 0; r < 12; ++r) {
    const Expr at = ramp(imm(r * lanes), imm(1), lanes);
    loads.push_back(store(tile, {at}, load(x, {at})));
    const Expr v = load(tile, {at});
    steps.push_back(store(tile, {at}, fma(v, v, v)));
    stores.push_back(store(x, {at}, load(tile, {at})));
  }
  const Stmt loop = make_for(k, imm(0), imm(kDepth * kRepeats), make_seq(steps));
  const Stmt body = make_allocate(tile, make_seq({make_seq(loads), loop, make_seq(stores)}));
  return make_function("peak", {}, {x}, {}, body, Level::kLoop);
}

double flops_per_second(const Function& f, std::vector<void*> buffers, double flops) {
  const ObjectCode object = compile_to_object(std::span(&f, 1), Target::host());
  const auto code = load_object(object.bytes);
  const auto kernel = reinterpret_cast<tenon_kernel_fn>(code->address(object.symbols[0]));
  tenon_kernel_context ctx = {};
  return flops / seconds_of([&] { kernel(&ctx, buffers.data(), nullptr); });
}

void run(int rows, int columns) {
  const Function f = tile_kernel(rows, columns);
  std::vector<float> a(static_cast<std::size_t>(rows * kDepth), 1.0f);
  std::vector<float> b(static_cast<std::size_t>(kDepth * columns), 1.0f);
  std::vector<float> c(static_cast<std::size_t>(rows * columns));
  const int lanes = Target::host().vector_lanes(kFloat32);
  std::vector<float> x(static_cast<std::size_t>(12 * lanes), 0.0f);
  const double peak =
      flops_per_second(peak_kernel(lanes), {x.data()}, 2.0 * 12 * lanes * kDepth * kRepeats);
  const double got =
      flops_per_second(f, {a.data(), b.data(), c.data()}, 2.0 * rows * columns * kDepth * kRepeats);
  const auto start = std::chrono::steady_clock::now();
  const ObjectCode object = compile_to_object(std::span(&f, 1), Target::host());
  const double compile =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const KernelStats stats = inspect_assembly(assembly(std::span(&f, 1), Target::host()));
  std::printf(
      "%2dx%-3d %6.1f GF/s = %5.1f %% of %6.1f; compiled in %4.1f ms; %d spills, FMA density "
      "%.2f\n",
      rows, columns, got * 1e-9, 100 * got / peak, peak * 1e-9, compile * 1e3,
      stats.num_vector_spills, stats.fma_density());
}

}  // namespace
}  // namespace tenon

int main(int argc, char** argv) {
  if (argc == 3) {
    tenon::run(std::atoi(argv[1]), std::atoi(argv[2]));
    return 0;
  }
  for (const auto& [rows, columns] :
       {std::pair{6, 64}, {4, 64}, {5, 64}, {8, 48}, {12, 32}, {14, 32}, {7, 64}}) {
    tenon::run(rows, columns);
  }
  return 0;
}
