"""ONNX recurrent layers, compared with ONNX Runtime."""

from typing import Any

import numpy as np
import onnx_oracle as oracle
import pytest

import tenon as tn

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
LENGTH, BATCH, INPUT, HIDDEN = 5, 3, 4, 6


def operands(op: str, directions: int = 1, layout: int = 0) -> dict[str, Any]:
    """Return every operand of a layer."""
    rng = np.random.default_rng(0)
    rows = GATES[op] * HIDDEN

    def normal(*shape: int) -> Any:
        return (rng.standard_normal(shape) * 0.5).astype("float32")

    state = (BATCH, directions, HIDDEN) if layout else (directions, BATCH, HIDDEN)
    found: dict[str, Any] = {
        "X": normal(*(BATCH, LENGTH, INPUT) if layout else (LENGTH, BATCH, INPUT)),
        "W": normal(directions, rows, INPUT),
        "R": normal(directions, rows, HIDDEN),
        "B": normal(directions, 2 * rows),
        "sequence_lens": np.array([5, 2, 3], "int32"),
        "initial_h": normal(*state),
    }
    if op == "LSTM":
        found["initial_c"] = normal(*state)
        found["P"] = normal(directions, 3 * HIDDEN)
    return found


def num_outputs(op: str) -> int:
    return 3 if op == "LSTM" else 2


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_all_operands(op: str, direction: str) -> None:
    inputs = operands(op, 2 if direction == "bidirectional" else 1)
    constants = {k: inputs.pop(k) for k in list(inputs) if k != "X"}
    oracle.check(
        op,
        inputs,
        constants=constants,
        outputs=num_outputs(op),
        opset=14,
        hidden_size=HIDDEN,
        direction=direction,
    )


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_operands_that_are_inputs_and_left_out(op: str) -> None:
    inputs = operands(op)
    lengths = inputs | {"B": None, "initial_h": None}
    oracle.check(op, lengths, outputs=num_outputs(op), opset=7, hidden_size=HIDDEN)
    few = {k: inputs[k] for k in ("X", "W", "R")}
    oracle.check(op, few, outputs=1, opset=14, hidden_size=HIDDEN)


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_batch_first_is_the_transpose(op: str) -> None:
    last = operands(op, 2)
    first = dict(last)
    for name in ("X", "initial_h", "initial_c"):
        if name in first:
            first[name] = np.ascontiguousarray(first[name].swapaxes(0, 1))
    settings = {"outputs": num_outputs(op), "opset": 14, "direction": "bidirectional"}
    got = oracle.results(oracle.model(op, first, layout=1, hidden_size=HIDDEN, **settings), first)
    wanted = oracle.results(oracle.model(op, last, hidden_size=HIDDEN, **settings), last)
    np.testing.assert_array_equal(got[0], wanted[0].transpose(2, 0, 1, 3))
    for a, b in zip(got[1:], wanted[1:], strict=True):
        np.testing.assert_array_equal(a, b.swapaxes(0, 1))


@pytest.mark.parametrize(
    "names",
    [
        ["Affine", "HardSigmoid"],
        ["LeakyRelu", "Elu"],
        ["Softsign", "Softplus"],
        ["ThresholdedRelu", "ScaledTanh"],
        ["Relu", "Tanh"],
    ],
)
def test_activations(names: list[str]) -> None:
    inputs = operands("RNN", 2)
    takes_beta = {"Affine", "HardSigmoid", "ScaledTanh"}
    takes_alpha = takes_beta | {"LeakyRelu", "Elu", "ThresholdedRelu"}
    settings = {
        "activation_alpha": [0.3 + i for i, name in enumerate(names) if name in takes_alpha],
        "activation_beta": [0.2 + i for i, name in enumerate(names) if name in takes_beta],
    }
    oracle.check(
        "RNN",
        inputs,
        outputs=2,
        opset=14,
        hidden_size=HIDDEN,
        direction="bidirectional",
        activations=names,
        **{k: v for k, v in settings.items() if v},
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"clip": 0.2}),
        ("LSTM", {"clip": 0.2}),
        ("LSTM", {"input_forget": 1}),
        ("GRU", {"activations": ["HardSigmoid", "Relu"]}),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Softsign"]}),
    ],
)
def test_settings(op: str, attributes: dict[str, Any]) -> None:
    inputs = operands(op)
    oracle.check(
        op, inputs, outputs=num_outputs(op), opset=14, hidden_size=HIDDEN, rtol=1e-4, atol=1e-5,
        **attributes,
    )  # fmt: skip


def test_one_network_for_all_lengths() -> None:
    inputs = operands("LSTM")
    constants = {k: inputs[k] for k in ("W", "R", "B")}
    data = oracle.model(
        "LSTM",
        {"X": inputs["X"]},
        constants=constants,
        outputs=3,
        opset=14,
        hidden_size=HIDDEN,
        dims={"X": ["length", "batch", INPUT]},
    )
    network = tn.compile(oracle.load(data))
    for length, batch in ((5, 3), (1, 2), (7, 1)):
        x = np.random.default_rng(length).standard_normal((length, batch, INPUT), "float32")
        got = [np.asarray(r) for r in network(x)]
        oracle.compare(got, oracle.expected(data, {"X": x}))


@pytest.mark.parametrize(
    ("change", "attributes", "message"),
    [
        ({"W": (1, 24, 5)}, {}, "input 1 does not have the shape"),
        ({"B": (1, 24)}, {}, "input 3 does not have the shape"),
        ({"initial_h": (1, 3, 5)}, {}, "an initial state does not have the shape"),
        ({"P": (1, 24)}, {}, "input 7 does not have the shape"),
        ({"sequence_lens": (2,)}, {}, "sequence_lens should be one integer"),
        ({}, {"direction": "sideways"}, "direction is 'sideways'"),
        ({}, {"activations": ["Tanh"]}, "expected 3 activations, got 1"),
        ({}, {"activations": ["Tanh", "Sine", "Tanh"]}, "there is no activation 'Sine'"),
        ({}, {"hidden_size": 7}, "hidden_size differs from the shape of R"),
        ({"X": (5, 3)}, {}, "X, W and R should have 3 axes"),
    ],
)
def test_nodes_that_cannot_be(
    change: dict[str, Any], attributes: dict[str, Any], message: str
) -> None:
    inputs = operands("LSTM")
    for name, shape in change.items():
        inputs[name] = np.zeros(shape, inputs[name].dtype)
    with pytest.raises(tn.ModelError, match=message):
        tn.compile(oracle.load(oracle.model("LSTM", inputs, opset=14, **attributes)))
