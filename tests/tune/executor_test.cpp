// Jobs of the tuner in worker processes: what is measured, and each way to fail.

#include "tenon/tune/executor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>

#include "tenon/ir/builder.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/rules/record.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"
#include "tenon/tune/timing_job.h"

namespace tenon::tune {
namespace {

using Indices = std::vector<Expr>;

/// C[i, j] = sum over k of A[i, k] B[k, j], and `plus` where it is not 0.
Function product(std::int64_t n, double plus = 0) {
  te::Tensor a = te::placeholder({imm(n), imm(n)}, kFloat32, "A");
  te::Tensor b = te::placeholder({imm(n), imm(n)}, kFloat32, "B");
  IterVar k = te::reduce_axis(imm(n), "k");
  te::Tensor c = te::compute(
      {imm(n), imm(n)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], k.var}) * te::read(b, {k.var, v[1]}), {k});
      },
      "C");
  if (plus == 0) return te::function({a, b}, {c}, "product");
  te::Tensor d = te::compute(
      {imm(n), imm(n)},
      [&](const Indices& v) { return te::read(c, v) + float_imm(kFloat32, plus); }, "D");
  return te::function({a, b}, {d}, "product");
}

PortableKernel compiled(const Function& f) {
  BuildOptions options;
  options.use_cache = false;
  return portable_kernel(compile_objects(std::span(&f, 1), Target::host(), options).at(0));
}
PortableKernel scheduled(const Function& f) {
  return compiled(rule_schedule(f, Target::host()).schedule.function());
}

TimingJob job_of(const PortableKernel& candidate, const PortableKernel& incumbent, std::int64_t n) {
  TimingJob job;
  job.candidate = candidate;
  job.incumbent = incumbent;
  job.inputs = {{kFloat32, {n, n}}, {kFloat32, {n, n}}};
  job.results = {{kFloat32, {n, n}}};
  job.seconds = 0.05;
  return job;
}

WorkerOptions workers(int count = 1) {
  WorkerOptions options;
  options.command = {TENON_TUNING_WORKER};
  options.num_workers = count;
  options.job_seconds = 20;
  return options;
}

FinishedJob run(Executor* executor, const std::string& job) {
  const std::uint64_t id = executor->submit(job);
  const std::optional<FinishedJob> done = executor->wait(60);
  EXPECT_TRUE(done.has_value());
  EXPECT_EQ(done->id, id);
  return *done;
}

/// Faults planted for the workers that start while it lives.
class Faults {
 public:
  explicit Faults(const char* text) { ::setenv("TENON_TUNING_FAULTS", text, 1); }
  ~Faults() { ::unsetenv("TENON_TUNING_FAULTS"); }
};

constexpr std::int64_t kSize = 96;

TEST(Worker, a_schedule_is_compared_and_timed_against_plain_loops) {
  const auto executor = local_executor(workers());
  const PortableKernel plain = compiled(product(kSize)), fast = scheduled(product(kSize));
  const FinishedJob done = run(executor.get(), encode(job_of(fast, plain, kSize)));
  ASSERT_EQ(done.status, JobStatus::kDone) << done.problem;
  const TimingReply reply = decode_reply(done.reply);
  EXPECT_EQ(reply.problem, "");
  EXPECT_GT(reply.seconds, 0);
  EXPECT_LT(reply.seconds, reply.incumbent_seconds);  // by a factor of 20 and more
  EXPECT_GE(reply.num_runs, 2);
  EXPECT_EQ(reply.machine, machine_class());
}

TEST(Worker, other_results_are_found) {
  const PortableKernel right = compiled(product(8)), wrong = compiled(product(8, 0.25));
  const TimingReply reply = decode_reply(run_timing_job(encode(job_of(wrong, right, 8))));
  EXPECT_TRUE(reply.is_wrong);
  EXPECT_NE(reply.problem.find("result 0 differs at element"), std::string::npos) << reply.problem;
  EXPECT_EQ(reply.num_runs, 0);
}

TEST(Worker, what_is_no_job_is_said) {
  const auto executor = local_executor(workers());
  const FinishedJob done = run(executor.get(), "nonsense");
  ASSERT_EQ(done.status, JobStatus::kDone);
  EXPECT_NE(decode_reply(done.reply).problem, "");
  TimingJob damaged = job_of(compiled(product(8)), compiled(product(8)), 8);
  damaged.candidate.plan[40] ^= 1;
  const FinishedJob second = run(executor.get(), encode(damaged));
  ASSERT_EQ(second.status, JobStatus::kDone);
  EXPECT_NE(decode_reply(second.reply).problem, "");
}

