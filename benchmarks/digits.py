"""Accuracy on scikit-learn's digits: MLP, CNN and LSTM, trained from nothing, median of 5 seeds.

usage: python benchmarks/digits.py [mlp cnn lstm] [--seeds 5] [--threads 2]

A stratified fifth of the 1,797 images is held out; the seed decides the division, the first values,
the order and the dropout. Seconds are those of the whole `fit`, compilation included.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import measurement

SECONDS = 45.0


def mlp() -> tuple[Any, dict[str, Any]]:
    """64-256-256-10 on rows of 64 grey values."""
    import tenon as tn
    from tenon import nn

    network = nn.Sequential(
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(256, 10),
    )
    epochs, batch = 60, 64
    rate = tn.optim.cosine_decay(3e-3, epochs * -(-1437 // batch), warmup_steps=20)
    return network, {"optimizer": tn.optim.AdamW(rate), "epochs": epochs, "batch_size": batch}


def cnn() -> tuple[Any, dict[str, Any]]:
    """Three 3x3 convolutions, pooling after each of the last two, and two dense layers."""
    import tenon as tn
    from tenon import nn

    network = nn.Sequential(
        nn.Reshape(8, 8, 1),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(128, 10),
    )
    epochs, batch = 40, 64
    rate = tn.optim.cosine_decay(3e-3, epochs * -(-1437 // batch), warmup_steps=20)
    return network, {"optimizer": tn.optim.AdamW(rate), "epochs": epochs, "batch_size": batch}


def lstm() -> tuple[Any, dict[str, Any]]:
    """An LSTM of 128 that reads the 8 rows of an image one after the other."""
    import tenon as tn
    from tenon import nn

    class RowReader(nn.Module):
        def __init__(self) -> None:
            self.lstm = nn.LSTM(8, 128, batch_first=True)
            self.dropout = nn.Dropout(0.3)
            self.output = nn.Linear(128, 10)

        def forward(self, x: nn.Value) -> nn.Value:
            _, (h, _) = self.lstm(x.reshape(-1, 8, 8))
            return self.output(self.dropout(h[0]))

    epochs, batch = 40, 64
    rate = tn.optim.cosine_decay(5e-3, epochs * -(-1437 // batch), warmup_steps=20)
    settings = {"optimizer": tn.optim.AdamW(rate), "epochs": epochs, "batch_size": batch}
    return RowReader(), settings


NETWORKS: dict[str, tuple[Callable[[], tuple[Any, dict[str, Any]]], float]] = {
    "mlp": (mlp, 0.97),
    "cnn": (cnn, 0.985),
    "lstm": (lstm, 0.95),
}


def data(seed: int) -> tuple[Any, ...]:
    """Return training images, test images, training labels, test labels."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    return tuple(
        train_test_split(
            images, digits.target, test_size=0.2, stratify=digits.target, random_state=seed
        )
    )


def run(name: str, seed: int, **settings: Any) -> tuple[float, float]:
    """Return the accuracy on the held-out fifth and the seconds of a training."""
    import tenon as tn
    from tenon import nn

    train, test, train_labels, test_labels = data(seed)
    network, own = NETWORKS[name][0]()
    begin = time.perf_counter()
    history = tn.fit(
        network,
        train,
        train_labels,
        loss=nn.CrossEntropyLoss(label_smoothing=0.1),
        seed=seed,
        validation_data=(test, test_labels),
        progress=False,
        **(own | settings),
    )
    return history["val_accuracy"][-1], time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    measurement.pin(options.threads)
    figures: dict[str, Any] = {}
    for name in options.networks:
        runs = [run(name, seed) for seed in range(options.seeds)]
        accuracy = statistics.median(accuracy for accuracy, _ in runs)
        seconds = max(seconds for _, seconds in runs)
        bar = NETWORKS[name][1]
        each = " ".join(f"{100 * accuracy:.2f}" for accuracy, _ in runs)
        word = "ok" if accuracy >= bar and seconds <= SECONDS else "NOT WITHIN THE BARS"
        print(
            f"{name}: median {100 * accuracy:.2f} % of {each} (bar {100 * bar} %), at most"
            f" {seconds:.1f} s (bar {SECONDS} s): {word}"
        )
        figures[name] = {"accuracy": accuracy, "runs": runs}
    measurement.write_result("digits", figures)


if __name__ == "__main__":
    main()
