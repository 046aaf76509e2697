"""One step of training as one compiled program: `train_step`."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tenon import _core, te
from tenon._config import config
from tenon._numerics import CheckedNetwork, compile_graph
from tenon._tree import flatten, paths, unflatten
from tenon.errors import ExpressionError, ShapeError
from tenon.nn._mode import TrainingTrace, tracing_training
from tenon.nn._module import Module, Parameter
from tenon.nn._tracing import tracing
from tenon.nn._value import Value
from tenon.optim import Optimizer
from tenon.optim._optimizer import check_setting
from tenon.random import seed_words
from tenon.training._checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tenon.training._data import Array, as_array, check_label_range
from tenon.training._metrics import Metric, accuracy, is_by_labels

__all__ = ["Loss", "TrainStep", "train_step"]

Loss = Callable[[Any, Value], Value]
"""Takes a module's result and the targets and returns a scalar."""


class _Program:
    """A compiled network for inputs of one type, and where its results go."""

    def __init__(
        self,
        core: _core.CompiledNetwork | CheckedNetwork,
        updated: list[int],
        names: list[str],
        classes: int | None,
    ) -> None:
        self.core = core
        self.updated = updated  # the arrays of the training that it replaces, in order
        self.figures = {name: np.zeros((), np.float32) for name in names}
        self.classes = classes  # how many labels there are, if targets are labels


