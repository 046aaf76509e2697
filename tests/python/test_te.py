"""Building tensor expressions: what is accepted, what it becomes, and what is refused."""

import numpy as np
import pytest

import tenon as tn
from tenon import te


@pytest.fixture
def a():
    return te.placeholder((4, 8), "float32", name="A")


def test_a_tensor_knows_its_shape_dtype_name_and_op(a):
    b = te.compute((4,), lambda i: a[i, 0] + 1, name="B")
    assert (a.shape, a.dtype, a.name, a.op) == ((4, 8), "float32", "A", "placeholder")
    assert (b.shape, b.dtype, b.name, b.op) == ((4,), "float32", "B", "compute")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (lambda x, i: x + 1, "A[0, 0] + 1.0"),
        (lambda x, i: 1 - x, "1.0 - A[0, 0]"),
        (lambda x, i: 2.5 * x, "2.5 * A[0, 0]"),
        (lambda x, i: x / 2, "A[0, 0] / 2.0"),
        (lambda x, i: -x, "-A[0, 0]"),
        (lambda x, i: x**2, "A[0, 0] * A[0, 0]"),
        (lambda x, i: np.float32(2) * x, "2.0 * A[0, 0]"),
        (lambda x, i: i // 3 % 2, "k // 3 % 2"),
        (lambda x, i: (i << 1) | 3, "k << 1 | 3"),
        (lambda x, i: te.all(i > 0, i < 4), "k > 0 and k < 4"),
        (lambda x, i: (i > 0) & ~(i < 4), "k > 0 and not k < 4"),
        (lambda x, i: te.maximum(x, 0), "max(A[0, 0], 0.0)"),
        (lambda x, i: te.gelu(x, "tanh"), "gelu_tanh(A[0, 0])"),
    ],
)
def test_operators_read_as_written_and_numbers_take_the_other_dtype(a, expression, text):
    assert repr(expression(a[0, 0], te.reduce_axis(8))) == text


def test_indices_are_int64_and_parameters_name_the_loops(a):
    seen = []

    def element(row, column):
        seen.append((row.dtype, column.dtype))
        return a[row, column]

    f = tn.function([a], [te.compute((4, 8), element, name="B")])
    assert seen == [("int64", "int64")]
    assert [loop.name for loop in tn.Schedule(f).loops("B")] == ["row", "column"]


def test_printed_functions_read_back(a):
    k = te.reduce_axis((1, 7), name="k")
    b = te.compute((4,), lambda i: te.max(a[i, k], axis=k, where=k % 2 == 0) + 1, name="B")
    f = tn.function([a], [b], name="rows")
    assert tn.parse(str(f)) == f
    assert f.name == "rows"
    assert f.inputs == [("A", (4, 8), "float32")]


@pytest.mark.parametrize(
    "decide", [bool, lambda e: e and e, lambda e: not e, lambda e: 1 if e else 2]
)
def test_python_cannot_decide_by_an_expression(a, decide):
    with pytest.raises(
        tn.ExpressionError, match=r"A\[0, 0\] > 0.0.*no value yet[\s\S]*te.select.*te.all"
    ):
        decide(a[0, 0] > 0)


K = te.reduce_axis(8, name="k")

