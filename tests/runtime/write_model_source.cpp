// Writes the C source of a model library made by hand (plan, kernel table, descriptor): usage
// write_model_source FILE.

#include <fstream>

#include "runtime/vector_add.h"

namespace {

constexpr const char* kKernel = R"(
#include "tenon/runtime/c_api.h"

struct closure { const float* x; const float* y; float* z; };

static int32_t add_range(tenon_kernel_context* ctx, void* closure, int64_t begin, int64_t end, int32_t worker) {
  const struct closure* c = (const struct closure*)closure;
  int64_t i;
  (void)ctx;
  (void)worker;
  for (i = begin; i < end; ++i) c->z[i] = c->x[i] + c->y[i];
  return 0;
}

static int32_t vector_add(tenon_kernel_context* ctx, void* const* buffers, const int64_t* sizes) {
  struct closure c;
  c.x = (const float*)buffers[0];
  c.y = (const float*)buffers[1];
  c.z = (float*)buffers[2];
  return ctx->parallel_for(ctx, sizes[0], add_range, &c);
}

static const tenon_kernel_fn kernels[1] = {vector_add};

static const tenon_level_descriptor levels[2] = {
    {"future", (uint64_t)1 << 62, plan, sizeof(plan), kernels, 1},
    {"any", 0, plan, sizeof(plan), kernels, 1}};

const tenon_model_descriptor tenon_model_vector_add = {
    TENON_DESCRIPTOR_VERSION, TENON_KERNEL_ABI_VERSION, "vector_add", levels, 2, 0, 0};
const tenon_model_descriptor tenon_model_future = {
    TENON_DESCRIPTOR_VERSION, TENON_KERNEL_ABI_VERSION, "future", levels, 1, 0, 0};
const tenon_model_descriptor tenon_model_newer = {
    TENON_DESCRIPTOR_VERSION + 1, TENON_KERNEL_ABI_VERSION, "newer", levels, 2, 0, 0};
)";

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::vector<std::uint8_t> bytes = tenon::serialize(tenon::vector_add_plan());
  std::ofstream out(argv[1]);
  out << "static const unsigned char plan[" << bytes.size()
      << "] __attribute__((aligned(4096))) = {";
  for (std::size_t i = 0; i < bytes.size(); ++i)
    out << (i % 32 == 0 ? "\n" : "") << static_cast<int>(bytes[i]) << ",";
  out << "};\n" << kKernel;
  return out.good() ? 0 : 1;
}
