#include "tenon/runtime/cache_folder.h"

#include <cstdlib>

namespace tenon {

std::string default_cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string own = variable("TENON_CACHE_DIR");
  if (own == "off") return "";
  if (!own.empty()) return own;
  const std::string shared = variable("XDG_CACHE_HOME");
  if (!shared.empty() && shared.front() == '/') return shared + "/tenon";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/tenon";
}

}  // namespace tenon
