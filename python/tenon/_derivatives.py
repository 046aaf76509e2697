"""Derivatives of tensor expressions: what `tenon.te` offers under the same names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from tenon import _core
from tenon._core import Expr
from tenon._core import TensorExpr as Tensor

__all__ = ["custom_vjp", "grad", "jvp", "stop_gradient", "vjp", "vmap"]


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
        A function has no derivative [E0161].
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


def vmap(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    batch: Expr | int,
    batched: Sequence[bool] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Make the same computation for a batch: tensors get a leading axis.

    What no batched input reaches is computed once. Derivatives and `vmap` may be combined in any
    order.

    Parameters
    ----------
    outputs
        Computed tensors.
    inputs
        The tensors that differ between the elements of the batch.
    batch
        The extent of the new axis, an integer or a symbol.
    batched
        For each input whether it gets the axis; all do by default.

    Returns
    -------
    inputs, outputs
        New placeholders of shape ``(batch, *shape)`` (an input that is not batched is returned as
        it is), and the outputs, each with the leading axis.

    Raises
    ------
    ExpressionError
        `batched` has another length than `inputs` [E0160].
    """
    ins = _tensors(inputs)
    return _core.vmap(
        _tensors(outputs), ins, [True] * len(ins) if batched is None else batched, batch
    )


def stop_gradient(tensor: Tensor) -> Tensor:
    """Return the tensor's values as a tensor through which no derivative passes."""
    return _core.stop_gradient(tensor)


def custom_vjp(
    function: Callable[..., Tensor], vjp: Callable[..., Sequence[Tensor | None]]
) -> Callable[..., Tensor]:
    """Give a function of tensors a gradient written by hand.

    Parameters
    ----------
    function
        Takes tensors and returns one. All that it differentiates through are its arguments.
    vjp
        Called as ``vjp(cotangent, output, *arguments)``; returns one cotangent for each argument,
        or None for zero. It is linear in the cotangent; forward mode uses its transpose.

    Returns
    -------
    Callable
        The same function, whose results carry the gradient.

    Raises
    ------
    ExpressionError
        When it is differentiated: `vjp` returns another number of cotangents than there are
        arguments [E0163]. Cotangents that do not fit raise what `te.vjp` raises for its own.
    GradientError
        When it is differentiated: with respect to a tensor that `function` uses, but does not take
        as an argument [E0164]; or in forward mode, when `vjp` is not linear [E0165].

    Examples
    --------
    A rounding whose gradient is that of the identity:

    >>> from tenon import te
    >>> rounded = te.custom_vjp(
    ...     lambda x: te.compute(x.shape, lambda i: te.round(x[i]), name="rounded"),
    ...     lambda cotangent, output, x: [cotangent],
    ... )
    >>> x = te.placeholder((8,), "float32", name="x")
    >>> g = te.placeholder((8,), "float32", name="g")
    >>> te.vjp(rounded(x), x, g)[0].shape
    (8,)
    """

    def call(*arguments: Tensor) -> Tensor:
        result = function(*arguments)
        return _core.with_vjp(
            result, arguments, lambda output, cotangent: vjp(cotangent, output, *arguments)
        )

    return call


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
