# tenon_choose_python(): sets Python_EXECUTABLE in the cache.
#
# The interpreter is the first of: -DPython_EXECUTABLE, the environment variable TENON_PYTHON, .venv of this checkout,
# .venv of the checkout that this git worktree belongs to. Unset where there is none of them.

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
