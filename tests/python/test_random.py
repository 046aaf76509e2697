"""Random numbers of counters: published vectors, kernels against NumPy, statistics."""

import numpy as np
import pytest

import tenon as tn
from tenon import te
from tenon.nn import init

# tests/kat_vectors of Random123 1.14 (Salmon et al. 2011): counter, key, result of philox4x32 10.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter, key, words):
    assert tuple(int(word) for word in tn.random.philox4x32(counter, key)) == words


def test_a_kernel_computes_the_same_words():
    counters = te.placeholder((4, 3), "uint32", name="counters")
    keys = te.placeholder((2, 3), "uint32", name="keys")

    def word(w):
        return lambda i: tn.random.philox4x32(
            [counters[j, i] for j in range(4)], [keys[j, i] for j in range(2)]
        )[w]

    outputs = [te.compute((3,), word(w), name=f"word{w}") for w in range(4)]
    kernel = tn.build(tn.function([counters, keys], outputs))
    c = np.array([row[0] for row in KNOWN_ANSWERS], np.uint32).T.copy()
    k = np.array([row[1] for row in KNOWN_ANSWERS], np.uint32).T.copy()
    got = np.stack([np.asarray(x) for x in kernel(c, k)], axis=1)
    np.testing.assert_array_equal(got, np.array([row[2] for row in KNOWN_ANSWERS], np.uint32))


def test_bits_are_words_of_consecutive_counters():
    got = tn.random.bits((3, 3), seed=(7 << 32) + 5, stream=2, step=9).ravel()
    for i, word in enumerate(got):
        block = tn.random.philox4x32((i // 4, 0, 2, 9), (5, 7))
        assert word == block[i % 4]


def test_streams_steps_and_seeds_differ_and_repeat():
    draws = [
        tn.random.bits(8, seed=seed, stream=stream, step=step).tobytes()
        for seed in (0, 1, 1 << 32)
        for stream in (0, 1)
        for step in (0, 1)
    ]
    assert len(set(draws)) == len(draws)
    assert tn.random.bits(8, seed=1, stream=1, step=1).tobytes() == draws[7]


def test_uniform_and_normal_have_their_moments():
    u = tn.random.uniform(100_000, -1, 3, seed=1, dtype="float64")
    assert u.min() >= -1
    assert u.max() < 3
    assert abs(u.mean() - 1) < 0.02
    assert abs(u.var() - 16 / 12) < 0.02
    z = tn.random.normal(100_000, 2, 3, seed=1, dtype="float64")
    assert abs(z.mean() - 2) < 0.05
    assert abs(z.std() - 3) < 0.05
    assert abs(((z - z.mean()) ** 3).mean() / z.std() ** 3) < 0.05


def test_a_permutation_has_every_number_once():
    p = tn.random.permutation(1000, seed=3)
    assert sorted(p) == list(range(1000))
    assert abs(np.corrcoef(p, np.arange(1000))[0, 1]) < 0.1
    assert len(tn.random.permutation(0, seed=3)) == 0


@pytest.mark.parametrize("seed", [-1, 1 << 64, 1.5, True])
def test_seeds_are_checked(seed):
    with pytest.raises(tn.ExpressionError, match=r"a seed should be an integer .* got .*\[E0190\]"):
        tn.random.bits(4, seed=seed)


@pytest.mark.parametrize(
    ("initializer", "shape", "variance"),
    [
        (init.glorot_uniform, (300, 200), 2 / 500),
        (init.glorot_normal, (300, 200), 2 / 500),
        (init.he_uniform, (300, 200), 2 / 200),
        (init.he_normal, (64, 32, 3, 3), 2 / (32 * 9)),
        (init.glorot_uniform, (64, 32, 3, 3), 2 / (32 * 9 + 64 * 9)),
    ],
)
def test_initial_weights_have_the_variance_of_their_paper(initializer, shape, variance):
    weights = initializer(shape, seed=4, stream=1)
    assert weights.dtype == np.float32
    assert abs(weights.mean()) < 0.01
    assert abs(weights.var() / variance - 1) < 0.03


def test_a_vector_has_no_fan_in():
    with pytest.raises(tn.ShapeError, match=r"a weight of shape \[3\] has no fan-in.*\[E0490\]"):
        init.he_uniform((3,), seed=0)
