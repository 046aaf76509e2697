#include "codegen/kernel_runner.h"

#include <bit>
#include <cstring>
#include <thread>

#include "tenon/ir/scalar_ops.h"
#include "tenon/runtime/float_convert.h"

namespace tenon::testing {
namespace {

struct RunState {
  int num_workers = 1;
  int num_parallel_calls = 0;
};

std::int32_t parallel_for(tenon_kernel_context* ctx, std::int64_t n, tenon_task_fn task,
                          void* closure) {
  auto* state = static_cast<RunState*>(ctx->runtime_data);
  ++state->num_parallel_calls;
  const int workers = state->num_workers;
  std::vector<std::int32_t> statuses(static_cast<std::size_t>(workers), 0);
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      const std::int64_t begin = n * w / workers, end = n * (w + 1) / workers;
      if (begin < end) statuses[static_cast<std::size_t>(w)] = task(ctx, closure, begin, end, w);
    });
  }
  for (std::thread& t : threads) t.join();
  for (const std::int32_t s : statuses) {
    if (s != 0) return s;
  }
  return 0;
}

/// The value of a workspace expression for the given sizes.
std::int64_t evaluate(const Function& f, const Expr& e, const std::vector<std::int64_t>& sizes) {
  if (const auto* n = e.as<IntImmNode>()) return n->value;
  if (const auto* n = e.as<BinaryNode>()) {
    return eval_int(n->op, n->dtype, evaluate(f, n->a, sizes), evaluate(f, n->b, sizes));
  }
  for (std::size_t i = 0; i < f->symbols.size(); ++i) {
    if (f->symbols[i].var.same_as(e)) return sizes.at(i);
  }
  TENON_CHECK(false, "a workspace size of an unexpected form");
  return 0;
}

}  // namespace

Cells::Cells(DType dtype, std::int64_t size)
    : dtype_(dtype), size_(size), bytes_(static_cast<std::size_t>(size * dtype.bytes())) {}

void Cells::set_int(std::int64_t i, std::int64_t v) {
  const auto width = static_cast<std::size_t>(dtype_.bytes());
  std::memcpy(bytes_.data() + static_cast<std::size_t>(i) * width, &v, width);
}

void Cells::set_float(std::int64_t i, double v) {
  if (dtype_.bits == 64) {
    set_int(i, std::bit_cast<std::int64_t>(v));
  } else if (dtype_.bits == 32) {
    set_int(i, std::bit_cast<std::int32_t>(static_cast<float>(v)));
  } else if (dtype_.code == DTypeCode::kBFloat) {
    set_int(i, float_to_bfloat16(static_cast<float>(v)));
  } else {
    set_int(i, float_to_float16(static_cast<float>(v)));
  }
}

std::int64_t Cells::int_at(std::int64_t i) const {
  const auto width = static_cast<std::size_t>(dtype_.bytes());
  std::int64_t v = 0;
  std::memcpy(&v, bytes_.data() + static_cast<std::size_t>(i) * width, width);
  return dtype_.is_int() ? wrap_int(dtype_, v) : v;
}

double Cells::float_at(std::int64_t i) const {
  const std::int64_t bits = int_at(i);
  if (dtype_.bits == 64) return std::bit_cast<double>(bits);
  if (dtype_.bits == 32) {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::int32_t>(bits)));
  }
  const auto narrow = static_cast<std::uint16_t>(bits);
  return static_cast<double>(dtype_.code == DTypeCode::kBFloat ? bfloat16_to_float(narrow)
                                                               : float16_to_float(narrow));
}

RunResult run_kernel(const Function& f, const std::vector<void*>& buffers,
                     const RunOptions& options) {
  const ObjectCode object = compile_to_object(std::span(&f, 1), options.target);
  const auto code = load_object(object.bytes);
  const auto kernel = reinterpret_cast<tenon_kernel_fn>(code->address(kernel_symbol(f)));
  const WorkspaceInfo info = workspace_of(f);
  const std::int64_t bytes = evaluate(f, info.shared_bytes, options.sizes) +
                             options.num_workers * evaluate(f, info.worker_bytes, options.sizes);
  std::vector<std::uint8_t> workspace(static_cast<std::size_t>(bytes) + 64);
  RunState state{options.num_workers, 0};
  tenon_kernel_context ctx = {};
  ctx.parallel_for = &parallel_for;
  ctx.workspace = reinterpret_cast<void*>(
      (reinterpret_cast<std::uintptr_t>(workspace.data()) + 63) & ~std::uintptr_t{63});
  ctx.num_workers = options.num_workers;
  ctx.runtime_data = &state;
  RunResult result;
  result.status = kernel(&ctx, buffers.data(), options.sizes.data());
  result.error = ctx.index_error;
  result.num_parallel_calls = state.num_parallel_calls;
  return result;
}

Function loop_function(std::string name, std::vector<Buffer> inputs, std::vector<Buffer> outputs,
                       Stmt body, std::vector<Symbol> symbols) {
  return make_function(std::move(name), std::move(inputs), std::move(outputs), std::move(symbols),
                       std::move(body), Level::kLoop);
}

std::vector<Target> runnable_targets() {
  return {Target::host(), Target::parse("cpu -mcpu=x86-64-v3")};
}

}  // namespace tenon::testing
