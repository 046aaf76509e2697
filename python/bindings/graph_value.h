#pragma once

/// Values of networks as Python holds them.

#include <pybind11/pybind11.h>

#include <vector>

#include "tenon/graph/value.h"

namespace tenon::python {

/// A value as Python holds it: pybind11's holders want non-const objects of their own.
struct GraphValue {
  graph::Value value;
};

std::vector<graph::Value> to_values(const std::vector<GraphValue>& values);
std::vector<GraphValue> from_values(const std::vector<graph::Value>& values);

}  // namespace tenon::python
