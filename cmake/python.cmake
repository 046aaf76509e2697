# Finds the Python that the extension module is built for (choose_python.cmake, else python3 on the PATH), and pybind11
# (3 or newer) in it.

include(${CMAKE_CURRENT_LIST_DIR}/choose_python.cmake)
tenon_choose_python()
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
if(NOT pybind11_DIR)
  execute_process(COMMAND ${Python_EXECUTABLE} -m pybind11 --cmakedir
    OUTPUT_VARIABLE pybind11_DIR OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(pybind11_DIR ${pybind11_DIR} CACHE PATH "Where pybind11's CMake files are" FORCE)
endif()
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 3 CONFIG REQUIRED)
message(STATUS "Python module for ${Python_EXECUTABLE} (${Python_VERSION}), pybind11 ${pybind11_VERSION}")
