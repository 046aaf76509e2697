#pragma once

/// The registry of schedule primitives.
///
/// A primitive is registered once, in its own file under src/schedule/primitive, with its name,
/// parameters, numbered requirements and result. `Schedule::apply`, the trace, the Python binding,
/// the table in docs/design/schedule.md and the fuzzer all read the registration.

#include <string_view>
#include <vector>

#include "tenon/schedule/handle.h"

namespace tenon {

class Step;

enum class ParameterKind : std::uint8_t {
  kLoop,
  kLoops,
  kBlock,
  kTarget,
  kFactors,
  kInteger,
  kText,
  kValue,
  kIndexMap
};

struct Parameter {
  const char* name;
  ParameterKind kind;  ///< kTarget is a loop or a block, kValue an integer, float or text
  const char* default_text =
      nullptr;            ///< Python text of the default; null when the argument must be given
  bool by_name = false;   ///< texts write `name=value`
  bool variadic = false;  ///< takes all remaining positional arguments (kLoops only)
};

enum class ResultKind : std::uint8_t { kNothing, kLoop, kLoops, kBlock, kInteger, kFactors };

/// One primitive. `apply` works on a Step, which rolls back when it throws.
struct Primitive {
  const char* name;
  const char* summary;  ///< one sentence: what it does
  std::vector<Parameter> parameters;
  std::vector<const char*> requirements;  ///< numbered from 1
  ResultKind result;
  ScheduleValue (*apply)(Step& step);
};

/// All primitives, sorted by name.
const std::vector<const Primitive*>& primitives();
/// The primitive of that name; ScheduleError [E0202] listing the names when there is none.
const Primitive& find_primitive(std::string_view name);

}  // namespace tenon
