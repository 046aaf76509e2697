#!/usr/bin/env python3
"""Fits the polynomials of src/ir/math and prints src/ir/math/coefficients.h.

Needs only mpmath (gmpy2 makes it faster). Each polynomial is a minimax fit of the stated function,
found by the Remez exchange on a fixed grid in 60-digit arithmetic. The coefficients are rounded to
their type one at a time, lowest power first, and the rest is fitted again after each rounding.

Usage: scripts/fit_math_coefficients.py > src/ir/math/coefficients.h   (then scripts/format)
       scripts/fit_math_coefficients.py --errors     (only the fit errors, in bits)
"""

import sys

from mpmath import mp, mpf

mp.dps = 60
GRID = 600


def grid(low, high, count=GRID):
    """Chebyshev points of [low, high], so that the ends are dense."""
    low, high = mpf(low), mpf(high)
    return [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (count - 1)) for i in range(count)
    ]


def remez(points, values, weights, powers):
    """Coefficients c minimising max |weight * (value - sum c_j point^powers_j)| on the points."""
    terms = len(powers)
    basis = [[p**k for k in powers] for p in points]
    count = len(points)
    chosen = [round((count - 1) * i / terms) for i in range(terms + 1)]
    best = None
    for _ in range(40):
        matrix = mp.matrix(terms + 1, terms + 1)
        right = mp.matrix(terms + 1, 1)
        for row, index in enumerate(chosen):
            for column in range(terms):
                matrix[row, column] = basis[index][column]
            matrix[row, terms] = (-1) ** row / weights[index]
            right[row] = values[index]
        solution = mp.lu_solve(matrix, right)
        coefficients = [solution[j] for j in range(terms)]
        error = [weights[i] * (values[i] - mp.fdot(coefficients, basis[i])) for i in range(count)]
        worst = max(abs(e) for e in error)
        if best is None or worst < best[0]:
            best = (worst, coefficients)
        if worst <= abs(solution[terms]) * mpf("1.001"):
            break
        extrema = alternating_extrema(error)
        while len(extrema) > terms + 1:  # drop the smaller end
            extrema = (
                extrema[1:] if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else extrema[:-1]
            )
        if len(extrema) < terms + 1:
            break
        chosen = extrema
    return best


def least_squares(points, values, weights, powers):
    """Like remez, with the least sum of squares: on Chebyshev points nearly as good."""
    rows = [[w * p**k for k in powers] for p, w in zip(points, weights, strict=True)]
    right = [w * v for v, w in zip(values, weights, strict=True)]
    columns = list(zip(*rows, strict=True))
    normal = mp.matrix([[mp.fdot(a, b) for b in columns] for a in columns])
    solution = mp.lu_solve(normal, mp.matrix([mp.fdot(a, right) for a in columns]))
    return None, list(solution)


def alternating_extrema(error):
    """Index of the largest error in each run of equal sign."""
    runs = []
    for index, value in enumerate(error):
        if value == 0:
            continue
        if runs and (error[runs[-1]] > 0) == (value > 0):
            if abs(value) > abs(error[runs[-1]]):
                runs[-1] = index
        else:
            runs.append(index)
    return runs


def to_bits(value, bits):
    """Round a value to `bits` significant bits."""
    with mp.workprec(bits):
        return +value


def fit(function, low, high, powers, bits, weight=lambda x, value: 1 / abs(value)):
    """Fit; gives the rounded coefficients and the final error (of the weighted difference)."""
    points = [p for p in grid(low, high) if p != 0]
    values = [function(p) for p in points]
    weights = [weight(p, v) for p, v in zip(points, values, strict=True)]
    done, rest, remaining = [], list(powers), list(values)
    while rest:
        one_sided = rest[0] == 0 or low >= 0  # else the powers share a zero inside and Remez fails
        _, coefficients = (remez if one_sided else least_squares)(points, remaining, weights, rest)
        c = to_bits(coefficients[0], bits)
        done.append(c)
        remaining = [r - c * p ** rest[0] for r, p in zip(remaining, points, strict=True)]
        rest = rest[1:]
    error = max(abs(w * r) for w, r in zip(weights, remaining, strict=True))
    return done, error


HALF_LN2 = mp.log(2) / 2 * mpf("1.0001")
QUARTER_PI = mp.pi / 4 * mpf("1.0001")
SQRT_HALF, SQRT_TWO = mp.sqrt(mpf(1) / 2) - mpf("1e-6"), mp.sqrt(mpf(2)) + mpf("1e-6")


TAIL_SHIFT = mpf(4)


def tail_in(v):
    """exp(a^2/2) * Phi(-a) / v for a = 1/v - TAIL_SHIFT."""
    return scaled_tail(1 / v - TAIL_SHIFT) / v


def scaled_tail(a):
    return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2


def exp_rest(r):
    return (mp.exp(r) - 1 - r) / r**2 if abs(r) > mpf("1e-12") else mpf(1) / 2


def log_rest(f):
    return (mp.log1p(f) - f + f * f / 2) / f**3


def erf_rest(z):
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def lucky_center(function, start, step, bits):
    """Find a point near `start` where the function is nearly a float, so c_0 rounds well."""
    for i in range(400):
        center = mpf(start) + i * mpf(step)
        value = function(center)
        if abs(value - to_bits(value, bits)) < value * mpf(2) ** (-bits - 6):
            return center
    raise ValueError("no such point")


