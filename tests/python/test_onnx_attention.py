"""ONNX attention and its kin, compared with NumPy."""

from typing import Any

import numpy as np
import onnx_oracle as oracle
import pytest

import tenon as tn


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(
    q: Any, k: Any, v: Any, bias: Any = 0.0, scale: float | None = None, cap: float = 0.0
) -> Any:
    """[batch, heads, length, size] in float64."""
    q, k, v = (x.astype("float64") for x in (q, k, v))
    k, v = (x.repeat(q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    scores = q @ k.swapaxes(2, 3) * (scale or 1 / np.sqrt(q.shape[3]))
    if cap:
        scores = np.tanh(scores / cap) * cap
    return softmax(scores + bias) @ v


def split(x: Any, heads: int) -> Any:
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def join(x: Any) -> Any:
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


def results(op: str, inputs: dict[str, Any], opset: int = 24, **more: Any) -> list[Any]:
    return oracle.results(oracle.model(op, inputs, opset=opset, **more), inputs)


def test_packed_heads_are_one_operator_for_all_lengths() -> None:
    inputs = {"q": normal(2, 5, 12), "k": normal(2, 7, 12, seed=1), "v": normal(2, 7, 12, seed=2)}
    dims: dict[str, list[Any]] = {k: ["n", "s" if k == "q" else "t", 12] for k in inputs}
    data = oracle.model(
        "Attention", inputs, opset=23, dims=dims, q_num_heads=3, kv_num_heads=3, scale=0.3
    )
    network = tn.compile(oracle.load(data))
    for n, s, t in ((2, 5, 7), (1, 3, 2)):
        q, k, v = normal(n, s, 12), normal(n, t, 12, seed=1), normal(n, t, 12, seed=2)
        expected = join(attention(split(q, 3), split(k, 3), split(v, 3), scale=0.3))
        np.testing.assert_allclose(network(q, k, v), expected, rtol=1e-4, atol=1e-5)
    assert "[attention]" in str(network.report())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_groups_mask_and_causality(dtype: str) -> None:
    q = normal(2, 4, 5, 8, dtype=dtype)
    k, v = normal(2, 2, 5, 8, seed=1, dtype=dtype), normal(2, 2, 5, 6, seed=2, dtype=dtype)
    mask = np.random.default_rng(3).random((2, 1, 5, 5)) < 0.7
    mask |= np.eye(5, dtype=bool)
    got = results("Attention", {"q": q, "k": k, "v": v, "m": mask}, is_causal=1, softcap=2.0)[0]
    allowed = mask & np.tri(5, dtype=bool)
    expected = attention(q, k, v, np.where(allowed, 0, -np.inf), cap=2.0)
    rtol = {"float16": 2e-3, "float32": 1e-4, "float64": 1e-10}[dtype]
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


def test_keys_and_values_of_the_past_come_first() -> None:
    q, k, v = normal(1, 2, 3, 4), normal(1, 2, 3, 4, seed=1), normal(1, 2, 3, 4, seed=2)
    past_k, past_v = normal(1, 2, 6, 4, seed=3), normal(1, 2, 6, 4, seed=4)
    bias = normal(3, 9, seed=5)
    inputs = {"q": q, "k": k, "v": v, "m": bias, "pk": past_k, "pv": past_v}
    y, all_k, all_v, scores = results(
        "Attention", inputs, outputs=4, is_causal=1, qk_matmul_output_mode=2
    )
    np.testing.assert_array_equal(all_k, np.concatenate([past_k, k], 2))
    np.testing.assert_array_equal(all_v, np.concatenate([past_v, v], 2))
    hidden = np.where(np.arange(9) <= np.arange(3)[:, None] + 6, 0, -np.inf)
    expected = attention(q, all_k, all_v, bias + hidden)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert np.isneginf(scores).sum() == np.isneginf(hidden).sum() * 2


def test_masks_with_fewer_columns_and_numbers_of_keys() -> None:
    q, k, v = normal(2, 1, 3, 4), normal(2, 1, 6, 4, seed=1), normal(2, 1, 6, 4, seed=2)
    bias = normal(3, 5, seed=3)
    lengths = np.array([2, 6])
    inputs = {"q": q, "k": k, "v": v, "m": bias, "pk": None, "pv": None, "n": lengths}
    got = results("Attention", inputs)[0]
    column = np.arange(6)
    hidden = np.where((column < 5) & (column < lengths[:, None]), 0, -np.inf)[:, None, None]
    padded = np.concatenate([bias, np.zeros((3, 1))], 1)
    np.testing.assert_allclose(got, attention(q, k, v, padded + hidden), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_interleaved", [0, 1])
@pytest.mark.parametrize("turned", [0, 4])
def test_rotary_embedding(is_interleaved: int, turned: int) -> None:
    x = normal(2, 3, 5, 8)
    half = (turned or 8) // 2
    angles = np.random.default_rng(1).random((7, half)).astype("float32") * 6
    positions = np.random.default_rng(2).integers(0, 7, (2, 5))
    cosines, sines = np.cos(angles), np.sin(angles)
    inputs = {"x": x, "c": cosines, "s": sines, "p": positions}
    settings: dict[str, Any] = {"interleaved": is_interleaved, "rotary_embedding_dim": turned}
    got = results("RotaryEmbedding", inputs, **settings)[0]
    expected = x.copy()
    place = (slice(0, 2 * half, 2), slice(1, 2 * half, 2)) if is_interleaved else (
        slice(0, half), slice(half, 2 * half))  # fmt: skip
    c, s = (t[positions][:, None] for t in (cosines, sines))
    a, b = x[..., place[0]], x[..., place[1]]
    expected[..., place[0]], expected[..., place[1]] = c * a - s * b, s * a + c * b
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    # Packed heads, and angles of each place.
    packed = {"x": join(x), "c": cosines[positions], "s": sines[positions]}
    got = results("RotaryEmbedding", packed, num_heads=3, **settings)[0]
    np.testing.assert_allclose(got, join(expected), rtol=1e-5, atol=1e-5)
    inputs["p"] = positions + 5
    with pytest.raises(tn.IndexError, match="out of"):
        results("RotaryEmbedding", inputs, **settings)


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_linear_attention_of_any_length(rule: str) -> None:
    heads, group, keys, values = 2, 2, 3, 5

    def operands(n: int, t: int) -> dict[str, Any]:
        found = {
            "q": normal(n, t, heads * group * keys),
            "k": normal(n, t, heads * keys, seed=1) / 2,
            "v": normal(n, t, heads * values, seed=2),
            "past": normal(n, heads, keys, values, seed=3),
            "decay": -np.abs(normal(n, t, heads * keys, seed=4)),
            "beta": np.abs(normal(n, t, heads, seed=5)),
        }
        if "gated" not in rule:
            found["decay"] = None
        if "delta" not in rule:
            found["beta"] = None
        return found

    def expected(x: dict[str, Any]) -> tuple[Any, Any]:
        n, t, _ = x["q"].shape
        state = x["past"].astype("float64")
        out = np.zeros((n, t, heads, group, values))
        for i in range(t):
            k = x["k"][:, i].reshape(n, heads, keys, 1)
            v = x["v"][:, i].reshape(n, heads, 1, values)
            if x["decay"] is not None:
                state = state * np.exp(x["decay"][:, i].reshape(n, heads, keys, 1))
            if x["beta"] is not None:
                v = x["beta"][:, i, :, None, None] * (v - (state * k).sum(2, keepdims=True))
            state = state + k * v
            out[:, i] = x["q"][:, i].reshape(n, heads, group, keys) @ state
        return out.reshape(n, t, -1) / np.sqrt(keys), state

    x = operands(2, 4)
    dims: dict[str, list[Any]] = {
        k: ["n", *v.shape[1:]] if k == "past" else ["n", "t", v.shape[2]]
        for k, v in x.items()
        if v is not None
    }
    data = oracle.model(
        "LinearAttention", x, outputs=2, opset=27, dims=dims, q_num_heads=heads * group,
        kv_num_heads=heads, update_rule=rule,
    )  # fmt: skip
    network = tn.compile(oracle.load(data))
    for n, t in ((2, 4), (1, 6)):
        x = operands(n, t)
        got = network(*[v for v in x.values() if v is not None])
        for a, b in zip(got, expected(x), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_causal_convolution_in_parts_is_that_of_the_whole() -> None:
    x, w, b = normal(2, 3, 9), normal(3, 1, 4, seed=1), normal(3, seed=2)
    settings: dict[str, Any] = {"outputs": 2, "opset": 27, "activation": "silu"}
    whole, _ = results("CausalConvWithState", {"x": x, "w": w, "b": b}, **settings)
    state, parts = None, []
    for part in (x[..., :2], x[..., 2:9]):
        inputs = {"x": part, "w": w, "b": b, "s": state}
        y, state = results("CausalConvWithState", inputs, **settings)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, 2), whole, rtol=1e-5, atol=1e-6)
    padded = np.concatenate([np.zeros((2, 3, 3), "float32"), x], 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 4, axis=2)
    linear = (windows * w[:, 0][:, None]).sum(-1) + b[:, None]
    np.testing.assert_allclose(whole, linear / (1 + np.exp(-linear)), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(state, x[..., -3:])


def test_deformed_windows_without_offsets_are_a_convolution() -> None:
    x, w, b = normal(2, 4, 6, 7), normal(6, 2, 3, 2, seed=1), normal(6, seed=2)
    settings: dict[str, Any] = {"group": 2, "strides": [1, 2], "pads": [1, 0, 1, 1]}
    plain = results("Conv", {"x": x, "w": w, "b": b}, opset=21, **settings)[0]
    offset = np.zeros((2, 2 * 3 * 2 * 2, *plain.shape[2:]), "float32")
    inputs = {"x": x, "w": w, "o": offset, "b": b}
    got = results("DeformConv", inputs, opset=19, offset_group=2, **settings)[0]
    np.testing.assert_allclose(got, plain, rtol=1e-4, atol=1e-5)
    # Offsets of whole rows read other rows; far offsets and NaN read nothing.
    inputs["o"] = offset.copy()
    inputs["o"][:, ::2] = 1
    shifted = np.zeros_like(x)
    shifted[:, :, :-1] = x[:, :, 1:]
    # The row above the first is padding that the offset moves into the image.
    inner = results("DeformConv", inputs, opset=19, offset_group=2, **settings)[0][:, :, 1:]
    plain = results("Conv", {"x": shifted, "w": w, "b": b}, opset=21, **settings)[0][:, :, 1:]
    np.testing.assert_allclose(inner, plain, rtol=1e-4, atol=1e-5)
    for value in (1e30, -1e30, np.nan):
        inputs["o"] = np.full_like(offset, value)
        got = results("DeformConv", inputs, opset=19, offset_group=2, **settings)[0]
        np.testing.assert_array_equal(got, np.broadcast_to(b[:, None, None], got.shape))


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [
        ("Attention", [(1, 3, 8)] * 3, {}, "need q_num_heads and kv_num_heads"),
        (
            "Attention",
            [(1, 3, 8)] * 3,
            {"q_num_heads": 3, "kv_num_heads": 3},
            "3 heads do not divide a width of 8",
        ),
        ("Attention", [(1, 3, 2, 4), (1, 2, 2, 4), (1, 2, 2, 4)], {}, "3 heads of queries are no"),
        ("Attention", [(1, 2, 2, 4), (1, 2, 2, 5), (1, 2, 2, 4)], {}, "different sizes"),
        ("Attention", [(1, 2, 2, 4), (1, 2, 3, 4), (1, 2, 2, 4)], {}, "not as many keys"),
        ("Attention", [(1, 2, 2, 4)] * 3 + [(5, 2)], {}, "mask cannot be broadcast"),
        ("Attention", [(1, 2, 2, 4)] * 3 + [(2, 3)], {}, "3 columns for 2 keys"),
        ("Attention", [(1, 2, 2, 4)] * 3, {"qk_matmul_output_mode": 4}, "should be from 0 to 3"),
        (
            "RotaryEmbedding",
            [(1, 2, 2, 4), (5, 2), (5, 2)],
            {},
            "input 1 should have 3 axes, the last of size 2",
        ),
        (
            "RotaryEmbedding",
            [(1, 2, 2, 4), (1, 2, 2), (1, 2, 2)],
            {"rotary_embedding_dim": 3},
            "rotary_embedding_dim = 3",
        ),
        (
            "LinearAttention",
            [(1, 2, 4)] * 3,
            {"q_num_heads": 2, "kv_num_heads": 2},
            "decay belongs to the gated rules",
        ),
        (
            "LinearAttention",
            [(1, 2, 4)] * 3,
            {"q_num_heads": 2, "kv_num_heads": 0},
            "2 heads of queries are no multiple of 0",
        ),
        ("CausalConvWithState", [(1, 2, 4), (3, 1, 2)], {}, "expected a weight"),
        ("DeformConv", [(1, 2, 4, 4), (3, 2, 2, 2), (1, 8, 2, 2)], {}, "input 2 does not have"),
        ("DeformConv", [(1, 2, 4, 4), (3, 2, 2, 2), (1, 8, 3, 3)], {"group": 0}, "groups do not"),
    ],
)
def test_nodes_that_cannot_be(
    op: str, shapes: list[Any], attributes: dict[str, Any], message: str
) -> None:
    inputs = {f"x{i}": normal(*shape) for i, shape in enumerate(shapes)}
    opset = 27 if op in ("LinearAttention", "CausalConvWithState") else 24
    with pytest.raises(tn.ModelError, match=message):
        tn.compile(oracle.load(oracle.model(op, inputs, opset=opset, **attributes)))
