#include "runtime/device/graph_cache.h"

#include <string.h>

namespace tenon::device {

GraphCache::Entry& GraphCache::find(const Driver& driver, void* const* addresses, bool* was_known) {
  const std::size_t bytes = num_addresses_ * sizeof(void*);
  std::uint32_t oldest = 0;
  *was_known = false;
  for (std::uint32_t i = 0; i < kEntries; ++i) {
    Entry& e = entries_[i];
    const void* known = addresses_.data() + i * num_addresses_;
    if (e.is_known && (bytes == 0 || memcmp(known, addresses, bytes) == 0)) {
      *was_known = true;
      e.last_use = ++clock_;
      return e;
    }
    if (e.last_use < entries_[oldest].last_use) oldest = i;
  }
  Entry& e = entries_[oldest];
  if (e.graph != nullptr) driver.cuGraphExecDestroy(e.graph);
  e = {nullptr, ++clock_, true, false};
  if (bytes != 0) memcpy(addresses_.data() + oldest * num_addresses_, addresses, bytes);
  return e;
}

void GraphCache::clear(const Driver& driver) {
  for (Entry& e : entries_) {
    if (e.graph != nullptr) driver.cuGraphExecDestroy(e.graph);
    e = {};
  }
}

}  // namespace tenon::device
