#include "tenon/graph/rewrite.h"

#include <utility>

namespace tenon::graph {

void note(RewriteLog* log, const char* pass, const ValueNode& v, const char* action,
          std::string reason) {
  if (log == nullptr) return;
  std::string node = v.op;
  if (!v.control) node += " -> " + type_str(v);
  log->push_back({pass, std::move(node), v.span.str(), action, std::move(reason), -1});
}

}  // namespace tenon::graph
