"""Reads that plain arithmetic on indices and sizes takes out of range: none happens."""

import numpy as np
import pytest

import tenon as tn
from tenon import te


def built(inputs, shape, body, name="B"):
    """The compiled function, and its text."""
    f = tn.function(inputs, [te.compute(shape, body, name=name)])
    return tn.build(f), f


@pytest.fixture
def rows():
    n = te.symbol("n")
    return n, te.placeholder((n, 4), "float32", name="A")


def values(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype("float32")


def test_a_constant_index_of_a_symbolic_dimension_is_checked_at_the_call(rows):
    _, a = rows
    kernel, f = built([a], (4,), lambda i: a[5, i])
    x = values(8, 4)
    assert np.array_equal(kernel(x).numpy(), x[5])
    text = r"index 5 is out of range for axis 0 of size 5 when reading 'A' at .*test_te_bounds"
    with pytest.raises(tn.IndexError, match=text):
        kernel(x[:5])
    with pytest.raises(tn.IndexError, match=r"index 5 is out of range 0\.\.5 \(block B, i = 0"):
        tn.interpret(f, x[:5])


def test_the_last_row_of_none(rows):
    n, a = rows
    kernel, _ = built([a], (4,), lambda i: a[n - 1, i])
    x = values(3, 4)
    assert np.array_equal(kernel(x).numpy(), x[2])
    with pytest.raises(tn.IndexError, match="index -1 is out of range for axis 0 of size 0"):
        kernel(x[:0])


def test_an_offset_that_always_leaves_the_tensor_is_refused_when_the_function_is_made():
    a = te.placeholder((10,), "float32", name="A")
    b = te.compute((10,), lambda i: a[i + 3], name="B")
    text = r"index of dimension 0 of tensor 'A' with shape \[10\] runs from 3 to 12, expected 0 to "
    with pytest.raises(tn.IndexError, match=text + r"9  at .*test_te_bounds.*\[E0603\]"):
        tn.function([a], [b])
    with pytest.raises(tn.IndexError, match=r"runs from -9 to 0, expected 0 to 9.*\[E0603\]"):
        tn.function([a], [te.compute((10,), lambda i: a[-i], name="B")])


def test_an_offset_into_a_symbolic_dimension_is_checked_where_it_may_leave_it():
    n, m = te.symbol("n"), te.symbol("m")
    a = te.placeholder((n,), "float32", name="A")
    b = te.placeholder((m,), "float32", name="B")
    kernel, f = built([a, b], (m,), lambda i: a[i + 3] + b[i])
    assert str(f).count("checked_index") == 2  # the index and its predicate; B's is proved
    x, y = values(20), values(17)
    assert np.array_equal(kernel(x, y).numpy(), x[3:] + y)
    with pytest.raises(tn.IndexError, match=r"index (19|20) is out of range for axis 0 of size 19"):
        kernel(x[:19], y)


@pytest.mark.parametrize("limit", ["size", "data"])
def test_a_branch_that_is_not_taken_reads_nothing(rows, limit):
    n, a = rows
    use = te.placeholder((4,), "bool", name="use")
    chosen = {"size": lambda i: n > 5, "data": lambda i: use[i]}[limit]
    f = tn.function(
        [a, use], [te.compute((4,), lambda i: te.select(chosen(i), a[5, i], -1), name="B")]
    )
    kernel = tn.build(f)
    x, no = values(8, 4), np.zeros(4, bool)
    assert np.array_equal(kernel(x, ~no).numpy(), x[5])
    for run in (kernel, lambda *arrays: tn.interpret(f, *arrays)):
        assert np.array_equal(run(x[:2], no).numpy(), np.full(4, -1, "float32"))
    if limit == "data":
        with pytest.raises(tn.IndexError, match="index 5 is out of range for axis 0 of size 2"):
            kernel(x[:2], ~no)


def test_what_arithmetic_and_conditions_keep_inside_is_not_checked():
    n, b = te.symbol("n"), te.symbol("b")
    a = te.placeholder((b, n), "float32", name="A")
    c = te.placeholder((5, 7), "float32", name="C")
    k = te.reduce_axis((0, 3), name="k")
    plain = [
        te.compute((b * n,), lambda i: a[i // n, i % n], name="flat"),
        te.compute((b, n), lambda i, j: te.select(j > 2, a[i, j - 3], 0), name="shifted"),
        te.compute((b, n - 2), lambda i, j: te.sum(a[i, j + k], axis=k), name="window"),
        te.compute((13,), lambda i: c[4 - te.abs(i % 9 - 4), te.abs(6 - i) % 7], name="mirror"),
    ]
    f = tn.function([a, c], plain)
    assert "checked_index" not in str(f)


def test_within_the_step_of_a_scan():
    n, steps = te.symbol("n"), te.symbol("steps")
    a = te.placeholder((n, 4), "float32", name="A")
    x = te.placeholder((steps, 4), "float32", name="X")
    zero = te.compute((4,), lambda i: te.const(0, "float32"), name="zero")

    def step(t, h):
        return te.compute((4,), lambda i: h[i] + x[t, i] * a[t + 1, i], name="next")

    kernel = tn.build(tn.function([a, x], [te.scan(steps, zero, step, name="h")]))
    xs, rows = values(6, 4), values(7, 4)
    expected = np.cumsum(xs * rows[1:], axis=0)
    np.testing.assert_allclose(kernel(rows, xs).numpy(), expected, rtol=1e-5)
    with pytest.raises(tn.IndexError, match="index 6 is out of range for axis 0 of size 6"):
        kernel(rows[:6], xs)


@tn.op
def sixth_row(x):
    return te.compute((x.shape[1],), lambda i: x[5, i], name="sixth_row")


def test_within_a_fused_kernel_of_a_network():
    network = tn.compile(
        lambda x: tn.nn.functional.relu(sixth_row(x * 2.0) + 1.0), [tn.TensorSpec(["n", 4])]
    )
    x = values(8, 4)
    assert np.array_equal(network(x).numpy(), np.maximum(x[5] * 2 + 1, 0))
    with pytest.raises(tn.IndexError, match=r"index 5 is out of range for axis \d of size 3"):
        network(x[:3])


def test_within_a_branch_of_a_network():
    network = tn.compile(
        lambda x, c: tn.cond(c, lambda: sixth_row(x) * 2.0, lambda: x.sum(axis=0)),
        [tn.TensorSpec(["n", 4]), tn.TensorSpec([], "bool")],
    )
    x = values(3, 4)
    np.testing.assert_allclose(network(x, np.array(False)).numpy(), x.sum(axis=0), rtol=1e-6)
    with pytest.raises(tn.IndexError, match=r"index 5 is out of range for axis \d of size 3"):
        network(x, np.array(True))


def test_the_gradient_of_a_constant_row_is_no_scatter(rows):
    _, a = rows
    b = te.compute((4,), lambda i: a[5, i] * a[5, i], name="B")
    g = te.placeholder((4,), "float32", name="G")
    (adjoint,) = te.vjp([b], [a], [g])
    f = tn.function([a, g], [adjoint])
    assert "ordered" not in str(f)
    x, cotangent = values(8, 4), values(4)
    expected = np.zeros((8, 4), "float32")
    expected[5] = 2 * x[5] * cotangent
    np.testing.assert_allclose(tn.build(f)(x, cotangent).numpy(), expected, rtol=1e-6)
    # No row is the sixth: nothing is read there.
    assert np.array_equal(tn.build(f)(x[:5], cotangent).numpy(), expected[:5])


@pytest.mark.parametrize("taken", [False, True])
def test_the_gradient_of_a_gather_that_sizes_rule_out_gathers_nothing(taken):
    n = te.symbol("n")
    a = te.placeholder((n,), "float32", name="A")
    places = te.placeholder((4,), "int64", name="P")
    b = te.compute((4,), lambda i: te.select(n > 5, a[places[i]] * a[0], 0), name="B")
    k = te.reduce_axis(4, name="k")
    total = te.compute((), lambda: te.sum(b[k], axis=k), name="total")
    (adjoint,) = te.grad(total, [a])
    f = tn.function([a, places], [adjoint])
    x, at = values(8 if taken else 3), np.array([7, 1, 7, 3])
    expected = np.zeros_like(x)
    if taken:
        np.add.at(expected, at, x[0])
        expected[0] += x[at].sum()
    for run in (tn.build(f), lambda *arrays: tn.interpret(f, *arrays)):
        np.testing.assert_allclose(run(x, at).numpy(), expected, rtol=1e-6)
