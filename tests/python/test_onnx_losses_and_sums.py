"""Losses and running sums of ONNX: dtypes, symbolic sizes, labels that are no class, errors."""

from typing import Any

import numpy as np
import pytest
from onnx_models import compiled, one_node, run

import tenon as tn


def cross_entropy(scores: Any, labels: Any, weights: Any, ignored: int | None) -> Any:
    """Return the weighted mean and log-probabilities, in float64."""
    x = scores.astype(np.float64)
    log_p = x - x.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    kept = labels != ignored if ignored is not None else np.full(labels.shape, True)
    safe = np.where(kept, labels, 0)
    w = np.where(kept, weights[safe], 0.0)
    losses = -np.take_along_axis(log_p, safe[:, None], 1)[:, 0] * w
    return losses.sum() / w.sum(), log_p


@pytest.mark.parametrize(
    ("dtype", "rtol"), [(np.float16, 2e-3), (np.float32, 1e-5), (np.float64, 1e-12)]
)
def test_cross_entropy_is_stable_and_skips_what_is_ignored(dtype: Any, rtol: float) -> None:
    rng = np.random.default_rng(0)
    scores = (rng.standard_normal((6, 5, 3)) * 20 + 500).astype(dtype)
    labels = rng.integers(0, 5, (6, 3))
    labels[0] = -100
    weights = rng.uniform(0.5, 2, 5).astype(dtype)
    loss, log_p = run(
        "SoftmaxCrossEntropyLoss", [scores, labels, weights], outputs=2, ignore_index=-100
    )
    wanted, wanted_log_p = cross_entropy(scores, labels, weights.astype(np.float64), -100)
    assert loss.dtype == dtype
    np.testing.assert_allclose(loss, wanted, rtol=rtol)
    np.testing.assert_allclose(log_p, wanted_log_p, rtol=rtol, atol=rtol * 50)


def test_a_label_that_is_no_class_is_named() -> None:
    x = np.zeros((2, 3), np.float32)
    network = compiled(one_node("NegativeLogLikelihoodLoss", [x, np.array([0, 1])]))
    assert float(network(x, np.array([2, 0]))) == 0
    with pytest.raises(tn.IndexError, match="3"):
        network(x, np.array([0, 3]))


@pytest.mark.parametrize(
    ("inputs", "attributes", "message"),
    [
        ([np.zeros((2, 3), np.float32), np.zeros(3, np.int64)], {}, r"labels \[N, ...\]"),
        ([np.zeros((2, 3), np.float32), np.zeros(2, np.float32)], {}, "integer labels"),
        (
            [np.zeros((2, 3), np.float32), np.zeros(2, np.int64), np.ones(2, np.float32)],
            {},
            "one weight for each",
        ),
        (
            [np.zeros((2, 3), np.float32), np.zeros(2, np.int64)],
            {"reduction": "most"},
            "none, sum or mean, got 'most'",
        ),
    ],
)
def test_losses_that_do_not_fit(inputs: Any, attributes: Any, message: str) -> None:
    with pytest.raises(tn.ModelError, match=message):
        run("NegativeLogLikelihoodLoss", inputs, **attributes)


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int32, np.int64, np.uint64]
)
@pytest.mark.parametrize("flags", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_running_sums(dtype: Any, flags: tuple[int, int]) -> None:
    reverse, exclusive = flags
    x = np.random.default_rng(1).integers(0, 9, (3, 5, 4)).astype(dtype)
    wanted = np.flip(x, 1) if reverse else x
    if exclusive:
        wanted = np.concatenate([np.zeros((3, 1, 4), dtype), wanted[:, :-1]], 1)
    wanted = np.cumsum(wanted, 1, dtype=dtype)
    wanted = np.flip(wanted, 1) if reverse else wanted
    got = run("CumSum", [x, np.array(-2)], constants=(1,), reverse=reverse, exclusive=exclusive)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, wanted)


def test_running_sums_of_any_length() -> None:
    x = np.ones((2, 3), np.float32)
    network = compiled(one_node("CumSum", [x, np.array(1)], constants=(1,), sizes={0: ["n", "m"]}))
    for shape in ((2, 3), (1, 5000), (4, 0)):
        x = np.random.default_rng(2).standard_normal(shape, np.float32)
        np.testing.assert_allclose(network(x), np.cumsum(x, 1, dtype=np.float64), atol=1e-3)
    with pytest.raises(tn.ModelError, match="axis 2 is out of range for 2 dimensions"):
        run("CumSum", [x, np.array(2)], constants=(1,))
    with pytest.raises(tn.ModelError, match="expected numbers along an axis"):
        run("CumSum", [x > 0, np.array(0)], constants=(1,))
