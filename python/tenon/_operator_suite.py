"""Fifty operators with odd shapes, for benchmark runs: what libraries do not tune for.

Each comes with the operations and bytes that it needs at least, so that its time compares with what
the machine reaches. The list is fixed: figures of different days are about the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tenon import te
from tenon._build import function

__all__ = ["Operator", "operators"]


class Operator(NamedTuple):
    """One operator of the suite."""

    name: str
    function: Any
    """The function, not scheduled."""
    arguments: list[np.ndarray[Any, Any]]
    """Random inputs, the same in every process."""
    operations: int
    """In float32 operations: a fused multiply-add counts two, an elementary function one, all of
    them twice in float64."""
    bytes: int
    """Inputs that are read and results, each once."""

    def seconds_at_least(self, flops: float, bytes_per_second: float) -> float:
        """Return the roof: the larger of the times for operations and for bytes."""
        return max(self.operations / flops, self.bytes / bytes_per_second)


_MAKERS: list[tuple[str, Callable[[], Any]]] = []


def _operator(maker: Callable[[], Any]) -> Callable[[], Any]:
    _MAKERS.append((maker.__name__.removeprefix("_"), maker))
    return maker


def operators(names: list[str] | None = None) -> list[Operator]:
    """Return the operators of those names, by default all, in the order of the list."""
    known = [name for name, _ in _MAKERS]
    for name in names or []:
        if name not in known:
            raise ValueError(f"the suite has no operator {name!r}; it has {', '.join(known)}")
    return [_made(name, maker) for name, maker in _MAKERS if names is None or name in names]


def _made(name: str, maker: Callable[[], Any]) -> Operator:
    inputs, result, operations = maker()
    seed = int.from_bytes(name.encode(), "little") % (1 << 32)
    rng = np.random.default_rng(seed)
    arrays = [_random(rng, tensor) for tensor in inputs]
    shape = [int(size) for size in result.shape]
    result_bytes = prod(shape) * np.dtype(str(result.dtype)).itemsize
    num_bytes = sum(array.nbytes for array in arrays) + result_bytes
    if name.startswith("gather"):  # reads as much as it writes, and the numbers of rows
        num_bytes = arrays[1].nbytes + 2 * result_bytes
    if str(result.dtype) == "float64":
        operations *= 2  # half as many lanes
    return Operator(name, function([*inputs], [result], name=name), arrays, operations, num_bytes)


def _random(rng: np.random.Generator, tensor: Any) -> np.ndarray[Any, Any]:
    shape = [int(size) for size in tensor.shape]
    dtype = np.dtype(str(tensor.dtype))
    if dtype.kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def _input(name: str, *shape: int, dtype: str = "float32") -> Any:
    return te.placeholder(shape, dtype, name=name)


# Products.


def _matmul(
    m: int, n: int, k: int, a_is: str = "mk", b_is: str = "kn", dtype: str = "float32"
) -> Any:
    sizes = {"m": m, "n": n, "k": k}
    a = _input("A", *(sizes[c] for c in a_is), dtype=dtype)
    b = _input("B", *(sizes[c] for c in b_is), dtype=dtype)
    kk = te.reduce_axis(k, name="k")

    def element(i: Any, j: Any) -> Any:
        at = {"m": i, "n": j, "k": kk}
        return te.sum(a[tuple(at[c] for c in a_is)] * b[tuple(at[c] for c in b_is)], axis=kk)

    return [a, b], te.compute((m, n), element, name="C"), 2 * m * n * k


def _batched(batch: int, m: int, n: int, k: int, b_is: str = "kn") -> Any:
    a = _input("A", batch, m, k)
    b = _input("B", batch, *((k, n) if b_is == "kn" else (n, k)))
    kk = te.reduce_axis(k, name="k")

    def element(q: Any, i: Any, j: Any) -> Any:
        return te.sum(a[q, i, kk] * (b[q, kk, j] if b_is == "kn" else b[q, j, kk]), axis=kk)

    return [a, b], te.compute((batch, m, n), element, name="C"), 2 * batch * m * n * k


@_operator
def _product_49x512x4608() -> Any:
    return _matmul(49, 512, 4608)


@_operator
def _product_of_primes() -> Any:
    return _matmul(31, 257, 1031)


@_operator
def _product_of_one_row() -> Any:
    return _matmul(1, 4096, 1000)


@_operator
def _product_of_seven_columns() -> Any:
    return _matmul(1000, 7, 1000)


@_operator
def _product_of_seven_rows() -> Any:
    return _matmul(7, 1000, 1000)


@_operator
def _product_of_few_results() -> Any:
    return _matmul(3, 3, 100_000)


@_operator
def _product_a_transposed() -> Any:
    return _matmul(300, 300, 50, "km")


@_operator
def _product_b_transposed() -> Any:
    return _matmul(97, 97, 2048, "mk", "nk")


@_operator
def _product_both_transposed() -> Any:
    return _matmul(200, 300, 100, "km", "nk")


@_operator
def _product_tall() -> Any:
    return _matmul(20_480, 33, 33)


@_operator
def _product_float64() -> Any:
    return _matmul(101, 103, 107, dtype="float64")


@_operator
def _product_int32() -> Any:
    return _matmul(64, 66, 510, dtype="int32")


@_operator
def _products_of_17() -> Any:
    return _batched(500, 17, 17, 17)


@_operator
def _products_of_4() -> Any:
    return _batched(20_000, 4, 4, 4)


@_operator
def _products_of_few_rows() -> Any:
    return _batched(1000, 5, 70, 9)


@_operator
def _products_b_transposed() -> Any:
    return _batched(24, 77, 77, 40, "nk")


@_operator
def _dense_gelu() -> Any:
    a, w, bias = _input("A", 63, 500), _input("W", 500, 129), _input("bias", 129)
    k = te.reduce_axis(500, name="k")
    c = te.compute((63, 129), lambda i, j: te.sum(a[i, k] * w[k, j], axis=k), name="C")
    d = te.compute((63, 129), lambda i, j: te.gelu(c[i, j] + bias[j]), name="D")
    return [a, w, bias], d, 2 * 63 * 129 * 500


@_operator
def _bilinear() -> Any:
    x, w, y = _input("X", 64, 31), _input("W", 33, 31, 30), _input("Y", 64, 30)
    i, j = te.reduce_axis(31, name="i"), te.reduce_axis(30, name="j")
    z = te.compute(
        (64, 33), lambda b, o: te.sum(x[b, i] * w[o, i, j] * y[b, j], axis=[i, j]), name="Z"
    )
    return [x, w, y], z, 2 * 64 * 33 * 30 * 31


@_operator
def _distances() -> Any:
    x, y = _input("X", 700, 3), _input("Y", 900, 3)
    k = te.reduce_axis(3, name="k")

    def element(i: Any, j: Any) -> Any:
        return te.sum((x[i, k] - y[j, k]) * (x[i, k] - y[j, k]), axis=k)

    return [x, y], te.compute((700, 900), element, name="D"), 3 * 700 * 900 * 3


# Windows.


def _conv2d(
    size: int, c: int, oc: int, k: int, stride: int = 1, dilation: int = 1, batch: int = 1
) -> Any:
    x, w = _input("X", batch, size, size, c), _input("W", k, k, c, oc)
    out = (size - dilation * (k - 1) - 1) // stride + 1
    r, s = te.reduce_axis(k, name="r"), te.reduce_axis(k, name="s")
    q = te.reduce_axis(c, name="c")

    def element(n: Any, i: Any, j: Any, o: Any) -> Any:
        at = x[n, i * stride + r * dilation, j * stride + s * dilation, q]
        return te.sum(at * w[r, s, q, o], axis=[r, s, q])

    y = te.compute((batch, out, out, oc), element, name="Y")
    return [x, w], y, 2 * batch * out * out * oc * k * k * c


def _depthwise(size: int, c: int, k: int, stride: int = 1) -> Any:
    x, w = _input("X", 1, size, size, c), _input("W", k, k, c)
    out = (size - k) // stride + 1
    r, s = te.reduce_axis(k, name="r"), te.reduce_axis(k, name="s")

    def element(n: Any, i: Any, j: Any, o: Any) -> Any:
        return te.sum(x[n, i * stride + r, j * stride + s, o] * w[r, s, o], axis=[r, s])

    y = te.compute((1, out, out, c), element, name="Y")
    return [x, w], y, 2 * out * out * c * k * k


@_operator
def _conv_few_channels() -> Any:
    return _conv2d(61, 3, 17, 3)


@_operator
def _conv_stride_3() -> Any:
    return _conv2d(100, 11, 13, 5, stride=3)


@_operator
def _conv_dilated() -> Any:
    return _conv2d(53, 8, 8, 7, dilation=2)


@_operator
def _conv_1x1_few_outputs() -> Any:
    return _conv2d(15, 512, 7, 1)


@_operator
def _conv_one_channel() -> Any:
    return _conv2d(511, 1, 1, 3)


@_operator
def _conv_3x3_batch() -> Any:
    return _conv2d(13, 37, 41, 3, batch=5)


@_operator
def _depthwise_3x3() -> Any:
    return _depthwise(58, 144, 3)


@_operator
def _depthwise_7x7() -> Any:
    return _depthwise(34, 96, 7)


@_operator
def _depthwise_stride_2() -> Any:
    return _depthwise(113, 27, 3, stride=2)


@_operator
def _conv_grouped() -> Any:
    groups, c, size = 32, 4, 30
    x, w = _input("X", size, size, groups, c), _input("W", groups, 3, 3, c, c)
    r, s, q = (te.reduce_axis(n, name=name) for n, name in ((3, "r"), (3, "s"), (c, "c")))

    def element(i: Any, j: Any, g: Any, o: Any) -> Any:
        return te.sum(x[i + r, j + s, g, q] * w[g, r, s, q, o], axis=[r, s, q])

    out = size - 2
    y = te.compute((out, out, groups, c), element, name="Y")
    return [x, w], y, 2 * out * out * groups * c * c * 9


@_operator
def _conv1d_channels_first() -> Any:
    x, w = _input("X", 80, 777), _input("W", 80, 80, 9)
    q, r = te.reduce_axis(80, name="c"), te.reduce_axis(9, name="r")

    def element(o: Any, t: Any) -> Any:
        return te.sum(x[q, t + r] * w[o, q, r], axis=[q, r])

    return [x, w], te.compute((80, 769), element, name="Y"), 2 * 80 * 769 * 80 * 9


@_operator
def _conv3d() -> Any:
    x, w = _input("X", 20, 20, 20, 4), _input("W", 3, 3, 3, 4, 5)
    p, r, s = (te.reduce_axis(3, name=name) for name in "prs")
    q = te.reduce_axis(4, name="c")

    def element(d: Any, i: Any, j: Any, o: Any) -> Any:
        return te.sum(x[d + p, i + r, j + s, q] * w[p, r, s, q, o], axis=[p, r, s, q])

    return [x, w], te.compute((18, 18, 18, 5), element, name="Y"), 2 * 18**3 * 5 * 27 * 4


@_operator
def _filter_of_a_signal() -> Any:
    x, w = _input("X", 100_000), _input("W", 255)
    r = te.reduce_axis(255, name="r")
    y = te.compute((99_746,), lambda t: te.sum(x[t + r] * w[r], axis=r), name="Y")
    return [x, w], y, 2 * 99_746 * 255


@_operator
def _stencil() -> Any:
    x = _input("X", 1003, 999)

    def element(i: Any, j: Any) -> Any:
        around = x[i, j + 1] + x[i + 2, j + 1] + x[i + 1, j] + x[i + 1, j + 2]
        return 0.5 * x[i + 1, j + 1] + 0.125 * around

    return [x], te.compute((1001, 997), element, name="Y"), 6 * 1001 * 997


@_operator
def _max_pool() -> Any:
    x = _input("X", 113, 113, 60)
    r, s = te.reduce_axis(3, name="r"), te.reduce_axis(3, name="s")
    y = te.compute(
        (56, 56, 60), lambda i, j, c: te.max(x[2 * i + r, 2 * j + s, c], axis=[r, s]), name="Y"
    )
    return [x], y, 9 * 56 * 56 * 60


@_operator
def _average_of_pixels() -> Any:
    x = _input("X", 9, 49, 2047)
    p = te.reduce_axis(49, name="p")
    s = te.compute((9, 2047), lambda n, c: te.sum(x[n, p, c], axis=p), name="S")
    y = te.compute((9, 2047), lambda n, c: s[n, c] / 49.0, name="Y")
    return [x], y, 9 * 49 * 2047


# Rows and other reductions.


def _softmax(rows: int, columns: int, *, over_rows: bool = False) -> Any:
    x = _input("X", rows, columns)
    if over_rows:
        k, m = te.reduce_axis(rows, name="k"), te.reduce_axis(rows, name="m")
        top = te.compute((columns,), lambda j: te.max(x[k, j], axis=k), name="top")
        e = te.compute((rows, columns), lambda i, j: te.exp(x[i, j] - top[j]), name="e")
        total = te.compute((columns,), lambda j: te.sum(e[m, j], axis=m), name="total")
        y = te.compute((rows, columns), lambda i, j: e[i, j] / total[j], name="Y")
    else:
        k, m = te.reduce_axis(columns, name="k"), te.reduce_axis(columns, name="m")
        top = te.compute((rows,), lambda i: te.max(x[i, k], axis=k), name="top")
        e = te.compute((rows, columns), lambda i, j: te.exp(x[i, j] - top[i]), name="e")
        total = te.compute((rows,), lambda i: te.sum(e[i, m], axis=m), name="total")
        y = te.compute((rows, columns), lambda i, j: e[i, j] / total[i], name="Y")
    return [x], y, 5 * rows * columns


def _layer_norm(rows: int, columns: int) -> Any:
    x, g, b = _input("X", rows, columns), _input("gain", columns), _input("bias", columns)
    k, m = te.reduce_axis(columns, name="k"), te.reduce_axis(columns, name="m")
    s = te.compute((rows,), lambda i: te.sum(x[i, k], axis=k), name="S")
    mean = te.compute((rows,), lambda i: s[i] / float(columns), name="mean")

    def square(i: Any) -> Any:
        return te.sum((x[i, m] - mean[i]) * (x[i, m] - mean[i]), axis=m)

    v = te.compute((rows,), square, name="V")

    def element(i: Any, j: Any) -> Any:
        scale = te.rsqrt(v[i] / float(columns) + 1e-5)
        return (x[i, j] - mean[i]) * scale * g[j] + b[j]

    return [x, g, b], te.compute((rows, columns), element, name="Y"), 8 * rows * columns


@_operator
def _softmax_of_10() -> Any:
    return _softmax(30_000, 10)


@_operator
def _softmax_of_5003() -> Any:
    return _softmax(33, 5003)


@_operator
def _softmax_over_rows() -> Any:
    return _softmax(500, 301, over_rows=True)


@_operator
def _layer_norm_of_12() -> Any:
    return _layer_norm(20_000, 12)


@_operator
def _layer_norm_of_100003() -> Any:
    return _layer_norm(7, 100_003)


@_operator
def _sum_of_middle_axis() -> Any:
    x = _input("X", 30, 500, 70)
    k = te.reduce_axis(500, name="k")
    return (
        [x],
        te.compute((30, 70), lambda i, j: te.sum(x[i, k, j], axis=k), name="Y"),
        30 * 500 * 70,
    )


@_operator
def _sums_of_three_columns() -> Any:
    x = _input("X", 300_000, 3)
    k = te.reduce_axis(300_000, name="k")
    return [x], te.compute((3,), lambda j: te.sum(x[k, j], axis=k), name="Y"), 900_000


@_operator
def _argmax_of_37() -> Any:
    x = _input("X", 20_000, 37)
    k = te.reduce_axis(37, name="k")
    return [x], te.compute((20_000,), lambda i: te.argmax(x[i, k], axis=k), name="Y"), 20_000 * 37


@_operator
def _norms_of_triples() -> Any:
    x = _input("X", 300_000, 3)
    k = te.reduce_axis(3, name="k")
    s = te.compute((300_000,), lambda i: te.sum(x[i, k] * x[i, k], axis=k), name="S")
    return [x], te.compute((300_000,), lambda i: te.sqrt(s[i]), name="Y"), 7 * 300_000


# Elements and their places.


@_operator
def _transpose_201() -> Any:
    x = _input("X", 61, 127, 193)
    return [x], te.compute((193, 61, 127), lambda i, j, k: x[j, k, i], name="Y"), 0


@_operator
def _heads_apart() -> Any:
    x = _input("X", 8, 129, 12, 60)
    return [x], te.compute((8, 12, 129, 60), lambda b, h, t, d: x[b, t, h, d], name="Y"), 0


@_operator
def _gather_rows() -> Any:
    x, rows = _input("X", 100, 517), _input("rows", 5000, dtype="int32")
    return [x, rows], te.compute((5000, 517), lambda i, j: x[rows[i], j], name="Y"), 0


@_operator
def _flip_and_pad() -> Any:
    x = _input("X", 1000, 777)

    def element(i: Any, j: Any) -> Any:
        inside = te.all(i >= 2, i < 1002, j >= 3, j < 780)
        return te.select(inside, x[1001 - i, 779 - j], 0.0)

    return [x], te.compute((1004, 783), element, name="Y"), 0


@_operator
def _gelu_of_a_prime() -> Any:
    x = _input("X", 999_983)
    return [x], te.compute((999_983,), lambda i: te.gelu(x[i]), name="Y"), 5 * 999_983


@_operator
def _broadcast_three() -> Any:
    a, b, c = _input("A", 50), _input("B", 61), _input("C", 333)
    y = te.compute((50, 61, 333), lambda i, j, k: a[i] * b[j] + c[k], name="Y")
    return [a, b, c], y, 2 * 50 * 61 * 333
