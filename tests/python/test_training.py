"""Training steps and fit against a twin in NumPy; equal bits for any number of threads."""

import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tenon as tn
from tenon import nn, optim
from tenon.training._data import Dataset

X = tn.random.normal((50, 6), seed=1)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def network(rate=0.0, dtype="float32"):
    layers = [nn.Linear(6, 16, dtype=dtype), nn.Tanh(), nn.Linear(16, 3, dtype=dtype)]
    return nn.Sequential(layers[0], layers[1], nn.Dropout(rate), layers[2])


def numpy_steps(weights, batches, rate):
    """Gradient descent by hand: a tanh layer, a linear one, mean cross-entropy."""
    w1, b1, w2, b2 = (w.astype(np.float64) for w in weights)
    losses = []
    for x, y in batches:
        h = np.tanh(x @ w1.T + b1)
        z = h @ w2.T + b2
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(y)), y]).mean())
        dz = (p - np.eye(3)[y]) / len(y)
        dh = (dz @ w2) * (1 - h * h)
        w2, b2 = w2 - rate * dz.T @ h, b2 - rate * dz.sum(0)
        w1, b1 = w1 - rate * dh.T @ x, b1 - rate * dh.sum(0)
    return losses, [w1, b1, w2, b2]


def test_steps_equal_backpropagation_by_hand():
    net = network(dtype="float64").initialize(3)
    weights = [p.data.copy() for _, p in net.named_parameters()]
    step = tn.train_step(net, nn.CrossEntropyLoss(), optim.SGD(0.5))
    x = X.astype(np.float64)
    batches = [(x[i : i + n], Y[i : i + n]) for i, n in ((0, 16), (16, 16), (32, 7), (39, 11))]
    losses = [step(*batch) for batch in batches]
    expected, weights = numpy_steps(weights, batches, 0.5)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert step.num_updates == 4
    step.sync()
    for (_, parameter), weight in zip(net.named_parameters(), weights, strict=True):
        np.testing.assert_allclose(parameter.data, weight, rtol=1e-10, atol=1e-13)
    assert step.report().count("kernel calls") == 1  # one program for all sizes


def test_the_module_keeps_its_parameters_until_sync():
    net = network().initialize(3)
    before = net.state_dict()
    copies = {name: array.copy() for name, array in before.items()}
    step = tn.train_step(net, nn.CrossEntropyLoss(), optim.Adam())
    step(X, Y)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, copies[name])
    trained = step.sync().state_dict()
    step(X, Y)
    assert all((trained[n] != copies[n]).any() for n in copies if "weight" in n)
    assert all((before[n] == copies[n]).all() for n in copies)


def fit(seed=0, rate=0.0, **settings):
    net = network(rate)
    arguments = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.AdamW(0.02), "progress": False}
    arguments |= {"epochs": 5, "batch_size": 16, "seed": seed}
    return net, tn.fit(net, X, Y, **(arguments | settings))


def bits(net):
    return b"".join(np.asarray(a).tobytes() for a in net.state_dict().values())


def test_same_seed_same_bits_for_any_number_of_threads():
    threads = tn.config.threads
    try:
        results = []
        for count in (1, 2, 3):
            tn.config.threads = count
            results.append(bits(fit(seed=7, rate=0.3)[0]))
    finally:
        tn.config.threads = threads
    assert results[0] == results[1] == results[2]
    assert bits(fit(seed=8, rate=0.3)[0]) != results[0]


def test_fit_learns_and_reports():
    net, history = fit(epochs=60, validation_data=(X, Y))
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history.keys() == ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    scores = np.asarray(tn.compile(net, [tn.TensorSpec(("n", 6))])(X))
    assert history["val_accuracy"][-1] == pytest.approx((scores.argmax(1) == Y).mean())
    logp = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    assert history["val_loss"][-1] == pytest.approx(-logp[np.arange(50), Y].mean(), rel=1e-5)


