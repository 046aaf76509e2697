"""Losses against their formulas in NumPy, at ordinary and at extreme values."""

import numpy as np
import pytest

import tenon as tn
from tenon import nn
from tenon.nn import functional as f

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 5)).astype(np.float32)
T = RNG.standard_normal((6, 5)).astype(np.float32)
LABELS = np.array([0, 4, 2, 2, 1, 3])


def value_of(function, *arrays):
    return np.asarray(tn.compile(function, list(arrays))(*arrays))


def log_softmax(x):
    x = x.astype(np.float64)
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def cross_entropy(x, labels, smoothing):
    logp = log_softmax(x)
    spread = np.full_like(logp, smoothing / x.shape[-1])
    spread[np.arange(len(x)), labels] += 1 - smoothing
    return -(spread * logp).sum(-1)


def huber(x, t, delta):
    d = np.abs(x.astype(np.float64) - t)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def bce(x, t):
    x = x.astype(np.float64)
    return t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)


P = (1 / (1 + np.exp(-T))).astype(np.float32)
CASES = {
    "mse": (nn.MSELoss, {}, X, T, (X.astype(np.float64) - T) ** 2),
    "l1": (nn.L1Loss, {}, X, T, np.abs(X.astype(np.float64) - T)),
    "huber": (nn.HuberLoss, {"delta": 0.7}, X, T, huber(X, T, 0.7)),
    "bce": (nn.BCEWithLogitsLoss, {}, X, P, bce(X, P)),
    "nll": (nn.NLLLoss, {}, X, LABELS, -X[np.arange(6), LABELS].astype(np.float64)),
    "cross_entropy": (nn.CrossEntropyLoss, {}, X, LABELS, cross_entropy(X, LABELS, 0)),
    "smoothed": (
        nn.CrossEntropyLoss,
        {"label_smoothing": 0.2},
        X,
        LABELS,
        cross_entropy(X, LABELS, 0.2),
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", CASES)
def test_losses_equal_their_formulas(case, reduction):
    loss, settings, x, target, expected = CASES[case]
    got = value_of(loss(**settings, reduction=reduction), x, target)
    if reduction != "none":
        expected = getattr(expected, reduction)()
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-7)


def test_log_softmax_along_any_axis():
    np.testing.assert_allclose(value_of(f.log_softmax, X), log_softmax(X), rtol=1e-6, atol=1e-6)
    got = value_of(lambda x: f.log_softmax(x, 0), X)
    np.testing.assert_allclose(got, log_softmax(X.T).T, rtol=1e-6, atol=1e-6)


def test_extreme_logits_stay_finite_and_exact():
    x = np.array([[1e4, -1e4, 0], [3e38, -3e38, 3e38], [-100, 0, 20]], np.float32)
    labels = np.array([1, 0, 2])
    got = value_of(lambda x, y: f.cross_entropy(x, y, reduction="none"), x, labels)
    np.testing.assert_allclose(got, [2e4, np.log(2), np.log1p(np.exp(-20.0))], rtol=1e-6, atol=3e-9)
    x = np.array([-1e30, -80, -20, 0, 20, 80, 1e30], np.float32)
    for t in (0.0, 1.0):
        target = np.full_like(x, t)
        got = value_of(
            lambda x, y: f.binary_cross_entropy_with_logits(x, y, reduction="none"), x, target
        )
        np.testing.assert_allclose(got, bce(x, target), rtol=1e-6, atol=0)


def test_labels_of_sequences():
    x = RNG.standard_normal((2, 3, 5)).astype(np.float32)
    labels = RNG.integers(0, 5, (2, 3)).astype(np.int32)
    got = value_of(lambda x, y: f.cross_entropy(x, y, reduction="none"), x, labels)
    expected = cross_entropy(x.reshape(6, 5), labels.ravel(), 0).reshape(2, 3)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def value(shape, dtype="float32"):
    return nn.Value(tn._core.graph_input(shape, dtype, "x"))


def test_mistakes_are_named():
    scores, labels = value([4, 5]), value([4], "int64")
    with pytest.raises(tn.ShapeError, match=r"labels should have the shape of the scores.*E0491"):
        f.cross_entropy(scores, value([5], "int64"))
    with pytest.raises(tn.DTypeError, match=r"float scores and integer labels, got .*E0546"):
        f.nll_loss(scores, value([4]))
    with pytest.raises(tn.ShapeError, match=r"mse_loss: prediction and target .*E0492"):
        f.mse_loss(scores, value([4]))
    with pytest.raises(
        tn.DTypeError, match=r"floats of one dtype, got float32 and float64 .*E0547"
    ):
        f.l1_loss(scores, value([4, 5], "float64"))
    with pytest.raises(tn.ExpressionError, match=r"reduction should be .* got 'avg' .*E0193"):
        f.cross_entropy(scores, labels, reduction="avg")
    with pytest.raises(tn.ExpressionError, match=r"label_smoothing should be .* got 1.5 .*E0194"):
        f.cross_entropy(scores, labels, label_smoothing=1.5)
    with pytest.raises(tn.ExpressionError, match=r"delta should be positive, got 0 .*E0194"):
        f.huber_loss(scores, scores, delta=0)


def softmax(x):
    return np.exp(log_softmax(x))


GRADIENTS = {
    "mse": 2 * (X.astype(np.float64) - T) / X.size,
    "l1": np.sign(X - T) / X.size,
    "huber": np.clip(X - T, -0.7, 0.7) / X.size,
    "bce": (1 / (1 + np.exp(-X.astype(np.float64))) - P) / X.size,
    "nll": -np.eye(5)[LABELS] / 6,
    "cross_entropy": (softmax(X) - np.eye(5)[LABELS]) / 6,
    "smoothed": (softmax(X) - 0.8 * np.eye(5)[LABELS] - 0.04) / 6,
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients_equal_their_formulas(case):
    loss, settings, x, target, _ = CASES[case]
    got = np.asarray(tn.grad(lambda x: loss(**settings)(x, target))(x))
    np.testing.assert_allclose(got, GRADIENTS[case], rtol=2e-5, atol=1e-8)


def test_gradients_at_extreme_logits_stay_finite():
    x = np.array([[1e4, -1e4, 0], [3e38, -3e38, 3e38], [-100, 0, 20]], np.float32)
    got = np.asarray(tn.grad(lambda x: f.cross_entropy(x, np.array([1, 0, 2])))(x))
    expected = (softmax(x) - np.eye(3)[[1, 0, 2]]) / 3
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-8)
    x = np.array([-1e30, -80, 0, 80, 1e30], np.float32)
    t = np.array([1, 1, 0.5, 0, 0], np.float32)
    got = np.asarray(tn.grad(lambda x: f.binary_cross_entropy_with_logits(x, t))(x))
    np.testing.assert_allclose(got, np.array([-1, -1, 0, 1, 1]) / 5, rtol=1e-6)


@pytest.mark.parametrize("label", [5, -1])
def test_a_label_out_of_range_is_an_error_when_the_network_runs(label):
    wrong = LABELS.copy()
    wrong[3] = label
    network = tn.compile(f.cross_entropy, [tn.TensorSpec((6, 5)), tn.TensorSpec((6,), "int64")])
    with pytest.raises(tn.IndexError, match=rf"index {label} is out of range .* of size 5 .*E0651"):
        network(X, wrong)


def test_losses_of_batches_and_second_derivatives():
    x = np.stack([X, T])
    each = tn.vmap(tn.grad(lambda x: f.cross_entropy(x, LABELS)))(x)
    for got, expected in zip(np.asarray(each), x, strict=True):
        np.testing.assert_allclose(
            got, (softmax(expected) - np.eye(5)[LABELS]) / 6, rtol=2e-5, atol=1e-8
        )
    v = T
    second = tn.grad(lambda x: (tn.grad(lambda x: f.cross_entropy(x, LABELS))(x) * v).sum())(X)
    p = softmax(X)
    hessian = p * (v - (p * v).sum(-1, keepdims=True)) / 6
    np.testing.assert_allclose(np.asarray(second), hessian, rtol=2e-5, atol=1e-8)
