#include <algorithm>

#include "codegen/cuda/emitter.h"
#include "codegen/cuda/kernel_facts.h"
#include "codegen/cuda/split_kernels.h"
#include "tenon/codegen/cuda_module.h"
#include "tenon/codegen/kernel_info.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace codegen::cuda {
namespace {

/// Where dynamic shared buffers begin: rows of banks.
constexpr std::int64_t kDynamicAlignment = 128;

std::int64_t round_up(std::int64_t v, std::int64_t to) { return (v + to - 1) / to * to; }

/// The whole text and launches of one function.
class ModuleWriter {
 public:
  ModuleWriter(const Function& f, const Target& target, const CudaModuleOptions& options)
      : f_(f),
        target_(target),
        options_(options),
        host_(split_kernels(f)),
        symbol_(kernel_symbol(f)) {
    for (const AssertSite& a : kernel_checks(f).asserts) assert_sites_[a.stmt.get()] = a.site;
  }

  CudaModule run() {
    std::string kernels;
    for (std::size_t i = 0; i < host_.kernels.size(); ++i) kernels += write_kernel(i) + "\n";
    if (!kernels.empty()) kernels.pop_back();
    module_.source = "// " + f_->name + " for " + target_.gpu.arch + "\n\n" +
                     prelude_.text(options_.define_ptx) + kernels;
    module_.scratch_bytes = host_.scratch_bytes;
    return std::move(module_);
  }

 private:
  std::string write_kernel(std::size_t number);
  void check_block(const CudaKernel& kernel, const KernelFacts& facts) const;
  void set_grid(CudaKernel* kernel, const HostKernel& host, const KernelFacts& facts) const;
  /// Places shared buffers; returns bytes of dynamic memory, 0 where static suffices.
  void place_shared(CudaKernel* kernel, const KernelFacts& facts, KernelEmitter* emitter) const;
  std::string add_params(CudaKernel* kernel, const HostKernel& host, const KernelFacts& facts,
                         KernelEmitter* emitter);
  std::string comment(const CudaKernel& kernel, std::size_t number, const HostKernel& host,
                      const KernelFacts& facts) const;

