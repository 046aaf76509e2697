"""Modules: parameters and other modules by attribute."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from tenon import _core
from tenon.errors import ModelError
from tenon.nn import init as initializers
from tenon.nn._mode import training_trace
from tenon.nn._tracing import note_constant
from tenon.nn._value import Value, as_value

__all__ = ["Module", "Parameter", "functional_call"]


class Parameter:
    """An array of a module, by shape and dtype.

    `Module.initialize` or `Module.load_state_dict` give it data; until then a network sees zeros.

    Parameters
    ----------
    shape
        Integers.
    dtype
        The name of a dtype.
    init
        Makes the first data: a function of `nn.init`.
    trainable
        Whether optimisers change it. One that is not, such as a running mean, is changed by
        `assign`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: str = "float32",
        init: initializers.Initializer = initializers.zeros,
        trainable: bool = True,
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self.init = init
        self.trainable = trainable
        self.data: Any = None
        self.name = ""
        self.bound: Any = None  # while a network is made that takes it as an input

    def assign(self, value: Value) -> None:
        """Make `value` the data of the next step while a training step is traced; else nothing."""
        trace = training_trace()
        if trace is not None:
            trace.updates[self] = value

    def array(self) -> Any:
        """Return the data; zeros where none were given."""
        if self.data is None:
            self.data = np.zeros(self.shape, _core.numpy_dtype(self.dtype))
        return self.data

    def value(self) -> Value:
        """Return what stands for it in a network: a constant, unless the network takes it."""
        if self.bound is not None:
            return as_value(self.bound)
        data = self.array()
        note_constant(self, data)
        return Value(_core.graph_constant(data, self.name))


Self = TypeVar("Self", bound="Module")


class Module:
    """A part of a network: parameters and modules as attributes, and `forward`."""

    training = True
    """Whether it behaves as in training while a training step is traced; see `eval`."""

    def forward(self, *inputs: Any) -> Any:
        """Compute the module's result from symbolic values."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward`."""
        return self.forward(*inputs)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Iterate over the modules that are attributes, or in lists and tuples that are."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}.{i}", item

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Iterate over all parameters with their dotted names."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, module in self.named_children():
            yield from module.named_parameters(f"{prefix}{name}.")

    def train(self: Self, mode: bool = True) -> Self:
        """Take part in training: dropout drops and running values move in a training step."""
        self.training = mode
        for _, module in self.named_children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Behave in training steps as in use, which freezes dropout and running values.

        Outside of training steps every module does so anyway.
        """
        return self.train(False)

    def initialize(self: Self, seed: int = 0) -> Self:
        """Give every parameter its first data, a function of the seed and its dotted name.

        Raises
        ------
        ExpressionError
            The seed is out of range [E0190].
        """
        for name, parameter in self.named_parameters():
            parameter.data = parameter.init(
                parameter.shape, seed=seed, stream=zlib.crc32(name.encode()), dtype=parameter.dtype
            )
            parameter.name = name
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return the parameters' arrays by name."""
        return {name: p.data for name, p in self.named_parameters()}

    def load_state_dict(self, weights: Mapping[str, Any]) -> None:
        """Give every parameter its array, which is kept and not copied.

        Raises
        ------
        ModelError
            Arrays are missing [E0840], there are more than parameters [E0841], or one has another
            shape or dtype [E0842]; nothing is loaded then.
        """
        parameters = dict(self.named_parameters())
        _check_names("E0840", "lacks", [name for name in parameters if name not in weights])
        _check_names(
            "E0841", "should not have", [name for name in weights if name not in parameters]
        )
        for name, parameter in parameters.items():
            array = weights[name]
            if tuple(array.shape) != parameter.shape or str(array.dtype) != parameter.dtype:
                raise ModelError(
                    "E0842",
                    f"parameter '{name}' should be {parameter.dtype} {list(parameter.shape)},"
                    f" got {array.dtype} {list(array.shape)}",
                )
        for name, parameter in parameters.items():
            parameter.data, parameter.name = weights[name], name


def functional_call(module: Module, parameters: Mapping[str, Any], *inputs: Any) -> Any:
    """Run a module with other parameters, as ``torch.func.functional_call`` does.

    Parameters
    ----------
    module
        Its own parameters stay as they are.
    parameters
        Values or arrays by the dotted names of parameters; those that are left out keep their data.
    inputs
        What `forward` is called with.

    Raises
    ------
    ModelError
        The module has no parameter of that name [E0841].
    """
    own = dict(module.named_parameters())
    _check_names("E0841", "should not have", [name for name in parameters if name not in own])
    before = {name: own[name].bound for name in parameters}
    try:
        for name, value in parameters.items():
            own[name].bound = value
        return module(*inputs)
    finally:
        for name, bound in before.items():
            own[name].bound = bound


def _check_names(code: str, verb: str, names: list[str]) -> None:
    if names:
        shown = ", ".join(f"'{name}'" for name in names[:8])
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise ModelError(code, f"the state dict {verb} {shown}{more}")
