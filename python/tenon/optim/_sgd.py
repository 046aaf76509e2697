"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from tenon.errors import ExpressionError
from tenon.nn._value import Value
from tenon.optim._optimizer import Optimizer, check_setting
from tenon.optim._schedule import Schedule

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    With gradient ``g = grad + weight_decay * param``::

        v = momentum * v + g
        param = param - learning_rate * v                       (classical)
        param = param - learning_rate * (g + momentum * v)      (nesterov)

    I. Sutskever, J. Martens, G. Dahl, G. Hinton: On the importance of initialization and momentum
    in deep learning. ICML 2013, in the form whose velocity does not contain the learning rate.

    Parameters
    ----------
    learning_rate
        Positive, or a `Schedule`.
    momentum
        From 0 and below 1; with 0 there is no velocity.
    nesterov
        Whether to look ahead along the velocity; needs momentum.
    weight_decay
        The factor of the gradient of ``|param|^2 / 2``.

    Raises
    ------
    ExpressionError
        A setting is out of its range [E0192].
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        check_setting(self, "momentum", momentum, 0.0, 1.0)
        if nesterov and momentum == 0:
            raise ExpressionError(
                "E0192", "SGD: nesterov=True should have a momentum above 0, got 0"
            )
        self.momentum = float(momentum)
        self.nesterov = nesterov
        self.slots = ("velocity",) if momentum else ()

    def step(
        self, param: Value, grad: Value, kept: list[Value], factors: list[Any]
    ) -> tuple[Value, list[Value]]:
        """Return one parameter and its velocity after the update."""
        (rate,) = factors
        if self.weight_decay:
            grad = grad + self.weight_decay * param
        if not self.momentum:
            return param - rate * grad, []
        velocity = self.momentum * kept[0] + grad
        direction = grad + self.momentum * velocity if self.nesterov else velocity
        return param - rate * direction, [velocity]
