#pragma once

/// Compiles a function of loop IR and runs it on plain memory.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tenon/codegen/jit.h"
#include "tenon/codegen/kernel_info.h"
#include "tenon/codegen/llvm.h"
#include "tenon/ir/builder.h"
#include "tenon/runtime/kernel_abi.h"

namespace tenon::testing {

/// Elements of one dtype, read and written as 64-bit values.
class Cells {
 public:
  Cells(DType dtype, std::int64_t size);
  void set_int(std::int64_t i, std::int64_t v);
  void set_float(std::int64_t i, double v);
  std::int64_t int_at(std::int64_t i) const;
  double float_at(std::int64_t i) const;
  void* data() { return bytes_.data(); }
  std::int64_t size() const { return size_; }

 private:
  DType dtype_;
  std::int64_t size_;
  std::vector<std::uint8_t> bytes_;
};

struct RunOptions {
  Target target = Target::host();
  int num_workers = 3;
  std::vector<std::int64_t> sizes = {};
};

struct RunResult {
  std::int32_t status = 0;
  tenon_index_error error = {};
  int num_parallel_calls = 0;
};

/// One call; the parallel loop's chunks run on threads of their own, one for each worker.
RunResult run_kernel(const Function& f, const std::vector<void*>& buffers,
                     const RunOptions& options = {});

/// A function of loop IR whose parameters are one-dimensional.
Function loop_function(std::string name, std::vector<Buffer> inputs, std::vector<Buffer> outputs,
                       Stmt body, std::vector<Symbol> symbols = {});

/// The host, and the AVX2 level that it can also run.
std::vector<Target> runnable_targets();

}  // namespace tenon::testing
