#pragma once

/// The error classes of Tenon and the checks that raise them.
///
/// One question decides the class: who must act? `UserError` (the caller), `InternalError` (us),
/// `ResourceError` (the environment). Python sees the same tree with the same names. The first line
/// of a message is complete by itself and ends with a stable code, `[E0203]`, that `docs/errors/`
/// explains.

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tenon {

/// Root of everything that Tenon throws.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message)
      : std::runtime_error(message), code_(std::move(code)) {}
  /// The stable code, such as "E0203".
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

class UserError : public Error {
  using Error::Error;
};  ///< the caller can fix it
class ExpressionError : public UserError {
  using UserError::UserError;
};  ///< building an expression (Python: also TypeError)
class ScheduleError : public UserError {
  using UserError::UserError;
};  ///< an illegal schedule step
class GradientError : public UserError {
  using UserError::UserError;
};  ///< a derivative that does not exist
class ShapeError : public UserError {
  using UserError::UserError;
};  ///< sizes or ranks (Python: also ValueError)
class DTypeError : public UserError {
  using UserError::UserError;
};  ///< data types (Python: also TypeError)
class IndexError : public UserError {
  using UserError::UserError;
};  ///< a data-dependent index out of range
class NumericError : public UserError {
  using UserError::UserError;
};  ///< NaN or infinity where checked
class ModelError : public UserError {
  using UserError::UserError;
};  ///< a model file or folder
class UnsupportedError : public UserError {
  using UserError::UserError;
};  ///< named, but not supported
class TargetError : public UserError {
  using UserError::UserError;
};  ///< an unknown target, CPU or device
class CacheError : public UserError {
  using UserError::UserError;
};  ///< the on-disk cache
class ResourceError : public Error {
  using Error::Error;
};  ///< memory, device, driver
class InternalError : public Error {
  using Error::Error;
};  ///< only we can fix it

namespace detail {

template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream os;
  (os << ... << parts);
  return os.str();
}

/// Puts ` [code]` at the end of the first line.
inline std::string with_code(std::string_view code, std::string message) {
  std::size_t end = message.find('\n');
  if (end == std::string::npos) end = message.size();
  message.insert(end, concat(" [", code, "]"));
  return message;
}

template <typename E>
[[noreturn]] void raise(std::string_view code, std::string message) {
  throw E(std::string(code), with_code(code, std::move(message)));
}

[[noreturn]] inline void raise_internal(const char* file, int line, const char* condition,
                                        const std::string& message) {
  throw InternalError("E9999", concat(file, ":", line, ": check failed: ", condition, ": ", message,
                                      " (this is a bug of Tenon, please report it) [E9999]"));
}

}  // namespace detail
}  // namespace tenon

/// Raises `ErrorType` with `code` and the concatenated parts unless `cond` holds. Parts are
/// evaluated only on failure.
#define TENON_USER_CHECK(cond, ErrorType, code, ...) \
  ((cond) ? (void)0 : ::tenon::detail::raise<ErrorType>(code, ::tenon::detail::concat(__VA_ARGS__)))
/// Raises an `InternalError` unless `cond` holds. On in every build.
#define TENON_CHECK(cond, ...)                                         \
  ((cond) ? (void)0                                                    \
          : ::tenon::detail::raise_internal(__FILE__, __LINE__, #cond, \
                                            ::tenon::detail::concat(__VA_ARGS__)))