def add_tail(kind, count):
    """Add the scaled tail of the normal distribution, around a lucky center."""
    bits = BITS[kind]
    center = lucky_center(tail_in, "0.109375", mpf(2) ** -13, bits)
    CENTER[kind] = center
    low, high = (1 / (a + TAIL_SHIFT) - center for a in reversed(TAIL_RANGE[kind]))
    add(
        f"kTail{SUFFIX[kind]}",
        lambda u: tail_in(u + center),
        low,
        high,
        {kind: count},
        lambda u, value: 1 / value,
        f"exp(a^2 / 2) Phi(-a) = v p(v - kTailCenter{SUFFIX[kind]}), v = 1 / (a + 4)",
    )


BITS = {"f32": 24, "f64": 53, "wide": 53}
SUFFIX = {"f32": "F32", "f64": "F64", "wide": "Wide"}
TAIL_RANGE = {"f32": (mpf(0), mpf("14.8")), "f64": (mpf(0), mpf("39"))}
CENTER = {}
TABLE = {}  # name -> (function, low, high, {type: (terms, bits)}, weight, comment)


def add(name, function, low, high, terms, weight, comment):
    TABLE[name] = (function, low, high, terms, weight, comment)


add(
    "kExp",
    exp_rest,
    -HALF_LN2,
    HALF_LN2,
    {"f32": 5, "f64": 10},
    lambda r, v: r * r / mp.exp(r),
    "exp(r) = 1 + r + r^2 p(r), |r| <= ln2 / 2",
)
add(
    "kExp2",
    lambda f: (mpf(2) ** f - 1) / f,
    -mpf("0.5001"),
    mpf("0.5001"),
    {"f32": 6, "f64": 12},
    lambda f, v: abs(f) / mpf(2) ** f,
    "2^f = 1 + f p(f), |f| <= 1/2",
)
add(
    "kLog",
    log_rest,
    SQRT_HALF - 1,
    SQRT_TWO - 1,
    {"f32": 8, "f64": 21},
    lambda f, v: f**2,
    "log(1 + f) = f + f^2 (-1/2 + f p(f)), 1 + f in [sqrt(1/2), sqrt 2]",
)
add(
    "kLog1p",
    lambda e: (mp.log1p(e) - e) / e**2,
    0,
    1,
    {"f32": 9, "f64": 20},
    lambda e, v: e**2 / mp.log1p(e),
    "log(1 + e) = e + e^2 p(e), e in [0, 1]",
)
add(
    "kSin",
    lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
    0,
    QUARTER_PI**2,
    {"f32": 3, "f64": 6},
    lambda z, v: z,
    "sin r = r + r^3 p(r^2), |r| <= pi / 4",
)
add(
    "kCos",
    lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
    0,
    QUARTER_PI**2,
    {"f32": 3, "f64": 6},
    lambda z, v: z * z,
    "cos r = 1 - r^2 / 2 + r^4 p(r^2), |r| <= pi / 4",
)
add("kErf", erf_rest, 0, 1, {"f32": 7, "f64": 13}, lambda z, v: 1, "erf x = x + x p(x^2), |x| <= 1")
add(
    "kErfcLog2",
    lambda t: -mp.log(mp.erfc(t + 2), 2) / (t + 2),
    mpf("-1.05"),
    mpf("1.95"),
    {"f32": 7},
    lambda t, v: (t + 2) * mp.erfc(t + 2) / mp.erf(t + 2),
    "erfc x = 2^-(x p(x - 2)), 1 <= x <= 3.95",
)
for kind, count in {"f32": 11, "f64": 24}.items():
    add_tail(kind, count)
add(
    "kPowLog2",
    lambda f: mp.log(1 + f, 2) / f,
    SQRT_HALF - 1,
    SQRT_TWO - 1,
    {"wide": 13},
    lambda f, v: 1 / v,
    "log2(1 + f) = f p(f), in float64, for float32 pow",
)
add(
    "kPowAtanh",
    lambda z: (
        (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2 - 2 * z / 3 - 2 * z * z / 5) / z**3 / mp.log(2)
    ),
    0,
    mpf("0.02945"),
    {"f64": 6},
    lambda z, v: z**3,
    "log2((1 + s) / (1 - s)) = (2 s + 2/3 s^3 + 2/5 s^5) / ln2 + s^7 p(s^2), for float64 pow",
)

HEADER = """\
// Written by scripts/fit_math_coefficients.py; do not edit.
#pragma once

namespace tenon::math {
"""


def hexadecimal(value):
    return float(value).hex().replace("0x1.0000000000000p", "0x1p")


def main(arguments):
    only_errors = "--errors" in arguments
    chosen = [a for a in arguments if not a.startswith("--")]
    out = []
    for name, (function, low, high, terms, weight, comment) in TABLE.items():
        if chosen and name not in chosen:
            continue
        if not only_errors:
            out.append(f"\n/// {comment}.")
        for kind, count in terms.items():
            coefficients, error = fit(function, low, high, range(count), BITS[kind], weight)
            bits = mp.nstr(mp.log(error, 2), 5)
            full_name = name if name.endswith(SUFFIX[kind]) else name + SUFFIX[kind]
            print(f"{full_name}: {count} terms, error 2^{bits}", file=sys.stderr)
            if full_name.startswith("kTail"):
                center = hexadecimal(CENTER[kind])
                out.append(f"inline constexpr double kTailCenter{SUFFIX[kind]} = {center};")
            out.append(f"inline constexpr double {full_name}[] = {{  // error 2^{bits}")
            out += ["    " + hexadecimal(c) + "," for c in coefficients]
            out.append("};")
    if not only_errors:
        print(HEADER + "\n".join(out) + "\n\n}  // namespace tenon::math")


if __name__ == "__main__":
    main(sys.argv[1:])
