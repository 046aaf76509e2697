"""Derivatives of functions of arrays: `grad`, `value_and_grad`, `vjp`, `jvp`, `stop_gradient`."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tenon import _core
from tenon._jit import Jitted, is_array, leaf_names
from tenon._tree import Structure, bind, flatten, num_leaves, same_form, unflatten
from tenon.errors import DTypeError, ExpressionError
from tenon.nn._tracing import is_tracing
from tenon.nn._value import Value, apply, as_value

__all__ = ["grad", "jvp", "stop_gradient", "value_and_grad", "vjp"]

Function = Callable[..., Any]


class Variables:
    """Leaves of arguments as variables of their own, which a function is traced with.

    The function sees fresh inputs, so that a derivative does not run through what the caller
    computed them from, nor meets the same value where the function holds it in another way.
    """

    def __init__(self, function: Function, args: Sequence[Any], numbers: Sequence[int]) -> None:
        self._args = list(args)
        self._numbers = numbers
        selected = tuple(args[i] for i in numbers)
        leaves, self.structure = flatten(selected)
        placed: Structure = ("tuple", None, tuple(flatten(a)[1] for a in args))
        names = leaf_names(function, ("tuple", None, (placed, ("dict", (), ()))))
        starts = [0]
        for child in placed[2]:
            starts.append(starts[-1] + num_leaves(child))
        self.names = [n for i in numbers for n in names[starts[i] : starts[i + 1]]]
        self.values = [_value(leaf, n) for leaf, n in zip(leaves, self.names, strict=True)]
        self.fresh = [
            Value(_core.graph_input(v.shape, v.dtype, n))
            for v, n in zip(self.values, self.names, strict=True)
        ]

    def call(self, function: Function, kwargs: dict[str, Any]) -> Any:
        """Return what the function makes of the fresh inputs."""
        with bind(self.structure, self.fresh) as replaced:
            for i, argument in zip(self._numbers, replaced, strict=True):
                self._args[i] = argument
            return function(*self._args, **kwargs)

    def resolve(self, results: Sequence[Value]) -> list[Value]:
        """Return results of the fresh inputs as results of the arguments."""
        cores = _core.graph_replace(_cores(results), _cores(self.fresh), _cores(self.values))
        return [Value(core) for core in cores]

    def cotangents(self, outputs: Sequence[Value], given: Sequence[Value | None]) -> list[Value]:
        """Return the cotangents of the fresh inputs; zeros, with a warning, where none depend."""
        found = _core.graph_vjp(
            _cores(outputs), _cores(self.fresh), [g._core if g is not None else None for g in given]
        )
        result = []
        for core, variable, name in zip(found, self.fresh, self.names, strict=True):
            if core is None:
                warnings.warn(
                    f"the result does not depend on '{name}': its gradient is zero", stacklevel=2
                )
            result.append(Value(core) if core is not None else zeros_like(variable))
        return result


def _cores(values: Sequence[Value]) -> list[_core.GraphValue]:
    return [v._core for v in values]


def _value(leaf: Any, name: str) -> Value:
    if isinstance(leaf, (Value, bool, int, float)) or is_array(leaf):
        return as_value(leaf)
    raise DTypeError(
        "E0543",
        f"the derivative with respect to '{name}', a {type(leaf).__name__}, does not exist,"
        " expected floats",
    )


def zeros_like(value: Value) -> Value:
    """Return zeros of the shape and dtype of a value."""
    zero = Value(_core.graph_constant(np.zeros((), _core.numpy_dtype(value.dtype)), ""))
    return zero.broadcast_to(value.shape) if value.ndim else zero


def outputs_of(result: Any) -> tuple[list[Value], Structure]:
    """Return the leaves of a function's result as values, and its form."""
    leaves, structure = flatten(result)
    for leaf in leaves:
        if not isinstance(leaf, (Value, int, float)) and not is_array(leaf):
            raise ExpressionError(
                "E0183",
                f"a function that is differentiated returned a {type(leaf).__name__}, expected"
                " values of the network, and dicts, lists and tuples of them",
            )
    return [as_value(leaf) for leaf in leaves], structure


