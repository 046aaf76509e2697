"""One row for each differentiable operator of networks: a function, and operands to take it at."""

from dataclasses import dataclass

import numpy as np

from tenon.nn import functional as f
from tenon.nn._value import apply, as_value


@dataclass
class Row:
    """What is differentiated, at which shapes; operands are uniform in [low, high)."""

    op: str
    function: object
    shapes: list
    low: float = -2.0
    high: float = 2.0

    def operands(self, shapes, seed=0):
        rng = np.random.default_rng(seed)
        return [rng.uniform(self.low, self.high, shape) for shape in shapes]


def unary(op, low=-2.0, high=2.0):
    return Row(op, lambda x: apply(op, [x]), [((3, 5),), ((),), ((2, 3, 4),)], low, high)


def binary(op, low=-2.0, high=2.0):
    shapes = [((3, 4), (3, 4)), ((2, 3, 4), (4,)), ((3, 1), (2, 1, 5)), ((), (3,))]
    return Row(op, lambda x, y: apply(op, [x, y]), shapes, low, high)


MASK = np.array([[True, False, True], [False, True, True]])

PICKED = np.array([[4, 0, 2], [1, 1, 3]])

ROWS = [
    binary("add"),
    binary("sub"),
    binary("mul"),
    binary("div", 0.5),
    binary("minimum"),
    binary("maximum"),
    binary("pow", 0.5),
    unary("neg"),
    unary("abs"),
    unary("sqrt", 0.5),
    unary("rsqrt", 0.5),
    unary("exp"),
    unary("log", 0.5),
    unary("tanh"),
    unary("erf"),
    unary("sigmoid"),
    unary("sin"),
    unary("cos"),
    unary("gelu"),
    unary("gelu_tanh"),
    unary("softplus"),
    unary("relu"),
    Row("cast", lambda x: x.cast("float64") * x, [((3, 4),)]),
    Row("where", lambda x, y: f.where(MASK, x, y), [((2, 3), (2, 3)), ((1, 3), (2, 1))]),
    Row("transpose", lambda x: x.transpose(2, 0, 1), [((2, 3, 4),)]),
    Row("reshape", lambda x: x.reshape(4, 6), [((2, 3, 4),), ((24,),)]),
    Row("slice", lambda x: x[1:3, :, 2], [((4, 3, 5),)]),
    Row("slice", lambda x: x[::2, ::-1, 4:0:-3], [((4, 3, 5),)]),
    Row("broadcast_to", lambda x: x.broadcast_to(5, 3, 4), [((3, 4),), ((3, 1),), ((),)]),
    Row("concat", lambda x, y: f.concat([x, y, x], 1), [((2, 3), (2, 4))]),
    Row("embedding", lambda x: f.embedding(x, PICKED), [((5, 3),)]),
    Row("copy", lambda x: apply("copy", [x]), [((3, 4),)]),
    Row(
        "linear",
        lambda x, w: f.linear(x, w),
        [((5, 4), (3, 4)), ((2, 3, 4), (5, 4)), ((4,), (3, 4))],
    ),
    Row(
        "matmul",
        lambda x, w: x @ w,
        [((5, 4), (4, 3)), ((2, 5, 4), (4, 3)), ((2, 5, 4), (2, 4, 3)), ((1, 5, 4), (2, 4, 3))],
    ),
    *(
        Row(op, lambda x, op=op, axis=axis: getattr(x, op)(axis), [((3, 4, 5),)])
        for op in ("sum", "mean", "max", "min")
        for axis in (0, -1, (0, 2), None)
    ),
    *(
        Row("prod", lambda x, a=a: apply("prod", [x], axes=a), [((3, 4, 5),)], 0.5)
        for a in ([0], [2], [0, 2])
    ),
    Row("softmax", lambda x: f.softmax(x), [((3, 5),), ((2, 3, 70),)]),
    Row("log_softmax", lambda x: f.log_softmax(x), [((3, 5),), ((2, 3, 70),)]),
    Row(
        "layer_norm",
        lambda x, w, b: f.layer_norm(x, w, b),
        [((3, 5), (5,), (5,)), ((2, 3, 70), (70,), (70,))],
    ),
    Row(
        "attention",
        lambda q, k, v: f.attention(q, k, v, 2),
        [((2, 5, 6), (2, 4, 6), (2, 4, 6))],
    ),
    Row(
        "attention",
        lambda q, k, v: f.attention(q, k, v, 3, mask=as_value(MASK)),
        [((2, 5, 6), (2, 3, 6), (2, 3, 6))],
    ),
    Row("conv", lambda x, w: f.conv2d(x, w, padding=1), [((2, 5, 6, 4), (3, 3, 4, 3))]),
    Row("conv", lambda x, w: f.conv2d(x, w, stride=2, padding=1), [((2, 7, 6, 3), (3, 3, 3, 2))]),
    Row("conv", lambda x, w: f.conv2d(x, w, groups=2), [((1, 5, 4, 4), (3, 2, 2, 6))]),
    Row("conv", lambda x, w: f.conv1d(x, w, dilation=2, stride=3), [((2, 13, 2), (3, 2, 4))]),
    Row(
        "conv_transpose",
        lambda x, w: f.conv_transpose2d(x, w, stride=2, padding=1),
        [((2, 4, 3, 3), (3, 3, 3, 2))],
    ),
    Row("max_pool", lambda x: f.max_pool2d(x, 2), [((2, 6, 5, 3),)]),
    Row("max_pool", lambda x: f.max_pool2d(x, 3, stride=2, padding=1), [((2, 6, 5, 3),)]),
    Row("avg_pool", lambda x: f.avg_pool2d(x, 2), [((2, 6, 5, 3),)]),
    Row("avg_pool", lambda x: f.avg_pool2d(x, 3, stride=2, padding=1), [((2, 6, 5, 3),)]),
    Row("batch_norm", f.batch_norm, [((3, 2, 5), (5,), (5,), (5,), (5,))], 0.5),
]
"""Operators in the order of the families."""

WITHOUT_DERIVATIVE = {
    "all",
    "any",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "custom_vjp",
    "equal",
    "floor",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "not_equal",
    "round",
    "shift_left",
    "shift_right",
    "stop_gradient",
    "trunc",
}
"""Piecewise constant, of bools, or with tests of their own."""
