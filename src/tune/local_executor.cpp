#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>
#include <utility>

#include "tenon/support/error.h"
#include "tenon/tune/executor.h"
#include "tune/job_frames.h"

extern char** environ;

namespace tenon::tune {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_until(Clock::time_point when) {
  return std::chrono::duration<double>(when - Clock::now()).count();
}

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

std::string describe_end(int status) {
  if (!WIFSIGNALED(status)) return detail::concat("ended with code ", WEXITSTATUS(status));
  return detail::concat("ended by signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)),
                        ")");
}

struct Worker {
  pid_t pid = -1;
  int socket = -1;
  std::uint64_t job = 0;  ///< 0: idle
  Clock::time_point deadline;
  FrameBuffer received;

  bool is_alive() const { return pid > 0; }
};

class LocalExecutor final : public Executor {
 public:
  explicit LocalExecutor(const WorkerOptions& options)
      : options_(options), workers_(static_cast<std::size_t>(options.num_workers)) {
    TENON_CHECK(options.num_workers > 0 && !options.command.empty(), "an executor without workers");
  }
  ~LocalExecutor() override {
    for (Worker& worker : workers_) end(&worker);
  }

  int num_workers() const override { return options_.num_workers; }

  std::uint64_t submit(std::string job) override {
    queue_.emplace_back(++last_id_, std::move(job));
    give_out();
    return last_id_;
  }

  std::optional<FinishedJob> wait(double seconds) override {
    const Clock::time_point until = Clock::now() + duration_of(seconds);
    while (true) {
      give_out();
      if (!finished_.empty()) {
        FinishedJob job = std::move(finished_.front());
        finished_.pop_front();
        return job;
      }
      if (queue_.empty() && !is_busy()) return std::nullopt;
      listen(until);
      if (finished_.empty() && Clock::now() >= until) return std::nullopt;
    }
  }

  void cancel() override {
    queue_.clear();
    finished_.clear();
    for (Worker& worker : workers_) {
      if (worker.job != 0) end(&worker);
    }
  }

 private:
  bool is_busy() const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [](const Worker& w) { return w.job != 0; });
  }

  /// Kills a worker and takes its process away; returns how it ended.
  int end(Worker* worker) {
    int status = 0;
    if (worker->is_alive()) {
      ::kill(worker->pid, SIGKILL);
      while (::waitpid(worker->pid, &status, 0) < 0 && errno == EINTR) {
      }
    }
    if (worker->socket >= 0) ::close(worker->socket);
    *worker = {};
    return status;
  }

  /// The cores of worker `index`: as many as it has threads, from those of this process.
  std::vector<int> cores_of(std::size_t index) const {
    cpu_set_t allowed;
    if (!options_.is_pinned || ::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
    std::vector<int> all;
    for (int core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(core, &allowed)) all.push_back(core);
    const std::size_t threads = static_cast<std::size_t>(std::max(1, options_.num_threads));
    std::vector<int> cores;
    for (std::size_t i = 0; i < std::min(threads, all.size()); ++i)
      cores.push_back(all[(index * threads + i) % all.size()]);
    return cores;
  }

  /// Starts a worker; what went wrong, or "".
  std::string start(std::size_t index) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return detail::concat("cannot make a socket: ", std::strerror(errno));
    std::vector<char*> arguments;
    for (const std::string& part : options_.command)
      arguments.push_back(const_cast<char*>(part.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    ::posix_spawnattr_init(&attributes);
    // A process group of its own: Ctrl-C is not for workers.
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    pid_t pid = -1;
    const int error =
        ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    ::close(ends[1]);
    if (error != 0) {
      ::close(ends[0]);
      return detail::concat("cannot start '", options_.command[0], "': ", std::strerror(error));
    }
    workers_[index].pid = pid;
    workers_[index].socket = ends[0];
    const nlohmann::json setup = {{"memory_bytes", options_.memory_bytes},
                                  {"num_threads", options_.num_threads},
                                  {"cores", cores_of(index)}};
    return send_frame(ends[0], setup.dump()) ? "" : "a worker ended as it started";
  }

  void finish(std::uint64_t id, JobStatus status, std::string reply, std::string problem) {
    finished_.push_back({id, status, std::move(reply), std::move(problem)});
  }

  /// Jobs for idle workers, which are started for it.
  void give_out() {
    for (std::size_t i = 0; i < workers_.size() && !queue_.empty(); ++i) {
      Worker& worker = workers_[i];
      if (worker.job != 0) continue;
      auto [id, job] = std::move(queue_.front());
      queue_.pop_front();
      const std::string problem = worker.is_alive() ? "" : start(i);
      if (!problem.empty() || !send_frame(worker.socket, job)) {
        end(&worker);
        finish(id, JobStatus::kLost, "",
               problem.empty() ? "a worker ended before its job" : problem);
        continue;
      }
      worker.job = id;
      worker.deadline = Clock::now() + duration_of(options_.job_seconds);
    }
  }

  /// Takes what workers say until one has finished, or `until`.
  void listen(Clock::time_point until) {
    std::vector<pollfd> fds;
    std::vector<Worker*> asked;
    Clock::time_point next = until;
    for (Worker& worker : workers_) {
      if (worker.job == 0) continue;
      fds.push_back({worker.socket, POLLIN, 0});
      asked.push_back(&worker);
      next = std::min(next, worker.deadline);
    }
    const double left = std::clamp(seconds_until(next), 0.0, 60.0);
    if (::poll(fds.data(), fds.size(), static_cast<int>(left * 1000) + 1) < 0) return;  // EINTR
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents != 0) {
        hear(asked[i]);
      } else if (Clock::now() >= asked[i]->deadline) {
        const std::uint64_t id = asked[i]->job;
        end(asked[i]);
        finish(id, JobStatus::kTimedOut, "",
               detail::concat("took longer than ", options_.job_seconds, " s"));
      }
    }
  }

  void hear(Worker* worker) {
    char piece[1 << 16];
    const ssize_t got = ::recv(worker->socket, piece, sizeof(piece), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const std::uint64_t id = worker->job;
    if (got <= 0) {
      int status = 0;
      // It closed its end: it is ending. What it ended with is more telling than our signal.
      const auto until = Clock::now() + duration_of(1);
      while (::waitpid(worker->pid, &status, WNOHANG) == 0) {
        if (Clock::now() >= until) {
          status = end(worker);
          return finish(id, JobStatus::kCrashed, "", describe_end(status));
        }
        ::usleep(1000);
      }
      worker->pid = -1;
      end(worker);
      return finish(id, JobStatus::kCrashed, "", describe_end(status));
    }
    worker->received.append(piece, static_cast<std::size_t>(got));
    if (auto reply = worker->received.take()) {
      worker->job = 0;
      return finish(id, JobStatus::kDone, std::move(*reply), "");
    }
    if (worker->received.is_damaged()) {
      end(worker);
      finish(id, JobStatus::kLost, "", "the worker said what is no reply");
    }
  }

  WorkerOptions options_;
  std::vector<Worker> workers_;
  std::deque<std::pair<std::uint64_t, std::string>> queue_;
  std::deque<FinishedJob> finished_;
  std::uint64_t last_id_ = 0;
};

}  // namespace

std::unique_ptr<Executor> local_executor(const WorkerOptions& options) {
  return std::make_unique<LocalExecutor>(options);
}

}  // namespace tenon::tune
