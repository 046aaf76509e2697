// Kills processes that write a database at random moments and looks whether what they reported is
// there: usage kill_writers ROUNDS [SEED]. scripts/fuzz_tuning_database builds and runs it.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "tenon/rules/record_lookup.h"
#include "tenon/tune/database.h"
#include "tune/samples.h"

namespace tenon::tune {
namespace {

/// Stores records one by one (every fifth time three at once) and tells their numbers through the
/// pipe, until it is killed.
[[noreturn]] void write_records(const std::string& folder, int seed, int pipe) {
  const std::vector<TuningRecord> records = small_records(3000, seed);
  Database database(folder);
  for (std::size_t i = 0; i < records.size();) {
    const std::size_t count = std::min<std::size_t>(i % 5 == 4 ? 3 : 1, records.size() - i);
    database.add(std::span(records).subspan(i, count));
    i += count;
    const auto done = static_cast<std::uint32_t>(i);
    if (::write(pipe, &done, sizeof done) != sizeof done) std::abort();
  }
  ::_exit(0);
}

struct Writer {
  pid_t pid = 0;
  int pipe = -1;
  int seed = 0;
};

Writer start_writer(const std::string& folder, int seed) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(ends[0]);
    try {
      write_records(folder, seed, ends[1]);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "a writer failed: %s\n", e.what());
      ::_exit(3);
    }
  }
  ::close(ends[1]);
  return {pid, ends[0], seed};
}

/// How many records the writer reported; false where it did not die by the signal.
bool wait_for(const Writer& writer, std::size_t* reported) {
  std::uint32_t done = 0;
  while (::read(writer.pipe, &done, sizeof done) == sizeof done) *reported = done;
  ::close(writer.pipe);
  int status = 0;
  ::waitpid(writer.pid, &status, 0);
  return (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
         (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct Outcome {
  std::size_t num_reported = 0;
  std::size_t num_lost = 0;     ///< reported, and not found by a build or in the file
  std::size_t num_damaged = 0;  ///< lines that are not whole after the next writer was there
  std::size_t num_failed = 0;   ///< rounds in which a database did not open, or a writer raised
};

/// Kills one or two writers of a folder, then looks.
void run_round(const std::string& folder, std::mt19937* random, int round,
               std::vector<TuningRecord>* reported, Outcome* out) {
  const int num_writers = round % 4 == 3 ? 2 : 1;
  std::vector<Writer> writers;
  for (int w = 0; w < num_writers; ++w) writers.push_back(start_writer(folder, 2 * round + w));
  // Often while the database is made or opened, else while records are stored.
  const unsigned most = (*random)() % 3 == 0 ? 4000 : 40000;
  ::usleep((*random)() % most);
  for (const Writer& w : writers) ::kill(w.pid, SIGKILL);
  bool is_right = true;
  std::vector<TuningRecord> now;
  for (const Writer& w : writers) {
    std::size_t count = 0;
    is_right = wait_for(w, &count) && is_right;
    const std::vector<TuningRecord> all = small_records(static_cast<int>(count), w.seed);
    now.insert(now.end(), all.begin(), all.end());
  }
  out->num_reported += now.size();
  reported->insert(reported->end(), now.begin(), now.end());
  try {
    // A build that comes before the next writer finds what was reported.
    const auto lookup = RecordLookup::open(folder);
    for (const TuningRecord& r : now) {
      const bool is_there = lookup && lookup->find(r.key, r.machine).record.has_value();
      out->num_lost += is_there ? 0 : 1;
    }
    Database database(folder);
    const FileContents contents = read_database(folder);
    out->num_damaged += contents.damage.size() + (contents.is_cut_off ? 1 : 0);
    std::unordered_set<std::string> texts;
    for (const TuningRecord& r : contents.records) texts.insert(r.text());
    for (const TuningRecord& r : *reported) out->num_lost += texts.count(r.text()) == 0 ? 1 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "round %d: %s\n", round, e.what());
    is_right = false;
  }
  out->num_failed += is_right ? 0 : 1;
}

int run(int rounds, unsigned seed) {
  const TemporaryFolder root;
  std::mt19937 random(seed);
  std::vector<TuningRecord> reported;
  Outcome out;
  int num_folders = 0;
  std::string folder;
  for (int round = 0; round < rounds; ++round) {
    // A fresh one now and then: making it is part of the test.
    if (round % 10 == 0) {
      reported.clear();
      if (!folder.empty()) std::filesystem::remove_all(folder);
      folder = root / ("tuning" + std::to_string(num_folders++));
    }
    run_round(folder, &random, round, &reported, &out);
  }
  std::printf(
      "%d rounds in %d databases: %zu records reported, %zu lost, %zu lines damaged, %zu "
      "rounds failed\n",
      rounds, num_folders, out.num_reported, out.num_lost, out.num_damaged, out.num_failed);
  return out.num_reported > 0 && out.num_lost + out.num_damaged + out.num_failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tenon::tune

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 30;
  return tenon::tune::run(rounds, argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
}
