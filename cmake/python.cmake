# Finds the Python that the extension module is built for, and pybind11 (3 or newer) in it.
#
# The interpreter is the first of: -DPython_EXECUTABLE, the environment variable TENON_PYTHON, .venv of this checkout,
# .venv of the checkout that this git worktree belongs to, python3 on the PATH.

function(tenon_choose_python)
  if(Python_EXECUTABLE OR SKBUILD)
    return()
  endif()
  execute_process(COMMAND git rev-parse --path-format=absolute --git-common-dir
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    OUTPUT_VARIABLE git_dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE git_failed)
  set(candidates $ENV{TENON_PYTHON} ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  if(NOT git_failed)
    list(APPEND candidates ${git_dir}/../.venv/bin/python)
  endif()
  foreach(candidate IN LISTS candidates)
    if(EXISTS ${candidate})
      set(Python_EXECUTABLE ${candidate} CACHE FILEPATH "The Python that the extension module is for")
      return()
    endif()
  endforeach()
endfunction()

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
