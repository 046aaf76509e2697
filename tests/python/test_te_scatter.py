"""`te.scatter` against NumPy's unbuffered updates, compiled and interpreted."""

import numpy as np
import pytest

import tenon as tn
from tenon import te

UFUNC = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def reference(init, place, updates, mode):
    out = init.copy()
    if mode == "set":
        for p in np.ndindex(place[0].shape):
            out[tuple(i[p] for i in place)] = updates[p]
    else:
        UFUNC[mode].at(out, place, updates)
    return out


@pytest.mark.parametrize("mode", ["set", "add", "mul", "min", "max"])
def test_rows_of_a_table_of_symbolic_size(mode):
    v, d, n = (te.symbol(name) for name in "vdn")
    init = te.placeholder((v, d), "float32", name="init")
    ids = te.placeholder((n,), "int64", name="ids")
    updates = te.placeholder((n, d), "float32", name="updates")
    kernel = tn.build(tn.function([init, ids, updates], [te.scatter(init, ids, updates, mode)]))
    random = np.random.default_rng(1)
    for rows, columns, count in [(7, 70, 300), (1, 1, 1), (3, 5, 0)]:
        table = random.standard_normal((rows, columns)).astype(np.float32)
        new = random.standard_normal((count, columns)).astype(np.float32)
        at = random.integers(0, rows, count)
        got = np.asarray(kernel(table, at, new))
        np.testing.assert_array_equal(got, reference(table, (at,), new, mode))


def test_several_dimensions_are_indexed():
    init = te.placeholder((3, 4, 5), "float64", name="init")
    a, b = (te.placeholder((2, 6), "int32", name=name) for name in "ab")
    updates = te.placeholder((2, 6, 5), "float64", name="updates")
    f = tn.function([init, a, b, updates], [te.scatter(init, [a, b], updates, "add")])
    random = np.random.default_rng(2)
    table, new = random.standard_normal((3, 4, 5)), random.standard_normal((2, 6, 5))
    at = tuple(random.integers(0, n, (2, 6)).astype(np.int32) for n in (3, 4))
    got = np.asarray(tn.build(f)(table, *at, new))
    np.testing.assert_array_equal(got, reference(table, at, new, "add"))


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_do_not_depend_on_the_number_of_threads(threads):
    init = te.placeholder((50, 256), "float32", name="init")
    ids = te.placeholder((2000,), "int64", name="ids")
    updates = te.placeholder((2000, 256), "float32", name="updates")
    kernel = tn.build(tn.function([init, ids, updates], [te.scatter(init, ids, updates, "add")]))
    random = np.random.default_rng(3)
    table = np.zeros((50, 256), np.float32)
    at = random.integers(0, 50, 2000)
    new = random.standard_normal((2000, 256)).astype(np.float32)
    before = tn.config.threads
    try:
        tn.config.threads = threads
        got = np.asarray(kernel(table, at, new))
    finally:
        tn.config.threads = before
    np.testing.assert_array_equal(got, reference(table, (at,), new, "add"))


def test_a_function_gives_any_place():
    """Column ids[b, n] of row b."""
    init = te.placeholder((3, 9), "int32", name="init")
    ids = te.placeholder((3, 5), "int64", name="ids")
    updates = te.placeholder((3, 5), "int32", name="updates")
    out = te.scatter(init, lambda b, n: (b, ids[b, n]), updates, "add", name="out")
    assert (out.op, out.shape, out.dtype) == ("scatter", (3, 9), "int32")
    at = np.random.default_rng(4).integers(0, 9, (3, 5))
    new = np.arange(15, dtype=np.int32).reshape(3, 5)
    expected = np.zeros((3, 9), np.int32)
    np.add.at(expected, (np.arange(3)[:, None], at), new)
    kernel = tn.build(tn.function([init, ids, updates], [out]))
    np.testing.assert_array_equal(np.asarray(kernel(np.zeros((3, 9), np.int32), at, new)), expected)


def test_update_out_of_range_raises_with_the_line():
    init = te.placeholder((4, 40), "float32", name="init")
    ids = te.placeholder((3,), "int64", name="ids")
    updates = te.placeholder((3, 40), "float32", name="updates")
    out = te.scatter(init, ids, updates, "add", name="out")  # the line that the error names
    kernel = tn.build(tn.function([init, ids, updates], [out]))
    table, new = np.zeros((4, 40), np.float32), np.ones((3, 40), np.float32)
    expected = (
        r"index 4 is out of range for axis 0 of size 4 when writing 'out' at .*"
        r"test_te_scatter\.py:\d+ \[E0651\]"
    )
    with pytest.raises(tn.IndexError, match=expected):
        kernel(table, np.array([0, 4, 1]), new)


def test_mistakes():
    init = te.placeholder((4, 2), "float32", name="init")
    ids = te.placeholder((3,), "int64", name="ids")
    updates = te.placeholder((3, 2), "float32", name="updates")
    with pytest.raises(tn.ExpressionError, match=r"'mul', 'min' or 'max', got 'sub' \[E0113\]"):
        te.scatter(init, ids, updates, "sub")
    with pytest.raises(tn.ExpressionError, match=r"tensors or a function, got 3 \[E0114\]"):
        te.scatter(init, 3, updates)
    with pytest.raises(tn.ShapeError, match=r"shape \[3, 2\], expected \[3\].*\[E0405\]"):
        te.scatter(init, [ids, ids], updates)
    with pytest.raises(tn.ExpressionError, match=r"gives 1 indices, expected 2.*\[E0111\]"):
        te.scatter(init, lambda n, j: (n,), updates)
