#include "rules/rule.h"

namespace tenon::rules {

bool schedule_row_chain(RuleContext&) { return false; }

}  // namespace tenon::rules
