#pragma once

/// Messages on a stream between an executor and its workers.

#include <cstddef>
#include <optional>
#include <string>

namespace tenon::tune {

/// Writes all of a message. False where the other side is gone.
bool send_frame(int socket, const std::string& message);
/// Waits for a message. Nothing at the end of the stream, or for what is no message.
std::optional<std::string> receive_frame(int socket);

/// Messages from pieces as they come.
class FrameBuffer {
 public:
  void append(const char* data, std::size_t size) { bytes_.append(data, size); }
  /// The next whole message.
  std::optional<std::string> take();
  /// What came is no message: the other side is not ours.
  bool is_damaged() const { return is_damaged_; }

 private:
  std::string bytes_;
  bool is_damaged_ = false;
};

}  // namespace tenon::tune
