"""scripts/gpu_cases.py: what the compiler makes for the runner of tests/gpu."""

import importlib.util
from pathlib import Path

import numpy as np
from needs_nvrtc import needs_nvrtc

pytestmark = needs_nvrtc
SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "gpu_cases.py"


def load(path=SCRIPT):
    spec = importlib.util.spec_from_file_location(path.stem, path)
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


def test_networks_gradients_and_a_training_step_become_cases(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import gpu_networks

    cases = load()
    wanted = {"grad_softmax", "op_conv2d", "digits_training_step", "lstm"}
    found = {case.name: case for case in gpu_networks.networks() if case.name in wanted}
    assert found.keys() == wanted
    for case in found.values():
        plan, _, expected = cases.network_case(case.make, "sm_90a")
        assert plan[:8] == b"TENONPLN"
        assert b"\x7fELF" in plan
        assert all(np.isfinite(array).all() for array in expected)
    x = found["grad_softmax"].inputs[0].astype(np.float64)
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    (gradient,) = cases.network_case(found["grad_softmax"].make, "sm_90a")[2]
    np.testing.assert_allclose(gradient, p * (p - (p * p).sum(1, keepdims=True)), atol=1e-6)


def test_the_encoder_and_products_are_small_enough_to_carry(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import gpu_networks

    plan = load().network_case(gpu_networks.encoder().make, "sm_90a")[0]
    products = {name: (inputs, c) for name, _, inputs, c in gpu_networks.products("sm_90a")}
    assert len(plan) < 44 * 2**20  # of 60 MiB
    (a, b), c = products["product_tensor"]
    np.testing.assert_allclose(c, np.float32(a) @ np.float32(b), atol=1e-3)


def test_benchmark_cases_are_plans_and_what_they_do(tmp_path):
    bench = load(SCRIPT.with_name("gpu_bench_cases.py"))
    bench.main(tmp_path, "sm_80", size=64)
    assert {path.name for path in tmp_path.iterdir()} == {
        "launches_64",
        "layer_norm_64",
        "product_bfloat16_64",
        "product_float16_64",
        "product_float32_64",
        "softmax_64",
    }
    for folder in tmp_path.iterdir():
        assert (folder / "plan.bin").read_bytes()[:8] == b"TENONPLN"
    lines = (tmp_path / "product_float32_64" / "bench.txt").read_text().splitlines()
    assert lines[2:] == ["result float32 64 64", "flops 524288", "product 64 64 64"]
    assert "launches 64\n" in (tmp_path / "launches_64" / "bench.txt").read_text()


def test_products_of_a_library_become_cases(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import gpu_networks

    cases = load()
    found = {case.name: case for case in gpu_networks.operators()}
    for name in ("op_matmul", "op_linear", "op_batched_matmul"):
        plan, _, _ = cases.library_case(found[name].make, "sm_90a")
        assert b"cublaslt.matmul" in plan
        assert b"cublaslt.matmul" not in cases.network_case(found[name].make, "sm_90a")[0]
