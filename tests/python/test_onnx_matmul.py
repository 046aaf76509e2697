"""Products of matrices, einsum, quantized elements and losses of ONNX."""

from typing import Any

import node_tests
import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import compiled, one_node, run, run_reference

import tenon as tn


def floats(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (6, 4, 5)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 5)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_matmul_of_all_ranks(a: Any, b: Any) -> None:
    x, y = floats(*a), floats(*b)
    np.testing.assert_allclose(run("MatMul", [x, y]), x @ y, rtol=1e-5, atol=1e-5)
    i, j = (10 * x).astype(np.int32), (10 * y).astype(np.int32)
    np.testing.assert_array_equal(run("MatMul", [i, j]), i @ j)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64, np.uint32])
def test_matmul_dtypes_and_symbolic_sizes(dtype: Any) -> None:
    x, y = np.abs(9 * floats(3, 4)).astype(dtype), np.abs(9 * floats(4, 2)).astype(dtype)
    network = compiled(one_node("MatMul", [x, y], sizes={0: ["n", "k"], 1: ["k", 2]}))
    for _ in range(2):
        got = np.asarray(network(x, y))
        assert got.dtype == dtype
        np.testing.assert_allclose(got, x @ y, rtol=2e-3 if dtype == np.float16 else 1e-12)
        x, y = x[:2, 1:], y[1:]


def test_what_cannot_be_multiplied() -> None:
    with pytest.raises(tn.ModelError, match="sizes that are multiplied and summed differ"):
        run("MatMul", [floats(3, 4), floats(5, 4)])
    with pytest.raises(tn.ModelError, match="a scalar is no operand of a product"):
        run("MatMul", [floats(3, 4), np.float32(2)])
    with pytest.raises(tn.ModelError, match="the operands have different dtypes"):
        run("MatMul", [floats(3, 4), floats(4, 5).astype(np.float64)])
    with pytest.raises(tn.ModelError, match="expected numbers, got bool"):
        run("MatMul", [np.ones((2, 2), bool)] * 2)
    with pytest.raises(tn.ModelError, match="the third operand has another dtype"):
        run("Gemm", [floats(3, 4), floats(4, 5), np.ones(5)])
    with pytest.raises(tn.ModelError, match=r"input \d should be int8 or uint8, got float32"):
        run("MatMulInteger", [floats(3, 4), floats(4, 5)])
    with pytest.raises(tn.ModelError, match="expected two matrices"):
        run("Gemm", [floats(2, 3, 4), floats(4, 5)])
    with pytest.raises(tn.ModelError, match="does not fit the product"):
        run("Gemm", [floats(1, 4), floats(4, 5), floats(3, 5)])


@pytest.mark.parametrize("opset", [7, 9, 13])
def test_gemm(opset: int) -> None:
    a, b = floats(3, 4), floats(4, 5)
    for ta in (0, 1):
        for tb in (0, 1):
            for c in (floats(3, 5), floats(5), floats(3, 1), np.float32(2)):
                x, y = (a.T.copy() if ta else a), (b.T.copy() if tb else b)
                got = run("Gemm", [x, y, c], opset=opset, transA=ta, transB=tb, alpha=0.5, beta=2.0)
                np.testing.assert_allclose(got, 0.5 * (a @ b) + 2 * c, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run("Gemm", [a, b]), a @ b, rtol=1e-5, atol=1e-6)
    i, j = np.arange(12, dtype=np.int32).reshape(3, 4), np.arange(8, dtype=np.int32).reshape(2, 4)
    np.testing.assert_array_equal(run("Gemm", [i, j], transB=1, alpha=2.0), 2 * (i @ j.T))