def test_an_epoch_visits_every_row_once():
    seen = []

    data = Dataset(np.arange(10), np.arange(10), "data")
    for epoch in (0, 1):
        rows = [list(y) for _, y in data.batches(4, seed=1, epoch=epoch)]
        assert [len(batch) for batch in rows] == [4, 4, 2]
        seen.append([row for batch in rows for row in batch])
        assert sorted(seen[-1]) == list(range(10))
    assert seen[0] != seen[1] != list(range(10))
    in_order = [list(y) for _, y in data.batches(4)]
    assert in_order == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_several_inputs_frozen_and_unused_parameters():
    class Pair(nn.Module):
        def __init__(self):
            self.left, self.right = nn.Linear(6, 2), nn.Linear(3, 2)
            self.unused = nn.Linear(2, 2)
            self.scale = nn.Parameter((2,), init=nn.init.ones, trainable=False)
            self.count = nn.Parameter((), trainable=False)

        def forward(self, a, b):
            self.count.assign(self.count.value() + 1.0)
            return (self.left(a) + self.right(b)) * self.scale.value()

    pair = Pair()
    step = tn.train_step(pair, nn.MSELoss(), optim.SGD(0.1, momentum=0.9))
    a, b, y = X, X[:, :3], X[:, 3:5]
    losses = [step((a, b), y) for _ in range(30)]
    evaluated = step.evaluate((a, b), y)
    assert evaluated < losses[-1] < 0.5 * losses[0]
    step.sync()
    np.testing.assert_array_equal(pair.scale.data, np.ones(2))
    assert pair.count.data == 30  # evaluation counts nothing
    first = nn.init.he_uniform((2, 2), seed=0, stream=zlib.crc32(b"unused.weight"))
    np.testing.assert_array_equal(pair.unused.weight.data, first)


def test_nested_lists_are_one_array():
    rows, targets = [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]]
    net = nn.Linear(2, 1, dtype="float64")
    history = tn.fit(
        net,
        rows,
        targets,
        loss=nn.MSELoss(),
        optimizer=optim.SGD(0.01),
        epochs=2,
        progress=False,
    )
    assert history["loss"][1] < history["loss"][0]


def test_learning_rate_and_metrics_of_a_step():
    step = tn.train_step(network(), nn.CrossEntropyLoss(), optim.SGD(0.0))
    first = step(X, Y)
    assert step(X, Y) == first
    assert 0 <= step.metrics["accuracy"] <= 1
    step.learning_rate = 1.0
    assert step.learning_rate == 1.0
    step(X, Y)
    assert step(X, Y) < first
    assert step.report().count("kernel calls") == 1
    with pytest.raises(tn.ExpressionError, match=r"SGD: learning_rate should be .* got -1 \[E0192"):
        step.learning_rate = -1
    scheduled = tn.train_step(network(), nn.CrossEntropyLoss(), optim.SGD(optim.constant(0.1)))
    assert scheduled.learning_rate is None
    with pytest.raises(tn.ExpressionError, match=r"a schedule computes it \[E0192\]"):
        scheduled.learning_rate = 0.1


def test_a_shared_parameter_is_one():
    class Tied(nn.Module):
        def __init__(self):
            self.encode, self.decode = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            self.decode.weight = self.encode.weight

        def forward(self, x):
            return self.decode(self.encode(x))

    tied = Tied().initialize(1)
    w = tied.encode.weight.data.astype(np.float64)
    step = tn.train_step(tied, nn.MSELoss(), optim.SGD(0.1))
    step(X, X)
    step.sync()
    h = X @ w.T
    d = 2 * (h @ w.T - X) / X.size
    expected = w - 0.1 * (d.T @ h + (d @ w).T @ X)
    np.testing.assert_allclose(tied.decode.weight.data, expected, rtol=1e-4, atol=1e-6)


def test_after_ctrl_c_the_module_has_what_was_learned(monkeypatch):
    calls = []
    call = tn.TrainStep.__call__

    def interrupted(self, x, y):
        calls.append(len(y))
        if len(calls) == 7:
            raise KeyboardInterrupt
        return call(self, x, y)

    monkeypatch.setattr(tn.TrainStep, "__call__", interrupted)
    net = network().initialize(3)
    before = bits(net)
    with pytest.raises(KeyboardInterrupt):
        tn.fit(net, X, Y, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(0.1), epochs=5)
    assert bits(net) != before


