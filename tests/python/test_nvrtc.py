"""CUDA text to cubins: what Python sees, the search for NVRTC, the cache."""

import os
import subprocess
import sys

import pytest
from needs_nvrtc import needs_nvrtc

import tenon as tn
from tenon import _core

SOURCE = """
extern "C" __global__ void scale(float* a, float b) { a[threadIdx.x] *= b; }
"""
# What child processes run; `source` stands before it.
COMPILE = """
from tenon import _core
cubin = _core.compile_cuda(source, "sm_80")
opened = [line for line in open("/proc/self/maps") if "libnvrtc.so" in line]
print(cubin.is_from_cache, bool(opened), len(cubin.bytes))
"""
# A library with NVRTC's functions, of which the compiler finds no builtins.
BROKEN_NVRTC = """
int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 9; return 0; }
int nvrtcGetNumSupportedArchs(int* count) { *count = 1; return 0; }
int nvrtcGetSupportedArchs(int* archs) { archs[0] = 80; return 0; }
int nvrtcCreateProgram(void** program) { *program = 0; return 0; }
int nvrtcDestroyProgram(void** program) { return 0; }
int nvrtcCompileProgram(void* program) { return 7; }
int nvrtcGetCUBINSize(void* program, unsigned long* bytes) { *bytes = 0; return 0; }
int nvrtcGetCUBIN(void* program, char* bytes) { return 0; }
int nvrtcGetPTXSize(void* program, unsigned long* bytes) { *bytes = 0; return 0; }
int nvrtcGetPTX(void* program, char* text) { return 0; }
int nvrtcGetProgramLogSize(void* program, unsigned long* bytes) { *bytes = 0; return 0; }
int nvrtcGetProgramLog(void* program, char* text) { return 0; }
const char* nvrtcGetErrorString(int result) { return "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE"; }
"""


def run_child(code, **variables):
    """Return what a new process prints, or the last lines of its traceback."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    child = subprocess.run(
        [sys.executable, "-c", f"source = {SOURCE!r}\n{code}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return child.stdout if child.returncode == 0 else child.stderr


def build_library(folder, text):
    folder.mkdir()
    path = folder / "libnvrtc.so.13"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-w", "-x", "c", "-", "-o", path],
        input=text,
        text=True,
        check=True,
    )
    return path


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
def test_a_cubin_has_bytes_resources_and_a_log(arch):
    cubin = _core.compile_cuda(SOURCE, arch, use_cache=False)
    assert cubin.arch == arch
    assert cubin.bytes.startswith(b"\x7fELF")
    assert not cubin.is_from_cache
    assert cubin.seconds > 0
    assert "Function properties for scale" in cubin.log
    scale = cubin.kernels["scale"]
    assert scale["registers"] >= 8
    assert scale["param_bytes"] == 12
    assert scale["spill_store_bytes"] == scale["spill_load_bytes"] == scale["shared_bytes"] == 0


@needs_nvrtc
def test_errors_have_the_classes_of_the_tree():
    with pytest.raises(tn.InternalError, match="does not compile"):
        _core.compile_cuda("missing", "sm_80", use_cache=False)
    with pytest.raises(tn.TargetError, match=r"does not compile for 'sm_1', it knows .*\[E1101\]"):
        _core.compile_cuda(SOURCE, "sm_1", use_cache=False)


def test_options_out_of_range_are_refused():
    with pytest.raises(tn.UserError, match=r"max_registers should be 0 or 16 to 255, got 7 .E1104"):
        _core.compile_cuda(SOURCE, "sm_80", max_registers=7)


@needs_nvrtc
def test_a_hit_opens_no_nvrtc(tmp_path):
    cache = {"TENON_CACHE_DIR": str(tmp_path)}
    first = run_child(COMPILE, **cache).split()
    assert first[:2] == ["False", "True"]
    assert run_child(COMPILE, **cache).split() == ["True", "False", first[2]]


@needs_nvrtc
def test_another_build_of_nvrtc_does_not_share_entries(tmp_path):
    cache = {"TENON_CACHE_DIR": str(tmp_path / "cache")}
    run_child(COMPILE, **cache)
    assert run_child(COMPILE, **cache).split()[0] == "True"
    build_library(tmp_path / "lib", BROKEN_NVRTC)
    assert "[E1102]" in run_child(COMPILE, TENON_CUDA_PATH=str(tmp_path), **cache)


def test_none_is_said_plainly():
    message = run_child(COMPILE, TENON_CUDA_PATH="none")
    assert "not looked for because TENON_CUDA_PATH=none [E1100]" in message


@needs_nvrtc
def test_a_missing_nvrtc_is_reported_with_places_and_cure(tmp_path):
    (tmp_path / "libnvrtc.so.13").write_text("no library")
    code = f"from tenon import _core\n_core.set_cuda_package_folders('')\n{COMPILE}"
    message = run_child(code, TENON_CUDA_PATH=str(tmp_path), TENON_CACHE_DIR="off")
    if "E1100" not in message:  # this machine has a CUDA toolkit: it is what has been used
        assert message.split()[:2] == ["False", "True"]
        return
    assert "NVRTC, which compiles for GPUs, was not found [E1100]" in message
    assert f"in: TENON_CUDA_PATH='{tmp_path}', the system's loader, /usr/local/cuda" in message
    assert f"that do not open: {tmp_path}/libnvrtc.so.13: " in message
    assert "hint: pip install nvidia-cuda-nvrtc" in message


def test_a_library_that_is_no_nvrtc_is_refused(tmp_path):
    path = build_library(tmp_path / "lib", "int nothing(void) { return 0; }")
    message = run_child(COMPILE, TENON_CUDA_PATH=str(tmp_path), TENON_CACHE_DIR="off")
    assert f"NVRTC at '{path}' lacks the function nvrtcVersion [E1100]" in message


def test_an_nvrtc_that_fails_by_itself_is_reported(tmp_path):
    path = build_library(tmp_path / "lib64", BROKEN_NVRTC)
    message = run_child(COMPILE, TENON_CUDA_PATH=str(tmp_path), TENON_CACHE_DIR="off")
    assert "nvrtcCompileProgram of NVRTC 13.9 failed: NVRTC_ERROR_BUILTIN" in message
    assert "[E1102]" in message
    assert f"NVRTC: {path}" in message
