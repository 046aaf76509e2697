// Saves what the JIT made, for a program that has no compiler: usage write_jit_model OBJECT SOURCE
// RESULT. OBJECT is the kernel's machine code, SOURCE the C file of a library with its plan, RESULT
// the bytes that the JIT computes from the input that softmax_program.c makes too.

#include <fstream>
#include <span>

#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

constexpr std::int64_t kRows = 37, kInner = 64, kColumns = 100;

/// softmax(X W) for any number of rows: three kinds of loops, a parallel one and scratch memory.
Function softmax_of_product() {
  const Expr n = te::symbol("n");
  const te::Tensor x = te::placeholder({n, imm(kInner)}, kFloat32, "X");
  const te::Tensor w = te::placeholder({imm(kInner), imm(kColumns)}, kFloat32, "W");
  using Indices = std::vector<Expr>;
  const te::Tensor scores = te::compute(
      {n, imm(kColumns)},
      [&](const Indices& i) {
        const IterVar k = te::reduce_axis(imm(kInner));
        return te::sum(te::read(x, {i[0], k.var}) * te::read(w, {k.var, i[1]}), {k});
      },
      "scores");
  const te::Tensor largest = te::compute(
      {n},
      [&](const Indices& i) {
        const IterVar j = te::reduce_axis(imm(kColumns));
        return te::max(te::read(scores, {i[0], j.var}), {j});
      },
      "largest");
  const te::Tensor weights = te::compute(
      {n, imm(kColumns)},
      [&](const Indices& i) {
        return te::math("exp", {te::read(scores, i) - te::read(largest, {i[0]})});
      },
      "weights");
  const te::Tensor total = te::compute(
      {n},
      [&](const Indices& i) {
        const IterVar j = te::reduce_axis(imm(kColumns));
        return te::sum(te::read(weights, {i[0], j.var}), {j});
      },
      "total");
  const te::Tensor result = te::compute(
      {n, imm(kColumns)},
      [&](const Indices& i) { return te::read(weights, i) / te::read(total, {i[0]}); }, "result");
  return te::function({x, w}, {result}, "softmax_of_product");
}

/// The input of softmax_program.c: multiples of 1/128, so that both make the same bits.
Array make_input(std::int64_t rows, std::int64_t columns) {
  const std::int64_t shape[] = {rows, columns};
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>((i * 37 + 11) % 257) - 128) / 128.0F;
  return Array::from_values<float>(shape, kFloat32, values);
}

void write_bytes(const char* path, const void* data, std::size_t size) {
  std::ofstream out(path, std::ios::binary);
  out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  out.flush();
  TENON_CHECK(out.good(), "cannot write '", path, "'");
}

std::string source_of(const Plan& plan, const std::string& kernel) {
  std::string text = "#include \"tenon/runtime/c_api.h\"\n\nextern int32_t " + kernel +
                     "(tenon_kernel_context*, void* const*, const int64_t*);\n"
                     "static const unsigned char plan[] __attribute__((aligned(4096))) = {";
  const std::vector<std::uint8_t> bytes = serialize(plan);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    text += (i % 32 == 0 ? "\n" : "") + std::to_string(bytes[i]) + ",";
  return text + "};\nstatic const tenon_kernel_fn kernels[1] = {" + kernel +
         "};\nstatic const tenon_level_descriptor level = {\"host\", 0, plan, sizeof(plan), "
         "kernels, "
         "1};\nconst tenon_model_descriptor tenon_model_" +
         plan.name + " = {TENON_DESCRIPTOR_VERSION, TENON_KERNEL_ABI_VERSION, \"" + plan.name +
         "\", &level, 1, 0, 0};\n";
}

void write_model(const char* object_path, const char* source_path, const char* result_path) {
  const Target target = Target::host();
  const Function f = default_schedule(softmax_of_product(), target).function();
  const CompiledKernel kernel = compile_kernel(f, target, {.use_cache = false});
  const ObjectCode object = compile_to_object(std::span(&kernel.function, 1), target);
  const std::string source = source_of(plan_of(kernel), kernel_symbol(kernel.function));
  const std::vector<Array> inputs = {make_input(kRows, kInner), make_input(kInner, kColumns)};
  const Array result = make_executable(kernel).call(inputs).at(0);
  write_bytes(object_path, object.bytes.data(), object.bytes.size());
  write_bytes(source_path, source.data(), source.size());
  write_bytes(result_path, result.raw(), static_cast<std::size_t>(result.nbytes()));
}

}  // namespace
}  // namespace tenon

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  tenon::write_model(argv[1], argv[2], argv[3]);
  return 0;
}
