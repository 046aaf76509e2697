#pragma once

/// The functions that emitted kernels call.

#include <map>
#include <set>
#include <string>

namespace tenon::codegen::cuda {

/// Which functions a text uses, and their definitions. A function is defined only where it is used.
class Prelude {
 public:
  /// Marks `name` (and what it calls itself) as used; returns the name.
  std::string use(const std::string& name);
  /// Marks a function that is no part of the table as used, with its text, all PTX; returns the
  /// name.
  std::string define_ptx(const std::string& name, const std::string& text);
  /// The definitions, in an order in which each comes after those that it calls. Without `ptx`
  /// those that are written in PTX are left out: a host that runs the text has its own.
  std::string text(bool ptx = true) const;

 private:
  std::set<std::string> used_;
  std::map<std::string, std::string> ptx_;
};

}  // namespace tenon::codegen::cuda
