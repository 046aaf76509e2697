#pragma once

/// Where a tuner's jobs run.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tenon::tune {

enum class JobStatus : std::uint8_t {
  kDone,      ///< there is a reply
  kCrashed,   ///< the worker died
  kTimedOut,  ///< it took longer than a job may, and was ended
  kLost,      ///< no worker could be started, or it said nonsense
};

struct FinishedJob {
  std::uint64_t id = 0;
  JobStatus status = JobStatus::kLost;
  std::string reply;    ///< of kDone
  std::string problem;  ///< of the others, for people: "ended by signal 11 (Segmentation fault)"
};

/// Runs jobs, which are bytes, in workers. Each job that was submitted is finished once, in any
/// order, whatever becomes of its worker. Not thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual int num_workers() const = 0;
  /// Returns the job's number.
  virtual std::uint64_t submit(std::string job) = 0;
  /// The next finished job; nothing after `seconds`, or when there is none under way.
  virtual std::optional<FinishedJob> wait(double seconds) = 0;
  /// Drops all jobs; those under way are ended with their workers.
  virtual void cancel() = 0;
};

struct WorkerOptions {
  std::vector<std::string> command;  ///< a program that calls run_worker(0)
  int num_workers = 1;
  int num_threads = 1;             ///< of a kernel in a worker
  std::uint64_t memory_bytes = 0;  ///< address space of a worker beyond what it starts with; 0: any
  double job_seconds = 10;         ///< a job that takes longer is ended
  bool is_pinned = true;           ///< workers keep to cores of their own, as far as there are
};

/// Long-lived processes of this machine, which start with the first job, end with the executor, and
/// are replaced when they die. They do not see Ctrl-C.
std::unique_ptr<Executor> local_executor(const WorkerOptions& options);

/// The life of a worker: takes jobs from `socket` until it is closed. Returns the exit code.
int run_worker(int socket);

}  // namespace tenon::tune
