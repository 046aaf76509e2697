#include "runtime/rt/check_constants.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/rt/crc32c.h"
#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using plan_format::Constant;

constexpr std::uint64_t kPageBytes = 4096;

/// Asks for all pages at once: faults one by one take longer than the checksum. False where a page
/// cannot be had (a file that was cut off after it was opened).
bool map_pages(const PlanData& data) {
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, Linux 5.14; older ones refuse it
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(data.bytes) & ~(kPageBytes - 1);
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(data.bytes) + data.size;
  if (data.size == 0) return true;
  return madvise(reinterpret_cast<void*>(begin), end - begin, kPopulateRead) == 0 ||
         errno != EFAULT;
}

bool is_zero(const unsigned char* bytes, std::uint64_t size) {
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

tenon_status padding_error() {
  return fail(TENON_ERROR_MODEL, "E0911", "bytes between the constants are not 0");
}

}  // namespace

tenon_status check_constants(const tenon_model& model, const PlanData& data) {
  if (!map_pages(data))
    return fail(TENON_ERROR_MODEL, "E0911", "the constants lie beyond the end of their file");
  std::uint64_t at = 0;
  for (const Constant& c : model.constants) {
    if (c.embedded == 0) continue;
    if (!is_zero(data.bytes + at, c.offset - at)) return padding_error();
    if (crc32c(0, data.bytes + c.offset, c.bytes) != c.crc32c) {
      return fail(TENON_ERROR_MODEL, "E0911",
                  "the bytes of constant '%.*s' (number %llu) do not match their checksum",
                  TENON_PLAN_STRING(&model, c.name), 0ull + (&c - model.constants.begin()));
    }
    at = c.offset + c.bytes;
  }
  return is_zero(data.bytes + at, data.size - at) ? TENON_OK : padding_error();
}

}  // namespace tenon::rt
