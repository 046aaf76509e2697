#pragma once

/// Objects loaded into this process.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace tenon {

/// Code in memory that can be run. Immutable; freed with its memory when the last handle goes, so a
/// caller keeps one as long as it uses an address.
class LoadedCode {
 public:
  LoadedCode(const LoadedCode&) = delete;
  LoadedCode& operator=(const LoadedCode&) = delete;
  ~LoadedCode();
  /// The address of a symbol of the object; InternalError when there is none of that name.
  void* address(const std::string& symbol) const;
  /// Bytes of memory that the code holds.
  std::uint64_t size_bytes() const;

 private:
  friend std::shared_ptr<const LoadedCode> load_object(std::span<const std::uint8_t>);
  struct State;
  explicit LoadedCode(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Links a relocatable object into this process. ResourceError [E1010] when it cannot be loaded
/// (not an object of this machine, no memory). With TENON_PERF_MAP=1 in the environment its symbols
/// are appended to /tmp/perf-<pid>.map, which `perf report` reads.
std::shared_ptr<const LoadedCode> load_object(std::span<const std::uint8_t> object);

}  // namespace tenon
