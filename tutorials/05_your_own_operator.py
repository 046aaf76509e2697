# %% [markdown]
# # Your own operator
#
# **Question.** An idea for a layer that no library has usually means writing it three times: a
# forward kernel, a backward kernel, and the glue that registers both. How much of that is the idea?
#
# In Tenon the idea is one Python function from tensors to a tensor expression. `tn.op` makes an
# operator of it; its gradient, its schedule and its place in fused kernels follow from the
# expression.
#
# Run it: `python tutorials/05_your_own_operator.py` (needs scikit-learn for its digits).

# %%
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tenon as tn
import tenon.nn.functional as F
from tenon import te

# %% [markdown]
# ## One function
#
# A rational activation (Molina et al., "Padé activation units", 2019) with a learned gate for each
# column: a quotient of two polynomials, whose coefficients `p` and `q` are learned too.


# %%
@tn.op
def rational(x, gate, p, q):
    def element(i, j):
        v = x[i, j]
        top = p[0] + v * (p[1] + v * p[2])
        bottom = 1 + te.abs(v * q[0]) + (v * q[1]) * (v * q[1])
        return te.sigmoid(gate[j]) * top / bottom

    return te.compute(x.shape, element, name="rational")


# %% [markdown]
# Called with arrays, it is compiled for their shapes and run at once.

# %%
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 6)).astype("float32")
gate = rng.standard_normal(6).astype("float32")
p, q = np.array([0.1, 1.0, 0.5], "float32"), np.array([0.2, 0.7], "float32")


def rational_numpy(x, gate, p, q):
    top = p[0] + x * (p[1] + x * p[2])
    return top / (1 + abs(x * q[0]) + (x * q[1]) ** 2) / (1 + np.exp(-gate))


np.testing.assert_allclose(rational(x, gate, p, q), rational_numpy(x, gate, p, q), rtol=1e-5)

# %% [markdown]
# ## Its gradient is there
#
# `tn.grad` differentiates functions of arrays; `argnums` says with respect to which arguments. We
# compare with differences of the NumPy twin, in float64.


# %%
def loss(x, gate, p, q):
    return (rational(x, gate, p, q) * rational(x, gate, p, q)).sum()


arguments = [a.astype("float64") for a in (x, gate, p, q)]
gradients = tn.grad(loss, argnums=(0, 1, 2, 3))(*arguments)
for argument, gradient in zip(arguments, gradients, strict=True):
    direction = rng.standard_normal(argument.shape)
    before = argument.copy()
    slopes = []
    for step in (1e-6, -1e-6):
        argument[...] = before + step * direction
        slopes.append((rational_numpy(*arguments) ** 2).sum())
    argument[...] = before
    difference = (slopes[0] - slopes[1]) / 2e-6
    np.testing.assert_allclose(np.vdot(gradient, direction), difference, rtol=1e-6)

# %% [markdown]
# ## In a network
#
# A module keeps the learned arrays. Inside a compiled network the operator is an equal among the
# others: the report shows it in the kernel of the matrix product before it.


# %%
class Rational(tn.nn.Module):
    def __init__(self, size):
        self.gate = tn.nn.Parameter((size,), init=tn.nn.init.zeros)
        self.p = tn.nn.Parameter((3,), init=tn.nn.init.ones)
        self.q = tn.nn.Parameter((2,), init=tn.nn.init.ones)

    def forward(self, x):
        return rational(x, self.gate.value(), self.p.value(), self.q.value())


network = tn.nn.Sequential(tn.nn.Linear(64, 128), Rational(128), tn.nn.Linear(128, 10))
digits = load_digits()
images, labels = (digits.data / 16).astype("float32"), digits.target
train_x, test_x, train_y, test_y = train_test_split(
    images, labels, test_size=0.2, stratify=labels, random_state=0
)
start = time.perf_counter()
history = tn.fit(
    network,
    train_x,
    train_y,
    loss=F.cross_entropy,
    optimizer=tn.optim.Adam(3e-3),
    epochs=15,
    batch_size=64,
    seed=0,
    validation_data=(test_x, test_y),
)
print(f"{time.perf_counter() - start:.1f} s with compilation")
print(tn.compile(network, (train_x[:64],)).report())
assert history["val_accuracy"][-1] > 0.95

# %% [markdown]
# ## When something is wrong
#
# Shapes are checked when the operator is applied, and the error names the line of the function.

# %%
try:
    rational(x, gate[:, None], p, q)
except tn.ExpressionError as error:
    print(error)
else:
    raise AssertionError

# %% [markdown]
# ## What we have learned
#
# - `@tn.op` on one Python function is a whole operator: arrays, networks and gradients take it.
# - Nothing was registered, and no second function was written for the gradient. Where a better
#   formula is known, `@rational.def_vjp` takes it.
# - Fusion follows from the expression: an element-wise operator of yours runs inside the kernel
#   before it.