TEST(Worker, crashes_and_hangs_cost_a_worker_not_the_run) {
  const PortableKernel kernel = compiled(product(8));
  const std::string job = encode(job_of(kernel, kernel, 8));
  WorkerOptions options = workers();
  options.job_seconds = 1;
  const auto executor = local_executor(options);
  {
    const Faults faults("crash=1");
    const FinishedJob crashed = run(executor.get(), job);
    EXPECT_EQ(crashed.status, JobStatus::kCrashed);
    EXPECT_NE(crashed.problem.find("signal 6"), std::string::npos) << crashed.problem;
  }
  {
    const Faults faults("hang=1");
    const FinishedJob hung = run(executor.get(), job);
    EXPECT_EQ(hung.status, JobStatus::kTimedOut);
    EXPECT_NE(hung.problem.find("longer than 1 s"), std::string::npos) << hung.problem;
  }
  const FinishedJob done = run(executor.get(), job);  // by a new worker
  ASSERT_EQ(done.status, JobStatus::kDone);
  EXPECT_EQ(decode_reply(done.reply).problem, "");
}

TEST(Worker, planted_values_are_wrong) {
  const PortableKernel kernel = compiled(product(8));
  for (const char* fault : {"wrong=1", "nan=1"}) {
    const Faults faults(fault);
    const auto executor = local_executor(workers());
    const FinishedJob done = run(executor.get(), encode(job_of(kernel, kernel, 8)));
    EXPECT_TRUE(decode_reply(done.reply).is_wrong) << fault;
  }
}

TEST(Worker, memory_has_a_limit) {
  const PortableKernel kernel = compiled(product(8));
  WorkerOptions options = workers();
  options.memory_bytes = std::uint64_t{256} << 20;
  const auto executor = local_executor(options);
  TimingJob job = job_of(kernel, kernel, 8);
  job.inputs[0].shape = {std::int64_t{1} << 27};  // half a GiB; the shape does not matter
  const FinishedJob done = run(executor.get(), encode(job));
  ASSERT_EQ(done.status, JobStatus::kDone) << done.problem;
  EXPECT_TRUE(decode_reply(done.reply).is_out_of_memory) << decode_reply(done.reply).problem;
}

TEST(Executor, every_job_is_finished_once_with_failures_among_them) {
  const Faults faults("crash=0.3,hang=0.1,wrong=0.1");
  WorkerOptions options = workers(2);
  options.job_seconds = 1;
  const auto executor = local_executor(options);
  const PortableKernel right = compiled(product(8));
  std::map<std::uint64_t, int> finished;
  for (int i = 0; i < 20; ++i) {
    TimingJob job = job_of(right, right, 8);
    job.candidate.object.push_back(static_cast<std::uint8_t>(i));  // other faults
    finished[executor->submit(encode(job))] = 0;
  }
  std::map<JobStatus, int> statuses;
  while (const std::optional<FinishedJob> done = executor->wait(60)) {
    ++finished.at(done->id);
    ++statuses[done->status];
  }
  for (const auto& [id, times] : finished) EXPECT_EQ(times, 1) << id;
  EXPECT_GT(statuses[JobStatus::kCrashed], 0);
  EXPECT_GT(statuses[JobStatus::kDone], 5);
}

TEST(Executor, jobs_are_dropped_at_once) {
  const Faults faults("hang=1");
  const auto executor = local_executor(workers());
  const PortableKernel kernel = compiled(product(8));
  executor->submit(encode(job_of(kernel, kernel, 8)));
  executor->submit(encode(job_of(kernel, kernel, 8)));
  EXPECT_FALSE(executor->wait(0.1).has_value());
  const auto start = std::chrono::steady_clock::now();
  executor->cancel();
  EXPECT_FALSE(executor->wait(10).has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Executor, workers_that_do_not_start_are_said) {
  WorkerOptions options = workers();
  options.command = {"/nonexistent/worker"};
  const FinishedJob none = run(local_executor(options).get(), "x");
  EXPECT_EQ(none.status, JobStatus::kLost);
  EXPECT_NE(none.problem.find("cannot start '/nonexistent/worker'"), std::string::npos);
  options.command = {TENON_TUNING_WORKER, "exit"};
  const FinishedJob ended = run(local_executor(options).get(), "x");
  EXPECT_NE(ended.status, JobStatus::kDone);
}

}  // namespace
}  // namespace tenon::tune
