"""Checkpoints: a training that goes on is the one that never stopped; damaged files are named."""

import json

import numpy as np
import pytest

import tenon as tn
from tenon import nn, optim, safetensors

X = tn.random.normal((60, 5), seed=1)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)


def network(width=8):
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 2))


def fit(epochs, path=None, net=None, **settings):
    net = net or network()
    arguments = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.AdamW(0.01), "seed": 5}
    arguments |= {"batch_size": 16, "epochs": epochs, "checkpoint": path, "progress": False}
    return net, tn.fit(net, X, Y, **(arguments | settings))


def bits(net):
    return b"".join(np.asarray(a).tobytes() for a in net.state_dict().values())


def without_time(history):
    return [{k: v for k, v in e.items() if k != "seconds"} for e in history]


def test_a_resumed_training_has_the_bits_of_one_that_never_stopped(tmp_path):
    path = tmp_path / "checkpoint"
    whole, history = fit(6)
    fit(2, path)
    fit(4, path, resume=True)
    resumed, found = fit(6, path, resume=True)
    assert bits(resumed) == bits(whole)
    assert without_time(found) == without_time(history)
    done, found = fit(6, path, resume=True)  # nothing is left to do
    assert bits(done) == bits(whole)
    assert len(found) == 6


def test_without_a_file_a_training_begins(tmp_path):
    path = tmp_path / "checkpoint"
    assert bits(fit(2, path, resume=True)[0]) == bits(fit(2)[0])
    assert path.exists()
    weights = safetensors.SafetensorsFile(path)
    np.testing.assert_array_equal(weights["params/0.weight"].shape, (8, 5))
    assert weights["state/step"] == 8


def test_a_training_that_diverged_can_be_saved(tmp_path):
    path = tmp_path / "checkpoint"
    _, history = fit(2, path, optimizer=optim.SGD(1e30))
    assert np.isnan(history["loss"][-1])
    assert len(fit(3, path, optimizer=optim.SGD(1e30), resume=True)[1]) == 3


def rewrite(path, change):
    """Write the checkpoint again with other content, and its own digest kept."""
    file = safetensors.SafetensorsFile(path)
    arrays = {name: np.array(file[name]) for name in file}
    content = json.loads(file.metadata["tenon_checkpoint"])
    metadata = change(arrays, content)
    safetensors.save(
        path,
        arrays,
        metadata if metadata is not None else {"tenon_checkpoint": json.dumps(content)},
    )


DAMAGES = {
    r"is no checkpoint: a safetensors file without .*E0845": lambda a, c: {},
    r"has version 9 and generator .*E0848": lambda a, c: c.update(version=9),
    r"settings and progress should be JSON objects.*E0849": lambda a, c: c.update(progress=3),
    r"settings should name an optimizer.*E0849": lambda a, c: c.update(settings={}),
    r"epochs should be a list of figures.*E0849": lambda a, c: c["progress"].update(
        epochs=[{"a": "b"}]
    ),
    r"its arrays are not those that were written.*E0850": lambda a, c: a["params/0.bias"].fill(9),
    r"a training with .*rows.* expected .*E0851": lambda a, c: c["progress"].update(
        data={"rows": 1}
    ),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_damaged_checkpoints_are_named(tmp_path, message):
    path = tmp_path / "checkpoint"
    fit(1, path)
    rewrite(path, DAMAGES[message])
    with pytest.raises(tn.ModelError, match=message):
        fit(2, path, resume=True)


def test_torn_files_are_named(tmp_path):
    path = tmp_path / "checkpoint"
    fit(1, path)
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(tn.ModelError, match=r"is truncated.*\[E0810\]"):
            fit(2, path, resume=True)
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(tn.ModelError, match=r"its arrays are not those .*\[E0850\]"):
        fit(2, path, resume=True)


def test_checkpoints_of_other_trainings_are_named(tmp_path):
    path = tmp_path / "checkpoint"
    fit(1, path)
    with pytest.raises(tn.ModelError, match=r"of another model: 'params/0.bias' should be .*E0846"):
        fit(2, path, net=network(9), resume=True)
    with pytest.raises(tn.ModelError, match=r"of another model: it lacks 'params/1.*E0846"):
        fit(2, path, net=nn.Sequential(nn.Linear(5, 2), nn.Linear(2, 2)), resume=True)
    with pytest.raises(tn.ModelError, match=r"AdamW\(.*expected SGD\(.*E0847"):
        fit(2, path, optimizer=optim.SGD(0.1), resume=True)
    with pytest.raises(tn.ModelError, match=r"seed 5, expected .* seed 6.*E0847"):
        fit(2, path, seed=6, resume=True)
    with pytest.raises(tn.ModelError, match=r"'batch_size': 16.* expected .*E0851"):
        fit(2, path, batch_size=8, resume=True)


def test_a_failed_load_changes_nothing(tmp_path):
    path = tmp_path / "checkpoint"
    fit(1, path, net=network(9))
    step = tn.train_step(network(), nn.CrossEntropyLoss(), optim.AdamW(0.01), seed=5)
    step(X, Y)
    before = bits(step.sync())
    with pytest.raises(tn.ModelError, match="another model"):
        step.load(path)
    assert bits(step.sync()) == before


def test_a_step_of_ones_own_loop_is_saved_and_loaded(tmp_path):
    def make():
        return tn.train_step(network(), nn.CrossEntropyLoss(), optim.SGD(0.1, momentum=0.9))

    first = make()
    for _ in range(3):
        first(X, Y)
    first.save(tmp_path / "step", note="three")
    second = make()
    assert second.load(tmp_path / "step") == {"note": "three"}
    assert second.num_updates == 3
    assert second(X, Y) == first(X, Y)
    assert bits(second.sync()) == bits(first.sync())
