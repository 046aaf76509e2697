# The interface target tenon_llvm: LLVM 19 and lld for the floor codegen, which alone may see them.
#
# Development links the shared library (quick links); TENON_STATIC_LLVM takes the archives, so that a wheel needs no LLVM.

# 19.1: LLVM's version file takes only an equal minor version.
find_package(LLVM 19.1 CONFIG REQUIRED)
add_library(tenon_llvm INTERFACE)
target_include_directories(tenon_llvm SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
separate_arguments(definitions NATIVE_COMMAND ${LLVM_DEFINITIONS})
target_compile_definitions(tenon_llvm INTERFACE ${definitions})
# lld is static in either case. The libraries' files are named here: Debian's package of CMake targets binds them to the
# shared LLVM.
foreach(part ELF Common)
  find_library(TENON_LLD_${part} NAMES liblld${part}.a PATHS ${LLVM_LIBRARY_DIRS} NO_DEFAULT_PATH REQUIRED)
endforeach()
find_package(ZLIB REQUIRED)
find_library(TENON_ZSTD zstd REQUIRED)
target_link_libraries(tenon_llvm INTERFACE ${TENON_LLD_ELF} ${TENON_LLD_Common})
if(TENON_STATIC_LLVM)
  llvm_map_components_to_libnames(libraries orcjit passes x86asmparser x86codegen x86desc x86disassembler x86info
    bitwriter irreader linker objcarcopts option)
  # lld refers to LLVM's link-time optimiser. By file: its target brings Polly, which link.cpp stands in for.
  find_library(TENON_LLVM_LTO NAMES libLLVMLTO.a PATHS ${LLVM_LIBRARY_DIRS} NO_DEFAULT_PATH REQUIRED)
  target_link_libraries(tenon_llvm INTERFACE ${TENON_LLVM_LTO} ${libraries})
  target_compile_definitions(tenon_llvm INTERFACE TENON_STATIC_LLVM)
else()
  target_link_libraries(tenon_llvm INTERFACE LLVM)
endif()
target_link_libraries(tenon_llvm INTERFACE ZLIB::ZLIB ${TENON_ZSTD})
