"""Recurrent layers, as scans: `RNN`, `LSTM`, `GRU`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tenon.errors import ExpressionError
from tenon.nn import functional as f
from tenon.nn import init
from tenon.nn._module import Module, Parameter
from tenon.nn._value import Value, apply

__all__ = ["GRU", "LSTM", "RNN"]

State = Any
"""``h`` of a layer; of an LSTM the pair ``(h, c)``."""


class _Recurrent(Module):
    """Layers one after the other; each reads all steps of the one before."""

    num_gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dtype: str = "float32",
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dtype = dtype
        self.has_bias = bias
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size
            rows = self.num_gates * hidden_size
            weights = {"weight_ih": (rows, width), "weight_hh": (rows, hidden_size)}
            for name, shape in weights.items():
                setattr(self, f"{name}_l{layer}", Parameter(shape, dtype, init.glorot_uniform))
            for name in ("bias_ih", "bias_hh") if bias else ():
                setattr(self, f"{name}_l{layer}", Parameter((rows,), dtype))

    def forward(self, x: Value, state: State = None) -> tuple[Value, State]:
        """Return the last layer's h of all steps, and the last state of every layer.

        Parameters
        ----------
        x
            ``[length, batch, input_size]``, or ``[batch, length, input_size]`` with `batch_first`.
        state
            The first state, ``[num_layers, batch, hidden_size]``; of an LSTM a pair ``(h, c)`` of
            such; None: zeros.
        """
        from tenon._control import scan  # which needs nn

        if self.batch_first:
            x = x.transpose(1, 0, 2)
        last = []
        for layer in range(self.num_layers):
            # One product for all steps; only the state's part is left to each.
            gates = f.linear(x, self._parameter("weight_ih", layer))
            if self.has_bias:
                gates = gates + self._input_bias(layer)
            first = self._first_state(state, layer, x.shape[1])
            end, x = scan(functools.partial(self._step, layer), first, gates)
            last.append(end)
        result = x.transpose(1, 0, 2) if self.batch_first else x
        return result, self._stacked(last)

    def _step(self, layer: int, state: State, gates: Value) -> tuple[State, Value]:
        raise NotImplementedError

    def _parameter(self, name: str, layer: int) -> Value:
        value: Value = getattr(self, f"{name}_l{layer}").value()
        return value

    def _input_bias(self, layer: int) -> Value:
        """Return what is added to the gates before the scan."""
        return self._parameter("bias_ih", layer) + self._parameter("bias_hh", layer)

    def _gate(self, gates: Value, index: int) -> Value:
        return gates[:, index * self.hidden_size : (index + 1) * self.hidden_size]

    def _first_state(self, state: State, layer: int, batch: Any) -> State:
        if state is not None:
            return state[layer]
        zero = np.zeros((), np.dtype(self.dtype))
        return apply("broadcast_to", [zero], shape=(batch, self.hidden_size))

    def _stacked(self, states: list[State]) -> State:
        return f.concat([s.reshape(1, *s.shape) for s in states], axis=0)


class RNN(_Recurrent):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), after Elman (1990).

    Names, shapes and order of the parameters are PyTorch's: ``weight_ih_l0 [hidden, input]``,
    ``weight_hh_l0 [hidden, hidden]``, ``bias_ih_l0``, ``bias_hh_l0``, and so on for each layer.

    Parameters
    ----------
    input_size, hidden_size
        The sizes of x and h.
    num_layers
        Layers one after the other.
    bias
        Whether there are biases.
    batch_first
        x and the result are ``[batch, length, size]`` instead of ``[length, batch, size]``.
    dtype
        Of the parameters.
    nonlinearity
        "tanh" or "relu".

    Raises
    ------
    ExpressionError
        The nonlinearity is none of these [E0175].
    """

    num_gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dtype: str = "float32",
        nonlinearity: str = "tanh",
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dtype)
        if nonlinearity not in ("tanh", "relu"):
            raise ExpressionError(
                "E0175", f"RNN: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'"
            )
        self.nonlinearity = nonlinearity

    def _step(self, layer: int, state: State, gates: Value) -> tuple[State, Value]:
        total = f.linear(state, self._parameter("weight_hh", layer)) + gates
        h = apply(self.nonlinearity, [total])
        return h, h


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; with Gers' forget gate).

    i, f, g, o are the rows of ``W_ih x + b_ih + W_hh h + b_hh`` in this order;
    c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'). Names and shapes of the
    parameters are PyTorch's: ``weight_ih_l0 [4 hidden, input]``, ``weight_hh_l0 [4 hidden,
    hidden]``, ``bias_ih_l0``, ``bias_hh_l0``, and so on for each layer.

    Parameters
    ----------
    input_size, hidden_size
        The sizes of x, and of h and c.
    num_layers
        Layers one after the other.
    bias
        Whether there are biases.
    batch_first
        x and the result are ``[batch, length, size]`` instead of ``[length, batch, size]``; the
        states are ``[num_layers, batch, hidden_size]`` in either case.
    dtype
        Of the parameters.
    """

    num_gates = 4

    def _step(self, layer: int, state: State, gates: Value) -> tuple[State, Value]:
        h, c = state
        total = f.linear(h, self._parameter("weight_hh", layer)) + gates
        i, forget, g, o = (self._gate(total, k) for k in range(4))
        c = f.sigmoid(forget) * c + f.sigmoid(i) * f.tanh(g)
        h = f.sigmoid(o) * f.tanh(c)
        return (h, c), h

    def _first_state(self, state: State, layer: int, batch: Any) -> State:
        h, c = state if state is not None else (None, None)
        first = super()._first_state
        return first(h, layer, batch), first(c, layer, batch)

    def _stacked(self, states: list[State]) -> State:
        join = super()._stacked
        return join([h for h, _ in states]), join([c for _, c in states])


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al., 2014), in the form of PyTorch and cuDNN.

    r, z, n are rows in this order: r = sigmoid(W_ir x + W_hr h + b), z likewise,
    n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h. Names and shapes of the
    parameters are PyTorch's: ``weight_ih_l0 [3 hidden, input]``, ``weight_hh_l0 [3 hidden,
    hidden]``, ``bias_ih_l0``, ``bias_hh_l0``, and so on for each layer.

    Parameters
    ----------
    input_size, hidden_size
        The sizes of x and h.
    num_layers
        Layers one after the other.
    bias
        Whether there are biases.
    batch_first
        x and the result are ``[batch, length, size]`` instead of ``[length, batch, size]``.
    dtype
        Of the parameters.
    """

    num_gates = 3

    def _input_bias(self, layer: int) -> Value:
        return self._parameter("bias_ih", layer)

    def _step(self, layer: int, state: State, gates: Value) -> tuple[State, Value]:
        bias = self._parameter("bias_hh", layer) if self.has_bias else None
        total = f.linear(state, self._parameter("weight_hh", layer), bias)
        r = f.sigmoid(self._gate(gates, 0) + self._gate(total, 0))
        z = f.sigmoid(self._gate(gates, 1) + self._gate(total, 1))
        n = f.tanh(self._gate(gates, 2) + r * self._gate(total, 2))
        h = (1.0 - z) * n + z * state
        return h, h
