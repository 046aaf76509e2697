"""Default GPU schedules of every operator, forward and backward, and of all classes of expressions.

For each kernel: every store is inside of it, the interpreter at loop level (which finds races,
missing and divergent barriers, accesses out of bounds) gives what the function means, NVRTC takes
the text for sm_80 and sm_90a, it fits a multiprocessor, and nothing is spilled.
"""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from needs_nvrtc import needs_nvrtc
from operator_table import ROWS

import tenon as tn
from tenon import te

pytestmark = needs_nvrtc
TARGETS = ("cuda -arch=sm_80", "cuda -arch=sm_90a")
SHARED_BYTES = 48 * 1024  # that every kernel may have without asking
OPERATORS = [
    pytest.param(row, shapes, id=f"{row.op}-{i}-{k}")
    for i, row in enumerate(ROWS)
    for k, shapes in enumerate(row.shapes)
]
checked = set()
"""Texts of functions whose kernels have been looked at: operators share many."""


def stores_outside_kernels(loops):
    """Return the lines that write memory and are in no loop over blocks or threads."""
    outside, kernel = [], None
    for line in str(loops).splitlines()[1:]:
        depth = len(line) - len(line.lstrip())
        if kernel is not None and depth <= kernel:
            kernel = None
        if kernel is None and re.match(r"thread for ", line.lstrip()):
            kernel = depth
        is_store = re.match(r"[\w.]+\[.*\] = ", line.lstrip())
        if kernel is None and is_store:
            outside.append(line.strip())
    return outside


def array(rng, shape, dtype):
    """Return values that suit an operand: small integers, or numbers in [0.5, 2)."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith(("int", "uint")):
        return rng.integers(0, 2, shape).astype(dtype)
    values = rng.uniform(0.5, 2, shape)
    if dtype in ("float16", "bfloat16"):
        return np.asarray(tn.interpret(cast_from_float64(shape, dtype), values))
    return values.astype(dtype)


def cast_from_float64(shape, dtype):
    x = te.placeholder(shape, "float64", name="x")
    axes = len(shape)
    y = te.compute(shape, lambda *i: te.cast(x[i if axes > 1 else i[0]], dtype), name="y")
    return tn.function([x], [y], name="narrow")


def tuple_of(result):
    return result if isinstance(result, tuple) else (result,)


def check_results(function, loops, sizes):
    """The scheduled function computes what the function means; exactly, where it sums no floats."""
    rng = np.random.default_rng(1)
    arrays = [
        array(rng, [s if isinstance(s, int) else sizes[str(s)] for s in shape], dtype)
        for _, shape, dtype in function.inputs
    ]
    expected = tuple_of(tn.interpret(function, *arrays))
    found = tuple_of(tn.interpret(loops, *(a.reshape(-1) for a in arrays), sizes=sizes))
    has_sums = "reduction " in str(function) or "ordered " in str(function)
    for want, got in zip(expected, found, strict=True):
        want, got = np.asarray(want), np.asarray(got)
        got = got.reshape(want.shape)
        if want.dtype.kind != "f" or not has_sums:
            np.testing.assert_array_equal(got, want, err_msg=function.name)
            continue
        unit = {"float16": 2.0**-10, "float32": 2.0**-20, "float64": 2.0**-45}[want.dtype.name]
        scale = np.abs(want[np.isfinite(want)].astype("float64")).max(initial=1.0)
        np.testing.assert_allclose(got, want, rtol=unit, atol=unit * scale, err_msg=function.name)


def is_empty(function):
    """Tell whether no result has an element."""
    return all(0 in shape for _, shape, _ in function.outputs)


def check_launches(kernel):
    """Each kernel fits, and keeps no register in memory."""
    assert kernel.launches or is_empty(kernel.function)
    for launch in kernel.launches:
        threads = int(np.prod(launch["block"]))
        assert 1 <= threads <= 1024, launch
        assert launch["registers"] <= 255, launch
        assert threads * launch["registers"] <= 65536, launch
        assert launch["shared_bytes"] <= SHARED_BYTES, launch
        assert launch["spill_bytes"] == 0, launch


def check(function, *, sizes=({},)):
    """All that can be said of a function's GPU kernels without a GPU."""
    text = str(function)
    if text in checked:
        return
    checked.add(text)
    for target in TARGETS:
        kernel = tn.build(function, target)
        check_launches(kernel)
    assert stores_outside_kernels(kernel.loops) == []
    for each in sizes:
        check_results(function, kernel.loops, each)


