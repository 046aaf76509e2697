#pragma once

/// Where builds look for measured schedules before they ask the rules. docs/design/tuning.md.

#include <memory>
#include <optional>
#include <string>

#include "tenon/ir/function.h"
#include "tenon/runtime/target.h"
#include "tenon/schedule/trace.h"

namespace tenon {

/// A measured schedule for one function.
struct StoredSchedule {
  Trace trace;        ///< with the function's names
  std::string label;  ///< "tuned 2026-11-30, 1.34x"
};
struct FoundSchedule {
  std::optional<StoredSchedule> schedule;
  std::string problem;  ///< why stored schedules could not be read, or some of them; "" for nothing
};

/// Measured schedules in one folder, read only; the folder need not exist. Thread-safe; also after
/// a fork. Never raises.
class ScheduleSource {
 public:
  /// An empty name: no folder.
  explicit ScheduleSource(std::string folder);
  ~ScheduleSource();
  ScheduleSource(const ScheduleSource&) = delete;
  ScheduleSource& operator=(const ScheduleSource&) = delete;

  /// The process' source, in default_tuning_folder(); made at the first call.
  static ScheduleSource& shared();
  /// Lets the process' source be `folder` from now on; an empty name turns it off. Builds under way
  /// end with the one before.
  static void use_folder(const std::string& folder);

  const std::string& folder() const;
  /// The best verified schedule of `f` (block level, not scheduled) for this machine, compiler,
  /// settings and number of threads.
  FoundSchedule find(const Function& f, const Target& target);
  /// Looks whether there are records at the next `find`, not only once a second. Records that are
  /// added where some were are seen in any case.
  void look_again();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// $TENON_TUNING_DIR, else the folder `tuning` in default_cache_folder(); empty where
/// TENON_TUNING_DIR is "off", or where it is not set and there is no cache.
std::string default_tuning_folder();

}  // namespace tenon
