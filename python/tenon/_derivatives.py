"""Derivatives of tensor expressions: what `tenon.te` offers under the same names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from tenon import _core
from tenon._core import TensorExpr as Tensor

__all__ = ["grad", "jvp", "vjp"]


def _tensors(tensors: Tensor | Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return a list, also for a tensor alone."""
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _zeros(like: Tensor, name: str) -> Tensor:
    zero = _core.const(0.0, like.dtype)
    return _core.compute(like.shape, lambda *_: zero, name, [])


def vjp(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    cotangents: Tensor | Sequence[Tensor | None] | None = None,
) -> list[Tensor]:
    """Return the vector-Jacobian products of tensors (reverse mode).

    The result for an input is the sum, over the outputs, of cotangent times derivative. It is a
    tensor expression: it can be scheduled, compiled and differentiated again.

    Ties: a reduction by min or max gives the cotangent to the lowest index that has the result,
    `minimum` and `maximum` to their first operand; `abs` has derivative 0 at 0. Integers and
    comparisons have derivative 0.

    Parameters
    ----------
    outputs
        Computed tensors.
    inputs
        Placeholders, or tensors on the way to the outputs; float dtypes.
    cotangents
        For each output a tensor of its shape and dtype. None stands for ones, which only a scalar
        output may have.

    Returns
    -------
    list of Tensor
        One for each input, of its shape and dtype; zeros, with a warning, for an input that no
        output depends on.

    Raises
    ------
    ExpressionError
        There are more or fewer cotangents than outputs [E0160].
    ShapeError
        A cotangent has not its output's shape [E0430], or an output that is no scalar has none
        [E0431].
    DTypeError
        An input is no float [E0530], a cotangent has not its output's dtype [E0531], or an output
        is no float [E0532].
    GradientError
        A function has no derivative [E0161], or an index depends on data [E0162].
    """
    outs, ins = _tensors(outputs), _tensors(inputs)
    given = [None] * len(outs) if cotangents is None else _tensors(cotangents)
    return _with_zeros(_core.vjp(outs, ins, given), ins, "no output depends on input", "_grad")


def grad(loss: Tensor, inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of a scalar tensor: `vjp` with a cotangent of one.

    Parameters
    ----------
    loss
        A computed tensor of shape ``()``.
    inputs
        Placeholders, or tensors on the way to the loss; float dtypes.

    Raises
    ------
    ShapeError
        The loss is no scalar [E0431]. Other errors are those of `vjp`.

    Examples
    --------
    >>> from tenon import te
    >>> x = te.placeholder((8,), "float64", name="x")
    >>> k = te.reduce_axis(8)
    >>> loss = te.compute((), lambda: te.sum(x[k] * x[k], axis=k), name="loss")
    >>> (dx,) = te.grad(loss, x)
    >>> dx.shape, dx.dtype
    ((8,), 'float64')
    """
    return vjp([loss], inputs)


def jvp(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    tangents: Tensor | Sequence[Tensor | None],
) -> list[Tensor]:
    """Return the Jacobian-vector products of tensors (forward mode).

    The result for an output is the sum, over the inputs, of derivative times tangent.

    Parameters
    ----------
    outputs
        Computed tensors.
    inputs
        Placeholders, or tensors on the way to the outputs; float dtypes.
    tangents
        For each input a tensor of its shape and dtype, or None for zero.

    Returns
    -------
    list of Tensor
        One for each output, of its shape and dtype; zeros, with a warning, for an output that
        depends on no input with a tangent.

    Raises
    ------
    ExpressionError
        There are more or fewer tangents than inputs [E0160].
    ShapeError
        A tangent has not its input's shape [E0430].
    DTypeError
        An input is no float [E0530], or a tangent has not its input's dtype [E0531].
    """
    outs = _tensors(outputs)
    found = _core.jvp(outs, _tensors(inputs), _tensors(tangents))
    return _with_zeros(found, outs, "no input has a tangent that reaches output", "_tangent")


def _with_zeros(
    found: list[Tensor | None], of: list[Tensor | None], complaint: str, suffix: str
) -> list[Tensor]:
    out: list[Tensor] = []
    for tensor, of_tensor in zip(found, of, strict=True):
        if tensor is None:
            assert of_tensor is not None
            warnings.warn(
                f"{complaint} '{of_tensor.name}': its derivative is zero", UserWarning, stacklevel=3
            )
            tensor = _zeros(of_tensor, of_tensor.name + suffix)
        out.append(tensor)
    return out
