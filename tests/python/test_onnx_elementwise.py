"""Element-wise operators of ONNX: dtypes, signs, zeros, infinities, older opsets, errors."""

from typing import Any

import node_tests
import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import compiled, one_node, run, run_reference

import tenon as tn

INTS = [np.int8, np.int16, np.int32, np.int64]
FLOATS = [np.float16, np.float32, np.float64]
INF, NAN = np.inf, np.nan


def same(got: Any, wanted: Any, rtol: float = 0) -> None:
    wanted = np.asarray(wanted)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=0)
    if wanted.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))


@pytest.mark.parametrize("dtype", INTS)
def test_division_of_integers_truncates(dtype: Any) -> None:
    a = np.array([7, -7, 7, -7, 6, -6, 0, 5], dtype)
    b = np.array([2, 2, -2, -2, 3, 3, -5, 0], dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where(b == 0, 0, np.trunc(a / b)).astype(dtype)
    same(run("Div", [a, b]), quotient)
    rest = np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b))).astype(dtype)
    same(run("Mod", [a, b]), rest)
    same(run("Mod", [a, b], fmod=1), np.where(b == 0, 0, a - quotient * b).astype(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_remainder_of_floats_is_exact(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    powers = rng.uniform(-14 if dtype == np.float16 else -120, 15, (2, 400))
    a, b = (rng.choice([-1.0, 1.0], (2, 400)) * 2.0**powers).astype(dtype)
    special = np.array([0.0, -0.0, 1, -3.5, INF, -INF, NAN, np.finfo(dtype).max], dtype)
    small = np.finfo(dtype).smallest_subnormal
    x = np.concatenate([a, np.repeat(special, 8), [np.finfo(dtype).max]]).astype(dtype)
    y = np.concatenate([b, np.tile(special, 8), [small]]).astype(dtype)
    with np.errstate(invalid="ignore"):
        wanted = np.fmod(x, y)
    got = run("Mod", [x, y], fmod=1)
    np.testing.assert_array_equal(got, wanted)


def test_powers_have_the_dtype_of_the_base() -> None:
    base = np.array([-3, -2, -1, 0, 1, 2, 3, 7], np.int64)
    exponent = np.array([39, 63, 999, 0, -5, 62, 38, 22], np.int32)
    wanted = [-(3**39), -(2**63), -1, 1, 1, 2**62, 3**38, 7**22]
    same(run("Pow", [base, exponent]), np.array(wanted, np.int64))
    floats = np.array([3, 5, 1000, 0, -2, 1.5, 2, 0.5], np.float64)
    wanted = [-27, -32, 1, 1, 1, 2, 9, 2]
    same(run("Pow", [base, floats]), np.array(wanted, np.int64))
    x = np.array([2, -2, 0.5, 3], np.float32)
    same(run("Pow", [x, np.array([3, 3, -1, 0])]), np.array([8, -8, 2, 1], np.float32))
    odd = np.array([33554433], np.int64)  # float32 cannot tell that it is odd
    same(run("Pow", [np.array([-1], np.float32), odd]), np.array([-1], np.float32))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0, 3.0, -1.0])
def test_powers_with_a_constant_exponent(exponent: float) -> None:
    x = np.array([0.0, -0.0, 1.5, -2, INF, -INF, NAN], np.float32)
    for shape in ((), (1,)):
        e = np.full(shape, exponent, np.float32)
        with np.errstate(all="ignore"):
            wanted = np.power(x, e)
        same(run("Pow", [x, e], constants=(1,)), wanted, 1e-6)


@pytest.mark.parametrize("dtype", [*FLOATS, np.int32, np.uint8])
def test_signs_extremes_and_infinities(dtype: Any) -> None:
    values = [0, 1, 2, 200] if dtype == np.uint8 else [0, -1, 2, -3, 5]
    x = np.array(values, dtype)
    if np.dtype(dtype).kind == "f":
        x = np.concatenate([x, np.array([-0.0, INF, -INF, NAN], dtype)])
    y = np.roll(x, 1)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(run("Sign", [x]), np.sign(x))
        np.testing.assert_array_equal(run("Abs", [x]), np.abs(x))
        np.testing.assert_array_equal(run("Max", [x, y, x[:1]]), np.maximum(np.maximum(x, y), x[0]))
        np.testing.assert_array_equal(run("Min", [x, y]), np.minimum(x, y))
    if np.dtype(dtype).kind == "f":
        np.testing.assert_array_equal(run("IsNaN", [x]), np.isnan(x))
        np.testing.assert_array_equal(run("IsInf", [x]), np.isinf(x))
        np.testing.assert_array_equal(run("IsInf", [x], detect_negative=0), x == INF)
        np.testing.assert_array_equal(run("IsInf", [x], detect_positive=0), x == -INF)


def test_rounding_is_to_even_and_keeps_zeros() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -0.2, 2.51, 1e10, INF, NAN], np.float32)
    same(run("Round", [x]), np.rint(x))
    same(run("Floor", [x]), np.floor(x))
    same(run("Ceil", [x]), np.ceil(x))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_bits_and_shifts(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, np.iinfo(dtype).max, (2, 3, 4), dtype, endpoint=True)
    by = np.array([0, 1, 3, 7], dtype)
    same(run("BitShift", [x, by], direction="LEFT"), x << by)
    same(run("BitShift", [x, by], direction="RIGHT"), x >> by)
    same(run("BitwiseAnd", [x, y]), x & y)
    same(run("BitwiseOr", [x, y[:1]]), x | y[:1])
    same(run("BitwiseXor", [x, y]), x ^ y)
    same(run("BitwiseNot", [x]), ~x)


