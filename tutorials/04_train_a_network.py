# %% [markdown]
# # Train a network
#
# **Question.** A network is a function with a few thousand numbers in it. How do we find numbers
# for which it reads handwriting, and how do we know that what trains it is right?
#
# The data are scikit-learn's digits: 1,797 images of 8 x 8 grey values, written by 43 people, and
# the digit that each was meant to be. Run it: `python tutorials/04_train_a_network.py`.

# %%
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import tenon as tn
from tenon import nn, optim
from tenon.nn import functional as f

digits = load_digits()
images = (digits.data / 16).astype(np.float32)
labels = digits.target.astype(np.int64)
order = tn.random.permutation(len(images), seed=0)
train, test = order[:1437], order[1437:]

# %% [markdown]
# ## Fit
#
# A module says what is computed. A loss says how bad a result is, an optimiser how parameters move
# against the gradient of the loss, and `fit` takes all rows in random order, 64 at a time, again
# and again. Every fifth image is held out: the figures that start with `val_` are about images that
# the parameters never saw.


# %%
def reader():
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))


settings = dict(
    loss=nn.CrossEntropyLoss(),
    optimizer=optim.AdamW(3e-3),
    batch_size=64,
    seed=1,
    validation_data=(images[test], labels[test]),
)
network = reader()
history = tn.fit(network, images[train], labels[train], epochs=12, **settings)
print(history.plot())
assert history["val_accuracy"][-1] > 0.95

# %% [markdown]
# What was trained is a module like any other. `tn.compile` makes the network that is used: without
# dropout, with the weights packed for speed.

# %%
read = tn.compile(network, [tn.TensorSpec(("n", 64))])
scores = np.asarray(read(images[test]))
accuracy = (scores.argmax(axis=1) == labels[test]).mean()
assert abs(accuracy - history["val_accuracy"][-1]) < 1e-6

# %% [markdown]
# ## What was compiled
#
# Forward, loss, backward and update are *one* program, compiled once for any number of rows: a step
# is one call, its temporaries share one block of memory, and parameters are changed where they are.
# `train_step` gives that program alone, for loops of one's own.

# %%
step = tn.train_step(nn.Linear(64, 10), f.cross_entropy, optim.SGD(0.5))
losses = [step(images[train[:64]], labels[train[:64]]) for _ in range(20)]
assert losses[-1] < losses[0]
print(step.report())

# %% [markdown]
# In the report, `linear` is the forward product and `linear_grad` the gradient of its weight, whose
# last operators, `mul, sub`, are the update: where the gradient is finished the weight moves, and
# the gradient itself is never stored.
#
# ## Is it right?
#
# The same step by hand, in NumPy and double precision. The derivative of the cross-entropy by the
# scores is what the network believes minus what was true.

# %%
x, y = images[train[:64]].astype(np.float64), labels[train[:64]]
linear = nn.Linear(64, 10).initialize(seed=5)
w, b = linear.weight.data.astype(np.float64), linear.bias.data.astype(np.float64)
scores = x @ w.T + b
belief = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
d_scores = (belief - np.eye(10)[y]) / len(y)
w, b = w - 0.5 * d_scores.T @ x, b - 0.5 * d_scores.sum(axis=0)

step = tn.train_step(linear, f.cross_entropy, optim.SGD(0.5))
step(images[train[:64]], y)
step.sync()
assert np.abs(linear.weight.data - w).max() < 1e-6
assert np.abs(linear.bias.data - b).max() < 1e-6

# %% [markdown]
# ## Again, and the same
#
# Order, dropout and first values are functions of the seed: no state, no dependence on threads. So
# a training that was stopped goes on from its checkpoint as if nothing had been, bit for bit.

# %%
with tempfile.TemporaryDirectory() as folder:
    checkpoint = Path(folder) / "digits.checkpoint"
    stopped = reader()
    quiet = settings | {"checkpoint": checkpoint, "progress": False}
    tn.fit(stopped, images[train], labels[train], epochs=5, **quiet)
    resumed = reader()
    tn.fit(resumed, images[train], labels[train], epochs=12, resume=True, **quiet)
for name, array in network.state_dict().items():
    assert (resumed.state_dict()[name] == array).all()

# %% [markdown]
# ## When it goes wrong
#
# Inputs that are too large make infinities. With `check_numerics` the operator that made the first
# one is named, with the line that wrote it.

# %%
tn.config.check_numerics = True
try:
    tn.fit(
        reader(),
        1e30 * images[train],
        labels[train],
        epochs=1,
        loss=lambda scores, labels: f.exp(scores).mean(),
        optimizer=optim.SGD(1.0),
        progress=False,
    )
except tn.NumericError as error:
    print(error)
else:
    raise AssertionError("exp of a large score is infinite")
finally:
    tn.config.check_numerics = False

# %% [markdown]
# **Try this.** Replace `AdamW(3e-3)` by `SGD(0.1, momentum=0.9)`, or the rate by
# `optim.cosine_decay(3e-3, num_steps=12 * 23)`. Remove the dropout and compare `loss` with
# `val_loss`. Write your own metric: a function of scores and labels that returns a scalar.
