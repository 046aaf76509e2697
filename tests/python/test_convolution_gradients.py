"""Gradients through convolutions, pooling and normalisation against central differences."""

import numpy as np
import pytest

import tenon as tn
from tenon import nn, optim
from tenon.nn import functional as f


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


WEIGHT, BIAS = random(8, seed=3), random(8, seed=4)
CASES = {
    "conv": (lambda x, w: f.conv2d(x, w, padding=1), (2, 5, 6, 3), (3, 3, 3, 8)),
    "stride": (lambda x, w: f.conv2d(x, w, stride=2, padding=1), (1, 6, 7, 3), (3, 3, 3, 8)),
    "dilation": (lambda x, w: f.conv2d(x, w, padding=2, dilation=2), (1, 6, 5, 2), (3, 3, 2, 4)),
    "groups": (lambda x, w: f.conv2d(x, w, groups=2), (1, 4, 5, 4), (2, 2, 2, 6)),
    "depthwise": (lambda x, w: f.conv2d(x, w, groups=5, padding=1), (2, 4, 5, 5), (3, 3, 1, 5)),
    "pointwise": (lambda x, w: f.conv2d(x, w), (2, 4, 5, 6), (1, 1, 6, 8)),
    "pointwise with stride": (lambda x, w: f.conv2d(x, w, stride=2), (1, 5, 6, 6), (1, 1, 6, 8)),
    "line": (lambda x, w: f.conv1d(x, w, stride=3, padding=2), (2, 11, 3), (4, 3, 5)),
    "volume": (lambda x, w: f.conv3d(x, w, padding=1), (1, 3, 4, 3, 2), (3, 2, 3, 2, 4)),
    "transposed": (lambda x, w: f.conv_transpose2d(x, w, None, 2, 1), (1, 4, 5, 3), (4, 4, 3, 5)),
    "max pool": (lambda x, w: f.max_pool2d(x, 3, 2, 1) * w, (2, 6, 7, 4), (4,)),
    "avg pool": (
        lambda x, w: f.avg_pool2d(x, 3, 2, 1, count_padding=False) * w,
        (2, 6, 7, 4),
        (4,),
    ),
    "batch norm": (lambda x, w: f.batch_norm_of_batch(x, w, BIAS)[0], (3, 2, 4, 8), (8,)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    function, *shapes = CASES[name]
    x, w = (random(*shape, seed=s) for s, shape in enumerate(shapes))
    y = np.asarray(tn.compile(function, [x, w])(x, w))
    cotangent = random(*y.shape, seed=5)

    def loss(x, w):
        return (function(x, w) * cotangent).sum()

    compiled = tn.compile(loss, [x, w])
    gradients = tn.grad(loss, argnums=(0, 1))(x, w)
    for i, gradient in enumerate(gradients):
        direction = random(*(x, w)[i].shape, seed=6 + i)
        h = 1e-6
        ends = []
        for sign in (1, -1):
            operands = [x, w]
            operands[i] = operands[i] + sign * h * direction
            ends.append(float(np.asarray(compiled(*operands))))
        expected = (ends[0] - ends[1]) / (2 * h)
        got = (np.asarray(gradient) * direction).sum()
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_convolutional_network_trains_and_moves_running_statistics():
    class Classifier(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(1, 8, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm(8, momentum=0.5)
            self.pool, self.mean = nn.MaxPool2d(2), nn.GlobalAvgPool()
            self.output = nn.Linear(8, 2)

        def forward(self, x):
            y = self.pool(f.relu(self.norm(self.conv(x))))
            return self.output(self.mean(y))

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 32)
    x = rng.standard_normal((32, 6, 6, 1)).astype(np.float32) * 0.3
    x[labels == 1, :, ::2] += 1  # stripes
    model = Classifier()
    step = tn.train_step(model, nn.CrossEntropyLoss(), optim.SGD(0.2, momentum=0.9))
    losses = [step(x, labels)]
    step.sync()
    assert np.abs(model.norm.running_mean.data).max() > 0
    losses += [step(x, labels) for _ in range(30)]
    assert losses[-1] < 0.3 * losses[0]
    step.sync()
    network = tn.compile(model.eval(), [x])
    predicted = np.asarray(network(x)).argmax(axis=1)
    assert (predicted == labels).mean() > 0.9
    assert "conv_add_relu" in network.report()
