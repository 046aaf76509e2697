// Branches, loops and buffers that move with them, by plans and kernels made by hand.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <random>
#include <thread>

#include "runtime/plan_bytes.h"
#include "tenon/runtime/c_api.h"
#include "tenon/runtime/executable.h"

namespace tenon {
namespace {

namespace format = plan_format;
using Bytes = std::vector<std::uint8_t>;

/// out[d] = a[d] + b[d]; sizes [d].
std::int32_t add_kernel(tenon_kernel_context*, void* const* buffers, const std::int64_t* sizes) {
  const float* a = static_cast<const float*>(buffers[0]);
  const float* b = static_cast<const float*>(buffers[1]);
  for (std::int64_t i = 0; i < sizes[0]; ++i) static_cast<float*>(buffers[2])[i] = a[i] + b[i];
  return 0;
}

/// out = a[0] < 100.
std::int32_t below_hundred_kernel(tenon_kernel_context*, void* const* buffers,
                                  const std::int64_t*) {
  *static_cast<bool*>(buffers[1]) = *static_cast<const float*>(buffers[0]) < 100;
  return 0;
}

/// out[0] = the int64 in a as a float.
std::int32_t float_kernel(tenon_kernel_context*, void* const* buffers, const std::int64_t*) {
  *static_cast<float*>(buffers[1]) =
      static_cast<float>(*static_cast<const std::int64_t*>(buffers[0]));
  return 0;
}

constexpr std::int64_t kWidth = 3;
enum Kernel : std::uint32_t { kAdd, kBelowHundred, kFloat };

/// X[n, 3] and S[3]; results Y[n, 3] and F[3]: running sums of the rows of X from S, and the last;
/// from the last row on when `is_reverse`.
struct ScanPlan {
  Plan plan;
  PlanRegister n, row, width;
  PlanBufferId x, state, next, y, state_begin;

  explicit ScanPlan(bool is_reverse = false) {
    PlanProgram& p = plan.program;
    n = p.dim(0, 0);
    width = p.constant(kWidth);
    row = p.constant(4 * kWidth);
    plan.name = "sums";
    plan.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n, width}},
                   {.name = "S", .dtype = kFloat32, .dims = {width}}};
    plan.results = {{.name = "Y", .dtype = kFloat32, .dims = {n, width}},
                    {.name = "F", .dtype = kFloat32, .dims = {width}}};
    plan.symbols = {{.name = "n", .reg = n, .input = 0, .axis = 0, .min = 0}};
    plan.kernels = {{.name = "add"}, {.name = "below_hundred"}, {.name = "float"}};
    plan.arena_bytes = p.constant(128 + 64);
    const PlanBufferId start = plan.add_argument_buffer(1), last = plan.add_argument_buffer(3);
    const auto slice = [&](std::uint32_t argument) {
      plan.buffers.push_back({PlanBufferKind::kArgument, argument, kPlanNone, row});
      return static_cast<PlanBufferId>(plan.buffers.size() - 1);
    };
    x = slice(0);
    y = slice(2);
    const PlanRegister zero = p.constant(0), pitch = p.constant(64);
    state_begin = plan.add_workspace_buffer(zero, row);
    state = plan.add_workspace_buffer(zero, row);
    next = plan.add_workspace_buffer(zero, row);
    const auto kind = is_reverse ? PlanMoveKind::kBackward : PlanMoveKind::kForward;
    plan.regions = {{.num_steps = 2, .num_first = 0, .count = n}};
    plan.moves = {{1, x, row, kind},
                  {1, y, row, kind},
                  {1, state, pitch, PlanMoveKind::kEven},
                  {1, next, pitch, PlanMoveKind::kOdd}};
    plan.steps = {
        {.op = PlanStepOp::kCopy, .buffers = {state_begin, start}},
        {.op = PlanStepOp::kLoop, .kernel = 0},
        {.op = PlanStepOp::kKernel, .kernel = kAdd, .buffers = {state, x, next}, .sizes = {width}},
        {.op = PlanStepOp::kCopy, .buffers = {y, next}},
        {.op = PlanStepOp::kCopy, .buffers = {last, state}}};
  }
};

Executable executable(const Plan& plan) {
  return Executable(
      {.plan = plan, .kernels = {add_kernel, below_hundred_kernel, float_kernel}, .constants = {}});
}

