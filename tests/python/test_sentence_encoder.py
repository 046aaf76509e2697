"""Tokenisation, batching and order of the sentence encoder, over a network that only counts."""

import numpy as np
import pytest
from mixed_sentences import mixed_sentences
from tiny_model import WORDS, tiny_tokenizer

from tenon.errors import DTypeError
from tenon.models.sentence_encoder import SentenceEncoder


class CountingNetwork:
    """Stands for the compiled network: a row is its first, its last and its number of tokens."""

    def __init__(self):
        self.shapes = []

    def __call__(self, ids, mask):
        assert ids.dtype == np.int64
        assert mask.dtype == np.bool_
        assert (ids[~mask] == 0).all()
        assert (mask[:, :-1] >= mask[:, 1:]).all()
        self.shapes.append(ids.shape)
        lengths = mask.sum(1)
        first, last = ids[:, 1], ids[np.arange(len(ids)), lengths - 2]
        return np.stack([first, last, lengths], 1).astype(np.float32)


@pytest.fixture
def encoder():
    return SentenceEncoder(CountingNetwork(), tiny_tokenizer(), dimension=3, max_seq_length=16)


def test_stored_truncation_and_padding_are_overridden(encoder):
    tokens = encoder.tokenize(["a b", "a b c d e f g h i j k l m n o p q r s t", ""])
    assert [len(ids) for ids in tokens] == [4, 16, 2]
    assert [WORDS[index] for index in tokens[0]] == ["[CLS]", "a", "b", "[SEP]"]
    assert [WORDS[index] for index in tokens[1]] == ["[CLS]", *"abcdefghijklmn", "[SEP]"]


def test_results_are_in_the_callers_order(encoder):
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(WORDS[4:], rng.integers(1, 15))) for _ in range(500)]
    vectors = encoder.encode(texts)
    assert vectors.dtype == np.float32
    for text, vector in zip(texts, vectors, strict=True):
        words = text.split()
        assert list(vector) == [WORDS.index(words[0]), WORDS.index(words[-1]), len(words) + 2]


def test_batches_are_of_similar_length_and_bounded(encoder):
    encoder.encode(["a b c d e f g h i j k l m n"] * 100 + ["a"] * 1000)
    shapes = encoder.network.shapes
    assert all(rows * length <= 1024 for rows, length in shapes)
    assert sum(rows * length for rows, length in shapes) <= 1.2 * (100 * 16 + 1000 * 3)


def test_any_iterable_and_no_sentence_at_all(encoder):
    assert encoder.encode([]).shape == (0, 3)
    assert encoder.encode(iter(["a", "b"])).shape == (2, 3)
    assert encoder.encode(np.array(["a", "b", "c"])).shape == (3, 3)
    assert encoder.network.shapes


def test_mixed_sentences_are_all_encoded(encoder):
    texts = mixed_sentences(1000)
    assert "" in texts
    assert len(texts) == len(encoder.encode(texts)) == 1000


def test_lower_case_is_applied_before_the_tokenizer():
    lower = SentenceEncoder(
        CountingNetwork(), tiny_tokenizer(), dimension=3, max_seq_length=16, lower_case=True
    )
    assert lower.tokenize(["A b"]) == lower.tokenize(["a B"]) == [[2, 4, 5, 3]]


@pytest.mark.parametrize(
    ("sentences", "match"),
    [
        ("a sentence", r"a list of str, got one str \[E0830\]\nhint: encode\(\[sentence\]\)"),
        (b"a", r"a list of str, got one bytes"),
        (7, r"a list of str, got one int"),
        (["a", 7], r"sentences\[1\] should be a str, got int"),
        (["a", "b", None], r"sentences\[2\] should be a str, got NoneType"),
        ([b"a"], r"sentences\[0\] should be a str, got bytes"),
        ([("a", "b")], r"sentences\[0\] should be a str, got tuple"),
        (["ok", "ab\ud800c"], r"sentences\[1\] .* character 2 is the lone surrogate '\\ud800'"),
    ],
)
def test_what_is_no_sentence_is_named(encoder, sentences, match):
    with pytest.raises(DTypeError, match=match):
        encoder.encode(sentences)
    assert encoder.encode(["still usable"]).shape == (1, 3)


def test_an_interrupt_leaves_the_encoder_usable(encoder):
    network = encoder.network

    def interrupted(ids, mask):
        raise KeyboardInterrupt("pressed")

    encoder.network = interrupted
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        encoder.encode(["a"])
    encoder.network = network
    assert encoder.encode(["a"]).shape == (1, 3)