BAD = [
    (
        lambda a: a[0],
        tn.ExpressionError,
        r"'A' of shape \[4, 8\] was indexed with 1 indices, expected 2",
    ),
    (lambda a: a[0, 8], tn.IndexError, r"index 8 is out of range for dimension 1 of tensor 'A'"),
    (lambda a: a[0, 0.5], tn.DTypeError, r"index 1 of tensor 'A' has dtype float32"),
    (
        lambda a: a[0, 0] + "x",
        tn.ExpressionError,
        "expected an expression or a number, got <class 'str'>",
    ),
    (lambda a: a[0, 0] + a, tn.ExpressionError, r"tensor 'A' is used as a number[\s\S]*index it"),
    (lambda a: a[0, 0] + True, tn.DTypeError, r"the number True meets an operand of dtype float32"),
    (lambda a: te.const(300, "uint8"), tn.DTypeError, r"the number 300 .*uint8[\s\S]*wider dtype"),
    (lambda a: te.const(1.5, "int8"), tn.DTypeError, r"the number 1.5 .*int8[\s\S]*te.cast"),
    (lambda a: te.symbol("n", min=3, max=2), tn.ExpressionError, "symbol 'n'"),
    (lambda a: te.placeholder((2, -1), "float32"), tn.ShapeError, "-1"),
    (lambda a: te.placeholder((2, 2), "float32", strides=(1,)), tn.ShapeError, "strides"),
    (lambda a: te.placeholder("ab", "float32"), tn.ExpressionError, "expected a sequence"),
    (
        lambda a: te.placeholder((2,), "float99"),
        tn.DTypeError,
        r"unknown dtype 'float99'[\s\S]*float64",
    ),
    (lambda a: te.placeholder((2,), "float32x4"), tn.DTypeError, "vector dtype float32x4"),
    (lambda a: te.sum(a[0, 0], axis=3), tn.ExpressionError, "te.reduce_axis, got 3"),
    (lambda a: te.sum(a[0, 0], axis=[]), tn.ExpressionError, "axis"),
    (lambda a: te.reduce_axis((1, 2, 3)), tn.ExpressionError, r"pair \(min, extent\), got 3"),
    (
        lambda a: te.compute((4,), lambda i, j: a[i, j]),
        tn.ExpressionError,
        "takes 2 indices.*1 dim",
    ),
    (
        lambda a: te.gelu(a[0, 0], "fast"),
        tn.ExpressionError,
        "approximate should be None or 'tanh'",
    ),
    (lambda a: te.exp(1), tn.DTypeError, r"'exp' needs a float operand, got int64[\s\S]*te.cast"),
    (lambda a: a[0, 0] + 10**400, tn.DTypeError, "float32, which cannot hold it"),
    (lambda a: te.reduce_axis(2**70), tn.DTypeError, "int64, which cannot hold it"),
    (lambda a: te.placeholder((2.5,), "float32"), tn.ShapeError, "dimension 0.*dtype float32"),
    (
        lambda a: te.placeholder((te.cast(a[0, 0], "int64"),), "float32"),
        tn.ShapeError,
        "depends on data",
    ),
    (lambda a: te.sum(a[0, K], axis=[K, K]), tn.ExpressionError, "axis 'k' twice"),
    (
        lambda a: te.sum(te.max(a[0, K], axis=K), axis=K),
        tn.ExpressionError,
        r"contains a reduction over the same axis[\s\S]*second axis",
    ),
    (lambda a: te.all(a[0, 0]), tn.DTypeError, "should be a bool"),
    (lambda a: a[0, 0] & 1, tn.DTypeError, "needs integer operands, got float32"),
    (lambda a: te.reduce_axis(4) / 2, tn.DTypeError, r"needs float operands, got int64[\s\S]*'//'"),
    (lambda a: te.select(a[0, 0], 1, 2), tn.DTypeError, "condition of select has dtype float32"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_mistakes_are_named(a, make, error, message):
    with pytest.raises(error, match=message):
        make(a)
    assert repr(a[1, 2]) == "A[1, 2]"


def test_a_reduction_axis_outside_its_reduction_is_named(a):
    k = te.reduce_axis(8, name="k")
    with pytest.raises(tn.ExpressionError, match=r"'k'[\s\S]*\[E0103\]"):
        te.compute((4,), lambda i: a[i, k], name="B")


def test_functions_need_their_placeholders_and_computed_outputs(a):
    b = te.compute((4,), lambda i: a[i, 0], name="B")
    with pytest.raises(tn.ExpressionError, match=r"'A'.*\[E0104\]"):
        tn.function([], [b])
    with pytest.raises(tn.ExpressionError, match=r"'A'.*\[E0105\]"):
        tn.function([a], [a])


def test_a_symbol_must_be_a_dimension_of_an_input(a):
    n = te.symbol("n")
    with pytest.raises(tn.ExpressionError, match="symbol 'n' is not a whole dimension"):
        tn.function([a], [te.compute((n,), lambda i: a[0, 0], name="B")])
    b = te.placeholder((2 * n,), "float32", name="B")
    with pytest.raises(tn.ExpressionError, match="symbol 'n' is not a whole dimension"):
        tn.function([b], [te.compute((4,), lambda i: b[i], name="C")])


def test_errors_of_the_users_function_pass_through(a):
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        te.compute((4,), lambda i: a[i, 0] * (1 / 0), name="B")


@pytest.mark.parametrize(
    "text",
    ["", "function f(", "function f() -> ()\n  x\n", "\x00", "function f() -> ()\n  C[0] = 1.0\n"],
)
def test_text_that_is_no_program_is_refused(text):
    with pytest.raises(tn.ExpressionError, match=r"\[E012\d\]"):
        tn.parse(text)
