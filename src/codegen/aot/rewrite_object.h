#pragma once

/// Other names in a relocatable object, so that objects made alone can be linked together.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tenon::codegen {

struct NewSymbol {
  std::string name;
  bool is_exported = false;  ///< default visibility instead of hidden
};

/// Gives global symbols that `rename_symbol` knows another name and visibility, and sections that
/// `rename_section` knows another name. Code and data are not touched: the new names are appended.
/// InternalError for bytes that are no object of this machine.
std::vector<std::uint8_t> rewrite_object(
    std::vector<std::uint8_t> object,
    const std::function<std::optional<NewSymbol>(const std::string&)>& rename_symbol,
    const std::function<std::optional<std::string>(const std::string&)>& rename_section = nullptr);

}  // namespace tenon::codegen