def test_logic_and_comparisons() -> None:
    a, b = np.array([[True], [False]]), np.array([True, False])
    same(run("And", [a, b]), a & b)
    same(run("Or", [a, b]), a | b)
    same(run("Xor", [a, b]), a ^ b)
    same(run("Not", [a]), ~a)
    same(run("Equal", [a, b]), a == b)
    x, y = np.array([1.0, NAN, 3]), np.array([1.0, NAN, 4])
    for op, f in {
        "Equal": np.equal,
        "Less": np.less,
        "LessOrEqual": np.less_equal,
        "Greater": np.greater,
        "GreaterOrEqual": np.greater_equal,
    }.items():
        same(run(op, [x, y]), f(x, y))
    same(run("Where", [a, x[:2], y[1:]]), np.where(a, x[:2], y[1:]))


def test_sums_and_means_of_many_operands_are_broadcast() -> None:
    x = [np.ones((2, 1), np.float32), np.arange(3, dtype=np.float32), np.float32(4)]
    same(run("Sum", x), x[0] + x[1] + x[2])
    same(run("Mean", x), (x[0] + x[1] + x[2]) / np.float32(3), 1e-6)
    same(run("Mean", x[:1]), x[0])


def test_before_opset_7_axis_says_where_the_second_operand_begins() -> None:
    x, y = np.ones((2, 3, 4), np.float32), np.arange(3, dtype=np.float32)
    same(run("Add", [x, y], opset=6, broadcast=1, axis=1), x + y[:, None])
    with pytest.raises(tn.ModelError, match="does not fit behind 'axis'"):
        run("Add", [x, np.ones((3, 4, 1), np.float32)], opset=6, broadcast=1, axis=1)


ACTIVATIONS: list[tuple[str, dict[str, Any], int]] = [
    ("Celu", {"alpha": 0.7}, 12),
    ("Elu", {"alpha": 1.3}, 6),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, 6),
    ("HardSwish", {}, 14),
    ("LeakyRelu", {"alpha": 0.2}, 6),
    ("Relu", {}, 13),
    ("Selu", {}, 6),
    ("Shrink", {"lambd": 1.0, "bias": 0.3}, 9),
    ("Sigmoid", {}, 6),
    ("Softplus", {}, 1),
    ("Softsign", {}, 1),
    ("ThresholdedRelu", {"alpha": 0.6}, 10),
    ("Gelu", {}, 20),
    ("Gelu", {"approximate": "tanh"}, 20),
    ("Mish", {}, 18),
]


@pytest.mark.parametrize(("op", "attributes", "opset"), ACTIVATIONS)
def test_activations(op: str, attributes: dict[str, Any], opset: int) -> None:
    x = np.concatenate([np.linspace(-6, 6, 49), [-100.0, 100, -1e-4, 1e-4, 0, -1e30, 1e30]]).astype(
        np.float32
    )
    got = run(op, [x], opset=max(opset, 7), **attributes)
    wanted = run_reference(op, [x], opset=max(opset, 7), **attributes)
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=3e-7)
    with np.errstate(over="ignore"):
        half = x.astype(np.float16)
    got = run(op, [half], opset=max(opset, 7), **attributes)
    assert got.dtype == np.float16
    keep = np.isfinite(half)
    wanted = run(op, [half.astype(np.float32)], opset=max(opset, 7), **attributes)
    np.testing.assert_allclose(got[keep], wanted[keep].astype(np.float16), rtol=3e-3, atol=1e-3)


def test_exponential_activations_do_not_cancel_near_zero() -> None:
    x = np.array([-1e-6, -1e-3, -0.1, -20], np.float64)
    same(run("Elu", [x]), np.expm1(x), 1e-15)
    same(run("Celu", [x], alpha=2.0), 2 * np.expm1(x / 2), 1e-15)


