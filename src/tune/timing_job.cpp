#include "tenon/tune/timing_job.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "tenon/rules/record.h"
#include "tenon/runtime/float_convert.h"
#include "tenon/support/error.h"
#include "tune/planted_faults.h"

namespace tenon::tune {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Json to_json(const PortableKernel& kernel) {
  return {{"plan", Json::binary(kernel.plan)},
          {"object", Json::binary(kernel.object)},
          {"symbol", kernel.symbol}};
}

PortableKernel kernel_from(const Json& json) {
  PortableKernel kernel;
  kernel.plan = json.at("plan").get_binary();
  kernel.object = json.at("object").get_binary();
  json.at("symbol").get_to(kernel.symbol);
  return kernel;
}

Json to_json(const std::vector<JobArray>& arrays) {
  Json out = Json::array();
  for (const JobArray& a : arrays)
    out.push_back({{"dtype", to_string(a.dtype)}, {"shape", a.shape}, {"limit", a.limit}});
  return out;
}

std::vector<JobArray> arrays_from(const Json& json) {
  std::vector<JobArray> arrays;
  for (const Json& a : json) {
    arrays.push_back({parse_dtype(a.at("dtype").get<std::string>()),
                      a.at("shape").get<std::vector<std::int64_t>>(),
                      a.at("limit").get<std::int64_t>()});
  }
  return arrays;
}

TimingJob job_from(const std::string& bytes) {
  const Json json = Json::from_cbor(bytes);
  TimingJob job;
  job.candidate = kernel_from(json.at("candidate"));
  job.incumbent = kernel_from(json.at("incumbent"));
  job.inputs = arrays_from(json.at("inputs"));
  job.results = arrays_from(json.at("results"));
  json.at("seed").get_to(job.seed);
  json.at("seconds").get_to(job.seconds);
  json.at("min_rounds").get_to(job.min_rounds);
  json.at("max_rounds").get_to(job.max_rounds);
  json.at("sample_seconds").get_to(job.sample_seconds);
  json.at("is_cold").get_to(job.is_cold);
  return job;
}

/// Fills an array with numbers of a normal distribution, integers below the limit, or, for floats
/// where `is_odd`, one number in eight that is infinite, no number, zero, huge or tiny.
void fill(Array* array, std::int64_t limit, bool is_odd, std::mt19937_64* random) {
  constexpr double kOdd[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 3e38, -1e-45, 1e-38};
  const DType dtype = array->dtype();
  const auto bytes = static_cast<std::size_t>(dtype.bytes());
  auto* at = static_cast<unsigned char*>(array->raw_mutable());
  const std::int64_t count = array->size();
  for (std::int64_t i = 0; i < count; ++i, at += bytes) {
    const std::uint64_t raw = (*random)();
    if (!dtype.is_float()) {
      const std::uint64_t value = dtype.is_bool() ? raw & 1 : raw % std::uint64_t(limit);
      std::memcpy(at, &value, bytes);
      continue;
    }
    // The sum of four uniform numbers: near enough to a normal distribution.
    double value = -2;
    for (int part = 0; part < 4; ++part)
      value += static_cast<double>((raw >> (16 * part)) & 0xffff) / 65536;
    if (is_odd && (raw >> 3) % 8 == 0) value = kOdd[raw % 8];
    store_float(dtype, value, at);
  }
}

std::vector<Array> make_arrays(const std::vector<JobArray>& wanted) {
  std::vector<Array> arrays;
  for (const JobArray& a : wanted) arrays.push_back(Array::empty(a.shape, a.dtype));
  return arrays;
}

std::vector<DLTensor> views(const std::vector<Array>& arrays) {
  std::vector<DLTensor> out;
  for (const Array& a : arrays) out.push_back(a.tensor());
  return out;
}

/// Where two results differ: "" for nowhere. All values that are no numbers count as one.
std::string difference(const std::vector<Array>& expected, const std::vector<Array>& found) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto bytes = static_cast<std::size_t>(expected[i].dtype().bytes());
    const auto* want = static_cast<const unsigned char*>(expected[i].raw());
    const auto* have = static_cast<const unsigned char*>(found[i].raw());
    if (std::memcmp(want, have, static_cast<std::size_t>(expected[i].nbytes())) == 0) continue;
    for (std::int64_t e = 0; e < expected[i].size(); ++e, want += bytes, have += bytes) {
      if (std::memcmp(want, have, bytes) == 0) continue;
      const DType dtype = expected[i].dtype();
      if (dtype.is_float() && std::isnan(load_float(dtype, want)) &&
          std::isnan(load_float(dtype, have)))
        continue;
      return detail::concat("result ", i, " differs at element ", e, " of ", expected[i].size());
    }
  }
  return "";
}

