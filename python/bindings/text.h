#pragma once

/// Texts of C++ for Python.

#include <pybind11/pybind11.h>

#include <string>

namespace tenon::python {

/// A text that may quote bytes of a file: what is no UTF-8 is written as \xNN.
inline pybind11::str to_text(const std::string& text) {
  return pybind11::reinterpret_steal<pybind11::str>(PyUnicode_DecodeUTF8(
      text.data(), static_cast<pybind11::ssize_t>(text.size()), "backslashreplace"));
}

}  // namespace tenon::python
