"""Training: steps that are one compiled program, `fit` over a data set, checkpoints, histories."""

from tenon.training._fit import fit
from tenon.training._history import History
from tenon.training._metrics import accuracy
from tenon.training._step import TrainStep, train_step

__all__ = ["History", "TrainStep", "accuracy", "fit", "train_step"]
