#pragma once

#include <cstddef>
#include <functional>

namespace tenon::graph {

/// f(0), ..., f(n - 1) on several threads; the first error is raised when all have stopped.
void in_parallel(std::size_t n, int num_threads, const std::function<void(std::size_t)>& f);

}  // namespace tenon::graph