def test_progress_is_a_line_for_each_epoch(capsys):
    fit(epochs=2, progress=None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "accuracy" in lines[0]


def test_progress_is_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    fit(epochs=2, progress=None)
    shown = capsys.readouterr().out
    assert "epoch 2/2" in shown


def test_bad_data_is_named():
    with pytest.raises(
        tn.ShapeError, match=r"the training data should have at least one row.*0493"
    ):
        tn.fit(network(), X[:0], Y[:0], loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(), epochs=1)
    with pytest.raises(tn.ShapeError, match=r"equally many rows, got 50 and 49 \[E0494\]"):
        tn.fit(network(), X, Y[1:], loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(), epochs=1)
    with pytest.raises(tn.ShapeError, match=r"the validation data: inputs .* 50 and 2 \[E0494\]"):
        fit(validation_data=(X, Y[:2]))
    for label in (3, -1):
        wrong = Y.copy()
        wrong[20] = label
        step = tn.train_step(network(), nn.CrossEntropyLoss(), optim.SGD())
        with pytest.raises(
            tn.IndexError, match=rf"label {label} at \[20\] should be from 0 to 2.*660"
        ):
            step(X, wrong)
        assert step.num_updates == 0
    with pytest.raises(tn.ShapeError, match=r"a batch should have at least one row.*E0493"):
        step(X[:0], Y[:0])
    with pytest.raises(tn.ShapeError, match=r"the loss should be a scalar, got .*E0495"):
        tn.train_step(network(), nn.CrossEntropyLoss(reduction="none"), optim.SGD())(X, Y)
    with pytest.raises(tn.ShapeError, match=r"the loss should be a scalar, got 1.0 \[E0495\]"):
        tn.train_step(network(), lambda scores, labels: 1.0, optim.SGD())(X, Y)
    for settings in (
        {"epochs": 0},
        {"batch_size": 0},
        {"resume": True},
        {"validation_data": X},
    ):
        with pytest.raises(tn.ExpressionError, match=r"fit: \w+.* should .*E0196"):
            fit(**settings)


def test_history_draws():
    _, history = fit(epochs=3)
    assert len(history) == 3
    text = history.plot()
    assert text.splitlines()[0].startswith("loss")
    assert "▁" in text
    assert "<tenon.History of 3 epochs: loss=" in repr(history)
    with pytest.raises(tn.ExpressionError, match=r"the history has loss, .* not 'mae' \[E0195\]"):
        history["mae"]


def test_history_writes_a_chart(tmp_path):
    history = tn.History()
    for loss in (3.0, float("nan"), 1.0):
        history.append({"loss": loss, "val_loss": loss / 2})
    history.plot(tmp_path / "chart.svg")
    root = ElementTree.parse(tmp_path / "chart.svg").getroot()
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert [len(e.attrib["points"].split()) for e in lines] == [2, 2]
    assert "?" in history.plot()


def test_an_mlp_reads_digits():
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    train, test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    net = nn.Sequential(nn.Reshape(8, 8), nn.Flatten(), nn.Linear(64, 128), nn.ReLU())
    net = nn.Sequential(net, nn.Dropout(0.2), nn.Linear(128, 10))
    history = tn.fit(
        net,
        train,
        y_train,
        loss=nn.CrossEntropyLoss(label_smoothing=0.1),
        optimizer=optim.AdamW(optim.cosine_decay(5e-3, 15 * 23)),
        epochs=15,
        batch_size=64,
        validation_data=(test, y_test),
        progress=False,
    )
    assert history["val_accuracy"][-1] >= 0.97


def resident_kib():
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_steps_take_no_more_memory():
    step = tn.train_step(nn.Linear(512, 512), nn.MSELoss(), optim.Adam(), metrics=[])
    x = tn.random.normal((64, 512), seed=1)
    for _ in range(20):
        step(x, x)
    before = resident_kib()
    for _ in range(500):
        step(x, x)
    assert resident_kib() - before < 512  # a parameter, or a gradient, has 1 MiB
