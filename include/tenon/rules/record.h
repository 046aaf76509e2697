#pragma once

/// Records of measured schedules: what the tuner stores and builds look up. docs/design/tuning.md.

#include <cstdint>
#include <string>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/target.h"
#include "tenon/schedule/trace.h"

namespace tenon {

/// What a measured schedule holds for. Compared whole.
struct TuningKey {
  std::string structure;  ///< bytes of canonical_form, before any schedule
  std::string shapes;     ///< of the parameters, for people and for later classes: "64x32 32xs0"
  std::string target;     ///< Target::str()
  std::string compiler;   ///< compiler_version()
  std::string numeric;    ///< numeric_settings()
  int num_threads = 1;

  bool operator==(const TuningKey&) const = default;
};

/// Version of LLVM and fingerprint of the floor codegen: equals codegen_version().
std::string compiler_version();
/// The settings that may change the bits of results, as text.
std::string numeric_settings();
/// The machine that runs this process: model of its CPU and its caches. Times compare within one
/// class only.
const std::string& machine_class();

/// A function's key, and its names of blocks and buffers in the order of canonical_form.
struct FunctionKey {
  TuningKey key;
  std::vector<std::string> names;
};
/// The key of `f` (block level, not scheduled) for builds of this process: with its compiler,
/// settings and number of threads.
FunctionKey tuning_key(const Function& f, const Target& target);

/// `$3` in place of the fourth of `names`, and `$3_register` in place of what steps derived from
/// it: the trace of any function of that structure.
Trace without_names(const Trace& trace, const std::vector<std::string>& names);
/// The opposite, for a function with these names; names that it does not have stay as they are.
Trace with_names(const Trace& trace, const std::vector<std::string>& names);

/// How it was shown that a schedule computes what the default one does.
enum class Verification : std::uint8_t {
  kNone,         ///< never used in builds
  kBitEqual,     ///< to the default schedule, and to the interpreter at a reduced size
  kWithinBound,  ///< of the rounding errors of reordered sums
};
const char* to_string(Verification v);

struct TuningRecord {
  TuningKey key;
  std::string machine;         ///< machine_class() of the machine that measured
  std::string function;        ///< a name, for people
  Trace trace;                 ///< without names
  double seconds = 0;          ///< one call; positive
  double default_seconds = 0;  ///< the same for the default schedule, alternating; positive
  int num_runs = 0;            ///< that `seconds` is the median of
  double noise = 0;            ///< relative spread of the runs
  Verification verified = Verification::kNone;
  std::string date;  ///< UTC, "2026-11-30T22:15:00Z"

  /// One JSON object without line breaks; equal records have equal text.
  std::string text() const;
  /// CacheError [E1200] for what is no record: malformed, or with a time that is none.
  static TuningRecord parse(const std::string& text);
  /// "tuned 2026-11-30, 1.34x": for reports.
  std::string label() const;
};

/// The current time in the form of TuningRecord::date.
std::string utc_now();
/// Names a record by its text; 32 characters.
std::string record_id(const std::string& text);
/// The bucket of a key on a machine.
std::int64_t record_bucket(const TuningKey& key, const std::string& machine);

}  // namespace tenon
