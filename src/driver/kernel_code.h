#pragma once

/// What compiling for CPUs and for GPUs have in common.

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include "tenon/driver/build.h"

namespace tenon {

double seconds_since(std::chrono::steady_clock::time_point start);

/// Where the checks of `f` come from, by site.
std::vector<PlanSite> sites_of(const Function& f, const KernelInfo& info);

/// Calls `compile(i)` for all i below `count`, on several threads.
void compile_all(std::size_t count, const Target& target, const BuildOptions& options,
                 const std::function<void(std::size_t)>& compile);

}  // namespace tenon
