"""scripts/gpu_cases.py: what the compiler makes for the runner of tests/gpu."""

import importlib.util
from pathlib import Path

import numpy as np
from needs_nvrtc import needs_nvrtc

pytestmark = needs_nvrtc
SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "gpu_cases.py"


def load():
    spec = importlib.util.spec_from_file_location("gpu_cases", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_kernel_becomes_a_case(tmp_path):
    cases = load()
    plan, inputs, expected = cases.kernel_case(cases.exp_of_rows, "sm_90a")
    assert plan[:8] == b"TENONPLN"
    assert b"\x7fELF" in plan  # the cubin
    (x,) = inputs
    np.testing.assert_allclose(expected[0], np.exp(x) * np.tanh(x), rtol=1e-5)
    cases.write_case(tmp_path / "case", plan, inputs, expected, (1e-5, 0.0))
    assert (tmp_path / "case" / "case.txt").read_text() == (
        "input input0 float32 100000\nresult result1 float32 1e-05 0.0 100000\n"
    )
    assert (tmp_path / "case" / "input0.bin").read_bytes() == x.tobytes()
    assert (tmp_path / "case" / "result1.bin").stat().st_size == 400_000


def test_a_product_of_two_inputs_becomes_a_case():
    cases = load()
    plan, (a, b), (c,) = cases.kernel_case(cases.product, "sm_80")
    assert b"tenon_product_k0" in plan
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)
