"""Recurrent layers against NumPy, and what they learn."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tenon as tn
from tenon import nn
from tenon.nn import functional as f


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, state, w, u, b, c):
    h, cell = state
    i, forget, g, o = np.split(x @ w.T + b + h @ u.T + c, 4, axis=-1)
    cell = sigmoid(forget) * cell + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


def gru_step(x, state, w, u, b, c):
    (h,) = state
    xr, xz, xn = np.split(x @ w.T + b, 3, axis=-1)
    hr, hz, hn = np.split(h @ u.T + c, 3, axis=-1)
    z = sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h,)


def rnn_step(x, state, w, u, b, c):
    return (np.tanh(x @ w.T + b + state[0] @ u.T + c),)


CASES = {
    "lstm": (nn.LSTM, lstm_step, 2),
    "gru": (nn.GRU, gru_step, 1),
    "rnn": (nn.RNN, rnn_step, 1),
}


def reference(step, num_states, weights, x, layers, hidden):
    last = []
    for layer in range(layers):
        w, u, b, c = (
            weights[f"{n}_l{layer}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        state = tuple(np.zeros((x.shape[1], hidden)) for _ in range(num_states))
        ys = []
        for t in range(x.shape[0]):
            state = step(x[t], state, w, u, b, c)
            ys.append(state[0])
        x = np.stack(ys)
        last.append(state)
    return x, [np.stack([s[k] for s in last]) for k in range(num_states)]


@pytest.mark.parametrize("kind", CASES)
def test_layers_compute_their_equations(kind):
    layer, step, num_states = CASES[kind]
    rng = np.random.default_rng(3)
    module = layer(5, 7, num_layers=2)
    weights = {
        name: rng.uniform(-0.5, 0.5, p.shape).astype(np.float32)
        for name, p in module.named_parameters()
    }
    module.load_state_dict(weights)
    net = tn.compile(module, [tn.TensorSpec(("n", "b", 5))])
    for length, batch in ((1, 1), (6, 3)):
        x = rng.standard_normal((length, batch, 5)).astype(np.float32)
        expected, last = reference(step, num_states, weights, x, 2, 7)
        ys, state = net(x)
        np.testing.assert_allclose(ys, expected, rtol=2e-5, atol=2e-6)
        for got, want in zip(state if num_states > 1 else [state], last, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_batch_first_and_a_given_state():
    module = nn.LSTM(4, 3, batch_first=True)
    module.initialize(seed=1)
    spec = [tn.TensorSpec(("b", "n", 4)), tn.TensorSpec((1, "b", 3)), tn.TensorSpec((1, "b", 3))]
    net = tn.compile(lambda x, h, c: module(x, (h, c)), spec)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 4)).astype(np.float32)
    zero = np.zeros((1, 2, 3), np.float32)
    ys, (h, c) = net(x, zero, zero)
    first, (h3, c3) = net(x[:, :3].copy(), zero, zero)
    rest, (h6, c6) = net(x[:, 3:].copy(), np.asarray(h3), np.asarray(c3))
    assert np.array_equal(np.concatenate([first, rest], axis=1), ys)
    assert np.array_equal(h6, h)
    assert np.array_equal(c6, c)
    # One product for all steps; in a step one for the state, and a kernel for each of c and h.
    calls = [line for line in net.report().splitlines() if "kernel " in line and "[" in line]
    assert sum(line.startswith("     ") and "linear" in line for line in calls) <= 2
    with pytest.raises(tn.ExpressionError, match=r"nonlinearity is 'sin', .*\[E0175\]"):
        nn.RNN(3, 3, nonlinearity="sin")


def test_a_greedy_decoder_ends_where_its_input_says():
    """Tokens follow a table until the end token: inputs take different numbers of steps."""
    vocabulary, end, longest = 8, 0, 20
    follows = np.array([0, 0, 1, 2, 3, 4, 7, 6])  # 5 4 3 2 1 0; 6 and 7 go round for ever
    logits_of = np.full((vocabulary, vocabulary), -1.0, np.float32)
    logits_of[np.arange(vocabulary), follows] = 1.0
    positions = np.arange(longest)
    tokens_of = np.arange(vocabulary)

    def decode(start):
        def step(state):
            token, count, text = state
            logits = f.embedding(logits_of, token)
            best = f.where(logits == logits.max(), tokens_of, vocabulary).min()
            return best, count + 1, f.where(positions == count, best, text)

        return tn.while_loop(
            lambda state: state[0] != end,
            step,
            (start, 0, np.full(longest, -1)),
            max_iterations=longest,
        )

    net = tn.compile(decode, [tn.TensorSpec((), "int64")])
    for start, length in ((0, 0), (1, 1), (4, 4), (5, 5), (6, longest)):
        _, count, text = net(np.array(start))
        assert int(np.asarray(count)) == length
        token, expected = start, []
        for _ in range(length):
            token = follows[token]
            expected.append(token)
        assert np.asarray(text)[:length].tolist() == expected
        assert (np.asarray(text)[length:] == -1).all()


def test_an_lstm_reads_digits_row_by_row():
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    train, test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )

    class RowReader(nn.Module):
        def __init__(self):
            self.lstm = nn.LSTM(8, 64, batch_first=True)
            self.output = nn.Linear(64, 10)

        def forward(self, x):
            _, (h, _) = self.lstm(x.reshape(-1, 8, 8))
            return self.output(h[0])

    history = tn.fit(
        RowReader(),
        train,
        y_train,
        loss=nn.CrossEntropyLoss(),
        optimizer=tn.optim.AdamW(tn.optim.cosine_decay(1e-2, 12 * 23)),
        epochs=12,
        batch_size=64,
        validation_data=(test, y_test),
        progress=False,
    )
    assert history["val_accuracy"][-1] >= 0.95
