"""Optimisers as functions of parameters and gradients, and schedules of the learning rate."""

from tenon.optim._adam import Adam, AdamW
from tenon.optim._optimizer import Optimizer
from tenon.optim._schedule import Schedule, constant, cosine_decay, step_decay
from tenon.optim._sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "Schedule",
    "constant",
    "cosine_decay",
    "step_decay",
]
