# %% [markdown]
# # A differentiable pendulum
#
# **Question.** A pendulum was let go somewhere, and we have some noisy measurements of its angle.
# Where did it start, and how fast was it? Trying starts at random needs thousands of simulations.
# With the derivative of the *whole simulation* with respect to its start we can walk there.
#
# A solver is a loop of a thousand small steps. Written with `tn.scan` it is one compiled program,
# and so is its gradient: no Python runs between the steps, forward or backward.
#
# Run it: `python tutorials/06_a_differentiable_pendulum.py`.

# %%
import time

import numpy as np

import tenon as tn
import tenon.nn.functional as F

STEPS, DT, GRAVITY_OVER_LENGTH = 1000, 0.01, 9.81

# %% [markdown]
# ## The solver
#
# Velocity first, then angle from the new velocity (the symplectic Euler method), which keeps the
# energy of the swing. `tn.scan` takes a function from a state and a slice to the next state and a
# result, and stacks the results.


# %%
def simulate(start):
    def step(state, _):
        angle, velocity = state
        velocity = velocity - DT * GRAVITY_OVER_LENGTH * F.sin(angle)
        angle = angle + DT * velocity
        return (angle, velocity), angle

    _, angles = tn.scan(step, (start[0], start[1]), length=STEPS)
    return angles


def simulate_numpy(start):
    angle, velocity = (float(s) for s in start)
    angles = []
    for _ in range(STEPS):
        velocity -= DT * GRAVITY_OVER_LENGTH * np.sin(angle)
        angle += DT * velocity
        angles.append(angle)
    return np.array(angles)


true_start = np.array([1.2, -0.7])
run = tn.jit(simulate)
np.testing.assert_allclose(run(true_start), simulate_numpy(true_start), rtol=0, atol=1e-9)

# %% [markdown]
# ## Measurements
#
# Every tenth angle, with noise.

# %%
rng = np.random.default_rng(0)
observed = simulate_numpy(true_start)[9::10] + rng.normal(0, 0.02, STEPS // 10)


def loss(start, observed):
    error = simulate(start)[9::10] - observed
    return (error * error).mean()


# %% [markdown]
# ## Its derivative
#
# `tn.value_and_grad` runs the thousand steps forward, keeps the states, and runs a thousand steps
# back. Differences of the NumPy twin say that it is right.

# %%
value_and_grad = tn.value_and_grad(loss)
guess = np.array([0.9, 0.0])
value, gradient = value_and_grad(guess, observed)
differences = []
for i in range(2):
    losses = []
    for sign in (1, -1):
        moved = guess.copy()
        moved[i] += sign * 1e-6
        losses.append(np.mean((simulate_numpy(moved)[9::10] - observed) ** 2))
    differences.append((losses[0] - losses[1]) / 2e-6)
np.testing.assert_allclose(gradient, differences, rtol=1e-5)

# %% [markdown]
# ## Walking to the start
#
# Near the solution the loss is a valley, steep across and flat along. The Gauss-Newton step looks
# at how each measured angle moves with the start (two columns, by `tn.jvp`) and solves for both
# numbers.

# %%
directions = np.eye(2)
start_time = time.perf_counter()
for iteration in range(12):
    angles, _ = tn.jvp(simulate, (guess,), (directions[0],))
    columns = [np.asarray(tn.jvp(simulate, (guess,), (d,))[1])[9::10] for d in directions]
    residual = np.asarray(angles)[9::10] - observed
    change = np.linalg.lstsq(np.stack(columns, 1), residual, rcond=None)[0]
    guess = guess - change
    print(f"step {iteration:2}: angle {guess[0]:+.5f}, velocity {guess[1]:+.5f}")
    if np.abs(change).max() < 1e-10:
        break
seconds = time.perf_counter() - start_time
print(f"{iteration + 1} steps in {seconds * 1e3:.0f} ms, compilation included")
value, gradient = value_and_grad(guess, observed)
print(f"loss {float(np.asarray(value)):.2e}, true start {true_start}")
assert np.abs(guess - true_start).max() < 0.02
assert np.abs(gradient).max() < 1e-6

# %% [markdown]
# ## What we have learned
#
# - A loop with state is a `tn.scan`; it compiles once and runs without Python between its steps.
# - `tn.grad` and `tn.jvp` go through it as through anything else; the gradient is a scan as well.
# - Reverse mode gives all derivatives of one number, forward mode one derivative of all numbers:
#   with two unknowns and a hundred measurements, forward mode is what a least-squares step wants.
