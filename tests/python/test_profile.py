"""Times, costs and the log of graph passes of networks."""

import json

import numpy as np
import pytest

import tenon as tn
from tenon import nn
from tenon.nn import functional as f


def mlp():
    module = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
    return tn.compile(module, [tn.TensorSpec(["n", 16], name="x")])


def rows(n):
    return np.ones((n, 16), "float32")


def test_a_profile_counts_operations_and_bytes_of_each_kernel():
    profile = mlp().profile(rows(4), seconds=0.02, roof=False)
    first, second = profile.kernels
    # products, the bias, the comparison of relu
    assert first.operations == 4 * 32 * (2 * 16 + 2)
    assert second.operations == 4 * 8 * (2 * 32 + 1)
    assert second.bytes == 4 * (4 * 32 + 32 * 8 + 8 + 4 * 8)  # not what fills up the panels
    assert [k.calls for k in profile.kernels] == [1, 1]
    assert all(k.seconds > 0 and k.roof is None for k in profile.kernels)
    assert first.flops == first.operations / first.seconds
    assert profile.total.operations == first.operations + second.operations
    assert 0 < profile.latency.minimum <= profile.latency.median <= profile.latency.p90
    assert profile.num_runs >= 5


def test_a_profile_prints_a_table_with_a_total():
    text = str(mlp().profile(rows(2), seconds=0.02))
    lines = text.splitlines()
    assert lines[0].split()[:5] == ["#", "kernel", "result", "calls", "time"]
    assert lines[0].split()[-4:] == ["share", "GF/s", "GB/s", "roof"]
    assert "linear_add_relu" in lines[1]
    assert lines[3].split()[0] == "total"
    assert "latency" in lines[4]
    assert "as measured here" in lines[5]


def test_a_profile_is_plain_data():
    found = json.loads(json.dumps(mlp().profile(rows(2), seconds=0.02).as_dict()))
    assert set(found) == {
        "network",
        "threads",
        "num_runs",
        "latency",
        "peaks",
        "kernels",
        "total",
    }
    assert found["kernels"][0]["roof"] > 0


def test_kernels_in_loops_are_counted_as_often_as_they_run():
    def step(state, x):
        state = f.tanh(state + x)
        return state, state

    net = tn.compile(
        lambda x: tn.scan(step, x[0], x)[1], [tn.TensorSpec([7, 3], name="x")], name="loop"
    )
    profile = net.profile(np.zeros((7, 3), "float32"), seconds=0.02, roof=False)
    looped = [k for k in profile.kernels if "tanh" in k.operators]
    assert [k.calls for k in looped] == [7]
    assert looped[0].operations == 7 * 3 * 2


def test_named_arguments_and_trees_are_profiled_as_they_are_called():
    net = tn.compile(
        lambda pair: pair["a"] + pair["b"],
        [{"a": tn.TensorSpec([3]), "b": tn.TensorSpec([3])}],
    )
    pair = {"a": np.ones(3, "float32"), "b": np.ones(3, "float32")}
    assert net.profile(pair, seconds=0.01, roof=False).kernels[0].operations == 3
    assert mlp().time(x=rows(2), seconds=0.01).median > 0


def test_donated_arguments_stay_as_they_are():
    net = tn.compile(lambda x: x * 2.0, [tn.TensorSpec([4])], donate=0)
    x = np.ones(4, "float32")
    net.profile(x, seconds=0.01, roof=False)
    np.testing.assert_array_equal(x, np.ones(4))


def test_arrays_that_do_not_fit_are_named():
    with pytest.raises(tn.ShapeError, match=r"'x' has shape \[4, 15\].*\[E045"):
        mlp().profile(np.ones((4, 15), "float32"))
    with pytest.raises(tn.DTypeError, match=r"'x' has dtype int64.*\[E0553"):
        mlp().time(np.ones((4, 16), "int64"))


def test_profiles_are_of_the_network_when_numerics_are_checked():
    tn.config.check_numerics = True
    try:
        net = mlp()
        assert net.profile(rows(2), seconds=0.01, roof=False).kernels
        assert net.rewrites() is not None
    finally:
        tn.config.check_numerics = False


def test_rewrites_say_what_became_of_operators_and_why():
    def network(x):
        return f.exp(x) + f.exp(x)

    rewrites = tn.compile(network, [tn.TensorSpec([5], name="x")]).rewrites()
    shared = [r for r in rewrites if r.graph_pass == "share_equal_values"]
    assert [r.node for r in shared] == ["exp -> float32[5]"]
    assert shared[0].action == "removed"
    assert "test_profile.py" in shared[0].line
    fused = [r for r in rewrites if r.graph_pass == "fuse"]
    assert any(r.node.startswith("exp") and r.kernel == 0 for r in fused)


def test_folded_batch_norms_are_in_the_log():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm(4))
    net = tn.compile(module, [tn.TensorSpec(["n", 8, 8, 3])])
    folded = [r for r in net.rewrites() if r.graph_pass == "fold_batch_norms"]
    assert len(folded) == 1
    assert "changes roundings" in folded[0].reason
    assert "fold_batch_norms: removed (constant statistics" in net.report()