/// Reads and writes more than any cache holds.
void empty_caches() {
  static std::vector<char> memory(std::size_t{64} << 20);
  for (std::size_t i = 0; i < memory.size(); i += 64) ++memory[i];
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class TimingRun {
 public:
  explicit TimingRun(const TimingJob& job)
      : job_(job),
        candidate_(job.candidate),
        incumbent_(job.incumbent),
        inputs_(make_arrays(job.inputs)),
        expected_(make_arrays(job.results)),
        found_(make_arrays(job.results)) {}

  void run(TimingReply* reply) {
    std::mt19937_64 random(job_.seed);
    for (const bool is_odd : {true, false}) {
      for (std::size_t i = 0; i < inputs_.size(); ++i)
        fill(&inputs_[i], std::max<std::int64_t>(1, job_.inputs[i].limit), is_odd, &random);
      incumbent_.run(views(inputs_), views(expected_));
      for (Array& array : found_)  // so that what nobody writes shows
        std::memset(array.raw_mutable(), 0xcd, static_cast<std::size_t>(array.nbytes()));
      candidate_.run(views(inputs_), views(found_));
      plant_wrong_values(job_.candidate, &found_);
      reply->problem = difference(expected_, found_);
      reply->is_wrong = !reply->problem.empty();
      if (reply->is_wrong) return;
    }
    time(reply);
  }

 private:
  double sample(LoadedKernel* kernel, std::vector<DLTensor>& in, std::vector<DLTensor>& out,
                int calls) {
    if (job_.is_cold) empty_caches();
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) kernel->run(in, out);
    return seconds_since(start) / calls;
  }

  /// Samples in turns until the ratio is known, or the time is over.
  void time(TimingReply* reply) {
    std::vector<DLTensor> in = views(inputs_), expected = views(expected_), found = views(found_);
    const auto start = Clock::now();
    const double once = sample(&incumbent_, in, expected, 1);
    const int calls =
        job_.is_cold
            ? 1
            : std::clamp(static_cast<int>(job_.sample_seconds / std::max(once, 1e-9)), 1, 10'000);
    std::vector<double> candidate, incumbent;
    double sum = 0, squares = 0;
    for (int n = 1; n <= std::max(job_.max_rounds, 2); ++n) {
      candidate.push_back(sample(&candidate_, in, found, calls));
      incumbent.push_back(sample(&incumbent_, in, expected, calls));
      const double ratio = std::log(candidate.back() / incumbent.back());
      sum += ratio;
      squares += ratio * ratio;
      if (n < 2) continue;
      const double mean = sum / n;
      const double variance = std::max(0.0, (squares - n * mean * mean) / (n - 1));
      reply->noise = std::sqrt(variance / n);
      const bool is_late = seconds_since(start) >= job_.seconds;
      const bool is_hopeless = mean - 3 * reply->noise > 0.4;  // half as slow again
      const bool is_decided = n >= job_.min_rounds && std::abs(mean) > 4 * reply->noise;
      if (is_hopeless || is_decided || is_late) break;
    }
    reply->seconds = median(candidate);
    reply->incumbent_seconds = median(incumbent);
    reply->num_runs = static_cast<int>(candidate.size());
  }

  const TimingJob& job_;
  LoadedKernel candidate_, incumbent_;
  std::vector<Array> inputs_, expected_, found_;
};

std::string encode(const TimingReply& reply) {
  const Json json = {{"problem", reply.problem},
                     {"is_wrong", reply.is_wrong},
                     {"is_out_of_memory", reply.is_out_of_memory},
                     {"seconds", reply.seconds},
                     {"incumbent_seconds", reply.incumbent_seconds},
                     {"noise", reply.noise},
                     {"num_runs", reply.num_runs},
                     {"machine", reply.machine}};
  std::string bytes;
  Json::to_cbor(json, bytes);
  return bytes;
}

}  // namespace

std::string encode(const TimingJob& job) {
  const Json json = {{"candidate", to_json(job.candidate)},
                     {"incumbent", to_json(job.incumbent)},
                     {"inputs", to_json(job.inputs)},
                     {"results", to_json(job.results)},
                     {"seed", job.seed},
                     {"seconds", job.seconds},
                     {"min_rounds", job.min_rounds},
                     {"max_rounds", job.max_rounds},
                     {"sample_seconds", job.sample_seconds},
                     {"is_cold", job.is_cold}};
  std::string bytes;
  Json::to_cbor(json, bytes);
  return bytes;
}

std::string run_timing_job(const std::string& bytes) {
  TimingReply reply;
  reply.machine = machine_class();
  const auto no_memory = [&] {
    reply.is_out_of_memory = true;
    reply.problem = "out of memory";
  };
  try {
    const TimingJob job = job_from(bytes);
    plant_fault(job.candidate);
    TimingRun(job).run(&reply);
  } catch (const std::bad_alloc&) {
    no_memory();
  } catch (const Error& e) {
    reply.problem = e.what();
    // The runtime's code for memory that ran out; its row in docs/errors.md is the runtime's.
    if (e.code().ends_with("1001")) no_memory();
  } catch (const std::exception& e) {
    reply.problem = e.what();
  }
  return encode(reply);
}

TimingReply decode_reply(const std::string& bytes) {
  TimingReply reply;
  try {
    const Json json = Json::from_cbor(bytes);
    json.at("problem").get_to(reply.problem);
    json.at("is_wrong").get_to(reply.is_wrong);
    json.at("is_out_of_memory").get_to(reply.is_out_of_memory);
    json.at("seconds").get_to(reply.seconds);
    json.at("incumbent_seconds").get_to(reply.incumbent_seconds);
    json.at("noise").get_to(reply.noise);
    json.at("num_runs").get_to(reply.num_runs);
    json.at("machine").get_to(reply.machine);
  } catch (const Json::exception& e) {
    TENON_CHECK(false, "the reply of a worker is none: ", e.what());
  }
  return reply;
}

}  // namespace tenon::tune
