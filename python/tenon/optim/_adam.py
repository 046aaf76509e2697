"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Any

from tenon.nn import functional as f
from tenon.nn._value import Value
from tenon.optim._optimizer import Optimizer, check_setting
from tenon.optim._schedule import Schedule

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: steps of the size of the learning rate, by moments of the gradient.

    With gradient ``g = grad + weight_decay * param``, for update ``t`` from 1 up::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        param = param - learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    D. Kingma, J. Ba: Adam: a method for stochastic optimization. ICLR 2015, algorithm 1. The powers
    are computed in float64.

    Parameters
    ----------
    learning_rate
        Positive, or a `Schedule`.
    betas
        The two decay rates, from 0 and below 1.
    eps
        Added to the root; positive.
    weight_decay
        The factor of the gradient of ``|param|^2 / 2``.

    Raises
    ------
    ExpressionError
        A setting is out of its range [E0192].
    """

    slots = ("first_moment", "second_moment")

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        for i, beta in enumerate(betas):
            check_setting(self, f"betas[{i}]", beta, 0.0, 1.0)
        check_setting(self, "eps", eps, 0.0, float("inf"))
        self.betas = (float(betas[0]), float(betas[1]))
        self.eps = float(eps)

    def factors(self, count: Value, rate: Value) -> list[Value]:
        """Return the rate, and one over each bias correction."""
        beta1, beta2 = self.betas
        return [rate / (1.0 - beta1**count), 1.0 / (1.0 - beta2**count), rate]

    def step(
        self, param: Value, grad: Value, kept: list[Value], factors: list[Any]
    ) -> tuple[Value, list[Value]]:
        """Return one parameter and its moments after the update."""
        rate, correction, plain_rate = factors
        (beta1, beta2) = self.betas
        first, second = kept
        if self.weight_decay and not self._is_decoupled:
            grad = grad + self.weight_decay * param
        first = beta1 * first + (1.0 - beta1) * grad
        second = beta2 * second + (1.0 - beta2) * (grad * grad)
        new = param - rate * first / (f.sqrt(second * correction) + self.eps)
        if self.weight_decay and self._is_decoupled:
            new = new - plain_rate * self.weight_decay * param
        return new, [first, second]

    _is_decoupled = False


class AdamW(Adam):
    """Adam whose weight decay is not part of the gradient: it also subtracts
    ``learning_rate * weight_decay * param``.

    I. Loshchilov, F. Hutter: Decoupled weight decay regularization. ICLR 2019, algorithm 2, with
    the learning rate as the multiplier of both terms. Parameters and errors are those of `Adam`;
    the default decay is 0.01.
    """  # noqa: D205

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, betas=betas, eps=eps, weight_decay=weight_decay)

    _is_decoupled = True
