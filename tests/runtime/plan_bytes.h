#pragma once

/// Reaching into serialized plans, for tests that damage them.

#include <cstring>
#include <stdexcept>
#include <vector>

#include "runtime/rt/plan_reader.h"
#include "tenon/runtime/plan_format.h"

namespace tenon {

inline plan_format::Header& header_of(std::vector<std::uint8_t>& plan) {
  return *reinterpret_cast<plan_format::Header*>(plan.data());
}

inline plan_format::Section& section(std::vector<std::uint8_t>& plan,
                                     plan_format::SectionKind kind) {
  auto* table = reinterpret_cast<plan_format::Section*>(plan.data() + sizeof(plan_format::Header));
  for (std::uint32_t i = 0; i < header_of(plan).num_sections; ++i) {
    if (table[i].kind == static_cast<std::uint32_t>(kind)) return table[i];
  }
  throw std::runtime_error("no such section");
}

/// Record `index` of a section, for writing.
template <typename T>
T& record(std::vector<std::uint8_t>& plan, plan_format::SectionKind kind, std::size_t index = 0) {
  return reinterpret_cast<T*>(plan.data() + section(plan, kind).offset)[index];
}

/// Gives the plan the checksum of its first `bytes` bytes, those before the constants, so that
/// damage gets past it.
inline void seal(std::vector<std::uint8_t>& plan, std::uint64_t bytes) {
  header_of(plan).crc32c = rt::plan_checksum(plan.data(), bytes);
}

}  // namespace tenon