@pytest.mark.parametrize(("row", "shapes"), OPERATORS)
def test_operators_and_their_gradients(row, shapes):
    operands = [x.astype("float32") for x in row.operands(shapes)]
    weights = np.ones_like(np.asarray(tn.jit(row.function)(*operands)))

    def weighted(*x):
        return (row.function(*x) * weights).sum()

    gradient = tn.grad(weighted, argnums=range(len(operands)))
    for program in (row.function, gradient):
        for target in TARGETS:
            network = tn.compile(program, operands, target=target)
            assert "bytes spilled" not in network.report()
        for function in network._compiled.functions:
            check(function)


def product(m, n, k, dtype="float32", sums="float32"):
    a, b = te.placeholder((m, k), dtype, name="A"), te.placeholder((k, n), dtype, name="B")
    kk = te.reduce_axis(k, name="k")

    def element(i, j):
        return te.sum(te.cast(a[i, kk], sums) * te.cast(b[kk, j], sums), axis=kk)

    return [a, b], te.compute((m, n), element, name="C")


def rows(m, n):
    x = te.placeholder((m, n), "float32", name="X")
    k = te.reduce_axis(n, name="k")
    s = te.compute((m,), lambda i: te.sum(x[i, k], axis=k), name="S")
    return [x], te.compute((m, n), lambda i, j: x[i, j] / (s[i] + 1.0), name="Y")


def columns(m, n):
    x = te.placeholder((m, n), "float32", name="X")
    k = te.reduce_axis(m, name="k")
    return [x], te.compute((n,), lambda j: te.sum(x[k, j], axis=k), name="Y")


def elements(m, n):
    x = te.placeholder((m, n), "float32", name="X")
    return [x], te.compute((m, n), lambda i, j: te.exp(x[i, j]) * 2.0, name="Y")


def transpose(m, n):
    x = te.placeholder((m, n), "float32", name="X")
    return [x], te.compute((n, m), lambda i, j: x[j, i], name="Y")


def positions(m, n):
    x = te.placeholder((m, n), "float32", name="X")
    k = te.reduce_axis(n, name="k")
    return [x], te.compute((m,), lambda i: te.argmax(x[i, k], axis=k), name="Y")


def running(m, n):
    x = te.placeholder((m, n), "float32", name="X")
    return [x], te.cumsum(x, 1)


def gather(m, n):
    x, at = te.placeholder((3, n), "float32", name="X"), te.placeholder((m,), "int32", name="at")
    return [x, at], te.compute((m, n), lambda i, j: x[at[i], j], name="Y")


def all_of_rows(m, n):
    x = te.placeholder((m, n), "bool", name="X")
    k = te.reduce_axis(n, name="k")
    return [x], te.compute((m,), lambda i: te.all_of(x[i, k], axis=k), name="Y")


def integers(m, n):
    x = te.placeholder((m, n), "int64", name="X")
    k = te.reduce_axis(n, name="k")
    return [x], te.compute((m,), lambda i: te.max(x[i, k] * 3, axis=k), name="Y")


CLASSES = [
    rows, columns, elements, transpose, positions, running, gather, all_of_rows, integers,
]  # fmt: skip
SIZES = [(1, 1), (5, 37), (33, 130), (64, 64)]
EMPTY = [(0, 3), (4, 0), (0, 0)]


def may_be_empty(make):
    return make not in (positions, integers)  # the largest of nothing is none


@pytest.mark.parametrize("make", CLASSES, ids=lambda make: make.__name__)
def test_classes_of_each_size(make):
    for sizes in SIZES + (EMPTY if may_be_empty(make) else EMPTY[:1]):
        inputs, result = make(*sizes)
        check(tn.function(inputs, [result], name=make.__name__))


@pytest.mark.parametrize("make", CLASSES, ids=lambda make: make.__name__)
def test_classes_of_symbolic_sizes(make):
    least = 0 if may_be_empty(make) else 1
    m, n = te.symbol("m"), te.symbol("n", min=least)
    inputs, result = make(m, n)
    sizes = [{"m": i, "n": j} for i, j in [(1, 1), (5, 37), (33, 130), (0, 3), (4, least)]]
    check(tn.function(inputs, [result], name=make.__name__), sizes=sizes)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (17, 33, 5), (64, 64, 64), (70, 8, 130), (3, 0, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "float64"])
