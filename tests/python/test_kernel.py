"""tn.build and calling what it returns: arguments of every kind, results, errors by name."""

import gc
import threading

import ml_dtypes
import numpy as np
import pytest

import tenon as tn
from tenon import te


def add_kernel(n=16, dtype="float32"):
    x = te.placeholder((n,), dtype, name="X")
    y = te.placeholder((n,), dtype, name="Y")
    return tn.build(tn.function([x, y], [te.compute((n,), lambda i: x[i] + y[i], name="Z")], "add"))


@pytest.fixture(scope="module")
def add():
    return add_kernel()


X = np.arange(16, dtype="float32")
Y = 2 * X + 1


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", "bool"]
    + [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)],
)
def test_every_dtype_is_copied_and_selected(dtype):
    x = te.placeholder((3,), dtype, name="X")
    z = te.compute((3,), lambda i: te.select(i == 1, x[i], x[2 - i]), name="Z")
    kernel = tn.build(tn.function([x], [z]))
    array = np.array([0, 1, 3]).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    result = kernel(array)
    assert result.dtype == dtype
    assert (result.numpy() == array[[2, 1, 0]]).all()


def test_results_are_new_or_the_callers(add):
    assert np.array_equal(add(X, Y), X + Y)
    out = np.empty(16, "float32")
    assert add(X, Y, out=out) is out
    assert np.array_equal(out, X + Y)
    tensor = tn.asarray(np.empty(16, "float32"))
    assert add(X, Y, out=tensor) is tensor
    assert np.array_equal(tensor, X + Y)


def test_tensors_read_only_strided_and_misaligned_arrays_just_work(add):
    frozen = X.copy()
    frozen.flags.writeable = False
    assert np.array_equal(add(frozen, tn.asarray(Y)), X + Y)
    assert np.array_equal(add(np.repeat(X, 2)[::2], Y[::-1]), X + Y[::-1])
    misaligned = np.zeros(65, "uint8")[1:].view("float32")
    misaligned[:] = X
    assert not misaligned.flags.aligned
    assert np.array_equal(add(misaligned, X.astype(">f4")), X + X)


def test_anything_with_dlpack_is_an_argument(add):
    class Exporter:
        def __dlpack__(self, **options):
            return X.__dlpack__(**options)

        def __dlpack_device__(self):
            return (1, 0)

    assert np.array_equal(add(Exporter(), Y), X + Y)


def test_several_results_are_a_tuple():
    x = te.placeholder((4,), "float32", name="X")
    double = te.compute((4,), lambda i: 2 * x[i], name="D")
    square = te.compute((4,), lambda i: x[i] * x[i], name="S")
    kernel = tn.build(tn.function([x], [double, square]))
    d, s = kernel(X[:4])
    assert np.array_equal(d, 2 * X[:4])
    assert np.array_equal(s, X[:4] ** 2)
    out = (np.empty(4, "float32"), np.empty(4, "float32"))
    assert kernel(X[:4], out=out) is out
    assert np.array_equal(out[1], X[:4] ** 2)
    with pytest.raises(tn.ShapeError, match=r"has 2 results.*tuple of as many arrays"):
        kernel(X[:4], out=out[0])


def test_a_scalar_may_be_a_number():
    x = te.placeholder((4,), "float32", name="X")
    scale = te.placeholder((), "float32", name="scale")
    kernel = tn.build(
        tn.function([x, scale], [te.compute((4,), lambda i: x[i] * scale[()], name="Z")])
    )
    assert np.array_equal(kernel(X[:4], 2.5), X[:4] * 2.5)
    assert np.array_equal(kernel(X[:4], np.float32(2)), X[:4] * 2)


