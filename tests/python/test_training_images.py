"""A convolutional network with batch normalisation learns to read digits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tenon as tn
from tenon import nn, optim

DIGITS = load_digits()
TRAIN, TEST, Y_TRAIN, Y_TEST = train_test_split(
    (DIGITS.images[..., None] / 16).astype(np.float32),
    DIGITS.target,
    test_size=0.2,
    stratify=DIGITS.target,
    random_state=0,
)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def fit(net, rows, epochs, **settings):
    return tn.fit(
        net,
        TRAIN[:rows],
        Y_TRAIN[:rows],
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.AdamW(optim.cosine_decay(1e-2, epochs * -(-rows // 64))),
        epochs=epochs,
        batch_size=64,
        progress=False,
        **settings,
    )


def test_a_cnn_reads_digits():
    net = network()
    history = fit(net, len(TRAIN), 6, validation_data=(TEST, Y_TEST))
    assert history["val_accuracy"][-1] >= 0.97
    # In use the running statistics normalise, which training has moved.
    norm = net.state_dict()
    assert (norm["1.running_mean"] != 0).all()
    assert (norm["1.running_variance"] != 1).all()
    read = tn.compile(net, [tn.TensorSpec(("n", 8, 8, 1))])
    accuracy = (np.asarray(read(TEST)).argmax(1) == Y_TEST).mean()
    assert accuracy == pytest.approx(history["val_accuracy"][-1], abs=0.003)


def test_same_bits_for_any_number_of_threads():
    threads = tn.config.threads
    found = []
    try:
        for count in (1, 2, 3):
            tn.config.threads = count
            net = network()
            fit(net, 150, 1, seed=3)
            found.append(b"".join(array.tobytes() for array in net.state_dict().values()))
    finally:
        tn.config.threads = threads
    assert found[0] == found[1] == found[2]
