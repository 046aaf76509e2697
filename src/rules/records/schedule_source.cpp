#include "tenon/rules/schedule_source.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>

#include "tenon/rules/record_lookup.h"
#include "tenon/runtime/cache_folder.h"

namespace tenon {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLookInterval = std::chrono::seconds(1);

std::int64_t now_ticks() { return Clock::now().time_since_epoch().count(); }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

struct ScheduleSource::State {
  std::string folder;
  /// Until then no look at the file system is needed: there were no records.
  std::atomic<std::int64_t> absent_until{0};
  std::mutex mutex;
  std::unique_ptr<RecordLookup> lookup;
  std::string problem;
  std::int64_t look_at = 0;  ///< when to ask the file system again
  pid_t pid = 0;             ///< that opened `lookup`

  void look();
};

/// Opens the records, or opens others that took their place.
void ScheduleSource::State::look() {
  if (pid != ::getpid()) {
    static_cast<void>(lookup.release());  // SQLite's state must not be touched after a fork
    pid = ::getpid();
    look_at = 0;
  }
  const std::int64_t now = now_ticks();
  if (now < look_at) return;
  look_at = now + Clock::duration(kLookInterval).count();
  if (lookup && lookup->is_current()) return;
  lookup.reset();
  problem.clear();
  try {
    lookup = RecordLookup::open(folder);
  } catch (const Error& e) {
    problem = first_line(e.what());
  }
  if (!lookup && problem.empty()) absent_until = look_at;
}

ScheduleSource::ScheduleSource(std::string folder) : state_(std::make_unique<State>()) {
  state_->folder = std::move(folder);
}
ScheduleSource::~ScheduleSource() = default;

const std::string& ScheduleSource::folder() const { return state_->folder; }

void ScheduleSource::look_again() {
  const std::lock_guard lock(state_->mutex);
  state_->look_at = 0;
  state_->absent_until = 0;
}

FoundSchedule ScheduleSource::find(const Function& f, const Target& target) {
  State& state = *state_;
  if (state.folder.empty() || now_ticks() < state.absent_until) return {};
  {
    const std::lock_guard lock(state.mutex);
    state.look();
    if (!state.lookup) return {std::nullopt, state.problem};
  }
  FoundSchedule result;
  try {
    const FunctionKey key = tuning_key(f, target);
    const std::lock_guard lock(state.mutex);
    if (!state.lookup) return {};
    FoundRecord found = state.lookup->find(key.key, machine_class());
    result.problem = found.problem;
    if (found.record) {
      result.schedule = {with_names(found.record->trace, key.names), found.record->label()};
    }
  } catch (const Error& e) {
    result.problem = first_line(e.what());
  }
  return result;
}

namespace {

std::atomic<ScheduleSource*>& shared_source() {
  static std::atomic<ScheduleSource*> source(new ScheduleSource(default_tuning_folder()));
  return source;
}

}  // namespace

ScheduleSource& ScheduleSource::shared() { return *shared_source().load(); }
// The one before stays: a build may be using it.
void ScheduleSource::use_folder(const std::string& folder) {
  shared_source().store(new ScheduleSource(folder));
}

std::string default_tuning_folder() {
  const char* value = std::getenv("TENON_TUNING_DIR");
  std::string own = value == nullptr ? "" : value;
  if (own == "off") return "";
  if (!own.empty()) return own;
  const std::string cache = default_cache_folder();
  return cache.empty() ? "" : cache + "/tuning";
}

}  // namespace tenon