def test_clip_and_prelu() -> None:
    x = np.array([-5, -1, 0, 3, 9], np.int32)
    low, high = np.int32(-2), np.int32(4)
    same(run("Clip", [x, low, high]), np.clip(x, -2, 4))
    same(run("Clip", [x, None, high]), np.minimum(x, 4))
    same(run("Clip", [x, high, low]), np.full(5, -2, np.int32))  # min above max: max
    y = x.astype(np.float32)
    same(run("Clip", [y], opset=7, min=-2.0), np.maximum(y, np.float32(-2)))
    slope = np.array([[2], [3]], np.float32)
    z = np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4)
    same(run("PRelu", [z, slope]), np.where(z < 0, z * slope, z))
    same(run("PRelu", [x, np.int32(3)]), np.where(x < 0, x * 3, x).astype(np.int32))
    with pytest.raises(tn.ModelError, match="input 1 should be a scalar"):
        run("Clip", [x, x])


def test_casts() -> None:
    x = np.array([-1.7, 0, 0.3, 2.5, NAN, INF], np.float32)
    np.testing.assert_array_equal(run("Cast", [x], to=TensorProto.BOOL), x.astype(bool))
    same(run("Cast", [x[:4]], to=TensorProto.INT32), x[:4].astype(np.int32))
    big = np.array([300, -1, 70000], np.int32)
    same(run("Cast", [big], to=TensorProto.UINT8), big.astype(np.uint8))
    same(run("CastLike", [big, x]), big.astype(np.float32))
    same(run("Cast", [np.array([True, False])], to=TensorProto.FLOAT16), np.float16([1, 0]))
    same(run("BitCast", [x[:4]], to=TensorProto.INT32, opset=26), x[:4].view(np.int32))
    with pytest.raises(tn.UnsupportedError, match="'to' is float8e4m3fn, which Tenon does not"):
        run("Cast", [x], to=TensorProto.FLOAT8E4M3FN)
    with pytest.raises(tn.UnsupportedError, match="'to' is string"):
        run("Cast", [x], to=TensorProto.STRING)
    with pytest.raises(tn.ModelError, match="bits of float32 as int64: the widths differ"):
        run("BitCast", [x], to=TensorProto.INT64, opset=26)


def test_symbolic_sizes_meet_constant_ones() -> None:
    a, b = np.ones((4, 1), np.float32), np.ones((1, 5), np.float32)
    network = compiled(one_node("Mod", [a, b], sizes={0: ["n", 1], 1: [1, "m"]}, fmod=1))
    for n, m in ((4, 5), (1, 3)):
        x = np.linspace(-3, 5, n, dtype=np.float32)[:, None]
        y = np.linspace(1, 2, m, dtype=np.float32)[None]
        np.testing.assert_array_equal(np.asarray(network(x, y)), np.fmod(x, y))


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("Mod", [np.ones(2), np.ones(2)], {}, "the remainder of floats needs fmod = 1"),
        ("BitShift", [np.ones(2, np.uint8)] * 2, {"direction": "UP"}, "should be LEFT or RIGHT"),
        ("Gelu", [np.ones(2, np.float32)], {"approximate": "no"}, "should be none or tanh"),
        ("Celu", [np.ones(2, np.float32)], {"alpha": 0.0}, "'alpha' should not be 0"),
        ("Add", [np.ones(2)], {}, "expected 2 inputs, got 1"),
        ("Max", [], {}, "expected at least 1 input"),
        ("Mod", [np.ones(2, np.int8)], {}, "expected 2 inputs, got 1"),
        ("Mod", [np.ones(2, np.int8), np.ones(2, np.int32)], {}, "different dtypes"),
        ("Pow", [np.ones(2), np.array([True])], {}, "expected numbers, got bool"),
        ("Sign", [np.array([True])], {}, "expected numbers, got bool"),
        ("IsInf", [np.ones(2, np.int32)], {}, "expected floats, got int32"),
        ("LeakyRelu", [np.ones(2, np.int32)], {}, "expected floats, got int32"),
        ("PRelu", [np.ones(2), np.ones(2, np.float32)], {}, "numbers of one dtype, got float64"),
    ],
)
def test_what_contradicts_a_definition(
    op: str, inputs: list[Any], attributes: dict[str, Any], message: str
) -> None:
    with pytest.raises(tn.ModelError, match=message):
        run(op, inputs, **attributes)


def test_operands_of_a_dtype_that_an_operator_does_not_take() -> None:
    with pytest.raises(tn.DTypeError, match=r"\(Exp\).*needs a float operand"):
        run("Exp", [np.ones(2, np.int32)])
    with pytest.raises(tn.DTypeError, match=r"\(BitwiseAnd\).*needs integer operands"):
        run("BitwiseAnd", [np.ones(2), np.ones(2)])


NODE_TESTS = [
    "test_add_uint8",
    "test_bitshift_right_uint16",
    "test_bitwise_and_ui64_bcast_3v1d",
    "test_div_int32_trunc",
    "test_max_float16",
    "test_mod_int64_fmod",
    "test_pow_types_float32_int64",
    "test_swish",
    "test_where_long_example",
]


@pytest.mark.parametrize("name", NODE_TESTS)
def test_node_tests(name: str) -> None:
    outcome = node_tests.run(name)
    assert outcome.status == "pass", outcome
