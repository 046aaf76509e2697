# %% [markdown]
# # Gradients of a kernel
#
# **Question.** A convolution reads its image through moving windows. Its gradient with respect to
# the image must send each output's share back to every pixel that it read. Written down directly
# that is a *scatter*: many iterations add to one element, so nothing can run in parallel. Is there
# a better form, and who writes it?
#
# Tenon differentiates the tensor expression, before there are any loops, and gives tensor
# expressions back. A gradient is scheduled, printed, compiled and differentiated like all others.
#
# Run it: `python tutorials/03_gradients_of_a_kernel.py`.

# %%
import numpy as np

import tenon as tn
from tenon import te

SIZE, CHANNELS, FILTERS, WINDOW, STRIDE = 32, 8, 16, 3, 2
OUT = (SIZE - WINDOW) // STRIDE + 1

# %% [markdown]
# ## A convolution with stride 2
#
# `y[h, w, f]` sums over a window of the image and its channels.


# %%
x = te.placeholder((SIZE, SIZE, CHANNELS), "float32", name="x")
w = te.placeholder((WINDOW, WINDOW, CHANNELS, FILTERS), "float32", name="w")


def conv(h, v, f):
    r = te.reduce_axis(WINDOW, name="r")
    s = te.reduce_axis(WINDOW, name="s")
    c = te.reduce_axis(CHANNELS, name="c")
    return te.sum(x[h * STRIDE + r, v * STRIDE + s, c] * w[r, s, c, f], axis=(r, s, c))


y = te.compute((OUT, OUT, FILTERS), conv, name="y")

# %% [markdown]
# ## Its derivatives
#
# `te.vjp` takes outputs, inputs and a cotangent for each output (the derivative of some loss with
# respect to it), and returns the cotangents of the inputs.

# %%
dy = te.placeholder(y.shape, "float32", name="dy")
dx, dw = te.vjp([y], [x, w], [dy])
backward_x = tn.function([w, dy], [dx], name="backward_x")
backward_w = tn.function([x, dy], [dw], name="backward_w")
print(backward_w)

# %% [markdown]
# The gradient of the weights is a convolution of the image with `dy`: it sums over the positions of
# the window. For the image Tenon solves `h * 2 + r = p` for `h` and `r`. Even and odd `p` have
# different solutions, so the image is divided by remainder: for each remainder the taps of the
# window that can reach it are known, and no inner loop asks for a remainder.

# %%
print(backward_x)
rng = np.random.default_rng(0)
image = rng.standard_normal((SIZE, SIZE, CHANNELS)).astype("float32")
weights = rng.standard_normal((WINDOW, WINDOW, CHANNELS, FILTERS)).astype("float32")
cotangent = rng.standard_normal((OUT, OUT, FILTERS)).astype("float32")
image_gradient = tn.build(backward_x)(weights, cotangent).numpy()
weight_gradient = tn.build(backward_w)(image, cotangent).numpy()

# %% [markdown]
# ## Are they right?
#
# The definition, with NumPy: every output sends its share back.

# %%
expected = np.zeros(image.shape)
for r in range(WINDOW):
    for s in range(WINDOW):
        rows, columns = slice(r, r + 2 * OUT - 1, 2), slice(s, s + 2 * OUT - 1, 2)
        expected[rows, columns] += cotangent.astype("float64") @ weights[r, s].T
np.testing.assert_allclose(image_gradient, expected, rtol=0, atol=1e-4)
r, s = 1, 2
window = image[r : r + 2 * OUT - 1 : 2, s : s + 2 * OUT - 1 : 2].astype("float64")
share = np.einsum("hwc,hwf->cf", window, cotangent)
np.testing.assert_allclose(weight_gradient[r, s], share, rtol=0, atol=1e-3)

# %% [markdown]
# ## Forward mode, and gradients of gradients
#
# `te.jvp` asks what the outputs do when the inputs move in one direction. The two modes must agree:
# the share of the outputs in direction `dx` is the share of the inputs along the gradient. And as a
# gradient is an expression, it has gradients itself.

# %%
t = te.placeholder(x.shape, "float32", name="t")
(moved,) = te.jvp([y], [x], [t])
direction = rng.standard_normal(image.shape).astype("float32")
push = tn.build(tn.function([w, t], [moved]))(weights, direction).numpy()
forward, reverse = np.vdot(push, cotangent), np.vdot(direction, image_gradient)
print(f"forward {forward:.4f}, reverse {reverse:.4f}")
assert abs(forward - reverse) < 1e-5 * np.linalg.norm(push) * np.linalg.norm(cotangent)

n = te.placeholder((4,), "float64", name="n")
i = te.reduce_axis(4, name="i")
loss = te.compute((), lambda: te.sum(te.tanh(n[i]) * n[i], axis=i), name="loss")
(first,) = te.grad(loss, [n])
along = te.placeholder((4,), "float64", name="along")
(second,) = te.jvp([first], [n], [along])  # the Hessian times a vector, never the whole matrix
hessian_times = tn.build(tn.function([n, along], [second]))
point = np.array([-1.0, 0.0, 0.5, 2.0])
got = hessian_times(point, np.ones(4)).numpy()
slope = 1 - np.tanh(point) ** 2
np.testing.assert_allclose(got, 2 * slope - 2 * point * np.tanh(point) * slope, rtol=1e-12)

# %% [markdown]
# ## What we have learned
#
# - `te.vjp`, `te.grad` and `te.jvp` take tensors and give tensors; nothing is recorded at run time.
# - A gradient of a windowed read is a gather with fewer terms, not a scatter with collisions.
# - Whole networks have the same in `tn.grad`, `tn.value_and_grad`, `tn.jvp` and `tn.vmap`
#   (`04_train_a_network.py`).