EQUATIONS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(3, 4), (4, 5)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (6, 4, 5)]),
    ("i,j->ij", [(3,), (4,)]),
    ("i,i", [(3,), (3,)]),
    ("ii->i", [(4, 4)]),
    ("ii", [(4, 4)]),
    ("ij->ji", [(3, 4)]),
    ("ij->", [(3, 4)]),
    ("...i->...", [(2, 3, 4)]),
    ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
    ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
    ("ijk,il,jl->kl", [(2, 3, 4), (2, 5), (3, 5)]),
    ("iij,jk->ik", [(3, 3, 4), (4, 2)]),
    ("ij,k->jk", [(3, 4), (5,)]),
    (" i j , j -> i ", [(3, 4), (4,)]),
    ("b...,c->...cb", [(2, 3, 4), (5,)]),
    (",ij->ij", [(), (3, 4)]),
    ("Ab,bA->A", [(3, 4), (4, 3)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    operands = [floats(*s) for s in shapes]
    wanted = np.einsum(equation.replace(" ", ""), *operands)
    got = run("Einsum", operands, equation=equation)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_einsum_of_integers_and_symbols() -> None:
    a, b = np.arange(12).reshape(3, 4), np.arange(8).reshape(4, 2)
    np.testing.assert_array_equal(run("Einsum", [a, b], equation="ij,jk->ki"), (a @ b).T)
    x, y = floats(2, 3, 4), floats(2, 4, 5)
    network = compiled(
        one_node(
            "Einsum", [x, y], equation="bij,bjk->bki", sizes={0: ["b", "i", 4], 1: ["b", 4, "k"]}
        )
    )
    for rows in (3, 2):
        got = np.asarray(network(x[:, :rows], y))
        np.testing.assert_allclose(got, (x[:, :rows] @ y).swapaxes(1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("ij,jk->ik", "has 2 terms for 1 inputs"),
        ("ijk->i", "has 3 axes, the input 2"),
        ("ij->ik", "a label of the result is in no term"),
        ("ij->ii", "a label is twice in the result"),
        ("i1->i", "'1' in the equation is no letter"),
        ("i..->i", r"a wrong '\.' in the equation"),
        ("ii->i", "a label has two sizes"),
    ],
)
def test_equations_that_are_wrong(equation: str, message: str) -> None:
    with pytest.raises(tn.ModelError, match=message):
        run("Einsum", [floats(3, 4)], equation=equation)


QUANTIZED = [np.uint8, np.int8, np.uint16, np.int16]


@pytest.mark.parametrize("dtype", QUANTIZED)
@pytest.mark.parametrize("float_dtype", [np.float32, np.float16])
def test_quantize_and_back(dtype: Any, float_dtype: Any) -> None:
    limits = np.iinfo(dtype)
    x = np.array([[-1e4, -3.25, -0.5], [0.5, 1.5, 6e4]], float_dtype)
    scale = np.array([0.5, 1, 2], float_dtype)
    zero = np.array([3, 0, 7], dtype)
    got = run("QuantizeLinear", [x, scale, zero], axis=1)
    wide = np.rint(x.astype(np.float64) / scale) + zero
    wanted = np.clip(wide, limits.min, limits.max).astype(dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, wanted)
    back = run("DequantizeLinear", [got, scale, zero], axis=-1)
    assert back.dtype == float_dtype
    with np.errstate(over="ignore"):
        wide = ((got.astype(np.float64) - zero) * scale).astype(float_dtype)
    np.testing.assert_array_equal(back, wide)


def test_blocks_and_single_scales() -> None:
    x = floats(2, 5, 3) * 20
    scale = np.abs(floats(2, 3, 3)) + 0.1
    zero = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    places = np.arange(5) // 2
    got = run("QuantizeLinear", [x, scale, zero], axis=1, block_size=2)
    wanted = np.clip(np.rint(x / scale[:, places]) + zero[:, places], 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(got, wanted)
    back = run("DequantizeLinear", [got, scale, zero], axis=1, block_size=2)
    wanted = (got.astype(np.float32) - zero[:, places]) * scale[:, places]
    np.testing.assert_allclose(back, wanted, rtol=1e-6)
    single = run("QuantizeLinear", [x, np.float32(0.5)], opset=10)
    np.testing.assert_array_equal(single, np.clip(np.rint(x / 0.5), 0, 255).astype(np.uint8))
    wide = run("QuantizeLinear", [x, np.float32(0.5)], output_dtype=TensorProto.INT16)
    np.testing.assert_array_equal(wide, np.rint(x / 0.5).astype(np.int16))
    big = np.array([2**31 - 1, -5], np.int32)
    np.testing.assert_allclose(run("DequantizeLinear", [big, np.float32(2)]), big * 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "attributes", "message"),
    [
        ([floats(2, 3), floats(2)], {}, "expected one scale, or one for each place along"),
        ([floats(2, 3), floats(2, 2)], {"block_size": 2, "axis": 0}, "do not fit the blocks"),
        ([floats(2, 3), floats(2)], {"block_size": 2}, "as many axes as the input"),
        ([floats(2, 3), floats(3)], {"block_size": -1}, "block_size is negative"),
        ([floats(2, 3), np.float32(1), np.ones(3, np.uint8)], {}, "the shape of the scale"),
        ([floats(2, 3), np.float32(1), np.int32(0)], {}, "integers of 8 or 16 bits, got int32"),
        (
            [floats(2, 3), np.float32(1), np.uint8(0)],
            {"output_dtype": TensorProto.INT8},
            "output_dtype is not that of the zero point",
        ),
    ],
)
def test_scales_that_do_not_fit(inputs: Any, attributes: Any, message: str) -> None:
    with pytest.raises(tn.ModelError, match=message):
        run("QuantizeLinear", inputs, **attributes)


def test_dynamic_quantization() -> None:
    for x in (floats(3, 4), np.array([3.0, 1, 5], np.float32), -np.abs(floats(5))):
        got = run("DynamicQuantizeLinear", [x], outputs=3)
        wanted = run_reference("DynamicQuantizeLinear", [x], outputs=3)
        for a, b in zip(got, wanted, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=1e-6)
    y, _, zero = run("DynamicQuantizeLinear", [np.zeros(3, np.float32)], outputs=3)
    np.testing.assert_array_equal(y, zero)


@pytest.mark.parametrize("a_dtype", [np.uint8, np.int8])
def test_products_of_quantized_matrices(a_dtype: Any) -> None:
    rng = np.random.default_rng(1)
    limits = np.iinfo(a_dtype)
    a = rng.integers(limits.min, limits.max, (2, 3, 40)).astype(a_dtype)
    b = rng.integers(-128, 127, (40, 5)).astype(np.int8)
    za, zb = a_dtype(3), rng.integers(-9, 9, 5).astype(np.int8)
    wanted = (a.astype(np.int32) - za) @ (b.astype(np.int32) - zb)
    got = run("MatMulInteger", [a, b, za, zb])
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(
        run("MatMulInteger", [a, b]), a.astype(np.int32) @ b.astype(np.int32)
    )
    rows = np.array([1, 2, 3], a_dtype)
    got = run("MatMulInteger", [a[0], b, rows])
    np.testing.assert_array_equal(got, (a[0].astype(np.int32) - rows[:, None]) @ b.astype(np.int32))
    sa, sb, sy = np.float32(0.02), np.abs(floats(5)) * np.float32(0.05), np.float32(1.5)
    zy = a_dtype(5)
    got = run("QLinearMatMul", [a, sa, za, b, sb, zb, sy, zy])
    scaled = np.rint(wanted * (sa * sb / sy)) + zy
    assert got.dtype == a_dtype
    np.testing.assert_array_equal(got, np.clip(scaled, limits.min, limits.max).astype(a_dtype))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("ignore", [None, -1, 1])
def test_losses(reduction: str, ignore: int | None) -> None:
    scores = floats(4, 3, 2).astype(np.float64)
    labels = np.array([[0, 2], [1, 1], [2, 0], [1, 2]])
    if ignore == -1:
        labels[0, 1] = -1
    weights = np.array([0.5, 1, 2])
    attributes: dict[str, Any] = {"reduction": reduction}
    if ignore is not None:
        attributes["ignore_index"] = ignore
    log_prob = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    keep = np.ones(labels.shape) if ignore is None else (labels != ignore).astype(float)
    safe = np.where(keep == 1, labels, 0)
    picked = -np.take_along_axis(log_prob, safe[:, None], 1)[:, 0]
    for w in (None, weights):
        each = keep * (1 if w is None else w[safe])
        losses = picked * each
        wanted = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / each.sum()}[reduction]
        more = [] if w is None else [w]
        got, logs = run("SoftmaxCrossEntropyLoss", [scores, labels, *more], outputs=2, **attributes)
        np.testing.assert_allclose(got, wanted, rtol=1e-10)
        np.testing.assert_allclose(logs, log_prob, rtol=1e-10)
        got = run("NegativeLogLikelihoodLoss", [log_prob, labels, *more], **attributes)
        np.testing.assert_allclose(got, wanted, rtol=1e-10)


def test_dropout_that_drops_nothing() -> None:
    x = floats(3, 4)
    for opset in (7, 10, 13):
        y, mask = run("Dropout", [x], opset=opset, outputs=2)
        np.testing.assert_array_equal(y, x)
        assert mask.dtype == (np.float32 if opset < 10 else np.bool_)
        assert mask.all()
    none = [x, np.float32(0), np.array(True)]
    np.testing.assert_array_equal(run("Dropout", none, constants=(1, 2)), x)


NODE_TESTS = [
    "test_dequantizelinear_blocked",
    "test_dynamicquantizelinear_min_adjusted_expanded",
    "test_einsum_batch_diagonal",
    "test_gemm_all_attributes",
    "test_matmulinteger",
    "test_nllloss_NCd1d2d3d4d5_mean_weight",
    "test_qlinearmatmul_3D_int8_float16",
    "test_quantizelinear_blocked_asymmetric",
    "test_sce_mean_weight_ii_3d_log_prob",
]


@pytest.mark.parametrize("name", NODE_TESTS)
def test_node_tests(name: str) -> None:
    outcome = node_tests.run(name)
    assert outcome.status == "pass", outcome
