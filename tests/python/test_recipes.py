"""Schedules of whole GPU kernels: lowered, run by the interpreter, compared with NumPy."""

import ml_dtypes
import numpy as np
import pytest
from needs_nvrtc import needs_nvrtc

import tenon as tn
from tenon import recipes, te

DTYPES = {"bf16": ("bfloat16", ml_dtypes.bfloat16), "f16": ("float16", np.float16)}


def matmul(shape, dtype, *, transposed=(False, False), sums="float32"):
    m, n, k = shape
    a = te.placeholder((k, m) if transposed[0] else (m, k), dtype, name="A")
    b = te.placeholder((n, k) if transposed[1] else (k, n), dtype, name="B")
    t = te.reduce_axis(k, name="k")

    def term(i, j):
        x = a[t, i] if transposed[0] else a[i, t]
        return x * (b[j, t] if transposed[1] else b[t, j])

    c = te.compute((m, n), lambda i, j: te.sum(term(i, j), axis=t, dtype=sums), name="C")
    return tn.function([a, b], [c], name="matmul")


def check(schedule, shape, dtype, *, transposed=(False, False)):
    """Exact: all sums are small integers."""
    m, n, k = shape
    rng = np.random.default_rng(3)
    a = rng.integers(-4, 5, (m, k)).astype(dtype)
    b = rng.integers(-4, 5, (k, n)).astype(dtype)
    stored = [x.T if way else x for x, way in zip((a, b), transposed, strict=True)]
    lowered = tn.lower(schedule)
    got = np.asarray(tn.interpret(lowered, *(np.ascontiguousarray(x).ravel() for x in stored)))
    expected = a.astype(np.float32) @ b.astype(np.float32)
    np.testing.assert_array_equal(got.reshape(m, n).astype(np.float32), expected)
    return str(lowered)


@pytest.mark.parametrize("shape", [(64, 64, 48), (33, 65, 17)])
def test_shared_memory_matmul_has_two_barriers_in_a_step(shape):
    s = tn.Schedule(matmul(shape, "float32"))
    recipes.shared_memory_matmul(s, "C", tile=(32, 32, 16), threads=(8, 16))
    text = check(s, shape, np.float32)
    assert text.count("thread_barrier()") == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [(False, False), (True, True)])
def test_tensor_core_matmul(dtype, transposed):
    name, numpy_dtype = DTYPES[dtype]
    shape = (128, 64, 96)
    s = tn.Schedule(matmul(shape, name, transposed=transposed))
    recipes.tensor_core_matmul(s, "C", dtype=dtype, transposed=transposed, stages=3)
    text = check(s, shape, numpy_dtype, transposed=transposed)
    way = "transposed_" if transposed[0] else ""
    for call in (f"mma_16x16x16_{dtype}(", f"load_a_{way}{dtype}(", f"load_b_{way}{dtype}("):
        assert call in text
    assert text.count("async_copy(") == 2 * 3  # of each operand twice before the loop, once in it
    assert "plain_copies" not in text


def test_tensor_core_matmul_rounds_its_sums():
    shape = (64, 64, 64)
    s = tn.Schedule(matmul(shape, "bfloat16", sums=None))
    recipes.tensor_core_matmul(s, "C_sum", result="C", tile=(32, 64, 32), warps=(1, 2))
    lowered = tn.lower(s)
    a = np.full((64, 64), 1.0, ml_dtypes.bfloat16)
    b = np.full((64, 64), 2.015625, ml_dtypes.bfloat16)
    got = np.asarray(tn.interpret(lowered, a.ravel(), b.ravel()))
    assert got.dtype == ml_dtypes.bfloat16
    assert (got == np.float32(64 * 2.015625).astype(ml_dtypes.bfloat16)).all()
    assert "store_bf16(" in str(lowered)


def test_the_trace_of_a_bfloat16_product_replays_on_another_size():
    s = tn.Schedule(matmul((64, 64, 64), "bfloat16"))
    recipes.tensor_core_matmul(s, "C")
    other = tn.Schedule(matmul((192, 128, 96), "bfloat16"))
    tn.Trace.from_json(s.trace.to_json()).replay(other)
    check(other, (192, 128, 96), ml_dtypes.bfloat16)


def test_sizes_that_the_tiles_do_not_divide_are_refused():
    s = tn.Schedule(matmul((64, 72, 64), "bfloat16"))
    with pytest.raises(tn.ScheduleError, match="E1269"):
        recipes.tensor_core_matmul(s, "C")


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
def test_a_bfloat16_product_compiles_to_tensor_cores_without_spills(arch):
    s = tn.Schedule(matmul((256, 256, 256), "bfloat16"))
    recipes.tensor_core_matmul(s, "C", tile=(128, 128, 32), stages=3)
    kernel = tn.build(s, target=f"cuda -arch={arch}")
    for instruction in ("mma.sync", "ldmatrix", "cp.async"):
        assert instruction in kernel.cuda_source()
    assert "no spills" in kernel.report()
