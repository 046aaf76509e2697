"""Random numbers that networks draw: those of tn.random, in any layout of work; moments."""

import numpy as np
import pytest

import tenon as tn
from tenon.nn import functional as f

SEED = (5 << 32) + 7
KEY = np.array(tn.random.seed_words(SEED), np.uint32)
SPECS = [tn.TensorSpec((2,), "uint32"), tn.TensorSpec((), "int64")]


def drawn(draw, step=0, stream=3, target=None, **more):
    """What `draw`, a function of the source, gives in a network."""
    network = tn.compile(
        lambda seed, count: draw(seed=seed, stream=stream, step=count, **more),
        SPECS,
        **({} if target is None else {"target": target}),
    )
    return np.asarray(network(KEY, np.array(step)))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (5, 3), (2, 3, 41)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_uniform_numbers_are_those_of_the_library(shape, dtype):
    got = drawn(lambda **source: f.random_uniform(shape, -2, 3, dtype=dtype, **source), step=9)
    expected = tn.random.uniform(shape, -2, 3, seed=SEED, stream=3, step=9, dtype=dtype)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_normal_numbers_are_those_of_the_library():
    got = drawn(lambda **source: f.random_normal((40, 25), 1, 2, dtype="float64", **source), step=2)
    expected = tn.random.normal((40, 25), 1, 2, seed=SEED, stream=3, step=2, dtype="float64")
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-14)
    single = drawn(lambda **source: f.random_normal((40, 25), 1, 2, **source), step=2)
    np.testing.assert_array_equal(single, got.astype("float32"))


def test_bits_do_not_depend_on_threads_or_the_level_of_the_cpu():
    def draw(**source):
        return f.random_normal((300, 1001), **source)

    expected = drawn(draw)
    before = tn.config.threads
    try:
        tn.config.threads = 1
        np.testing.assert_array_equal(drawn(draw), expected)
        np.testing.assert_array_equal(drawn(draw, target="cpu -mcpu=x86-64-v3"), expected)
    finally:
        tn.config.threads = before


def test_a_part_of_a_batch_draws_its_numbers():
    network = tn.compile(
        lambda x, seed, step: x * f.random_uniform(x.shape, seed=seed, stream=0, step=step),
        [tn.TensorSpec(("n", 6)), *SPECS],
    )
    x = np.ones((40, 6), np.float32)
    whole = network(x, KEY, np.array(1)).numpy()
    np.testing.assert_array_equal(whole, tn.random.uniform((40, 6), seed=SEED, step=1))
    np.testing.assert_array_equal(network(x[:11], KEY, np.array(1)).numpy(), whole[:11])


def test_moments_of_uniform_and_normal_numbers():
    u = drawn(lambda **source: f.random_uniform((100_000,), dtype="float64", **source))
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    assert abs(u.mean() - 0.5) < 3e-3  # 3 standard deviations of the mean
    assert abs(u.var() - 1 / 12) < 1e-3
    z = drawn(lambda **source: f.random_normal((100_000,), dtype="float64", **source))
    assert abs(z.mean()) < 0.01
    assert abs(z.var() - 1) < 0.015
    assert abs((z**3).mean()) < 0.03
    assert abs((z**4).mean() - 3) < 0.1


def test_neighbours_streams_steps_and_seeds_are_independent():
    def draw(**source):
        return f.random_normal((50_000,), **source)

    one = drawn(draw)
    others = [one[1:], one[4:], drawn(draw, stream=4), drawn(draw, step=1)]
    for other in others:
        n = len(other)
        assert abs(np.corrcoef(one[:n], other)[0, 1]) < 0.02  # 4 standard deviations
    # Pairs of one counter, as Box and Muller have them: the plane has no preferred direction.
    pairs = one.reshape(-1, 2)
    counts = np.bincount((np.arctan2(*pairs.T) * 4 / np.pi + 4).astype(int) % 8, minlength=8)
    expected = len(pairs) / 8
    assert ((counts - expected) ** 2 / expected).sum() < 24  # 99.9 % of chi squared, 7 degrees


def test_bernoulli_is_true_with_the_probability_of_the_place():
    p = np.repeat(np.array([[0.0], [0.1], [0.5], [0.93], [1.0]], np.float32), 20_000, axis=1)
    network = tn.compile(
        lambda p, seed, step: f.bernoulli(p, seed=seed, stream=1, step=step),
        [tn.TensorSpec(p.shape), *SPECS],
    )
    got = network(p, KEY, np.array(4)).numpy()
    fractions = tn.random.uniform(p.shape, seed=SEED, stream=1, step=4, dtype="float64")
    np.testing.assert_array_equal(got, fractions < p)
    np.testing.assert_allclose(got.mean(axis=1), p[:, 0], atol=0.011)  # 3 standard deviations
    assert not got[0].any()
    assert got[-1].all()


def test_the_gradient_goes_past_what_is_drawn():
    def total(x, seed, step):
        return (x * x * f.random_uniform(x.shape, seed=seed, stream=0, step=step)).sum()

    x = np.arange(6, dtype="float32").reshape(2, 3)
    gradient = tn.compile(tn.grad(total), [tn.TensorSpec((2, 3)), *SPECS])(x, KEY, np.array(0))
    u = tn.random.uniform((2, 3), seed=SEED)
    np.testing.assert_allclose(np.asarray(gradient), 2 * x * u, rtol=1e-6)


def test_sources_are_checked():
    with pytest.raises(tn.ExpressionError, match=r"a stream should be an integer .*\[E0190\]"):
        drawn(lambda **source: f.random_uniform((3,), **source), stream=-1)
    with pytest.raises(tn.ShapeError, match=r"\[E0486\]"):
        tn.compile(
            lambda seed, step: f.random_uniform((3,), seed=seed, stream=0, step=step),
            [tn.TensorSpec((3,), "uint32"), tn.TensorSpec((), "int64")],
        )
    with pytest.raises(tn.DTypeError, match=r"\[E0540\]"):
        tn.compile(
            lambda seed, step: f.random_uniform((3,), seed=seed, stream=0, step=step),
            [tn.TensorSpec((2,), "int64"), tn.TensorSpec((), "int64")],
        )
