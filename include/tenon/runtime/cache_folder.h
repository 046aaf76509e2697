#pragma once

/// Where what can be made again is kept on disk.

#include <string>

namespace tenon {

/// $TENON_CACHE_DIR, else $XDG_CACHE_HOME/tenon, else $HOME/.cache/tenon; empty (no cache) where
/// TENON_CACHE_DIR is "off" or none of them is set.
std::string default_cache_folder();

}  // namespace tenon