Array rows(std::int64_t n) {
  Array a = Array::empty({n, kWidth}, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a.mutable_data<float>()[i] = static_cast<float>(i * i % 11);
  return a;
}

Array three(float first) {
  Array a = Array::empty({kWidth}, kFloat32);
  for (int i = 0; i < kWidth; ++i) a.mutable_data<float>()[i] = first + static_cast<float>(i);
  return a;
}

TEST(ControlFlowTest, a_loop_reads_and_writes_slices_in_place) {
  for (const bool is_reverse : {false, true}) {
    const Executable f = executable(ScanPlan(is_reverse).plan);
    for (const std::int64_t n : {0, 1, 2, 5, 8}) {
      const Array x = rows(n), s = three(7);
      const std::vector<Array> results = f.call(std::vector<Array>{x, s});
      std::array<float, kWidth> sum = {7, 8, 9};
      for (std::int64_t step = 0; step < n; ++step) {
        const std::int64_t t = is_reverse ? n - 1 - step : step;
        for (std::int64_t i = 0; i < kWidth; ++i) {
          sum[static_cast<std::size_t>(i)] += x.data<float>()[t * kWidth + i];
          EXPECT_EQ(results[0].data<float>()[t * kWidth + i], sum[static_cast<std::size_t>(i)]);
        }
      }
      for (std::int64_t i = 0; i < kWidth; ++i)
        EXPECT_EQ(results[1].data<float>()[i], sum[static_cast<std::size_t>(i)]) << n;
    }
  }
}

/// F = S doubled while F[0] < 100, at most 20 times.
Plan while_plan() {
  Plan plan;
  PlanProgram& p = plan.program;
  const PlanRegister width = p.constant(kWidth), row = p.constant(4 * kWidth), zero = p.constant(0),
                     pitch = p.constant(64);
  plan.name = "double";
  plan.inputs = {{.name = "S", .dtype = kFloat32, .dims = {width}}};
  plan.results = {{.name = "F", .dtype = kFloat32, .dims = {width}}};
  plan.kernels = {{.name = "add"}, {.name = "below_hundred"}, {.name = "float"}};
  plan.arena_bytes = p.constant(192);
  const PlanBufferId start = plan.add_argument_buffer(0), last = plan.add_argument_buffer(1),
                     begin = plan.add_workspace_buffer(zero, row),
                     state = plan.add_workspace_buffer(zero, row),
                     next = plan.add_workspace_buffer(zero, row),
                     condition = plan.add_workspace_buffer(p.constant(128), p.constant(1));
  plan.regions = {{.num_steps = 2, .num_first = 1, .condition = 0, .count = p.constant(20)}};
  plan.moves = {{1, state, pitch, PlanMoveKind::kEven}, {1, next, pitch, PlanMoveKind::kOdd}};
  plan.steps = {{.op = PlanStepOp::kCopy, .buffers = {begin, start}},
                {.op = PlanStepOp::kLoop, .kernel = 0, .buffers = {condition}},
                {.op = PlanStepOp::kKernel, .kernel = kBelowHundred, .buffers = {state, condition}},
                {.op = PlanStepOp::kKernel,
                 .kernel = kAdd,
                 .buffers = {state, state, next},
                 .sizes = {width}},
                {.op = PlanStepOp::kCopy, .buffers = {last, state}}};
  return plan;
}

TEST(ControlFlowTest, a_condition_in_memory_ends_a_loop) {
  const Executable f = executable(while_plan());
  for (const auto& [first, last] : {std::pair<float, float>{1, 128},
                                    {3, 192},
                                    {99, 198},
                                    {100, 100},
                                    {0, 0}}) {  // the last by the bound of 20
    EXPECT_EQ(f.call(std::vector<Array>{three(first)})[0].data<float>()[0], last);
  }
  EXPECT_EQ(f.call(std::vector<Array>{three(0)})[0].data<float>()[1], 1 << 20);
}

TEST(ControlFlowTest, a_branch_runs_one_part) {
  for (const bool is_negated : {false, true}) {
    Plan plan = while_plan();
    const PlanBufferId start = 0, last = 1, condition = 5;
    const PlanRegister width = plan.inputs[0].dims[0];
    plan.moves.clear();
    plan.regions = {{.num_steps = 2, .num_first = is_negated ? 0U : 1U, .condition = 0}};
    plan.steps = {
        {.op = PlanStepOp::kCopy, .buffers = {last, start}},
        {.op = PlanStepOp::kKernel, .kernel = kBelowHundred, .buffers = {start, condition}},
        {.op = PlanStepOp::kBranch, .kernel = 0, .buffers = {condition}},
        {.op = PlanStepOp::kKernel,
         .kernel = kAdd,
         .buffers = {start, start, last},
         .sizes = {width}},
        {.op = PlanStepOp::kCopy, .buffers = {last, start}}};
    const Executable f = executable(plan);
    EXPECT_EQ(f.call(std::vector<Array>{three(5)})[0].data<float>()[0], is_negated ? 5 : 10);
    EXPECT_EQ(f.call(std::vector<Array>{three(500)})[0].data<float>()[0], 500);
  }
}

TEST(ControlFlowTest, loops_within_loops_and_counts_in_memory) {
  // F[0] = sum over i < N, j < i of j, where N is in memory and i is the inner loop's count.
  Plan plan;
  PlanProgram& p = plan.program;
  const PlanRegister one = p.constant(1), pitch = p.constant(64), four = p.constant(4),
                     eight = p.constant(8);
  plan.name = "nest";
  plan.inputs = {{.name = "N", .dtype = kInt64, .dims = {}},
                 {.name = "S", .dtype = kFloat32, .dims = {one}}};
  plan.results = {{.name = "F", .dtype = kFloat32, .dims = {one}}};
  plan.kernels = {{.name = "add"}, {.name = "below_hundred"}, {.name = "float"}};
  plan.arena_bytes = p.constant(64 * 6);
  const auto workspace = [&](std::int64_t slot, PlanRegister bytes) {
    return plan.add_workspace_buffer(p.constant(64 * slot), bytes);
  };
  const PlanBufferId n = plan.add_argument_buffer(0), start = plan.add_argument_buffer(1),
                     last = plan.add_argument_buffer(2), i = workspace(0, eight),
                     j = workspace(1, eight), j_float = workspace(2, four),
                     begin = workspace(3, four), state = workspace(3, four),
                     inner = workspace(3, four), next = workspace(3, four);
  const PlanRegister many = p.constant(1000);
  // The inner loop takes turns with the slots 3 and 4; its end is copied back to slot 3.
  plan.moves = {{2, inner, pitch, PlanMoveKind::kEven}, {2, next, pitch, PlanMoveKind::kOdd}};
  plan.regions = {{.num_steps = 4, .count = many, .count_buffer = 0, .iteration = 1},
                  {.num_steps = 2, .count = many, .count_buffer = 0, .iteration = 1}};
  plan.steps = {{.op = PlanStepOp::kCopy, .buffers = {begin, start}},
                {.op = PlanStepOp::kLoop, .kernel = 0, .buffers = {n, i}},
                {.op = PlanStepOp::kLoop, .kernel = 1, .buffers = {i, j}},
                {.op = PlanStepOp::kKernel, .kernel = kFloat, .buffers = {j, j_float}},
                {.op = PlanStepOp::kKernel,
                 .kernel = kAdd,
                 .buffers = {inner, j_float, next},
                 .sizes = {one}},
                {.op = PlanStepOp::kCopy, .buffers = {state, inner}},
                {.op = PlanStepOp::kCopy, .buffers = {last, state}}};
  const Executable f = executable(plan);
  for (const std::int64_t count : {-1, 0, 1, 2, 5, 9}) {
    Array bound = Array::empty({}, kInt64);
    bound.mutable_data<std::int64_t>()[0] = count;
    const float sum =
        f.call(std::vector<Array>{bound, Array::zeros({1}, kFloat32)})[0].data<float>()[0];
    std::int64_t expected = 0;
    for (std::int64_t a = 0; a < count; ++a) expected += a * (a - 1) / 2;
    EXPECT_EQ(sum, static_cast<float>(expected)) << count;
  }
}

TEST(ControlFlowTest, an_interrupt_stops_a_loop_without_steps) {
  Plan plan = while_plan();
  plan.moves.clear();
  plan.regions = {{.count = plan.program.constant(std::int64_t{1} << 60)}};
  plan.steps = {{.op = PlanStepOp::kLoop, .kernel = 0}};
  const Executable f = executable(plan);
  std::atomic<bool> is_done{false};
  std::thread interrupter([&] {
    while (!is_done) {
      tenon_interrupt();
      std::this_thread::yield();
    }
  });
  EXPECT_THROW(f.call(std::vector<Array>{three(1)}), Interrupted);
  is_done = true;
  interrupter.join();
}

TEST(ControlFlowTest, the_text_shows_loops_and_moves) {
  const std::string text = to_string(ScanPlan(true).plan);
  EXPECT_NE(text.find("  for t1 in 0..n: the next 2 steps\n"
                      "    add(arena+0+t1 % 2 * 64, X+(n - 1 - t1) * 12, arena+0+(t1 + 1) % 2 * 64)"
                      " sizes [3]\n"
                      "    copy(Y+(n - 1 - t1) * 12, arena+0+(t1 + 1) % 2 * 64)\n"
                      "  copy(F, arena+0+t1 % 2 * 64)\n"),
            std::string::npos)
      << text;
  EXPECT_NE(to_string(while_plan())
                .find("  for t1 in 0..20, while arena+128 after 1 steps: the next 2 steps\n"),
            std::string::npos);
}

// ---- what the loader refuses ----

format::Section& section(Bytes& plan, format::SectionKind kind) {
  auto* table = reinterpret_cast<format::Section*>(plan.data() + sizeof(format::Header));
  for (;; ++table) {
    if (table->kind == static_cast<std::uint32_t>(kind)) return *table;
  }
}

template <typename T>
T& record(Bytes& plan, format::SectionKind kind, std::size_t index = 0) {
  return reinterpret_cast<T*>(plan.data() + section(plan, kind).offset)[index];
}

/// Loads, binds to X[rows, 3] and S[3], runs: the message of the first that fails.
std::string message_of(const Bytes& plan, std::int64_t num_rows = 4) {
  const std::vector<tenon_kernel_fn> kernels(
      3,
      [](tenon_kernel_context*, void* const*, const std::int64_t*) -> std::int32_t { return 0; });
  tenon_load_options options = {sizeof(options), kernels.data(), 3, nullptr, 0, nullptr, 0, 0};
  tenon_model* model = nullptr;
  if (tenon_model_load_memory(plan.data(), plan.size(), &options, &model) != TENON_OK)
    return tenon_last_error();
  tenon_context* context = nullptr;
  std::string message;
  if (tenon_context_create(model, &context) == TENON_OK) {
    std::int64_t matrix[2] = {num_rows, kWidth}, vector[1] = {kWidth};
    float memory[4][3 * 8] = {};
    DLTensor tensors[4];
    for (int i = 0; i < 4; ++i) {
      tensors[i] = {memory[i],
                    {kDLCPU, 0},
                    i % 2 == 0 ? 2 : 1,
                    {kDLFloat, 32, 1},
                    i % 2 == 0 ? matrix : vector,
                    nullptr,
                    0};
    }
    if (tenon_context_run(context, tensors, 2, tensors + 2, 2) != TENON_OK)
      message = tenon_last_error();
  }
  tenon_context_destroy(context);
  tenon_model_release(model);
  return message;
}

struct Damage {
  const char* name;
  std::function<void(Bytes&)> apply;
  std::string message;
};

TEST(ControlFlowTest, damaged_regions_and_moves_are_refused_by_name) {
  using K = format::SectionKind;
  using format::Move, format::Region, format::Step;
  const std::vector<Damage> damages = {
      {"region", [](Bytes& b) { record<Step>(b, K::kSteps, 1).index = 1; },
       "step 1: no such region"},
      {"length", [](Bytes& b) { record<Region>(b, K::kRegions).num_steps = 4; },
       "step 1: its region does not fit"},
      {"huge", [](Bytes& b) { record<Region>(b, K::kRegions).num_steps = ~0U; },
       "step 1: its region does not fit"},
      {"first", [](Bytes& b) { record<Region>(b, K::kRegions).num_first = 3; },
       "step 1: the first part of its region"},
      {"condition", [](Bytes& b) { record<Region>(b, K::kRegions).condition = 0; },
       "step 1: no such buffer of its region"},
      {"iteration", [](Bytes& b) { record<Region>(b, K::kRegions).iteration = 7; },
       "step 1: no such buffer of its region"},
      {"count", [](Bytes& b) { record<Region>(b, K::kRegions).count = 99; },
       "step 1: register of its count out of range"},
      {"no condition", [](Bytes& b) { record<Step>(b, K::kSteps, 1).op = 4; },
       "step 1: a branch without a condition"},
      {"crossing",
       [](Bytes& b) {  // step 2 becomes a loop of the two steps after it, half outside of step 1's
         record<Step>(b, K::kSteps, 2).op = 5;
         record<Step>(b, K::kSteps, 2).index = 0;
       },
       "step 2: its region does not fit"},
      {"kind", [](Bytes& b) { record<Move>(b, K::kMoves, 2).kind = 4; }, "move 2: unknown kind"},
      {"buffer", [](Bytes& b) { record<Move>(b, K::kMoves, 2).buffer = 77; },
       "move 2: no such buffer"},
      {"stride", [](Bytes& b) { record<Move>(b, K::kMoves).stride = 77; },
       "move 0: register out of range"},
      {"loop", [](Bytes& b) { record<Move>(b, K::kMoves, 3).loop = 2; }, "move 3: no such loop"},
      {"no step", [](Bytes& b) { record<Move>(b, K::kMoves, 3).loop = 1U << 31; },
       "move 3: no such loop"},
      {"whole", [](Bytes& b) { record<Move>(b, K::kMoves).buffer = 0; },
       "move 0: its buffer has no size"},
      {"outside", [](Bytes& b) { record<Move>(b, K::kMoves, 2).kind = 0; },
       "step 4: uses a buffer outside the loop that it moves with"},
  };
  for (const Damage& damage : damages) {
    Bytes bytes = serialize(ScanPlan().plan);
    damage.apply(bytes);
    seal(bytes, section(bytes, format::SectionKind::kData).offset);
    EXPECT_EQ(message_of(bytes),
              "the plan is damaged or not a plan: " + damage.message + " [E0907]")
        << damage.name;
  }
  EXPECT_EQ(message_of(serialize(ScanPlan().plan)), "");
}

TEST(ControlFlowTest, parts_of_a_branch_are_not_crossed) {
  Plan plan = while_plan();
  plan.moves.clear();
  plan.regions = {{.num_steps = 3, .num_first = 2, .condition = 0},
                  {.num_steps = 1, .count = plan.program.constant(1)}};
  const PlanStep copy = {.op = PlanStepOp::kCopy, .buffers = {1, 0}};
  plan.steps = {{.op = PlanStepOp::kBranch, .kernel = 0, .buffers = {5}},
                copy,
                {.op = PlanStepOp::kLoop, .kernel = 1},
                copy};
  EXPECT_EQ(message_of(serialize(plan)),
            "the plan is damaged or not a plan: step 0: a region within it reaches across its "
            "parts [E0907]");
  plan.regions[0].num_first = 1;
  plan.buffers[5].bytes = plan.program.constant(0);
  const std::string short_buffer = message_of(serialize(plan));
  EXPECT_NE(short_buffer.find("got 2 inputs"), std::string::npos) << short_buffer;
  plan.regions.assign(17, {.count = plan.program.constant(1)});
  plan.steps.assign(17, {.op = PlanStepOp::kLoop});
  for (std::uint32_t i = 0; i < 17; ++i) {
    plan.steps[i].kernel = i;
    plan.regions[i].num_steps = 16 - i;
  }
  EXPECT_EQ(message_of(serialize(plan)),
            "the plan is damaged or not a plan: step 16: regions are nested too deeply [E0907]");
}

TEST(ControlFlowTest, moves_that_leave_their_memory_fail_the_bind) {
  ScanPlan far;
  far.plan.moves[1].stride = far.plan.program.constant(16);
  EXPECT_EQ(message_of(serialize(far.plan)),
            "sums: buffer 3 of the plan does not fit its memory (60 bytes at 0 of 48) [E0907]");
  EXPECT_EQ(message_of(serialize(far.plan), 0), "");
  ScanPlan negative;
  negative.plan.moves[1].stride = negative.plan.program.constant(-16);
  EXPECT_NE(message_of(serialize(negative.plan)).find("[E0458]"), std::string::npos);
  ScanPlan huge;
  huge.plan.regions[0].count = huge.plan.program.constant(std::int64_t{1} << 62);
  EXPECT_NE(message_of(serialize(huge.plan)).find("[E0458]"), std::string::npos);
  ScanPlan small;
  small.plan.regions[0].iteration = 0;
  small.plan.steps[1].buffers = {small.plan.add_workspace_buffer(small.plan.program.constant(128),
                                                                 small.plan.program.constant(4))};
  EXPECT_EQ(message_of(serialize(small.plan)), "sums: a buffer of step 1 is too short [E0907]");
}

TEST(ControlFlowTest, random_damage_never_crashes) {
  std::mt19937 random(7);
  const Bytes good = serialize(ScanPlan().plan);
  std::size_t begin = good.size(), end = 0;
  for (const auto kind : {format::SectionKind::kIndices, format::SectionKind::kSteps,
                          format::SectionKind::kRegions, format::SectionKind::kMoves}) {
    const format::Section& s = section(const_cast<Bytes&>(good), kind);
    begin = std::min<std::size_t>(begin, s.offset);
    end = std::max<std::size_t>(end, s.offset + s.bytes);
  }
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = good;
    for (std::uint32_t flips = 1 + random() % 4; flips > 0; --flips) {
      const std::size_t at = begin + random() % (end - begin);
      bytes[at] = random() % 2 == 0 ? static_cast<std::uint8_t>(random() % 8)
                                    : static_cast<std::uint8_t>(bytes[at] ^ (1U << (random() % 8)));
    }
    seal(bytes, section(bytes, format::SectionKind::kData).offset);
    message_of(bytes);  // runs those that load: copies and kernels that do nothing
  }
}

}  // namespace
}  // namespace tenon
