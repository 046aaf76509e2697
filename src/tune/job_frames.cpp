#include "tune/job_frames.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace tenon::tune {
namespace {

constexpr std::uint32_t kMagic = 0x4a4e4554;  // "TENJ"
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 32;

struct Header {
  std::uint32_t magic = kMagic;
  std::uint32_t reserved = 0;
  std::uint64_t bytes = 0;
};

/// The header of a message; nothing where the bytes are none.
std::optional<Header> header_in(const char* bytes) {
  Header header;
  std::memcpy(&header, bytes, sizeof(header));
  if (header.magic != kMagic || header.bytes > kMaxBytes) return std::nullopt;
  return header;
}

bool send_all(int socket, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(socket, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool receive_all(int socket, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::recv(socket, data, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    data += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

bool send_frame(int socket, const std::string& message) {
  Header header;
  header.bytes = message.size();
  char bytes[sizeof(Header)];
  std::memcpy(bytes, &header, sizeof(header));
  return send_all(socket, bytes, sizeof(bytes)) && send_all(socket, message.data(), message.size());
}

std::optional<std::string> receive_frame(int socket) {
  char bytes[sizeof(Header)];
  if (!receive_all(socket, bytes, sizeof(bytes))) return std::nullopt;
  const std::optional<Header> header = header_in(bytes);
  if (!header) return std::nullopt;
  std::string message(header->bytes, '\0');
  if (!receive_all(socket, message.data(), message.size())) return std::nullopt;
  return message;
}

std::optional<std::string> FrameBuffer::take() {
  if (is_damaged_ || bytes_.size() < sizeof(Header)) return std::nullopt;
  const std::optional<Header> header = header_in(bytes_.data());
  is_damaged_ = !header;
  if (!header || bytes_.size() - sizeof(Header) < header->bytes) return std::nullopt;
  std::string message = bytes_.substr(sizeof(Header), header->bytes);
  bytes_.erase(0, sizeof(Header) + header->bytes);
  return message;
}

}  // namespace tenon::tune