def _argument_numbers(function: Function, argnums: int | Sequence[int], count: int) -> list[int]:
    given = [argnums] if isinstance(argnums, int) else list(argnums)
    numbers = [n + count if n < 0 else n for n in given]
    if any(not 0 <= n < count for n in numbers) or len(set(numbers)) != len(numbers):
        raise ExpressionError(
            "E0186",
            f"argnums={argnums!r} of {getattr(function, '__name__', 'the function')} should name"
            f" each of its {count} positional arguments at most once",
        )
    return numbers


def _with_aux(result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise ExpressionError(
            "E0187", "with has_aux=True the function should return a pair (result, aux)"
        )
    return result


def value_and_grad(
    function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Jitted:
    """Make a function that returns ``(function(...), grad(function)(...))``, computed together.

    Parameters, results and errors are those of `grad`; with `has_aux` it returns
    ``((result, aux), gradient)``.
    """

    def core(*args: Any, **kwargs: Any) -> Any:
        numbers = _argument_numbers(function, argnums, len(args))
        variables = Variables(function, args, numbers)
        result, aux = _with_aux(variables.call(function, kwargs), has_aux)
        outputs, structure = outputs_of(result)
        if structure != ("leaf",):
            raise ExpressionError(
                "E0187",
                f"the gradient of a {type(result).__name__} needs cotangents"
                "\n  hint: return one scalar, or use tn.vjp",
            )
        extra, aux_structure = outputs_of(aux)
        gradients = variables.cotangents(outputs, [None])
        resolved = variables.resolve([*outputs, *extra, *gradients])
        value = resolved[0]
        gradient = unflatten(variables.structure, resolved[1 + len(extra) :])
        if isinstance(argnums, int):
            (gradient,) = gradient
        if has_aux:
            return (value, unflatten(aux_structure, resolved[1 : 1 + len(extra)])), gradient
        return value, gradient

    return Jitted(core, like=function)


def grad(function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Jitted:
    """Make a function that returns the gradient of `function`, by reverse mode.

    Parameters
    ----------
    function
        Takes arrays of floats and anything else, returns a scalar. Arguments may be trees: dicts,
        lists, tuples, and modules (the gradient is a dict by the names of the parameters then).
    argnums
        Which positional arguments the gradient is taken with respect to.
    has_aux
        `function` returns a pair of the scalar and a further tree, which is returned as it is.

    Returns
    -------
    Jitted
        Takes what `function` takes. The gradient has the form, shapes and dtypes of the argument;
        it is a tuple when `argnums` is a sequence. With `has_aux`, ``(gradient, aux)``. With arrays
        it is compiled for their shapes and dtypes at the first call; with values of a network it
        extends that. It may be differentiated, batched and compiled again.

    Raises
    ------
    ShapeError
        The result is no scalar [E0487].
    DTypeError
        An argument or the result is no float [E0541], or an argument is no array [E0543].
    ExpressionError
        An operator has no derivative [E0185], `argnums` does not fit the call [E0186], or the
        result is a tree [E0187].

    Warns
    -----
    UserWarning
        The result does not depend on an argument; its gradient is zero.

    Notes
    -----
    Griewank, Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, section 3.2. At the kink of
    relu the derivative is 0; other conventions are those of `te.vjp`.

    Examples
    --------
    >>> import numpy as np
    >>> import tenon as tn
    >>> tn.grad(lambda x: (x * x).sum())(np.array([1.0, 2.0], np.float32)).numpy()
    array([2., 4.], dtype=float32)
    """
    both = value_and_grad(function, argnums, has_aux)

    def core(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both.function(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return Jitted(core, like=function)


def _is_symbolic(*trees: Any) -> bool:
    return is_tracing() or any(isinstance(leaf, Value) for leaf in flatten(trees)[0])


_compiled: weakref.WeakKeyDictionary[Any, dict[Any, Jitted]] = weakref.WeakKeyDictionary()


def _compiled_once(function: Function, kind: Any, make: Callable[[], Jitted]) -> Jitted:
    """Return what was made for the function before, so that it keeps its networks."""
    try:
        known = _compiled.setdefault(function, {})
    except TypeError:  # cannot be referred to weakly
        return make()
    return known.setdefault(kind, make())


def vjp(function: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Return ``function(*primals)`` and a function from its cotangent to those of `primals`.

    Parameters
    ----------
    function
        Takes trees of float arrays; returns a tree of them, with `has_aux` a pair of that and a
        further tree.
    primals
        The point of linearisation.

    Returns
    -------
    tuple
        The result and the function of its cotangent, a tree of the result's form, shapes and
        dtypes; it returns a tuple with a tree for each primal. With arrays it computes the result
        again. With `has_aux`, aux comes third.

    Raises
    ------
    ExpressionError
        The cotangent has another form than the result [E0187]; an operator has no derivative
        [E0185].
    ShapeError, DTypeError
        A cotangent has another shape [E0488] or dtype [E0542] than its result; a primal or result
        is no float [E0541].
    """
    numbers = list(range(len(primals)))

    def both(*arguments: Any) -> Any:
        variables = Variables(function, arguments, numbers)
        result, aux = _with_aux(variables.call(function, {}), has_aux)
        outputs, structure = outputs_of(result)
        extra, aux_structure = outputs_of(aux)

        def pull(cotangent: Any) -> Any:
            given = _like(structure, cotangent, "cotangent", "result")
            return unflatten(
                variables.structure, variables.resolve(variables.cotangents(outputs, given))
            )

        resolved = variables.resolve([*outputs, *extra])
        value = unflatten(structure, resolved[: len(outputs)])
        return value, pull, unflatten(aux_structure, resolved[len(outputs) :])

    if _is_symbolic(primals):
        everything: tuple[Any, ...] = both(*primals)
        return everything if has_aux else everything[:2]

    def forward_core(*arguments: Any) -> Any:
        value, _, aux = both(*arguments)
        return value, aux

    def backward_core(arguments: Any, cotangent: Any) -> Any:
        return both(*arguments)[1](cotangent)

    forward = _compiled_once(
        function, ("forward", has_aux), lambda: Jitted(forward_core, like=function)
    )
    backward = _compiled_once(function, ("vjp", has_aux), lambda: Jitted(backward_core))
    value, aux = forward(*primals)

    def pull_arrays(cotangent: Any) -> Any:
        return backward(primals, cotangent)

    return (value, pull_arrays, aux) if has_aux else (value, pull_arrays)


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return ``function(*primals)`` and its derivative in the direction of `tangents`.

    Parameters
    ----------
    function
        Takes trees of float arrays and returns one.
    primals, tangents
        Tuples of one tree for each argument; tangents have the form, shapes and dtypes of primals.

    Returns
    -------
    tuple
        The result and its tangent, two trees of one form.

    Raises
    ------
    ExpressionError
        The tangents have another form than the primals [E0187]; an operator has no derivative
        [E0185].
    ShapeError, DTypeError
        A tangent has another shape [E0488] or dtype [E0542] than its primal; a primal or result is
        no float [E0541].
    """

    def core(arguments: Any, directions: Any) -> Any:
        arguments = tuple(arguments)
        variables = Variables(function, arguments, range(len(arguments)))
        given = _like(variables.structure, tuple(directions), "tangent", "primals")
        outputs, structure = outputs_of(variables.call(function, {}))
        found = _core.graph_jvp(_cores(outputs), _cores(variables.fresh), _cores(given))
        moved = [
            Value(core) if core is not None else zeros_like(y)
            for core, y in zip(found, outputs, strict=True)
        ]
        resolved = variables.resolve([*outputs, *moved])
        n = len(outputs)
        return unflatten(structure, resolved[:n]), unflatten(structure, resolved[n:])

    if _is_symbolic(primals, tangents):
        result: tuple[Any, Any] = core(primals, tangents)
        return result
    jitted = _compiled_once(function, "jvp", lambda: Jitted(core))
    value, tangent = jitted(tuple(primals), tuple(tangents))
    return value, tangent


def _like(structure: Structure, tree: Any, what: str, of: str) -> list[Value]:
    leaves, given = flatten(tree)
    if not same_form(structure, given):
        raise ExpressionError("E0187", f"the {what} should have the form of the {of}")
    return [as_value(leaf) for leaf in leaves]


def stop_gradient(tree: Any) -> Any:
    """Return the same values, which derivatives take for constants.

    Parameters
    ----------
    tree
        Values or arrays, or dicts, lists and tuples of them. Arrays are returned as they are.
    """
    leaves, structure = flatten(tree)
    stopped = [apply("stop_gradient", [x]) if isinstance(x, Value) else x for x in leaves]
    return unflatten(structure, stopped)
