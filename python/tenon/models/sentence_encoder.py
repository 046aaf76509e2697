"""Sentences to vectors: tokenisation, batching by length, and one compiled network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenon.errors import DTypeError
from tenon.models.bert import BertEncoder
from tenon.models.bert_config import load_bert_weights
from tenon.models.model_folder import ModelFolder
from tenon.safetensors import SafetensorsFile

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["SentenceEncoder"]

_TOKENS_PER_BATCH = 1024  # padding included: short enough that Ctrl-C between batches is prompt
_SENTENCES_PER_TOKENIZATION = 1024

Network = Callable[[npt.NDArray[np.int64], npt.NDArray[np.bool_]], Any]
"""(ids[b, s], mask[b, s]) -> vectors[b, d]: padding (mask false) must not change any bit."""


class SentenceEncoder:
    """A sentence encoder: text in, one L2-normalised vector per sentence out.

    A vector depends on its sentence alone: its bits are the same in any batch, in any order and
    with any number of threads.

    Parameters
    ----------
    network
        The compiled network, called as ``network(ids, mask)``.
    tokenizer
        Its truncation and padding are overridden.
    dimension
        The length of a vector.
    max_seq_length
        Tokens of a sentence beyond this many, special tokens included, are cut off.
    lower_case
        Whether sentences are lower-cased before the tokenizer sees them.

    Examples
    --------
    >>> encoder = SentenceEncoder.from_folder("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> encoder.encode(["a question", "an answer"]).shape  # doctest: +SKIP
    (2, 384)
    """

    network: Network
    """The compiled network."""
    dimension: int
    """The length of a vector."""
    max_seq_length: int
    """The largest number of tokens of a sentence, special tokens included."""

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        *,
        dimension: int,
        max_seq_length: int,
        lower_case: bool = False,
    ) -> None:
        self.network = network
        self.dimension = dimension
        self.max_seq_length = max_seq_length
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(max_length=max_seq_length)
        self._tokenizer.no_padding()
        self._lower_case = lower_case

    @classmethod
    def from_folder(
        cls, path: str | os.PathLike[str], *, target: str | None = None
    ) -> SentenceEncoder:
        """Load and compile the encoder of a folder, as sentence-transformers publishes it.

        Parameters
        ----------
        path
            The folder of ``model.safetensors``, ``config.json``, ``tokenizer.json``,
            ``sentence_bert_config.json``, ``modules.json`` and ``1_Pooling/config.json``.
        target
            What to compile for; this machine by default.

        Raises
        ------
        ModelError
            A file is missing, damaged, or does not fit the others.
        UnsupportedError
            The model is no BERT-family encoder with mean pooling and normalisation.
        """
        folder = ModelFolder(path)
        weights = load_bert_weights(SafetensorsFile(folder.weights_path), folder.config)
        return cls(
            BertEncoder(folder.config, weights, target),
            folder.tokenizer,
            dimension=folder.config.hidden_size,
            max_seq_length=folder.max_seq_length,
            lower_case=folder.lower_case,
        )

    def encode(self, sentences: Iterable[str]) -> npt.NDArray[np.float32]:
        """Return one vector per sentence, ``[n, dimension]``, in the order of ``sentences``.

        Raises
        ------
        DTypeError
            ``E0830``: not a collection of ``str``; the message names the first wrong position.
        """
        tokens = self.tokenize(sentences)
        vectors = np.empty((len(tokens), self.dimension), np.float32)
        for rows in _batches([len(ids) for ids in tokens]):
            ids, mask = _pad([tokens[row] for row in rows])
            vectors[rows] = np.asarray(self.network(ids, mask))
        return vectors

    def tokenize(self, sentences: Iterable[str]) -> list[list[int]]:
        """Return the token ids of each sentence, special tokens included, truncated.

        Raises
        ------
        DTypeError
            ``E0830`` as `encode`.
        """
        texts = _check_sentences(sentences)
        if self._lower_case:
            texts = [text.lower() for text in texts]
        tokens: list[list[int]] = []
        for start in range(0, len(texts), _SENTENCES_PER_TOKENIZATION):
            part = texts[start : start + _SENTENCES_PER_TOKENIZATION]
            tokens += [encoding.ids for encoding in self._tokenizer.encode_batch_fast(part)]
        return tokens


def _check_sentences(sentences: Iterable[str]) -> list[str]:
    """Return the sentences as a list, every one a text that UTF-8 can hold."""
    if isinstance(sentences, (str, bytes)) or not isinstance(sentences, Iterable):
        raise DTypeError(
            "E0830",
            f"sentences should be a list of str, got one {type(sentences).__name__}"
            "\nhint: encode([sentence]) encodes a single sentence",
        )
    texts = list(sentences)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise DTypeError(
                "E0830", f"sentences[{position}] should be a str, got {type(text).__name__}"
            )
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DTypeError(
                    "E0830",
                    f"sentences[{position}] should be Unicode text, but its character"
                    f" {error.start} is the lone surrogate {text[error.start]!r}",
                ) from None
    return texts


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Divide the rows into batches of similar length, the longest first.

    A batch has at most `_TOKENS_PER_BATCH` tokens with its padding, and at least one row.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        num_rows = max(1, _TOKENS_PER_BATCH // lengths[order[start]])
        yield order[start : start + num_rows]
        start += num_rows


def _pad(tokens: list[list[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return ids and mask of a batch whose first row is the longest."""
    ids = np.zeros((len(tokens), len(tokens[0])), np.int64)
    mask = np.zeros(ids.shape, np.bool_)
    for row, row_ids in enumerate(tokens):
        ids[row, : len(row_ids)] = row_ids
        mask[row, : len(row_ids)] = True
    return ids, mask
