"""Dropout: which elements stay, that the rest is scaled, and when it does nothing."""

import numpy as np
import pytest

import tenon as tn
from tenon import nn, optim
from tenon.nn import functional as f

SEED, STEP = np.array([1, 2], np.uint32), np.array(7)


def dropped(x, rate, stream=5):
    specs = [tn.TensorSpec(("n", *x.shape[1:])), tn.TensorSpec((2,), "uint32")]
    network = tn.compile(
        lambda x, seed, step: f.dropout(x, rate, seed, stream, step),
        [*specs, tn.TensorSpec((), "int64")],
    )
    return np.asarray(network(x, SEED, STEP))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_words_of_the_generator_decide(rate):
    x = np.random.default_rng(0).standard_normal((40, 7, 13), dtype=np.float32)
    places = np.arange(x.size).reshape(x.shape)
    stays = tn.random.philox4x32((places, 0, 5, 7), (1, 2))[0] >= round(rate * 2**32)
    np.testing.assert_allclose(dropped(x, rate), np.where(stays, x / (1 - rate), 0), rtol=1e-6)
    assert abs(stays.mean() - (1 - rate)) < 0.02


def test_rows_of_a_smaller_batch_are_those_of_a_larger_one():
    x = np.ones((40, 6), np.float32)
    np.testing.assert_array_equal(dropped(x[:11], 0.4), dropped(x, 0.4)[:11])
    assert (dropped(x, 0.4) != dropped(x, 0.4, stream=6)).any()


class Noisy(nn.Module):
    """Two dropouts, whose product is zero where either drops."""

    def __init__(self):
        self.scale = nn.Parameter((200,), init=nn.init.ones)
        self.first, self.second = nn.Dropout(0.5), nn.Dropout(0.5)

    def forward(self, x):
        x = x * self.scale.value()
        return self.first(x) * self.second(x)


def mean(result, _):
    return result.mean()


def test_dropout_acts_in_training_steps_alone():
    x, y = np.ones((50, 200), np.float32), np.zeros(50, np.int64)
    step = tn.train_step(Noisy(), mean, optim.SGD(0.0), seed=3, metrics=[])
    losses = [step(x, y) for _ in range(5)]
    assert len(set(losses)) == 5  # each step drops others
    assert abs(np.mean(losses) - 1) < 0.05  # two streams: with one the mean would be 2
    assert step.evaluate(x, y) == 1
    again = tn.train_step(Noisy(), mean, optim.SGD(0.0), seed=3, metrics=[])
    assert [again(x, y) for _ in range(5)] == losses
    other = tn.train_step(Noisy(), mean, optim.SGD(0.0), seed=4, metrics=[])
    assert other(x, y) != losses[0]
    module = Noisy().initialize()
    assert np.asarray(tn.compile(module, [x])(x)).min() == 1


def test_eval_freezes_a_part():
    x, y = np.ones((50, 200), np.float32), np.zeros(50, np.int64)
    module = Noisy()
    module.eval()
    assert not module.first.training
    assert tn.train_step(module, mean, optim.SGD(0.0), metrics=[])(x, y) == 1
    module.train()
    assert tn.train_step(module, mean, optim.SGD(0.0), metrics=[])(x, y) != 1


def test_the_gradient_flows_through_what_stays():
    x = np.ones((1, 200), np.float32)
    module = nn.Sequential(nn.Dropout(0.5))
    module.scale = nn.Parameter((200,), init=nn.init.ones)
    module.forward = lambda x: module.named_children().__next__()[1](x * module.scale.value())
    step = tn.train_step(module, lambda r, _: r.sum(), optim.SGD(1.0), metrics=[])
    step(x, x)
    step.sync()
    # The gradient is 2 where the element stayed, else 0.
    assert set(np.unique(module.scale.data)) == {-1.0, 1.0}


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_the_rate_is_checked(rate):
    with pytest.raises(tn.ExpressionError, match=rf"rate should be .* got {rate} \[E0194\]"):
        nn.Dropout(rate)
