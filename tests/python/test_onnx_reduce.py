"""Reductions, places of extremes, softmax, running sums and the largest elements of ONNX."""

from typing import Any

import node_tests
import numpy as np
import pytest
from onnx_models import compiled, one_node, run, run_reference

import tenon as tn
from tenon.nn._value import apply, as_value

X = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)

REFERENCES: dict[str, Any] = {
    "ReduceL1": lambda x, **k: np.abs(x).sum(**k),
    "ReduceL2": lambda x, **k: np.sqrt(np.square(x).sum(**k)),
    "ReduceLogSum": lambda x, **k: np.log(x.sum(**k)),
    "ReduceLogSumExp": lambda x, **k: np.log(np.exp(x).sum(**k)),
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
    "ReduceSumSquare": lambda x, **k: np.square(x).sum(**k),
}


def reduced(op: str, x: Any, axes: Any, **more: Any) -> Any:
    """Run a reduction whose axes are an operand (None: left out)."""
    if axes is None:
        return run(op, [x], **more)
    return run(op, [x, np.array(axes, np.int64)], constants=(1,), **more)


@pytest.mark.parametrize("op", REFERENCES)
def test_axes_and_kept_dimensions(op: str) -> None:
    x = np.abs(X) if op == "ReduceLogSum" else X
    for axes, keeps in ((None, 1), ([0], 0), ([-1, 0], 1), ([1, 2], 0)):
        wanted = REFERENCES[op](x, axis=None if axes is None else tuple(axes), keepdims=keeps == 1)
        got = reduced(op, x, axes, keepdims=keeps)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)
        old = {} if axes is None else {"axes": axes}
        np.testing.assert_array_equal(run(op, [x], opset=11, keepdims=keeps, **old), got)


@pytest.mark.parametrize("op", REFERENCES)
def test_no_axes_can_mean_none(op: str) -> None:
    x = np.abs(X)
    wanted = REFERENCES[op](x[None], axis=0, keepdims=False)
    got = reduced(op, x, [], noop_with_empty_axes=1)
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    scalar = np.float32(2.5)
    np.testing.assert_allclose(reduced(op, scalar, None), REFERENCES[op](scalar), rtol=1e-6)


def test_reductions_of_nothing() -> None:
    empty = np.zeros((2, 0, 3), np.float32)
    for op, value in {
        "ReduceSum": 0,
        "ReduceProd": 1,
        "ReduceMax": -np.inf,
        "ReduceMin": np.inf,
        "ReduceLogSum": -np.inf,
        "ReduceLogSumExp": -np.inf,
        "ReduceL2": 0,
    }.items():
        got = reduced(op, empty, [1])
        np.testing.assert_array_equal(got, np.full((2, 1, 3), value, np.float32))
    assert reduced("ReduceMax", empty.astype(np.int32), [1]).max() == np.iinfo(np.int32).min
    assert not reduced("ReduceMax", empty.astype(bool), [1], opset=20).any()
    assert reduced("ReduceMin", empty.astype(bool), [1], opset=20).all()


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.float16, np.float64])
def test_dtypes(dtype: Any) -> None:
    x = np.random.default_rng(1).integers(0 if dtype == np.uint8 else -9, 9, (4, 6)).astype(dtype)
    for op in ("ReduceMax", "ReduceMin"):
        np.testing.assert_array_equal(reduced(op, x, [1]), REFERENCES[op](x, axis=1, keepdims=True))
    if dtype == np.uint8:
        return
    for op in ("ReduceSum", "ReduceL1", "ReduceSumSquare", "ReduceProd"):
        got = reduced(op, x, [1], keepdims=0)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, REFERENCES[op](x, axis=1).astype(dtype), rtol=2e-3)
    mean = np.mean(x.astype(np.float64), axis=1)
    wanted = mean if np.dtype(dtype).kind == "f" else np.trunc(mean)
    np.testing.assert_allclose(reduced("ReduceMean", x, [1], keepdims=0), wanted, rtol=2e-3)


