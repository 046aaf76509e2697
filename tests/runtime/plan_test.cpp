#include "tenon/runtime/plan.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>

#include "runtime/plan_bytes.h"
#include "runtime/rt/crc32c.h"
#include "runtime/vector_add.h"
#include "tenon/runtime/c_api.h"

namespace tenon {
namespace {

namespace format = plan_format;
using Bytes = std::vector<std::uint8_t>;

/// Loads, runs on four elements if it loads, and gives the message.
std::string load(const Bytes& plan, tenon_status expected, std::size_t num_kernels = 1) {
  const std::vector<tenon_kernel_fn> kernels(num_kernels, vector_add_kernel);
  tenon_load_options options = {};
  options.struct_bytes = sizeof(options);
  options.kernels = kernels.data();
  options.num_kernels = kernels.size();
  tenon_model* model = nullptr;
  const tenon_status status = tenon_model_load_memory(plan.data(), plan.size(), &options, &model);
  EXPECT_EQ(status, expected) << tenon_last_error();
  if (status == TENON_OK) tenon_model_release(model);
  return status == TENON_OK ? "" : tenon_last_error();
}

/// Where the constants begin.
std::uint64_t data_offset(Bytes& plan) { return section(plan, format::SectionKind::kData).offset; }

Plan rich_plan() {
  Plan plan = vector_add_plan();
  plan.checks = {{PlanCheckKind::kEqual, 0, 0, "n"}};
  plan.constants = {{.name = "W", .dtype = kFloat32, .bytes = 4, .data = {1, 2, 3, 4}}};
  plan.add_constant_buffer(0);
  plan.add_workspace_buffer(kPlanNone, plan.program.constant(4));
  plan.arena_bytes = plan.program.constant(64);
  plan.kernels[0].sites = {{.buffer = "X"}};
  plan.steps.push_back({.op = PlanStepOp::kCopy, .buffers = {4, 3}});
  return plan;
}

TEST(PlanTest, a_written_plan_loads_and_describes_itself) {
  const Bytes bytes = serialize(rich_plan());
  EXPECT_EQ(load(bytes, TENON_OK), "");
  EXPECT_EQ(serialize(rich_plan()), bytes);
  const tenon_kernel_fn kernel = vector_add_kernel;
  tenon_load_options options = {sizeof(options), &kernel, 1, nullptr, 0, nullptr, 0, 0};
  tenon_model* model = nullptr;
  ASSERT_EQ(tenon_model_load_memory(bytes.data(), bytes.size(), &options, &model), TENON_OK);
  EXPECT_EQ(tenon_model_num_inputs(model), 2);
  EXPECT_EQ(tenon_model_num_results(model), 1);
  tenon_argument_info info;
  ASSERT_EQ(tenon_model_argument(model, 2, &info), TENON_OK);
  EXPECT_STREQ(info.name, "Z");
  EXPECT_EQ(info.rank, 1);
  EXPECT_EQ(tenon_model_argument(model, 3, &info), TENON_ERROR_USAGE);
  tenon_model_release(model);
}

struct Damage {
  const char* name;
  std::function<void(Bytes&)> apply;
  std::string message;  ///< after "the plan is damaged or not a plan: "
};

TEST(PlanTest, every_damaged_table_is_refused_by_name) {
  using K = format::SectionKind;
  const std::vector<Damage> damages = {
      {"magic", [](Bytes& b) { b[0] = 'X'; }, "the first bytes are not TENONPLN"},
      {"length", [](Bytes& b) { b.pop_back(); }, "it says "},
      {"sections", [](Bytes& b) { header_of(b).num_sections = 65; }, "65 sections do not fit"},
      {"offset", [](Bytes& b) { section(b, K::kSteps).offset = ~7ull; },
       "section 11 lies outside the plan"},
      {"bytes", [](Bytes& b) { section(b, K::kSteps).bytes = ~0ull; },
       "section 11 lies outside the plan"},
      {"twice", [](Bytes& b) { section(b, K::kSteps).kind = 2; }, "two sections of kind 2"},
      {"count", [](Bytes& b) { section(b, K::kProgram).count += 1; }, "section 3 has"},
      {"info", [](Bytes& b) { record<format::Info>(b, K::kInfo).name.offset = 1u << 30; },
       "info 0: name out of range"},
      {"inputs", [](Bytes& b) { record<format::Info>(b, K::kInfo).num_inputs = 9; },
       "info 0: inputs and results"},
      {"arena", [](Bytes& b) { record<format::Info>(b, K::kInfo).arena_bytes = 99; },
       "info 0: arena register"},
      {"op", [](Bytes& b) { record<format::Instruction>(b, K::kProgram).op = 99; },
       "instruction 0: unknown operation"},
      {"axis", [](Bytes& b) { record<format::Instruction>(b, K::kProgram).b = 1; },
       "instruction 0: no such axis"},
      {"operand", [](Bytes& b) { record<format::Instruction>(b, K::kProgram).op = 2; },
       "instruction 0: operand"},
      {"argument",
       [](Bytes& b) { record<format::Argument>(b, K::kArguments).name.length = 1u << 31; },
       "argument 0: name"},
      {"long names",
       [](Bytes& b) {
         const auto strings = static_cast<std::uint32_t>(section(b, K::kStrings).bytes);
         for (std::size_t i = 0; i < 3; ++i) {
           record<format::Argument>(b, K::kArguments, i).name = {0, strings};
         }
       },
       "its argument names take"},
      {"dtype", [](Bytes& b) { record<format::Argument>(b, K::kArguments, 1).bits = 7; },
       "argument 1: unknown dtype"},
      {"alignment", [](Bytes& b) { record<format::Argument>(b, K::kArguments).alignment = 3; },
       "argument 0: alignment"},
      {"rank", [](Bytes& b) { record<format::Argument>(b, K::kArguments).dims.count = 65; },
       "argument 0: rank above 64"},
      {"dims", [](Bytes& b) { record<std::uint32_t>(b, K::kIndices) = 77; },
       "argument 0: dims or strides"},
      {"strides", [](Bytes& b) { record<format::Argument>(b, K::kArguments).strides = {0, 2}; },
       "argument 0: not one stride"},
      {"in place", [](Bytes& b) { record<format::Argument>(b, K::kArguments, 2).in_place_of = 2; },
       "argument 2: in place of"},
      {"symbol", [](Bytes& b) { record<format::Symbol>(b, K::kSymbols).reg = 88; },
       "symbol 0: register out of range"},
      {"symbol axis", [](Bytes& b) { record<format::Symbol>(b, K::kSymbols).axis = 1; },
       "symbol 0: no such axis"},
      {"multiple", [](Bytes& b) { record<format::Symbol>(b, K::kSymbols).multiple_of = 0; },
       "symbol 0: impossible range"},
      {"check", [](Bytes& b) { record<format::Check>(b, K::kChecks).kind = 3; },
       "check 0: unknown kind"},
      {"check register", [](Bytes& b) { record<format::Check>(b, K::kChecks).b = 99; },
       "check 0: register"},
      {"buffer", [](Bytes& b) { record<format::BufferRecord>(b, K::kBuffers).kind = 5; },
       "buffer 0: unknown kind"},
      {"buffer argument",
       [](Bytes& b) { record<format::BufferRecord>(b, K::kBuffers, 2).index = 3; },
       "buffer 2: no such"},
      {"buffer size", [](Bytes& b) { record<format::BufferRecord>(b, K::kBuffers, 4).bytes = ~0u; },
       "buffer 4: a workspace"},
      {"constant", [](Bytes& b) { record<format::Constant>(b, K::kConstants).offset = 1; },
       "constant 0: lies outside"},
      {"constant flags", [](Bytes& b) { record<format::Constant>(b, K::kConstants).embedded = 2; },
       "constant 0: unknown flags"},
      {"kernel", [](Bytes& b) { record<format::KernelRecord>(b, K::kKernels).num_sites = 2; },
       "kernel 0: sites"},
      {"site", [](Bytes& b) { record<format::Site>(b, K::kSites).source.length = 1u << 20; },
       "site 0: string"},
      {"step kernel", [](Bytes& b) { record<format::Step>(b, K::kSteps).index = 1; },
       "step 0: no such kernel"},
      {"step op", [](Bytes& b) { record<format::Step>(b, K::kSteps).op = format::kNumStepOps; },
       "step 0: unknown opcode"},
      {"step lists", [](Bytes& b) { record<format::Step>(b, K::kSteps).buffers.count = 1u << 31; },
       "step 0: buffers"},
      {"copy", [](Bytes& b) { record<format::Step>(b, K::kSteps, 1).buffers.count = 1; },
       "step 1: a copy has two"},
      {"copy target", [](Bytes& b) { record<format::Step>(b, K::kSteps, 1).buffers.begin -= 3; },
       "step 1: a copy into"},
      {"scratch", [](Bytes& b) { record<format::Step>(b, K::kSteps).worker_bytes = 99; },
       "step 0: register"},
  };
  for (const Damage& damage : damages) {
    Bytes bytes = serialize(rich_plan());
    const std::uint64_t end = data_offset(bytes);
    damage.apply(bytes);
    seal(bytes, end);
    const std::string message = load(bytes, TENON_ERROR_MODEL);
    const std::string expected = "the plan is damaged or not a plan: " + damage.message;
    EXPECT_EQ(message.substr(0, expected.size()), expected) << damage.name;
    EXPECT_NE(message.find("[E0907]"), std::string::npos) << damage.name;
  }
}

TEST(PlanTest, lists_that_overlap_are_refused) {
  Bytes bytes = serialize(rich_plan());
  auto& step = record<format::Step>(bytes, format::SectionKind::kSteps);
  step.sizes = {step.buffers.begin - 1, 1};
  step.buffers.count += 1;
  step.buffers.begin -= 1;
  record<std::uint32_t>(bytes, format::SectionKind::kIndices, step.buffers.begin) = 0;
  seal(bytes, data_offset(bytes));
  EXPECT_NE(load(bytes, TENON_ERROR_MODEL).find("lists overlap"), std::string::npos);
}

TEST(PlanTest, no_byte_can_change_unnoticed) {
  Plan plan = rich_plan();
  plan.constants.push_back({.name = "B", .dtype = kFloat32, .bytes = 4, .data = {5, 6, 7, 8}});
  const Bytes good = serialize(plan);
  EXPECT_EQ(load(good, TENON_OK), "");
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes bytes = good;
    bytes[at] ^= 0x41;
    const tenon_status expected = at >= 8 && at < 12 ? TENON_ERROR_UNSUPPORTED : TENON_ERROR_MODEL;
    load(bytes, expected);
    if (HasFailure()) FAIL() << "byte " << at;
  }
  Bytes constants = good;
  record<std::uint8_t>(constants, format::SectionKind::kData) ^= 1;
  EXPECT_EQ(load(constants, TENON_ERROR_MODEL),
            "the bytes of constant 'W' (number 0) do not match their checksum [E0911]");
  Bytes padding = good;
  record<std::uint8_t>(padding, format::SectionKind::kData, 9) ^= 1;
  EXPECT_EQ(load(padding, TENON_ERROR_MODEL), "bytes between the constants are not 0 [E0911]");
}

TEST(PlanTest, the_checksum_is_crc_32c_by_instruction_and_by_tables) {
  EXPECT_EQ(rt::crc32c(0, "123456789", 9), 0xe3069283u);  // the polynomial's check value
  Bytes bytes(40'000);
  std::mt19937 random(1);
  for (std::uint8_t& b : bytes) b = static_cast<std::uint8_t>(random());
  for (std::size_t size : {0, 1, 7, 8, 9, 999, 12287, 12288, 12289, 24576, 39999})
    EXPECT_EQ(rt::crc32c(5, bytes.data() + 1, size),
              rt::crc32c_by_tables(5, bytes.data() + 1, size));
}

TEST(PlanTest, constants_may_lie_in_a_block_beside_the_plan) {
  const std::uint8_t block[8] = {1, 2, 3, 4, 0, 0, 0, 0};
  Plan plan = rich_plan();
  plan.constants[0].data = {};
  plan.constants[0].is_beside = true;
  plan.constants[0].crc32c = rt::crc32c(0, block, 4);
  const Bytes bytes = serialize(plan);
  const tenon_kernel_fn kernel = vector_add_kernel;
  const auto load_with = [&](const Bytes& given, const void* data, std::uint64_t size) {
    tenon_load_options options = {sizeof(options), &kernel, 1, nullptr, 0, data, size, 0};
    tenon_model* model = nullptr;
    const tenon_status status =
        tenon_model_load_memory(given.data(), given.size(), &options, &model);
    tenon_model_release(status == TENON_OK ? model : nullptr);
    return status == TENON_OK ? "" : std::string(tenon_last_error());
  };
  EXPECT_EQ(load_with(bytes, block, sizeof(block)), "");
  EXPECT_NE(load_with(bytes, block, 3).find("lies outside the data"), std::string::npos);
  EXPECT_NE(load_with(bytes, nullptr, 0).find("lies outside the data"), std::string::npos);
  EXPECT_NE(load_with(bytes, block + 1, 4).find("'W' (number 0) do not match"), std::string::npos);
  EXPECT_NE(load_with(serialize(rich_plan()), block, 8).find("block of them beside it"),
            std::string::npos);
}

TEST(PlanTest, constants_beyond_the_end_of_a_file_are_refused) {
  constexpr std::size_t kBytes = 1 << 16;
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(ftruncate(fileno(file), kBytes / 2), 0);
  void* mapped = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fileno(file), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  // Where the kernel cannot say so (before Linux 5.14), reading would kill the process.
  if (madvise(mapped, kBytes, 22) != 0 && errno == EFAULT) {
    Plan plan = rich_plan();
    plan.constants[0] = {.name = "W", .dtype = kFloat32, .bytes = kBytes, .is_beside = true};
    const Bytes bytes = serialize(plan);
    const tenon_kernel_fn kernel = vector_add_kernel;
    tenon_load_options options = {sizeof(options), &kernel, 1, nullptr, 0, mapped, kBytes, 0};
    tenon_model* model = nullptr;
    EXPECT_EQ(tenon_model_load_memory(bytes.data(), bytes.size(), &options, &model),
              TENON_ERROR_MODEL);
    EXPECT_STREQ(tenon_last_error(), "the constants lie beyond the end of their file [E0911]");
  }
  munmap(mapped, kBytes);
  std::fclose(file);
}

TEST(PlanTest, other_versions_and_reserved_opcodes_are_named) {
  Bytes future = serialize(rich_plan());
  header_of(future).version = 3u << 16;
  EXPECT_EQ(load(future, TENON_ERROR_UNSUPPORTED),
            "the plan has format version 3.0, this runtime reads version 2.0 to 2.2 [E0908]");
  Bytes minor = serialize(rich_plan());
  EXPECT_EQ(header_of(minor).version, format::kHostVersion);  // older runtimes read it
  header_of(minor).version += 3;
  EXPECT_EQ(load(minor, TENON_ERROR_UNSUPPORTED),
            "the plan has format version 2.3, this runtime reads version 2.0 to 2.2 [E0908]");
  Plan sub_plan = rich_plan();
  sub_plan.steps[0].op = PlanStepOp::kSubPlan;
  EXPECT_EQ(load(serialize(sub_plan), TENON_ERROR_UNSUPPORTED),
            "step 0 of the plan has opcode 6, which this runtime does not run [E0909]");
}

TEST(PlanTest, bad_calls_of_the_loader_are_usage_errors) {
  tenon_model* model = nullptr;
  EXPECT_EQ(tenon_model_load_memory(nullptr, 0, nullptr, &model), TENON_ERROR_USAGE);
  EXPECT_EQ(tenon_model_load_descriptor(nullptr, nullptr, &model), TENON_ERROR_USAGE);
  EXPECT_EQ(load({}, TENON_ERROR_MODEL),
            "the plan is damaged or not a plan: 0 bytes are less than a header [E0907]");
  EXPECT_EQ(tenon_model_load("/nonexistent/model.so", "m", &model), TENON_ERROR_RESOURCE);
  EXPECT_NE(std::string(tenon_last_error()).find("cannot open '/nonexistent/model.so'"),
            std::string::npos);
  EXPECT_EQ(tenon_model_load("/tmp", "m", &model), TENON_ERROR_RESOURCE);
  EXPECT_STREQ(tenon_last_error(), "cannot open '/tmp': not a regular file [E1003]");
}

/// Loads damaged bytes and, where they load, binds them: nothing may crash, hang or allocate
/// without bound.
void load_and_bind(const Bytes& bytes) {
  const tenon_kernel_fn nothing = [](tenon_kernel_context*, void* const*,
                                     const std::int64_t*) -> std::int32_t { return 0; };
  const std::vector<tenon_kernel_fn> kernels(1, nothing);
  tenon_load_options options = {sizeof(options), kernels.data(), 1, nullptr, 0, nullptr, 0, 0};
  tenon_model* model = nullptr;
  if (tenon_model_load_memory(bytes.data(), bytes.size(), &options, &model) != TENON_OK) return;
  tenon_context* context = nullptr;
  if (tenon_context_create(model, &context) == TENON_OK) {
    std::int64_t shape[1] = {4};
    float memory[3][4] = {};
    DLTensor tensors[3];
    for (int i = 0; i < 3; ++i)
      tensors[i] = {memory[i], {kDLCPU, 0}, 1, {kDLFloat, 32, 1}, shape, nullptr, 0};
    tenon_context_bind(context, tensors, 2);
  }
  tenon_context_destroy(context);
  tenon_model_release(model);
}

TEST(PlanTest, random_damage_never_crashes) {
  std::mt19937 random(20240607);
  Bytes good = serialize(rich_plan());
  std::size_t tables = 0;  // where the records end and padding before the constants begins
  for (std::uint32_t kind = 1; kind < static_cast<std::uint32_t>(format::SectionKind::kData);
       ++kind) {
    const format::Section& s = section(good, static_cast<format::SectionKind>(kind));
    tables = std::max<std::size_t>(tables, s.offset + s.bytes);
  }
  for (int round = 0; round < 60'000; ++round) {
    Bytes bytes = good;
    for (std::uint32_t flips = 1 + random() % 4; flips > 0; --flips) {
      const std::size_t at = random() % tables;
      const std::uint32_t kind = random() % 3;
      bytes[at] = kind == 0 ? static_cast<std::uint8_t>(bytes[at] ^ (1u << (random() % 8)))
                            : static_cast<std::uint8_t>(kind == 1 ? random() : 0xff);
    }
    if (round % 8 != 0) seal(bytes, data_offset(good));
    if (round % 16 == 0) bytes.resize(random() % bytes.size());
    load_and_bind(bytes);
  }
}

TEST(PlanTest, the_text_shows_sizes_as_expressions) {
  Plan plan = rich_plan();
  plan.arena_bytes = plan.program.round_up(plan.program.mul(0, plan.program.constant(4)), 64);
  EXPECT_EQ(to_string(plan),
            "plan vector_add\n"
            "  input X: float32[n]\n"
            "  input Y: float32[n]\n"
            "  result Z: float32[n]\n"
            "  symbol n = X.shape[0], min 1\n"
            "  check n == n  # n\n"
            "  constant W: float32, 4 bytes\n"
            "  arena (((n * 4) + 63) // 64) * 64 bytes\n"
            "  vector_add(X, Y, Z) sizes [n]\n"
            "  copy(arena, W)\n");
}

TEST(PlanTest, the_program_shares_and_folds) {
  PlanProgram p;
  const PlanRegister n = p.dim(0, 0);
  EXPECT_EQ(p.add(n, p.constant(1)), p.add(n, p.constant(1)));
  EXPECT_EQ(p.mul(n, p.constant(1)), n);
  EXPECT_EQ(p.mul(p.constant(6), p.constant(7)), p.constant(42));
  EXPECT_EQ(p.select(p.constant(0), n, p.constant(2)), p.constant(2));
  EXPECT_EQ(p.round_up(p.constant(65), 64), p.constant(128));
  EXPECT_EQ(p.bytes_of({p.constant(3), p.constant(5)}, 4), p.constant(60));
}

}  // namespace
}  // namespace tenon
