"""What uses no input is computed at compile time, within bounds of memory."""

import resource

import numpy as np
import onnx_graphs as onnx
import pytest

import tenon as tn

BILLIONS = 2**33


def left(network):
    """Operators that were not computed at compile time."""
    return [
        r.node for r in network.rewrites() if (r.graph_pass, r.action) == ("fold_constants", "left")
    ]


def expanded(scalar, shape):
    """Nodes that make `wide`: a scalar expanded and doubled, of no input."""
    return [
        onnx.node("Expand", "c to", "wide_c"),
        onnx.node("Add", "wide_c wide_c", "wide"),
    ], {"c": np.float32(scalar), "to": np.array(shape)}


def test_billions_of_elements_are_not_computed_before_they_are_read():
    nodes, constants = expanded(1.5, [BILLIONS])
    constants |= {"first": np.array([5]), "last": np.array([9])}
    nodes += [onnx.node("Slice", "wide first last", "part"), onnx.node("Add", "part x", "y")]
    x = {"x": np.arange(4, dtype="float32")}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network = onnx.network(onnx.model(nodes, x, constants=constants))
    assert np.array_equal(network(**x).numpy(), x["x"] + 3)
    # In KiB: nothing like the 32 GiB of the whole.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20
    assert left(network) == [f"add -> float32[{BILLIONS}]"]


def test_small_ones_are_computed_once():
    nodes, constants = expanded(1.5, [1000])
    nodes += [onnx.node("Mul", "wide x", "y")]
    x = {"x": np.ones(1000, "float32")}
    network = onnx.network(onnx.model(nodes, x, constants=constants))
    assert left(network) == []
    assert any(r.graph_pass == "fold_constants" for r in network.rewrites())
    assert len(network(**x).numpy()) == 1000


def test_all_of_them_together_are_bounded():
    constants = {"to": np.array([4096, 3072]), "at": np.array([2]), "end": np.array([4])}
    nodes = []
    for n in range(6):
        constants[f"c{n}"] = np.float32(n)
        nodes += [
            onnx.node("Expand", f"c{n} to", f"wide{n}"),
            onnx.node("Exp", f"wide{n}", f"large{n}"),  # 48 MiB
            onnx.node("Slice", f"large{n} at end", f"part{n}"),
            onnx.node("Gather", f"part{n} x", f"rows{n}"),
        ]
    nodes.append(onnx.node("Sum", " ".join(f"rows{n}" for n in range(6)), "y"))
    x = {"x": np.array([1, 0])}
    network = onnx.network(onnx.model(nodes, x, constants=constants))
    assert left(network) == ["exp -> float32[4096, 3072]"]
    expected = np.full((2, 3072), np.exp(np.arange(6)).sum(), "float32")
    np.testing.assert_allclose(network(**x).numpy(), expected, rtol=1e-6)


def test_what_weights_allow_grows_with_them():
    constants = {"w": np.ones((5000, 5000), "int8"), "half": np.float32(0.5)}  # 24 MiB
    nodes = [
        onnx.node("Cast", "w", "wide", to=1),  # 95 MiB
        onnx.node("Mul", "wide half", "scaled"),
        onnx.node("MatMul", "x scaled", "y"),
    ]
    x = {"x": np.ones((2, 5000), "float32")}
    network = onnx.network(onnx.model(nodes, x, constants=constants))
    assert left(network) == []
    assert np.array_equal(network(**x).numpy(), np.full((2, 5000), 2500, "float32"))


@pytest.mark.parametrize("shape", [[2**60, 4], [2**31, 2**31, 2**31]])
def test_a_shape_that_no_machine_can_hold_is_refused_by_name(shape):
    nodes, constants = expanded(1.5, shape)
    nodes += [onnx.node("ReduceSum", "wide", "sum"), onnx.node("Add", "sum x", "y")]
    with pytest.raises(tn.ShapeError, match=r"result of 'add' is float32\[\d+, .*2\^47.*\[E1160\]"):
        onnx.network(onnx.model(nodes, {"x": np.ones(1, "float32")}, constants=constants))