class TrainStep:
    """Forward, loss, backward and update as one compiled program; made by `train_step`.

    It has copies of the module's parameters, which each call changes; `sync` gives them back to the
    module. One program serves every number of rows.
    """

    metrics: dict[str, float]
    """The metrics of the last call."""

    def __init__(
        self,
        module: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        seed: int = 0,
        metrics: Sequence[Metric] | None = None,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.seed = seed
        self.metrics = {}
        self._loss = loss
        self._metrics = metrics
        self._seed_words = np.array(seed_words(seed), np.uint32)
        self._parameters = _distinct(module)
        data = {name: _first_data(name, p, seed) for name, p in self._parameters.items()}
        trainable = {name: data[name] for name, p in self._parameters.items() if p.trainable}
        fixed = {name: array for name, array in data.items() if name not in trainable}
        tree = {"params": trainable, "fixed": fixed, "state": optimizer.init(trainable)}
        self._arrays, self._structure = flatten(tree)
        self._programs: dict[Any, _Program] = {}

    def __call__(self, x: Any, y: Any) -> float:
        """Make one update for a batch, and return the loss before it.

        Parameters
        ----------
        x
            An array ``[rows, ...]``, or a tuple of them for a module of several inputs.
        y
            An array ``[rows, ...]``.

        Raises
        ------
        ShapeError
            The batch is empty [E0493], or the loss is no scalar [E0495].
        IndexError
            A label is out of range [E0660].
        NumericError
            An operator made NaN or infinity, and `config.check_numerics` is on [E0704].
        """
        return self._run(x, y, is_training=True)

    def evaluate(self, x: Any, y: Any) -> float:
        """Return the loss for a batch as in use, without an update; metrics are set too."""
        return self._run(x, y, is_training=False)

    def _run(self, x: Any, y: Any, *, is_training: bool) -> float:
        inputs = [as_array(part) for part in (x if isinstance(x, tuple) else [x])]
        targets = as_array(y)
        program = self._program(inputs, targets, is_training)
        if program.classes is not None:
            check_label_range(targets, program.classes, "the targets")
        # Results are written over what they replace.
        out = [self._arrays[i] for i in program.updated] + list(program.figures.values())
        arrays = [*self._arrays, *inputs, targets, self._seed_words]
        program.core(*arrays, out=out if len(out) > 1 else out[0])
        figures = {name: float(value) for name, value in program.figures.items()}
        loss = figures.pop("loss")
        self.metrics = figures
        return loss

    @property
    def num_updates(self) -> int:
        """How many updates were made."""
        return int(self._tree()["state"]["step"])

    @property
    def learning_rate(self) -> float | None:
        """The learning rate; None if a schedule computes it, and then it cannot be set.

        Setting it compiles nothing. ExpressionError [E0192] for what is no rate.
        """
        rate = self._tree()["state"].get("learning_rate")
        return None if rate is None else float(rate)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if callable(self.optimizer.learning_rate):
            raise ExpressionError("E0192", "learning_rate cannot be set: a schedule computes it")
        check_setting(self.optimizer, "learning_rate", rate, 0.0, math.inf)
        place = self._paths().index("['state']['learning_rate']")
        self._arrays[place] = np.array(rate, np.float64)

    def sync(self) -> Module:
        """Give the module copies of the parameters as they are now."""
        tree = self._tree()
        for name, parameter in self._parameters.items():
            array = tree["params" if parameter.trainable else "fixed"][name]
            parameter.data, parameter.name = array.copy(), name
        return self.module

    def report(self) -> str:
        """Return which kernels the step runs; empty before the first call."""
        return "\n".join(program.core.report() for program in self._programs.values())

    def save(self, path: str | Path, **progress: Any) -> None:
        """Write a checkpoint: parameters, optimiser state, seed, and JSON values of the caller.

        The file appears whole or not at all.

        Raises
        ------
        ResourceError
            The file cannot be written [E0828].
        """
        arrays = dict(zip(self._names(), self._arrays, strict=True))
        settings = {"optimizer": self.optimizer.settings(), "seed": self.seed}
        write_checkpoint(Path(path), Checkpoint(arrays, settings, progress))

    def load(self, path: str | Path) -> dict[str, Any]:
        """Go on from a checkpoint; return the values that `save` was given.

        Raises
        ------
        ModelError
            The file is damaged [E0810 to E0816, E0849, E0850], no checkpoint [E0845, E0848], or of
            another model [E0846], optimiser or seed [E0847]; nothing is changed then.
        """
        found = read_checkpoint(Path(path))
        expected = dict(zip(self._names(), self._arrays, strict=True))
        settings = {"optimizer": self.optimizer.settings(), "seed": self.seed}
        found.check(Path(path), expected, settings)
        self._arrays = [np.array(found.arrays[name]) for name in expected]
        return found.progress

    def _tree(self) -> Any:
        return unflatten(self._structure, self._arrays)

    def _paths(self) -> list[str]:
        return paths(self._structure)

    def _names(self) -> list[str]:
        """Return a name for each array, such as ``state/velocity/0.weight``."""
        return [path[2:-2].replace("']['", "/") for path in self._paths()]

    def _program(self, inputs: list[Array], targets: Array, is_training: bool) -> _Program:
        types = tuple((array.shape[1:], str(array.dtype)) for array in [*inputs, targets])
        for array in [*inputs, targets]:
            if array.ndim == 0 or len(array) == 0:
                raise ShapeError(
                    "E0493",
                    f"a batch should have at least one row, got an array of shape"
                    f" {list(array.shape)}",
                )
        key = (types, is_training, config.check_numerics)
        if key not in self._programs:
            self._programs[key] = self._compile(types, is_training)
        return self._programs[key]

    def _compile(self, types: Sequence[tuple[Any, str]], is_training: bool) -> _Program:
        values = [
            _input(array.shape, str(array.dtype), name)
            for name, array in zip(self._names(), self._arrays, strict=True)
        ]
        tree = unflatten(self._structure, values)
        rows = te.symbol("rows", min=1)
        names = [f"x{i}" if len(types) > 2 else "x" for i in range(len(types) - 1)] + ["y"]
        data = [
            _input((rows, *shape), dtype, name)
            for name, (shape, dtype) in zip(names, types, strict=True)
        ]
        seed = _input((2,), "uint32", "seed")
        trace = TrainingTrace(seed, tree["state"]["step"])
        with ExitStack() as stack:
            stack.enter_context(tracing())
            stack.enter_context(self._bound(tree))
            if is_training:
                stack.enter_context(tracing_training(trace))
            result = self.module(*data[:-1])
            loss = self._loss(result, data[-1])
        if not isinstance(loss, Value) or loss.ndim != 0:
            raise ShapeError("E0495", f"the loss should be a scalar, got {loss!r}")
        figures = {"loss": loss, **self._figures(result, data[-1])}
        new = self._updated_values(tree, trace, loss) if is_training else values
        updated = [i for i, value in enumerate(new) if value is not values[i]]
        outputs = [new[i] for i in updated] + [f.cast("float32") for f in figures.values()]
        core = compile_graph(
            [v._core for v in [*values, *data, seed]],
            [v._core for v in outputs],
            "train_step" if is_training else "evaluate",
            _core.Target("cpu"),
            list(enumerate(updated)),
        )
        by_labels = isinstance(result, Value) and is_by_labels(result, data[-1])
        classes = int(result.shape[-1]) if by_labels else None
        return _Program(core, updated, list(figures), classes)

    def _figures(self, result: Any, targets: Value) -> dict[str, Value]:
        metrics = self._metrics
        if metrics is None:
            by_labels = isinstance(result, Value) and is_by_labels(result, targets)
            metrics = [accuracy] if by_labels else []
        return {
            getattr(m, "__name__", f"metric{i}"): m(result, targets) for i, m in enumerate(metrics)
        }

    def _updated_values(self, tree: Any, trace: TrainingTrace, loss: Value) -> list[Value]:
        names, params = list(tree["params"]), list(tree["params"].values())
        found = _core.graph_vjp([loss._core], [p._core for p in params], [None])
        grads = {
            name: Value(g) if g is not None else param * 0.0
            for name, param, g in zip(names, params, found, strict=True)
        }
        new_params, new_state = self.optimizer.update(tree["params"], grads, tree["state"])
        fixed = {
            name: trace.updates.get(self._parameters[name], value)
            for name, value in tree["fixed"].items()
        }
        leaves, _ = flatten({"params": new_params, "fixed": fixed, "state": new_state})
        return leaves

    @contextmanager
    def _bound(self, tree: Mapping[str, Mapping[str, Value]]) -> Iterator[None]:
        """Let the module's parameters stand for inputs of the program."""
        try:
            for name, parameter in self._parameters.items():
                parameter.bound = tree["params" if parameter.trainable else "fixed"][name]
            yield
        finally:
            for parameter in self._parameters.values():
                parameter.bound = None


def _distinct(module: Module) -> dict[str, Parameter]:
    """Return the parameters, one that several modules share under its first name."""
    found: dict[str, Parameter] = {}
    for name, parameter in module.named_parameters():
        if all(parameter is not other for other in found.values()):
            found[name] = parameter
    return found


def _input(shape: Sequence[Any], dtype: str, name: str) -> Value:
    return Value(_core.graph_input(tuple(shape), dtype, name))


def _first_data(name: str, parameter: Parameter, seed: int) -> Array:
    if parameter.data is not None:
        return np.array(as_array(parameter.data))
    stream = zlib.crc32(name.encode())
    return parameter.init(parameter.shape, seed=seed, stream=stream, dtype=parameter.dtype)


def train_step(
    module: Module,
    loss: Loss,
    optimizer: Optimizer,
    *,
    seed: int = 0,
    metrics: Sequence[Metric] | None = None,
) -> TrainStep:
    """Make a step of training, for loops of one's own; `fit` is the loop that most need.

    Parameters
    ----------
    module
        What is trained. Parameters without data get their first data from the seed.
    loss
        A function of the module's result and the targets that returns a scalar, such as
        `nn.functional.cross_entropy` or a loss module.
    optimizer
        Of `tenon.optim`.
    seed
        Of first data and dropout; from 0 and below 2^64.
    metrics
        Functions as `accuracy`; by default that one where targets are labels.

    Returns
    -------
    TrainStep
        Called as ``step(x, y)`` with arrays of any number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> import tenon as tn
    >>> from tenon import nn
    >>> line = nn.Linear(1, 1)
    >>> step = tn.train_step(line, nn.MSELoss(), tn.optim.SGD(0.5))
    >>> x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    >>> losses = [step(x, 3 * x + 1) for _ in range(60)]
    >>> line = step.sync()
    >>> bool(abs(line.weight.data[0, 0] - 3) < 1e-4 and abs(line.bias.data[0] - 1) < 1e-4)
    True
    """
    return TrainStep(module, loss, optimizer, seed=seed, metrics=metrics)