WRONG_CALLS = [
    (lambda k: k(X), tn.ShapeError, r"add: got 1 inputs, expected 2 \(X, Y\)"),
    (lambda k: k(X, Y, X), tn.ShapeError, r"add: got 3 inputs, expected 2 \(X, Y\)"),
    (lambda k: k(X.astype("float64"), Y), tn.DTypeError, "'X' has dtype float64, expected float32"),
    (lambda k: k(X, Y[:8]), tn.ShapeError, r"'Y' has shape \[8\], expected \[16\]"),
    (lambda k: k(X, Y.reshape(4, 4)), tn.ShapeError, "'Y' has rank 2, expected 1"),
    (lambda k: k(X, [1] * 16), tn.DTypeError, r"input 'Y' should be an array, got <class 'list'>"),
    (lambda k: k(X, Y.astype("complex64")), tn.DTypeError, "'Y' has the NumPy dtype complex64"),
    (lambda k: k(X, Y, out=[0]), tn.DTypeError, "result 'Z' should be an array"),
    (lambda k: k(X, Y, result=X), TypeError, "takes arrays by position, and out="),
    (lambda k: k(X, Y, out=X.astype("int32")), tn.DTypeError, "'Z' has dtype int32"),
    (lambda k: k(X, Y, out=np.empty(32, "float32")[::2]), tn.ShapeError, "result 'Z'.*strides"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG_CALLS)
def test_wrong_arguments_are_named_and_the_kernel_stays_usable(add, call, error, message):
    with pytest.raises(error, match=message):
        call(add)
    assert np.array_equal(add(X, Y), X + Y)


def test_an_overlapping_or_read_only_output_is_refused(add):
    memory = np.zeros(24, "float32")
    with pytest.raises(tn.ShapeError, match=r"result 'Z' overlaps that of argument 'X'"):
        add(memory[:16], Y, out=memory[8:])
    frozen = X.copy()
    frozen.flags.writeable = False
    with pytest.raises(tn.ShapeError, match="'Z' is a read-only array"):
        add(X, Y, out=frozen)


def test_one_kernel_serves_every_value_of_a_symbol():
    n = te.symbol("n", max=1000)
    x = te.placeholder((n, 3), "float32", name="X")
    y = te.placeholder((n,), "float32", name="Y")
    k = te.reduce_axis(3, name="k")
    z = te.compute((n,), lambda i: te.sum(x[i, k], axis=k) * y[i], name="Z")
    kernel = tn.build(tn.function([x, y], [z], name="rows"))
    for rows in (0, 1, 2, 16, 17, 1000):
        a = np.arange(3.0 * rows, dtype="float32").reshape(rows, 3)
        b = np.ones(rows, "float32")
        assert np.array_equal(kernel(a, b), a.sum(axis=1))
    message = r"symbol 'n' is 4 in argument 'X' \(axis 0\) but 5 in argument 'Y' \(axis 0\)"
    with pytest.raises(tn.ShapeError, match=message):
        kernel(np.ones((4, 3), "float32"), np.ones(5, "float32"))
    with pytest.raises(tn.ShapeError, match=r"symbol 'n'.*1000"):
        kernel(np.ones((1001, 3), "float32"), np.ones(1001, "float32"))


def test_a_gather_index_out_of_range_names_buffer_value_and_line():
    table = te.placeholder((5, 2), "float32", name="table")
    ids = te.placeholder((3,), "int64", name="ids")
    rows = te.compute((3, 2), lambda i, j: table[ids[i], j], name="rows")
    kernel = tn.build(tn.function([table, ids], [rows]))
    values = np.arange(10, dtype="float32").reshape(5, 2)
    assert np.array_equal(kernel(values, np.array([4, 0, 2])), values[[4, 0, 2]])
    with pytest.raises(tn.IndexError, match=r"index 5 .*size 5.*'table' at .*test_kernel.py:\d+"):
        kernel(values, np.array([4, 5, 2]))
    with pytest.raises(tn.IndexError, match="index -1"):
        kernel(values, np.array([-1, 0, 0]))


def test_wrong_programs_and_targets_are_named(add):
    with pytest.raises(tn.ExpressionError, match=r"got TensorExpr[\s\S]*tn.function"):
        tn.build(te.placeholder((2,), "float32"))
    with pytest.raises(tn.TargetError, match=r"unknown target 'tpu'"):
        tn.build(add.function, "tpu")
    with pytest.raises(tn.TargetError, match=r"unknown CPU 'pentium'[\s\S]*x86-64-v3"):
        tn.build(add.function, "cpu -mcpu=pentium")
    with pytest.raises(tn.TargetError, match=r"unknown architecture 'sm_10'[\s\S]*sm_90a"):
        tn.build(add.function, "cuda -arch=sm_10")
    with pytest.raises(tn.ScheduleError, match="no blocks to schedule"):
        tn.Schedule(add.loops)


def test_a_kernel_explains_itself(add):
    assert "add for cpu" in add.report()
    assert "define" in add.llvm_ir()
    assert "vaddps" in add.assembly()
    timing = add.time(X, Y, num_samples=3, sample_seconds=1e-4)
    assert 0 < timing.median < 1
    assert "block" in str(add.function)
    assert "block" not in str(add.loops)


def test_a_call_compares_itself_with_the_interpreter_when_asked():
    tn.config.verify = "interpret"
    try:
        assert np.array_equal(add_kernel()(X, Y), X + Y)
    finally:
        tn.config.verify = "off"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threads", -1, "0 to 1024, got -1"),
        ("threads", True, "0 to 1024, got True"),
        ("verify", "yes", "'off', 'verifier' or 'interpret', got 'yes'"),
        ("cache_dir", 3, "a path or None, got 3"),
    ],
)
def test_settings_are_checked(name, value, message):
    with pytest.raises(tn.UserError, match=message):
        setattr(tn.config, name, value)


def test_settings_take_effect(tmp_path):
    before = tn.config.threads
    tn.config.threads = 1
    assert tn.config.threads == 1
    tn.config.threads = before
    cache_dir = tn.config.cache_dir
    tn.config.cache_dir = tmp_path
    try:
        assert tn.config.cache_dir == str(tmp_path)
        add_kernel(17)
        assert "from the cache" in add_kernel(17).report()
    finally:
        tn.config.cache_dir = cache_dir


def test_kernels_run_in_several_threads_at_once(add):
    wrong = []

    def work(shift):
        for _ in range(200):
            if not np.array_equal(add(X + shift, Y), X + shift + Y):
                wrong.append(shift)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_outlive_their_kernel():
    kernel = add_kernel(16, "float64")
    result = kernel(X.astype("float64"), Y.astype("float64"))
    del kernel
    gc.collect()
    assert np.array_equal(result, X + Y)
