"""Whole models, from the folders that they are published in."""

from tenon.models.sentence_encoder import SentenceEncoder

__all__ = ["SentenceEncoder"]
