#pragma once

/// The names that the printed text gives to variables and buffers.

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace tenon::text {

/// Whether `name` can stand in the text as it is: letters, digits, `_` and inner dots, no keyword.
bool is_identifier(std::string_view name);
/// A word that the grammar uses itself.
bool is_keyword(std::string_view word);
/// `name` if it is an identifier, else the nearest text that is one.
std::string to_identifier(const std::string& name);

/// Names by identity, unique among those visible at a place.
class Names {
 public:
  /// The name of `identity`; one that was never defined (a free variable) is defined on the spot.
  const std::string& of(const void* identity, const std::string& wanted);
  /// Makes `identity` visible under `wanted`, or under `wanted_1`, ... if that is taken.
  const std::string& define(const void* identity, const std::string& wanted);
  /// The state to go back to with `leave`.
  std::size_t enter() const { return visible_.size(); }
  void leave(std::size_t state);
  /// Frees the names of everything visible that is not in `used`, until `unhide` gets the result.
  std::vector<std::size_t> hide_unused(const std::unordered_set<const void*>& used);
  void unhide(const std::vector<std::size_t>& hidden);

 private:
  struct Visible {
    const void* identity;
    std::string name;
    std::string shadowed;  ///< what `identity` was called before, or ""
    bool hidden;
  };
  std::vector<Visible> visible_;
  std::unordered_map<const void*, std::string> name_of_;
  std::unordered_map<std::string, int> taken_;
};

}  // namespace tenon::text
