"""tn.build for a GPU: code, resources and plans without one; calls say what is missing."""

import re

import numpy as np
import pytest
from needs_nvrtc import needs_nvrtc

import tenon as tn
from tenon import te

pytestmark = needs_nvrtc


def scale():
    x = te.placeholder((1000,), "float32", name="X")
    y = te.compute((1000,), lambda i: te.exp(x[i]) * 2.0, name="Y")
    s = tn.Schedule(tn.function([x], [y], "scale"))
    (i,) = s.loops("Y")
    outer, inner = s.split(i, factors=[None, 128])
    s.bind(outer, "blockIdx.x")
    s.bind(inner, "threadIdx.x")
    return s


@pytest.fixture(scope="module")
def kernel():
    return tn.build(scale(), "cuda -arch=sm_80")


def test_kernels_show_their_text(kernel):
    source = kernel.cuda_source()
    assert "// scale for sm_80" in source
    assert re.search(
        r"__launch_bounds__\(128\)\ntenon_scale_k0\(const float\* __restrict__ X, ", source
    )
    assert "#include" not in source
    assert kernel.target == tn.Target("cuda -arch=sm_80")
    assert kernel.name == "scale"
    assert "thread for" in str(kernel.loops)
    assert repr(kernel) == "<tenon.DeviceKernel scale>"


def test_ptx_is_of_the_target(kernel):
    ptx = kernel.ptx()
    assert ".target sm_80" in ptx
    assert "tenon_scale_k0" in ptx
    assert "fma.rn.f32" in ptx  # exp is a polynomial


def test_the_report_names_resources(kernel):
    text = kernel.report()
    assert "scale for cuda -arch=sm_80" in text
    assert re.search(r"tenon_scale_k0: blocks 8, 1, 1 of 128 threads, \d+ registers, ", text)
    assert "no spills" in text
    (launch,) = kernel.launches
    assert launch["block"] == (128, 1, 1)
    assert launch["spill_bytes"] == 0


def test_calls_need_a_driver(kernel, monkeypatch):
    monkeypatch.setenv("TENON_CUDA_PATH", "none")  # whatever this machine has
    with pytest.raises(tn.ResourceError, match=r"CUDA is switched off by.*E1120"):
        kernel(np.zeros(1000, "float32"))


def test_loops_have_to_be_bound():
    x = te.placeholder((16,), "float32", name="X")
    y = te.compute((16,), lambda i: x[i] + 1.0, name="Y")
    s = tn.Schedule(tn.function([x], [y]))
    with pytest.raises(
        tn.ScheduleError, match=r"computation of 'Y' in loops i .*\[E1284\][\s\S]*bind"
    ):
        tn.build(s, "cuda")


def test_functions_get_the_default_schedule():
    x = te.placeholder((100, 70), "float32", name="X")
    y = te.compute((100, 70), lambda i, j: x[i, j] + 1.0, name="Y")
    kernel = tn.build(tn.function([x], [y], "plus_one"), "cuda -arch=sm_80")
    assert "__global__" in kernel.cuda_source()
    assert "blockIdx.x" in str(kernel.function)


def test_a_second_build_comes_from_the_cache():
    tn.build(scale(), "cuda -arch=sm_90a")
    assert "code from the cache" in tn.build(scale(), "cuda -arch=sm_90a").report()


def test_a_function_without_a_schedule_gets_the_default_one():
    x = te.placeholder((1000,), "float32", name="X")
    y = te.compute((1000,), lambda i: x[i] + 1.0, name="Y")
    kernel = tn.build(tn.function([x], [y], "plain"), "cuda -arch=sm_90a")
    (launch,) = kernel.launches
    assert launch["block"][0] % 32 == 0
    assert "threadIdx.x" in kernel.cuda_source()