def test_products(sizes, dtype):
    inputs, result = product(*sizes, dtype, "float32" if dtype == "float16" else dtype)
    check(tn.function(inputs, [result], name="product"))


def test_products_of_symbolic_sizes():
    m, n, k = te.symbol("m"), te.symbol("n"), te.symbol("k")
    inputs, result = product(m, n, k)
    sizes = [
        dict(zip("mnk", each, strict=True))
        for each in [(1, 1, 1), (17, 33, 5), (64, 64, 16), (0, 3, 3), (3, 3, 0)]
    ]
    check(tn.function(inputs, [result], name="product"), sizes=sizes)


def test_a_scatter_adds_in_order():
    zeros = te.compute((4, 5), lambda i, j: te.const(0.0, "float32"), name="zeros")
    rows_of = te.placeholder((37,), "int32", name="rows")
    updates = te.placeholder((37, 5), "float32", name="updates")
    y = te.scatter(zeros, rows_of, updates, mode="add", name="Y")
    check(tn.function([rows_of, updates], [y], name="scatter"))


def test_a_scan_with_a_product_in_each_step():
    x, w = te.placeholder((6, 5), "float32", name="X"), te.placeholder((5, 5), "float32", name="W")
    start = te.placeholder((5,), "float32", name="start")
    k = te.reduce_axis(5, name="k")

    def step(t, h):
        turned = te.compute((5,), lambda i: te.sum(h[k] * w[k, i], axis=k), name="turned")
        return te.compute((5,), lambda i: te.tanh(turned[i] + x[t, i]), name="next")

    check(tn.function([x, w, start], [te.scan(6, start, step, name="H")], name="recurrence"))


# The checks find what they are for.


def test_an_unscheduled_nest_has_stores_outside_of_kernels():
    inputs, result = elements(3, 4)
    assert stores_outside_kernels(tn.lower(tn.function(inputs, [result]))) != []


def test_a_wrong_result_is_found():
    inputs, result = elements(3, 4)
    (x,) = inputs
    other = te.compute((3, 4), lambda i, j: te.exp(x[i, j]) * 2.0000005, name="Y")
    loops = tn.build(tn.function(inputs, [other]), TARGETS[0]).loops
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check_results(tn.function(inputs, [result]), loops, {})


def test_a_kernel_that_spills_is_found():
    inputs, result = elements(3, 4)
    kernel = tn.build(tn.function(inputs, [result]), TARGETS[0])
    check_launches(kernel)

    spilled = SimpleNamespace(launches=[kernel.launches[0] | {"spill_bytes": 4}])
    with pytest.raises(AssertionError, match="assert 4 == 0"):
        check_launches(spilled)


# Loops have flat inputs, which do not show symbolic sizes.


def test_the_interpreter_takes_sizes_by_name():
    inputs, result = elements(te.symbol("m"), te.symbol("n"))
    function = tn.function(inputs, [result], name="elements")
    loops = tn.build(function, TARGETS[0]).loops
    x = np.arange(6, dtype="float32")
    found = np.asarray(tn.interpret(loops, x, sizes={"m": 2, "n": 3}))
    np.testing.assert_array_equal(
        found, np.asarray(tn.interpret(function, x.reshape(2, 3))).ravel()
    )
    with pytest.raises(tn.ShapeError, match=r"(?s)the size 'm' of elements .*E0474.*pass sizes="):
        tn.interpret(loops, x)
    with pytest.raises(tn.ShapeError, match=r"elements has no symbolic size 'q'.*E0474"):
        tn.interpret(loops, x, sizes={"m": 2, "n": 3, "q": 1})
    with pytest.raises(tn.ShapeError, match=r"E0482"):
        tn.interpret(function, x.reshape(2, 3), sizes={"m": 3})


def test_no_kernel_text_is_stored_in_the_source():
    root = Path(__file__).resolve().parents[2]
    sources = [p for f in ("src", "include", "python") for p in (root / f).rglob("*.*")]
    kernels = [
        str(path.relative_to(root))
        for path in sources
        if path.suffix in (".cpp", ".h", ".py", ".def") and "__global__" in path.read_text()
    ]
    assert kernels == ["src/codegen/cuda/module.cpp"]  # the emitter's own head of a kernel