def test_bools_have_a_maximum_and_a_minimum() -> None:
    x = np.array([[True, False], [True, True], [False, False]])
    np.testing.assert_array_equal(reduced("ReduceMax", x, [1], keepdims=0), x.any(1))
    np.testing.assert_array_equal(reduced("ReduceMin", x, [1], keepdims=0), x.all(1))


def test_what_overflows_on_the_way_does_not_show() -> None:
    x = np.array([[1000.0, 1000], [-1000, -1000], [np.inf, 0], [-np.inf, -np.inf]], np.float32)
    wanted = np.array([1000 + np.log(2), -1000 + np.log(2), np.inf, -np.inf], np.float32)
    np.testing.assert_allclose(reduced("ReduceLogSumExp", x, [1], keepdims=0), wanted, rtol=1e-6)
    half = np.full((1, 4), 300, np.float16)
    np.testing.assert_array_equal(reduced("ReduceL2", half, [1]), np.float16([[600]]))


def test_symbolic_sizes() -> None:
    model = one_node("ReduceMean", [X, np.array([1])], constants=(1,), sizes={0: ["a", "b", 5]})
    network = compiled(model)
    for shape in ((3, 4, 5), (1, 7, 5)):
        x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
        np.testing.assert_allclose(np.asarray(network(x)), x.mean(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_places_of_extremes(op: str) -> None:
    f = np.argmax if op == "ArgMax" else np.argmin
    x = np.random.default_rng(3).integers(0, 3, (4, 6, 5)).astype(np.float32)
    for axis in (0, 1, -1):
        np.testing.assert_array_equal(run(op, [x], axis=axis, keepdims=0), f(x, axis=axis))
        last = x.shape[axis] - 1 - f(np.flip(x, axis), axis=axis)
        got = run(op, [x], axis=axis, select_last_index=1)
        np.testing.assert_array_equal(got, np.expand_dims(last, axis))
    np.testing.assert_array_equal(run(op, [x.astype(np.uint8)], axis=1, keepdims=0), f(x, axis=1))
    with pytest.raises(tn.ModelError, match="axis 3 is out of range for 3 dimensions"):
        run(op, [x], axis=3)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_of_old_and_new_opsets(op: str) -> None:
    for opset, axis in ((13, -1), (13, 0), (13, 1), (11, 1), (11, 0), (11, 2), (11, -2)):
        got = run(op, [X], opset=opset, axis=axis)
        wanted = run_reference(op, [X], opset=opset, axis=axis)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    if op != "Hardmax":
        double = X.astype(np.float64)
        np.testing.assert_allclose(run(op, [double]), run_reference(op, [double]), rtol=1e-12)
    ties = np.array([[1, 3, 3, 0]], np.float32)
    if op == "Hardmax":
        np.testing.assert_array_equal(run(op, [ties]), [[0, 1, 0, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32, np.int64])
def test_running_sums(dtype: Any) -> None:
    x = np.random.default_rng(4).integers(-4, 5, (3, 7, 2)).astype(dtype)
    for axis in (0, 1, -1):
        for reverse in (0, 1):
            flip = (lambda a, axis=axis: np.flip(a, axis)) if reverse else (lambda a: a)
            total = np.cumsum(flip(x), axis, dtype)
            for exclusive in (0, 1):
                wanted = flip(total - flip(x) if exclusive else total)
                got = run(
                    "CumSum",
                    [x, np.array(axis, np.int32)],
                    constants=(1,),
                    reverse=reverse,
                    exclusive=exclusive,
                )
                assert got.dtype == dtype
                np.testing.assert_array_equal(got, wanted)


def test_running_products_and_empty_axes() -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    got = run("CumProd", [x, np.array(1)], constants=(1,), opset=26, exclusive=1, reverse=1)
    np.testing.assert_array_equal(got, [[6, 3, 1], [30, 6, 1]])
    empty = run("CumSum", [np.zeros((2, 0), np.float32), np.array(1)], constants=(1,))
    assert empty.shape == (2, 0)


DTYPES = [np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64, np.uint64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [0, 1])
def test_largest_elements_with_ties(dtype: Any, largest: int) -> None:
    rng = np.random.default_rng(5)
    low = 0 if np.dtype(dtype).kind == "u" else -6
    x = rng.integers(low, 6, (3, 20, 2)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        x[0, 3, 0], x[0, 5, 0], x[1, 2, 1] = -0.0, np.inf, -np.inf
    if dtype == np.uint64:
        x[0, 0, 0] = 2**64 - 1
    for axis, k in ((1, 4), (0, 3), (-1, 1), (1, 20)):
        order = np.argsort(x, axis, kind="stable")
        if largest:
            order = np.argsort(x, axis, kind="stable")
            flipped = np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
            order = x.shape[axis] - 1 - flipped
        order = np.take(order, np.arange(k), axis)
        values, indices = run(
            "TopK", [x, np.array([k])], constants=(1,), outputs=2, axis=axis, largest=largest
        )
        np.testing.assert_array_equal(indices, order)
        np.testing.assert_array_equal(values, np.take_along_axis(x, order, axis))


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32])
@pytest.mark.parametrize("largest", [0, 1])
def test_many_elements_are_sorted(dtype: Any, largest: int) -> None:
    rng = np.random.default_rng(8)
    x = rng.integers(0, 200, (2, 1200)).astype(dtype)
    if dtype == np.float32:
        x[0, 7], x[0, 9], x[1, 5] = np.nan, np.inf, -np.inf
    if dtype == np.uint32:
        x[0, 0] = 2**32 - 1
    order = np.argsort(x, 1, kind="stable")
    if largest:
        order = 1199 - np.flip(np.argsort(np.flip(x, 1), 1, kind="stable"), 1)
    for k in (1200, 700):
        values, indices = run(
            "TopK", [x, np.array([k])], constants=(1,), outputs=2, largest=largest
        )
        np.testing.assert_array_equal(indices, order[:, :k])
        np.testing.assert_array_equal(values, np.take_along_axis(x, order, 1)[:, :k])


def test_k_of_symbolic_sizes_and_impossible_ones() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    k = np.array([2])
    network = compiled(one_node("TopK", [x, k], constants=(1,), outputs=2, sizes={0: ["n", "m"]}))
    for shape in ((2, 6), (3, 2)):
        x = np.random.default_rng(6).standard_normal(shape).astype(np.float32)
        values, _ = network(x)
        np.testing.assert_array_equal(values, -np.sort(-x, 1)[:, :2])
    with pytest.raises(tn.ModelError, match="k = 7 of 6 elements"):
        run("TopK", [np.ones((2, 6)), np.array([7])], constants=(1,), outputs=2)
    values = run("TopK", [np.ones((2, 6), np.float32)], opset=9, k=3, outputs=2)[0]
    assert values.shape == (2, 3)


NODE_TESTS = [
    "test_argmax_keepdims_example_select_last_index",
    "test_cumsum_2d_negative_axis",
    "test_hardmax_one_hot",
    "test_logsoftmax_large_number",
    "test_reduce_log_sum_exp_empty_set",
    "test_reduce_max_bool_inputs",
    "test_reduce_sum_empty_axes_input_noop",
    "test_softmax_large_number_expanded_ver18",
    "test_top_k_smallest",
    "test_top_k_uint64",
]


@pytest.mark.parametrize("name", NODE_TESTS)
def test_node_tests(name: str) -> None:
    outcome = node_tests.run(name)
    assert outcome.status == "pass", outcome


def test_operators_of_networks_want_bools_or_numbers() -> None:
    with pytest.raises(tn.DTypeError, match=r"any of float32.*expected bools, got float32"):
        apply("any", [tn.nn.functional.relu(as_value(X))], axes=[0])
    with pytest.raises(tn.DTypeError, match=r"prod of bool.*expected numbers, got bool"):
        apply("prod", [as_value(X > 0)], axes=[0])