  const Function& f_;
  const Target& target_;
  const CudaModuleOptions& options_;
  HostPart host_;
  std::string symbol_;
  Prelude prelude_;
  CudaModule module_;
  std::unordered_map<const StmtNode*, int> assert_sites_;
};

/// "i in 0..64".
std::string range_text(const ForNode& n) {
  return n.var.as<VarNode>()->name + " in " + print(n.min) + ".." + print(n.min + n.extent);
}

std::string ModuleWriter::comment(const CudaKernel& kernel, std::size_t number,
                                  const HostKernel& host, const KernelFacts& facts) const {
  std::string out =
      "// Kernel " + std::to_string(number + 1) + " of " + std::to_string(host_.kernels.size());
  std::string written;
  for (const Buffer& b : f_->params()) {
    if (facts.stored.count(b.get()) != 0) written += (written.empty() ? "" : ", ") + b->name;
  }
  for (const ScratchBuffer& s : host_.scratch) {
    if (facts.stored.count(s.buffer.get()) != 0) {
      written += (written.empty() ? "" : ", ") + s.buffer->name;
    }
  }
  out += (written.empty() ? "" : ": " + written) + "\n";
  for (const HostLoop& loop : host.loops) {
    out += "//   for each " + loop.var.as<VarNode>()->name + " in " + print(loop.min) + ".." +
           print(loop.min + loop.extent) + "\n";
  }
  for (int i = 0; i < kNumThreadAxes; ++i) {
    const ForNode* loop = facts.axes[static_cast<std::size_t>(i)];
    if (loop == nullptr) continue;
    out += std::string("//   ") + to_string(static_cast<ThreadAxis>(i)) + ": " + range_text(*loop) +
           "\n";
  }
  const std::int64_t bytes = kernel.static_shared_bytes + kernel.dynamic_shared_bytes;
  if (bytes > 0) out += "//   shared memory: " + std::to_string(bytes) + " bytes\n";
  return out;
}

void ModuleWriter::check_block(const CudaKernel& kernel, const KernelFacts& facts) const {
  const std::int64_t threads = kernel.block[0] * kernel.block[1] * kernel.block[2];
  const GpuFeatures& gpu = target_.gpu;
  std::string loops;
  for (int i = 0; i < 3; ++i) {
    const auto axis = static_cast<ThreadAxis>(static_cast<int>(ThreadAxis::kThreadX) + i);
    const auto d = static_cast<std::size_t>(i);
    if (kernel.block_loops[d].empty()) continue;
    loops += (loops.empty() ? "" : ", ") + kernel.block_loops[d] + " (" +
             std::to_string(kernel.block[d]) + ")";
    TENON_USER_CHECK(kernel.block[d] <= max_extent(axis), ScheduleError, "E1287", "loop '",
                     kernel.block_loops[d], "' of '", f_->name, "' has ", kernel.block[d],
                     " iterations on ", to_string(axis), ", which has at most ", max_extent(axis));
  }
  TENON_USER_CHECK(threads <= gpu.threads_per_block, ScheduleError, "E1287", "a block of '",
                   f_->name, "' has ", threads, " threads, '", target_.str(), "' allows ",
                   gpu.threads_per_block, "\n  from loops: ", loops);
  const std::int64_t bytes = kernel.static_shared_bytes + kernel.dynamic_shared_bytes;
  std::string buffers;
  for (const Buffer& b : facts.shared) {
    buffers += "\n  " + b->name + ": " + std::to_string(shared_bytes(b)) + " bytes";
  }
  TENON_USER_CHECK(bytes <= gpu.shared_bytes_per_block, ScheduleError, "E1287", "a block of '",
                   f_->name, "' has ", bytes, " bytes of shared memory, '", target_.str(),
                   "' allows ", gpu.shared_bytes_per_block, buffers,
                   "\n  hint: smaller tiles, or fewer stages of a pipeline");
}

void ModuleWriter::set_grid(CudaKernel* kernel, const HostKernel& host,
                            const KernelFacts& facts) const {
  for (int i = 0; i < 3; ++i) {
    const auto axis = static_cast<ThreadAxis>(i);
    const auto d = static_cast<std::size_t>(i);
    const ForNode* loop = facts.axes[d];
    kernel->grid[d] = loop == nullptr ? imm(1) : largest(f_, host.loops, loop->extent);
    if (loop != nullptr) kernel->grid_loops[d] = loop->var.as<VarNode>()->name;
    const auto blocks = as_int(kernel->grid[d]);
    TENON_USER_CHECK(!blocks || *blocks <= max_extent(axis), ScheduleError, "E1288", "loop '",
                     kernel->grid_loops[d], "' of '", f_->name, "' has ", blocks.value_or(0),
                     " iterations on ", to_string(axis), ", which has at most ", max_extent(axis),
                     "\n  hint: bind it to blockIdx.x, or split it");
  }
}

void ModuleWriter::place_shared(CudaKernel* kernel, const KernelFacts& facts,
                                KernelEmitter* emitter) const {
  std::int64_t together = 0, placed = 0;
  std::vector<std::int64_t> offsets;
  for (const Buffer& b : facts.shared) {
    together = round_up(together, kSharedAlignment) + shared_bytes(b);
    offsets.push_back(placed);
    placed = round_up(placed + shared_bytes(b), kDynamicAlignment);
  }
  if (together <= target_.gpu.static_shared_bytes_per_block) {
    kernel->static_shared_bytes = together;
    return;
  }
  kernel->dynamic_shared_bytes = placed;
  emitter->line("extern __shared__ __align__(" + std::to_string(kDynamicAlignment) +
                ") unsigned char tenon_shared[];");
  for (std::size_t i = 0; i < facts.shared.size(); ++i) {
    emitter->place_shared(facts.shared[i].get(), offsets[i]);
  }
}

IntRange range_of(const Symbol& s) {
  IntRange range;
  range.lower = s.min;
  range.upper = s.max.value_or(range.upper);
  range.is_index = true;
  return range;
}

std::string ModuleWriter::add_params(CudaKernel* kernel, const HostKernel& host,
                                     const KernelFacts& facts, KernelEmitter* emitter) {
  std::string text;
  const auto add = [&](const std::string& declaration, CudaParam param) {
    text += (text.empty() ? "" : ", ") + declaration;
    kernel->params.push_back(std::move(param));
  };
  const auto pointer = [&](const Buffer& b, CudaParam param) {
    if (facts.used.count(b.get()) == 0) return;
    param.name = emitter->add_buffer(b);
    const std::string kind = facts.stored.count(b.get()) != 0 ? "" : "const ";
    add(kind + to_string(memory_type(b->dtype)) + "* __restrict__ " + param.name, param);
  };
  // A size or iteration; an int in the text where it is known to fit.
  const auto number = [&](const Expr& var, const IntRange& range, CudaParam param) {
    const std::string name = emitter->unique_name(var.as<VarNode>()->name);
    param.name = range.fits_int32() ? emitter->unique_name(name + "_long") : name;
    add("long long " + param.name, param);
    if (range.fits_int32()) emitter->line("const int " + name + " = (int)" + param.name + ";");
    emitter->add_variable(var, name, range, range.fits_int32());
  };
  int index = 0;
  std::unordered_set<const BufferNode*> seen;  // an input that is an output stands there once
  for (const Buffer& b : f_->params()) {
    if (seen.insert(b.get()).second) pointer(b, {CudaParam::Kind::kBuffer, index});
    ++index;
  }
  for (const ScratchBuffer& s : host_.scratch) {
    pointer(s.buffer, {CudaParam::Kind::kScratch, 0, s.offset_bytes});
  }
  index = 0;
  for (const Symbol& s : f_->symbols) {
    if (facts.vars.count(s.var.get()) != 0) {
      number(s.var, range_of(s), {CudaParam::Kind::kSize, index});
    }
    ++index;
  }
  index = 0;
  for (const HostLoop& loop : host.loops) {
    if (facts.vars.count(loop.var.get()) != 0) {
      Analyzer& analyzer = emitter->analyzer();
      analyzer.bind_kept(loop.var, {loop.min, loop.extent});
      const ConstRange bounds = analyzer.const_bounds(loop.var);
      IntRange range;
      range.lower = bounds.lower.value_or(range.lower);
      range.upper = bounds.upper.value_or(range.upper);
      range.is_index = true;
      number(loop.var, range, {CudaParam::Kind::kLoop, index});
    }
    ++index;
  }
  if (facts.has_checks) {
    prelude_.use("tenon_error_record");
    add("tenon_error_record* __restrict__ error", {CudaParam::Kind::kError, 0, nullptr, "error"});
  }
  return text;
}

/// Loops that begin at 0: their variable is the iteration that the launch gives.
HostKernel with_loops_from_zero(HostKernel host) {
  VarMap shifted;
  for (HostLoop& loop : host.loops) {
    loop.extent = substitute(loop.extent, shifted);
    loop.min = substitute(loop.min, shifted);
    if (is_int(loop.min, 0)) continue;
    shifted[loop.var.get()] = loop.min + loop.var;
    loop.min = imm(0);
  }
  if (shifted.empty()) return host;
  host.body = substitute(host.body, shifted);
  for (Expr& c : host.conditions) c = substitute(c, shifted);
  return host;
}

/// Whether a thread holds the sums of several elements.
bool has_tile(const KernelFacts& facts) {
  constexpr std::int64_t kElements = 4;
  return std::any_of(facts.allocated.begin(), facts.allocated.end(), [](const BufferNode* b) {
    if (b->scope == Scope::kGlobal || b->scope == Scope::kShared) return false;
    std::int64_t size = 1;
    for (const Expr& extent : b->shape) size *= as_int(extent).value_or(1);
    return size >= kElements;
  });
}

std::string ModuleWriter::write_kernel(std::size_t number) {
  const HostKernel host = with_loops_from_zero(host_.kernels[number]);
  const auto is_loop_var = [&](const VarNode& v) {
    return std::any_of(host.loops.begin(), host.loops.end(),
                       [&](const HostLoop& loop) { return loop.var.get() == &v; });
  };
  // Conditions over symbols decide the launch; others are tested in the kernel.
  Expr launch_condition, inner_condition;
  for (const Expr& c : host.conditions) {
    Expr& joined = uses_var(c, is_loop_var) ? inner_condition : launch_condition;
    joined = and_predicate(joined, c);
  }
  const Stmt body = inner_condition ? make_if(inner_condition, host.body) : host.body;
  const KernelFacts facts = facts_of(body);

  CudaKernel kernel;
  kernel.name = symbol_ + "_k" + std::to_string(number);
  kernel.has_fma = facts.has_fma;
  for (const HostLoop& loop : host.loops) {
    TENON_USER_CHECK(!uses_var(loop.extent, is_loop_var), ScheduleError, "E1286", "loop '",
                     loop.var.as<VarNode>()->name, "' around kernels of '", f_->name, "' has ",
                     print(loop.extent),
                     " iterations, which depend on another loop around kernels\n  hint: bind one "
                     "of them");
    kernel.repeats.push_back({loop.id, loop.extent});
  }
  for (int i = 0; i < 3; ++i) {
    const auto axis = static_cast<ThreadAxis>(static_cast<int>(ThreadAxis::kThreadX) + i);
    const auto d = static_cast<std::size_t>(i);
    kernel.block[d] = block_extent(facts, axis);
    if (const ForNode* loop = facts.axes[static_cast<std::size_t>(axis)]) {
      kernel.block_loops[d] = loop->var.as<VarNode>()->name;
    }
  }
  set_grid(&kernel, host, facts);
  if (launch_condition) kernel.grid[0] = select(launch_condition, kernel.grid[0], imm(0));

  const std::int64_t threads = kernel.block[0] * kernel.block[1] * kernel.block[2];
  KernelEmitter emitter(&prelude_, threads, facts.has_collectives);
  emitter.analyzer().bind_symbols(f_);
  const std::string params = add_params(&kernel, host, facts, &emitter);
  place_shared(&kernel, facts, &emitter);
  check_block(kernel, facts);
  if (facts.has_tensor) emitter.define_lane(kernel.block);
  emitter.unroll_over(facts.fragment_vars);
  for (const auto& [stmt, site] : assert_sites_) emitter.set_assert_site(stmt, site);
  for (const HostLoop& loop : host.loops) emitter.add_host_variable(loop.var);
  emitter.emit(body);
  // With a number of blocks ptxas takes the registers that sums in a tile need; without one it may
  // spill some for the sake of more threads.
  const std::string bounds =
      std::to_string(threads) + (facts.has_fma && has_tile(facts) ? ", 1" : "");
  const std::string text = comment(kernel, number, host, facts) +
                           "extern \"C\" __global__ void __launch_bounds__(" + bounds + ")\n" +
                           kernel.name + "(" + params + ") {\n" + emitter.text() + "}\n";
  module_.kernels.push_back(std::move(kernel));
  return text;
}

}  // namespace
}  // namespace codegen::cuda

CudaModule cuda_module(const Function& f, const Target& target, const CudaModuleOptions& options) {
  TENON_CHECK(f->level == Level::kLoop, "cuda_module of a function at level ", to_string(f->level));
  TENON_CHECK(target.is_gpu(), "cuda_module for '", target.str(), "'");
  return codegen::cuda::ModuleWriter(f, target, options).run();
}

}  // namespace tenon
