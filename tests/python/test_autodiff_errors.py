"""What derivatives refuse, and what they warn of."""

import numpy as np
import pytest

import tenon as tn
from tenon import te

A = te.placeholder((3, 4), "float32", name="A")
INDICES = te.placeholder((3,), "int32", name="I")
B = te.compute((3, 4), lambda i, j: A[i, j] * A[i, j], name="B")
G = te.placeholder((3, 4), "float32", name="G")


def test_integer_inputs_have_no_derivative():
    with pytest.raises(tn.DTypeError, match=r"input 'I' has dtype int32, but only floats.*E0530"):
        te.vjp(B, [A, INDICES], G)
    with pytest.raises(tn.DTypeError, match=r"jvp: input 'I' has dtype int32.*E0530"):
        te.jvp(B, [INDICES], [te.placeholder((3,), "int32")])


def test_integer_outputs_have_no_derivative():
    c = te.compute((3, 4), lambda i, j: te.cast(A[i, j], "int32"), name="C")
    with pytest.raises(tn.DTypeError, match=r"output 'C' has dtype int32.*E0532"):
        te.vjp(c, A, te.placeholder((3, 4), "int32"))


def test_only_scalars_do_without_a_cotangent():
    with pytest.raises(tn.ShapeError, match=r"output 'B' has 2 dimensions and no cotangent.*E0431"):
        te.grad(B, A)


def test_cotangents_fit_their_outputs():
    wrong = te.placeholder((4, 3), "float32", name="wrong")
    with pytest.raises(tn.ShapeError, match=r"'B' has shape \[4, 3\], expected \[3, 4\] \[E0430\]"):
        te.vjp(B, A, wrong)
    with pytest.raises(tn.ShapeError, match=r"tangent of 'A' has shape \[4, 3\].*E0430"):
        te.jvp(B, A, wrong)
    wide = te.placeholder((3, 4), "float64", name="wide")
    with pytest.raises(tn.DTypeError, match=r"'B' has dtype float64, expected float32 \[E0531\]"):
        te.vjp(B, A, wide)
    with pytest.raises(tn.ExpressionError, match=r"vjp: 1 outputs but 2 cotangents \[E0160\]"):
        te.vjp(B, A, [G, G])
    with pytest.raises(tn.ExpressionError, match=r"jvp: 1 inputs but 2 tangents \[E0160\]"):
        te.jvp(B, A, [G, G])


def test_inputs_without_effect_get_zeros_and_a_warning():
    other = te.placeholder((2,), "float32", name="other")
    with pytest.warns(UserWarning, match="no output depends on input 'other'"):
        da, do = te.vjp(B, [A, other], G)
    f = tn.function([A, other, G], [da, do], name="f")
    a, g = np.ones((3, 4), "float32"), np.full((3, 4), 3, "float32")
    da, do = tn.interpret(f, a, np.ones(2, "float32"), g)
    assert np.array_equal(da.numpy(), 2 * a * g)
    assert np.array_equal(do.numpy(), np.zeros(2))
    with pytest.warns(UserWarning, match="tangent that reaches output 'B'"):
        (tangent,) = te.jvp(B, [other], [te.placeholder((2,), "float32")])
    assert tangent.shape == (3, 4)
