#include "tune/planted_faults.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <sstream>
#include <string>

#include "tenon/support/digest.h"

namespace tenon::tune {
namespace {

/// A number in [0, 1) that the candidate's code decides: its digest, the bits mixed by splitmix64.
double draw(const PortableKernel& candidate) {
  Digest digest;
  digest.add(candidate.object.data(), candidate.object.size());
  std::uint64_t hash = digest.low();
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  hash ^= hash >> 31;
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

/// The fault that is planted for the candidate; "" for none.
std::string fault_of(const PortableKernel& candidate) {
  const char* text = std::getenv("TENON_TUNING_FAULTS");
  if (text == nullptr) return "";
  double left = draw(candidate);
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) continue;
    left -= std::strtod(part.c_str() + equals + 1, nullptr);
    if (left < 0) return part.substr(0, equals);
  }
  return "";
}

}  // namespace

void plant_fault(const PortableKernel& candidate) {
  const std::string fault = fault_of(candidate);
  if (fault == "crash") std::abort();
  while (fault == "hang") ::pause();
  if (fault == "memory") throw std::bad_alloc();
}

void plant_wrong_values(const PortableKernel& candidate, std::vector<Array>* results) {
  const std::string fault = fault_of(candidate);
  if ((fault != "wrong" && fault != "nan") || results->empty()) return;
  Array& array = results->back();
  if (array.nbytes() == 0) return;
  auto* last = static_cast<unsigned char*>(array.raw_mutable()) + array.nbytes() - 1;
  if (fault == "wrong") *last ^= 0x40;
  if (fault == "nan") std::memset(last + 1 - array.dtype().bytes(), 0xff, array.dtype().bytes());
}

}  // namespace tenon::tune
