"""One process of one peer: seconds of a training step, and the memory that training took.

usage: python bench_training.py torch|jax mlp|cnn THREADS

Adam with a rate of 1e-3 and mean cross-entropy; the loss is read after each step. Prints JSON.
"""

import json
import os
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

WARM_UP_STEPS, SECONDS = 20, 3.0
SIZES = (784, 512, 512, 10)
CHANNELS, HIDDEN = (16, 32), 128


def peak_kib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise KeyError("VmHWM")


def batch(network):
    import numpy as np

    rng = np.random.default_rng(0)
    rows = 128 if network == "mlp" else 64
    shape = (rows, 784) if network == "mlp" else (rows, 28, 28, 1)
    return rng.standard_normal(shape, dtype=np.float32), rng.integers(0, 10, rows)


def torch_step(network, threads):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y = (torch.from_numpy(array) for array in batch(network))
    if network == "mlp":
        layers = []
        for a, b in pairwise(SIZES):
            layers += [nn.Linear(a, b), nn.ReLU()]
        net = nn.Sequential(*layers[:-1])
    else:
        a, b = CHANNELS
        x = x.permute(0, 3, 1, 2).contiguous()
        net = nn.Sequential(
            nn.Conv2d(1, a, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(a, b, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(49 * b, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, 10),
        )
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loss_of = nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def jax_step(network, threads):
    import jax
    import jax.numpy as jnp

    x, y = (jnp.asarray(array) for array in batch(network))
    a, b = CHANNELS
    shapes = list(pairwise(SIZES))
    if network == "cnn":
        shapes = [(5, 5, 1, a), (5, 5, a, b), (49 * b, HIDDEN), (HIDDEN, 10)]
    keys = jax.random.split(jax.random.PRNGKey(0), len(shapes))
    params = [
        (jax.random.normal(key, shape) * 0.05, jnp.zeros(shape[-1]))
        for key, shape in zip(keys, shapes, strict=True)
    ]

    def layer(h, weight, bias):
        if weight.ndim == 2:
            return h.reshape(h.shape[0], -1) @ weight + bias
        h = jax.lax.conv_general_dilated(
            h, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        h = jax.nn.relu(h + bias)
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, window, window, "VALID")

    def loss_of(params, x, y):
        h = x
        for weight, bias in params[:-1]:
            h = layer(h, weight, bias)
            h = jax.nn.relu(h) if weight.ndim == 2 else h
        scores = jax.nn.log_softmax(layer(h, *params[-1]))
        return -scores[jnp.arange(len(y)), y].mean()

    def update(params, first, second, count, x, y):
        loss, grads = jax.value_and_grad(loss_of)(params, x, y)
        count += 1
        tree_map = jax.tree_util.tree_map
        first = tree_map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
        scale, root = 1e-3 / (1 - 0.9**count), 1 - 0.999**count
        params = tree_map(
            lambda p, m, v: p - scale * m / (jnp.sqrt(v / root) + 1e-8), params, first, second
        )
        return params, first, second, count, loss

    compiled = jax.jit(update, donate_argnums=(0, 1, 2, 3))
    zeros = [tuple(jnp.zeros_like(p) for p in pair) for pair in params]
    state = [params, zeros, [tuple(p + 0 for p in pair) for pair in zeros], jnp.float32(0)]

    def step():
        results = compiled(*state, x, y)
        state[:] = results[:-1]
        return float(results[-1])

    return step


def main():
    peer, network, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    module = __import__(peer)
    imported = peak_kib()
    step = {"torch": torch_step, "jax": jax_step}[peer](network, threads)
    for _ in range(WARM_UP_STEPS):
        step()
    durations = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        durations.append(time.perf_counter() - begin)
    figures = {
        "seconds": statistics.median(durations),
        "memory_kib": peak_kib() - imported,
        "version": module.__version__,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
