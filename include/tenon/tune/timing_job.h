#pragma once

/// What a tuner asks a worker: run a candidate and an incumbent on the same arrays, compare the
/// results bit by bit, and time them in turns. Jobs and replies are bytes, so that whoever carries
/// them need not know what they say.

#include <cstdint>
#include <string>
#include <vector>

#include "tenon/driver/portable_kernel.h"
#include "tenon/runtime/array.h"

namespace tenon::tune {

struct JobArray {
  DType dtype;
  std::vector<std::int64_t> shape;
  std::int64_t limit = 2;  ///< integers lie in [0, limit): indices stay in range
};

struct TimingJob {
  PortableKernel candidate;
  PortableKernel incumbent;  ///< computes the right results
  std::vector<JobArray> inputs, results;
  std::uint64_t seed = 0;  ///< of the inputs
  double seconds = 0.2;    ///< for timing, about, at most
  int min_rounds = 5;      ///< of one sample of each; at least 2
  int max_rounds = 60;
  double sample_seconds = 5e-4;  ///< a sample has as many calls as fill it
  bool is_cold = false;          ///< caches are emptied before each call, one call a sample
};

struct TimingReply {
  /// Why there are no times: the results differ, or an error; empty otherwise.
  std::string problem;
  bool is_wrong = false;          ///< the results differ
  bool is_out_of_memory = false;  ///< the worker's limit
  double seconds = 0;             ///< of a call of the candidate: the median of the samples
  double incumbent_seconds = 0;   ///< the same of the incumbent
  double noise = 0;               ///< standard error of the ratio of the two, relative
  int num_runs = 0;               ///< samples of each
  std::string machine;            ///< machine_class() of the worker
};

std::string encode(const TimingJob& job);
/// Carries a job out in this process. Never raises: what goes wrong is in the reply.
std::string run_timing_job(const std::string& job);
/// InternalError for bytes that are no reply.
TimingReply decode_reply(const std::string& reply);

}  // namespace tenon::tune
