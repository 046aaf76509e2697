// Extern steps of plans: products by a fake cuBLASLt, against plain loops; what is damaged, missing
// or fails.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <tuple>

#include "fake_cuda/control.h"
#include "runtime/device/cublaslt.h"
#include "runtime/device_plan.h"
#include "runtime/on_device.h"
#include "runtime/plan_bytes.h"
#include "tenon/runtime/extern_format.h"
#include "tenon/runtime/float_convert.h"

namespace tenon {
namespace {

namespace format = plan_format;
using extern_format::MatmulAttributes;
using extern_format::MatmulType;

struct Product {
  std::int64_t batch = 1, m = 2, n = 3, k = 4;
  bool is_a_turned = false, is_b_turned = false;
  bool is_a_shared = false, is_b_shared = false;
  MatmulType dtype = MatmulType::kFloat32;
  bool uses_tf32 = false;

  std::int64_t a_size() const { return (is_a_shared ? 1 : batch) * m * k; }
  std::int64_t b_size() const { return (is_b_shared ? 1 : batch) * k * n; }
};

std::string bytes_of(const MatmulAttributes& attributes) {
  return {reinterpret_cast<const char*>(&attributes), sizeof(attributes)};
}

/// C = A B of arrays of one dimension. The number of rows comes from A where that is possible, so
/// that a plan serves several.
Plan product_plan(const Product& x) {
  Plan plan;
  plan.name = "net";
  plan.device = PlanDeviceKind::kCuda;
  PlanProgram& p = plan.program;
  const bool is_open = x.batch == 1 && x.m * x.k > 0;
  const auto constant = [&](std::int64_t value) { return p.constant(value); };
  const PlanRegister a_size = is_open ? p.dim(0, 0) : constant(x.a_size());
  const PlanRegister m = is_open ? p.floordiv(a_size, constant(x.k)) : constant(x.m);
  const PlanRegister n = constant(x.n);
  const DType dtypes[] = {kFloat32, DType::float_(16), DType::bfloat16()};
  const DType dtype = dtypes[static_cast<int>(x.dtype)];
  plan.inputs = {{.name = "A", .dtype = dtype, .dims = {a_size}},
                 {.name = "B", .dtype = dtype, .dims = {constant(x.b_size())}}};
  plan.results = {{.name = "C", .dtype = dtype, .dims = {p.mul(constant(x.batch), p.mul(m, n))}}};
  for (auto* list : {&plan.inputs, &plan.results}) {
    for (PlanArgument& a : *list) a.alignment = 16;
  }
  for (std::uint32_t i = 0; i < 3; ++i) plan.add_argument_buffer(i);
  plan.externs = {{extern_format::kMatmulName,
                   bytes_of({static_cast<std::uint32_t>(x.dtype), x.is_a_turned ? 1u : 0u,
                             x.is_b_turned ? 1u : 0u, x.uses_tf32 ? 1u : 0u}),
                   2}};
  PlanStep step = {.op = PlanStepOp::kExtern, .kernel = 0, .buffers = {0, 1, 2}};
  step.sizes = {constant(x.batch),
                m,
                n,
                constant(x.k),
                constant(x.is_a_shared ? 0 : x.m * x.k),
                constant(x.is_b_shared ? 0 : x.k * x.n)};
  step.shared_bytes = constant(4096);
  plan.steps = {step};
  return plan;
}

Values numbers(std::int64_t count, int seed) {
  Values out;
  for (std::int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<float>((i * 7 + seed * 3) % 11 - 5));
  return out;
}

Values multiply(const Product& x, const Values& a, const Values& b) {
  Values c;
  for (std::int64_t z = 0; z < x.batch; ++z) {
    const float* p = a.data() + (x.is_a_shared ? 0 : z * x.m * x.k);
    const float* q = b.data() + (x.is_b_shared ? 0 : z * x.k * x.n);
    for (std::int64_t i = 0; i < x.m; ++i) {
      for (std::int64_t j = 0; j < x.n; ++j) {
        float sum = 0;
        for (std::int64_t t = 0; t < x.k; ++t)
          sum += p[x.is_a_turned ? t * x.m + i : i * x.k + t] *
                 q[x.is_b_turned ? j * x.k + t : t * x.n + j];
        c.push_back(sum);
      }
    }
  }
  return c;
}

class ExternTest : public testing::Test {
 protected:
  void SetUp() override {
    fake_cuda::start();
    fake_cuda::reset_cublaslt();
  }
};

TEST_F(ExternTest, products_are_those_of_plain_loops_for_all_ways_to_store_them) {
  for (const bool is_a_turned : {false, true}) {
    for (const bool is_b_turned : {false, true}) {
      for (const int shared : {0, 1, 2, 3}) {
        Product x{.batch = 3, .m = 5, .n = 4, .k = 7};
        if (shared == 3) x.batch = 1;
        x.is_a_turned = is_a_turned;
        x.is_b_turned = is_b_turned;
        x.is_a_shared = shared == 1;
        x.is_b_shared = shared == 2;
        const Values a = numbers(x.a_size(), 1), b = numbers(x.b_size(), 2);
        Loaded f(product_plan(x));
        OnDevice p(a), q(b), c(Values(static_cast<std::size_t>(x.batch * x.m * x.n), -1));
        EXPECT_EQ(f.run({p.tensor(), q.tensor()}, {c.tensor()}), "");
        EXPECT_EQ(c.values(), multiply(x, a, b)) << is_a_turned << is_b_turned << shared;
      }
    }
  }
  EXPECT_EQ(fake_cuda::cublaslt_counters().live_objects, 0);
}

TEST_F(ExternTest, float32_is_not_rounded_to_tf32_unless_asked_and_the_order_of_sums_is_fixed) {
  for (const bool uses_tf32 : {false, true}) {
    Product x;
    x.uses_tf32 = uses_tf32;
    Loaded f(product_plan(x));
    OnDevice a(numbers(8, 1)), b(numbers(12, 2)), c(Values(6));
    EXPECT_EQ(f.run({a.tensor(), b.tensor()}, {c.tensor()}), "");
    EXPECT_EQ(fake_cuda::cublaslt_counters().compute_type, uses_tf32 ? 77 : 68);
    EXPECT_EQ(fake_cuda::cublaslt_counters().reductions, 2u);
    EXPECT_EQ(fake_cuda::cublaslt_counters().max_workspace, 4096u);
  }
}

TEST_F(ExternTest, narrow_floats_have_sums_in_float32) {
  for (const MatmulType dtype : {MatmulType::kFloat16, MatmulType::kBFloat16}) {
    Product x{.m = 4, .n = 2, .k = 6};
    x.dtype = dtype;
    const bool is_half = dtype == MatmulType::kFloat16;
    const auto pack = [&](const Values& values) {
      std::vector<std::uint16_t> bits;
      for (const float v : values)
        bits.push_back(is_half ? float_to_float16(v) : float_to_bfloat16(v));
      Values out(bits.size() / 2);
      std::memcpy(out.data(), bits.data(), 4 * out.size());
      return out;
    };
    const Values a = numbers(24, 1), b = numbers(12, 2);
    OnDevice p(pack(a)), q(pack(b)), c(Values(4));
    const auto narrow = [&](OnDevice& array, std::int64_t* size) {
      DLTensor t = array.tensor();
      *size = 2 * t.shape[0];
      t.shape = size;
      t.dtype = {static_cast<std::uint8_t>(is_half ? kDLFloat : kDLBfloat), 16, 1};
      return t;
    };
    std::int64_t sizes[3];
    Loaded f(product_plan(x));
    EXPECT_EQ(f.run({narrow(p, &sizes[0]), narrow(q, &sizes[1])}, {narrow(c, &sizes[2])}), "");
    EXPECT_EQ(c.values(), pack(multiply(x, a, b)));
  }
}

TEST_F(ExternTest, one_plan_serves_every_number_of_rows) {
  Loaded f(product_plan({}));
  for (const std::int64_t m : {1, 2, 9}) {
    Product x;
    x.m = m;
    const Values a = numbers(4 * m, 1), b = numbers(12, 2);
    OnDevice p(a), q(b), c(Values(static_cast<std::size_t>(3 * m)));
    EXPECT_EQ(f.run({p.tensor(), q.tensor()}, {c.tensor()}), "");
    EXPECT_EQ(c.values(), multiply(x, a, b));
  }
  EXPECT_EQ(fake_cuda::cublaslt_counters().heuristics, 3);
}

TEST_F(ExternTest, products_without_elements_or_terms_need_no_library) {
  Product x;
  x.k = 0;
  x.batch = 2;
  Loaded no_terms(product_plan(x));
  OnDevice a(Values{}), b(Values{}), c(Values(12, 7));
  EXPECT_EQ(no_terms.run({a.tensor(), b.tensor()}, {c.tensor()}), "");
  EXPECT_EQ(c.values(), Values(12, 0));
  Product y;
  y.n = 0;
  Loaded no_columns(product_plan(y));
  OnDevice rows(Values(8, 1)), none(Values{}), nothing(Values{});
  EXPECT_EQ(no_columns.run({rows.tensor(), none.tensor()}, {nothing.tensor()}), "");
  EXPECT_EQ(fake_cuda::cublaslt_counters().heuristics, 0);
}

TEST_F(ExternTest, runs_are_captured_and_replayed) {
  Product x;
  const Values a = numbers(8, 1), b = numbers(12, 2);
  Loaded f(product_plan(x));
  OnDevice p(a), q(b), c(Values(6));
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(tenon_device_copy(kCuda, c.tensor().data, kHost, Values(6, 9).data(), 24), TENON_OK);
    EXPECT_EQ(f.run({p.tensor(), q.tensor()}, {c.tensor()}), "");
    EXPECT_EQ(c.values(), multiply(x, a, b));
  }
  EXPECT_EQ(f.stats().launches, 1u);
  EXPECT_EQ(f.stats().graph_captures, 1u);
  EXPECT_EQ(f.stats().graph_launches, 3u);
  EXPECT_EQ(fake_cuda::cublaslt_counters().products, 4);
  EXPECT_EQ(fake_cuda::cublaslt_counters().heuristics, 1);
}

TEST_F(ExternTest, what_the_library_refuses_is_an_error_with_its_words) {
  OnDevice a(numbers(8, 1)), b(numbers(12, 2)), c(Values(6));
  const auto message = [&](tenon_status expected) {
    Loaded f(product_plan({}));
    return f.run({a.tensor(), b.tensor()}, {c.tensor()}, expected);
  };
  for (const char* call :
       {"cublasLtMatmulDescCreate", "cublasLtMatrixLayoutCreate", "cublasLtMatmulPreferenceCreate",
        "cublasLtMatmulAlgoGetHeuristic", "cublasLtMatmul"}) {
    std::strcpy(fake_cuda::cublaslt().fail_call, call);
    EXPECT_EQ(message(TENON_ERROR_RESOURCE),
              std::string("'cublaslt.matmul' of 'net': ") + call +
                  " failed with CUBLAS_STATUS_EXECUTION_FAILED (13) [E1313]");
  }
  fake_cuda::cublaslt().fail_call[0] = 0;
  fake_cuda::cublaslt().has_no_algorithm = true;
  EXPECT_EQ(message(TENON_ERROR_UNSUPPORTED),
            "'cublaslt.matmul' of 'net': cuBLASLt has no algorithm for 1 products of 2 x 3 by 4 "
            "terms on cuda:0 [E1314]\n  hint: compile without libraries");
  fake_cuda::cublaslt().has_no_algorithm = false;
  EXPECT_EQ(message(TENON_OK), "");
  EXPECT_EQ(fake_cuda::cublaslt_counters().live_objects, 0);
}

TEST_F(ExternTest, a_library_that_is_missing_or_too_old_is_named) {
  device::CublasLt library;
  setenv("TENON_CUDA_PATH", "none", 1);
  EXPECT_EQ(device::open_cublaslt(library), TENON_ERROR_RESOURCE);
  EXPECT_NE(std::string(tenon_last_error()).find("TENON_CUDA_PATH=none [E1310]"),
            std::string::npos);
  setenv("TENON_CUDA_PATH", FAKE_CUDA_FOLDER "/fake_cuda_old", 1);
  EXPECT_EQ(device::open_cublaslt(library), TENON_ERROR_RESOURCE);
  EXPECT_NE(std::string(tenon_last_error()).find("has no function cublasLtMatmul [E1311]"),
            std::string::npos);
  EXPECT_EQ(library.library, nullptr);
}

/// The message of a run of a plan that no compiler writes.
std::string refusal(const std::function<void(Plan&)>& change, tenon_status expected) {
  Plan plan = product_plan({});
  change(plan);
  Loaded f(plan);
  OnDevice a(numbers(8, 1)), b(numbers(12, 2)), c(Values(6));
  return f.run({a.tensor(), b.tensor()}, {c.tensor()}, expected);
}

TEST_F(ExternTest, steps_that_no_compiler_writes_never_reach_the_library) {
  const auto damaged = [](const std::function<void(Plan&)>& change) {
    return refusal(change, TENON_ERROR_MODEL);
  };
  const std::string few = "a product has six sizes, three buffers and 16 bytes of attributes";
  EXPECT_NE(damaged([](Plan& p) { p.steps[0].sizes.pop_back(); }).find(few), std::string::npos);
  EXPECT_NE(damaged([](Plan& p) { p.externs[0].attributes += "x"; }).find(few), std::string::npos);
  EXPECT_NE(damaged([](Plan& p) { p.externs[0].attributes[0] = 9; }).find("unknown attributes"),
            std::string::npos);
  const std::string out = "a product that reaches out of its arrays";
  for (const std::size_t size : {0u, 1u, 2u, 3u}) {
    for (const std::int64_t value : {std::int64_t{100}, std::int64_t{1} << 62}) {
      const std::string message =
          damaged([&](Plan& p) { p.steps[0].sizes[size] = p.program.constant(value); });
      EXPECT_NE(message.find(out), std::string::npos) << size << " " << message;
    }
    const std::string message =
        damaged([&](Plan& p) { p.steps[0].sizes[size] = p.program.constant(-1); });
    EXPECT_NE(message.find("a product of a negative size"), std::string::npos) << message;
  }
  EXPECT_EQ(
      refusal([](Plan& p) { p.externs[0].name = "cublaslt.matmul9"; }, TENON_ERROR_UNSUPPORTED),
      "net: it calls 'cublaslt.matmul9', which this runtime does not know [E1312]\n  hint: "
      "use a newer Tenon, or build the plan without libraries");
  EXPECT_EQ(fake_cuda::cublaslt_counters().heuristics, 0);
}

std::string load(const std::vector<std::uint8_t>& plan) {
  tenon_load_options options = {};
  options.struct_bytes = sizeof(options);
  tenon_model* model = nullptr;
  if (tenon_model_load_memory(plan.data(), plan.size(), &options, &model) != TENON_OK)
    return tenon_last_error();
  tenon_model_release(model);
  return "";
}

TEST_F(ExternTest, records_are_written_in_their_version_printed_and_checked) {
  std::vector<std::uint8_t> bytes = serialize(product_plan({}));
  EXPECT_EQ(header_of(bytes).version, format::kVersion);
  EXPECT_EQ(load(bytes), "");
  EXPECT_NE(to_string(product_plan({})).find("extern cublaslt.matmul(A, B, C) sizes [1, "),
            std::string::npos);
  using Bytes = std::vector<std::uint8_t>;
  const auto extern_record = [](Bytes& b) -> format::ExternRecord& {
    return record<format::ExternRecord>(b, format::SectionKind::kExterns);
  };
  const std::tuple<const char*, std::function<void(Bytes&)>> damages[] = {
      {"extern 0: name out of range", [&](Bytes& b) { extern_record(b).name.length = 1 << 20; }},
      {"extern 0: name out of range", [&](Bytes& b) { extern_record(b).name.length = 0; }},
      {"extern 0: attributes out of range",
       [&](Bytes& b) { extern_record(b).attributes.offset = 1 << 20; }},
      {"step 0: an extern has one to eight buffers",
       [&](Bytes& b) { extern_record(b).num_operands = 3; }},
      {"step 0: an extern writes a constant or input",
       [&](Bytes& b) { extern_record(b).num_operands = 1; }},
      {"step 0: no such extern",
       [](Bytes& b) { record<format::Step>(b, format::SectionKind::kSteps).index = 1; }},
      {"opcode 1, which this runtime does not run",
       [](Bytes& b) { record<format::DeviceRecord>(b, format::SectionKind::kDevice).kind = 0; }},
  };
  for (const auto& [message, damage] : damages) {
    Bytes damaged = bytes;
    damage(damaged);
    seal(damaged, section(damaged, format::SectionKind::kData).offset);
    EXPECT_NE(load(damaged).find(message), std::string::npos) << load(damaged);
  }
}

TEST_F(ExternTest, no_random_damage_reaches_out_of_the_arrays) {
  std::mt19937 random(5);
  const std::vector<std::uint8_t> good = serialize(product_plan({}));
  OnDevice a(numbers(8, 1)), b(numbers(12, 2)), c(Values(6));
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::uint8_t> bytes = good;
    const std::uint64_t end = section(bytes, format::SectionKind::kData).offset;
    // Behind the header and the table of sections, which rarely get past the loader.
    const std::uint64_t begin = 32 + sizeof(format::Section) * header_of(bytes).num_sections;
    bytes[begin + random() % (end - begin)] = static_cast<std::uint8_t>(random());
    seal(bytes, end);
    tenon_load_options options = {};
    options.struct_bytes = sizeof(options);
    tenon_model* model = nullptr;
    if (tenon_model_load_memory(bytes.data(), bytes.size(), &options, &model) != TENON_OK) continue;
    tenon_context* context = nullptr;
    if (tenon_context_create(model, &context) == TENON_OK) {
      const DLTensor inputs[] = {a.tensor(), b.tensor()}, results[] = {c.tensor()};
      tenon_context_run(context, inputs, 2, results, 1);
      tenon_context_destroy(context);
    }
    tenon_model_release(model);
  }
  EXPECT_GT(fake_cuda::cublaslt_counters().products, 0);
  EXPECT_EQ(fake_cuda::cublaslt_counters().live_objects, 0);
  EXPECT_EQ(a.values(), numbers(8, 1));  // the device still works, and operands are untouched
  EXPECT_EQ(b.values(), numbers(12, 2));
}

}  // namespace
}  // namespace tenon
