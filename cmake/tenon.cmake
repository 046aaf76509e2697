# One static library per floor; the linker and scripts/check_layers.py agree on who may use whom.

find_program(TENON_CCACHE ccache)
if(TENON_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TENON_CCACHE})
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    # Without debug information no absolute path is in an object: clones and worktrees share what one of them compiled.
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${TENON_CCACHE})
  endif()
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()
find_program(TENON_MOLD mold)
if(TENON_MOLD AND CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  add_link_options(-fuse-ld=mold)
endif()
if(TENON_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()

set(TENON_WARNINGS -Wall -Wextra -Wshadow -Wswitch-enum -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # These see ghosts in std::string, std::vector and std::variant when GCC 12 inlines at -O2.
  list(APPEND TENON_WARNINGS -Wno-restrict -Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow
    -Wno-stringop-overread -Wno-free-nonheap-object)
endif()

# tenon_floor(NAME SOURCES ... DEPENDS ...): the static library tenon_NAME.
function(tenon_floor name)
  cmake_parse_arguments(FLOOR "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(tenon_${name} STATIC ${FLOOR_SOURCES})
  target_include_directories(tenon_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(tenon_${name} PUBLIC ${FLOOR_DEPENDS})
  target_compile_options(tenon_${name} PRIVATE ${TENON_WARNINGS})
endfunction()
