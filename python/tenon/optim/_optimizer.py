"""What optimisers have in common: trees, the counter of updates, the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tenon import _core
from tenon._tree import flatten, unflatten
from tenon.errors import ExpressionError
from tenon.nn._value import Value
from tenon.optim._schedule import Schedule

__all__ = ["Optimizer"]


class Optimizer:
    """A pair of functions: `init` makes the state, `update` maps parameters, gradients and state.

    `update` computes with values of a network, so that it becomes part of a compiled step. The
    state holds arrays only: ``step``, the number of updates made (int64); ``learning_rate``
    (float64) unless a schedule computes it, so that another rate needs no compilation; and for each
    slot of the method, such as ``velocity``, an array for each parameter.

    Parameters
    ----------
    learning_rate
        Positive, or a `Schedule`.
    weight_decay
        From 0 up; what it means depends on the method.

    Raises
    ------
    ExpressionError
        A setting is out of its range [E0192].
    """

    slots: Sequence[str] = ()
    """The names of the arrays that the method keeps for each parameter; all start as zeros."""

    def __init__(self, learning_rate: float | Schedule, weight_decay: float = 0.0) -> None:
        if not callable(learning_rate):
            check_setting(self, "learning_rate", learning_rate, 0.0, math.inf)
        check_setting(self, "weight_decay", weight_decay, 0.0, math.inf)
        self.learning_rate = learning_rate
        self.weight_decay = float(weight_decay)

    def init(self, params: Any) -> dict[str, Any]:
        """Return the state before the first update.

        Parameters
        ----------
        params
            A tree (dicts, lists, tuples) of arrays or values, or a module.
        """
        leaves, structure = flatten(params)
        state: dict[str, Any] = {"step": np.zeros((), np.int64)}
        if not callable(self.learning_rate):
            state["learning_rate"] = np.array(self.learning_rate, np.float64)
        for slot in self.slots:
            zeros = [np.zeros(p.shape, _core.numpy_dtype(p.dtype)) for p in leaves]
            state[slot] = unflatten(structure, zeros)
        return state

    def update(self, params: Any, grads: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the parameters and the state after one update.

        Parameters
        ----------
        params, grads
            Trees of values of one form.
        state
            As `init` returned it, or an update before, with values in the place of arrays.

        Returns
        -------
        tuple
            Trees of values of the forms of `params` and `state`.
        """
        leaves, structure = flatten(params)
        done = state["step"]
        factors = self.factors((done + 1).cast("float64"), self._rate(state))
        slots = [flatten(state[slot])[0] for slot in self.slots]
        new_slots: list[list[Value]] = [[] for _ in slots]
        new_params = []
        for i, (param, grad) in enumerate(zip(leaves, flatten(grads)[0], strict=True)):
            numbers = [x.cast(param.dtype) for x in factors]
            new, kept = self.step(param, grad, [slot[i] for slot in slots], numbers)
            new_params.append(new)
            for slot, value in zip(new_slots, kept, strict=True):
                slot.append(value)
        new_state = {**state, "step": done + 1}
        for name, values in zip(self.slots, new_slots, strict=True):
            new_state[name] = unflatten(structure, values)
        return unflatten(structure, new_params), new_state

    def settings(self) -> dict[str, Any]:
        """Return the method and its numbers, for checkpoints; a schedule is not told apart."""
        numbers = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if isinstance(value, (bool, int, float, tuple))
            and name not in ("learning_rate", "slots")
        }
        schedule = {"schedule": True} if callable(self.learning_rate) else {}
        return {"class": type(self).__name__, **numbers, **schedule}

    def _rate(self, state: dict[str, Any]) -> Value:
        if callable(self.learning_rate):
            rate = self.learning_rate(state["step"].cast("float64"))
        else:
            rate = state["learning_rate"]
        assert isinstance(rate, Value)
        return rate

    def factors(self, count: Value, rate: Value) -> list[Value]:
        """Return the scalars that all parameters share, for update number `count`, from 1 up."""
        return [rate]

    def step(
        self, param: Value, grad: Value, kept: list[Value], factors: list[Any]
    ) -> tuple[Value, list[Value]]:
        """Return one parameter and its slots after the update."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")


def check_setting(optimizer: object, name: str, value: Any, low: float, high: float) -> None:
    """Raise unless `low` <= `value` < `high`."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if is_number and low <= value and value < high:
        return
    raise ExpressionError(
        "E0192",
        f"{type(optimizer).__name__}: {name} should be a number from {low:g} and below {high:g},"
        f" got {value!r}",
    )
