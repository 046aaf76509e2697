"""The kernels of a BERT-family sentence encoder, as tensor expressions.

Each function is compiled once and valid for every batch and length. Padding changes no bit: a
masked key has the score -inf, hence the weight 0, and a product with 0 leaves every accumulator as
it is.
``b`` counts sentences, ``s`` their tokens with padding, ``n`` all tokens, ``r`` rows of scores.
"""

from __future__ import annotations

import math
from typing import Literal

from tenon import te
from tenon._build import function
from tenon._core import Function
from tenon.models.bert_config import BertConfig

__all__ = ["encoder_functions", "panel_width"]


def encoder_functions(config: BertConfig) -> dict[str, Function]:
    """Return every kernel of the network by its name; a layer runs ten of them."""
    hidden, wide = config.hidden_size, config.intermediate_size
    heads = config.num_attention_heads
    width = hidden // heads
    functions = [
        embed(config),
        linear("project_in", hidden, 3 * hidden),
        transpose_keys(heads, width),
        attention_scores(heads, width),
        softmax(),
        attention_sum(heads, width),
        linear("project_out", hidden, hidden, "residual"),
        layer_norm(hidden, config.layer_norm_eps),
        linear("expand", hidden, wide, "gelu"),
        linear("contract", wide, hidden, "residual"),
        mean_pool(hidden),
    ]
    return {f.name: f for f in functions}


def panel_width(num_outputs: int) -> int:
    """Return how many columns of a weight matrix lie side by side in its packed form."""
    return 64 if num_outputs % 64 == 0 else num_outputs


def linear(
    name: str,
    num_inputs: int,
    num_outputs: int,
    epilogue: Literal["none", "gelu", "residual"] = "none",
) -> Function:
    """``y[n, o] = epilogue(sum over k of x[n, k] * weight[k, o] + bias[o])``.

    The weight comes in panels of neighbouring columns, so that a tile reads it front to back.
    """
    n = te.symbol("n")
    x = te.placeholder((n, num_inputs), "float32", name="x")
    panel = panel_width(num_outputs)
    panels = (num_outputs // panel, num_inputs, panel)
    weight = te.placeholder(panels, "float32", name="weight")
    bias = te.placeholder((num_outputs,), "float32", name="bias")
    inputs = [x, weight, bias]
    k = te.reduce_axis(num_inputs, name="k")
    shape = (n, num_outputs)
    product = te.compute(
        shape,
        lambda i, j: te.sum(x[i, k] * weight[j // panel, k, j % panel], axis=k),
        name="product",
    )
    if epilogue == "gelu":
        y = te.compute(shape, lambda i, j: te.gelu(product[i, j] + bias[j]), name="y")
    elif epilogue == "residual":
        old = te.placeholder(shape, "float32", name="old")
        inputs.append(old)
        y = te.compute(shape, lambda i, j: old[i, j] + (product[i, j] + bias[j]), name="y")
    else:
        y = te.compute(shape, lambda i, j: product[i, j] + bias[j], name="y")
    return function(inputs, [y], name=name)


def layer_norm(width: int, eps: float) -> Function:
    """``(x - mean) / sqrt(variance + eps) * scale + offset`` of each row."""
    n = te.symbol("n")
    x = te.placeholder((n, width), "float32", name="x")
    scale = te.placeholder((width,), "float32", name="scale")
    offset = te.placeholder((width,), "float32", name="offset")
    j, k = te.reduce_axis(width, name="j"), te.reduce_axis(width, name="k")
    mean = te.compute((n,), lambda i: te.sum(x[i, j], axis=j) * (1.0 / width), name="mean")
    variance = te.compute(
        (n,),
        lambda i: te.sum((x[i, k] - mean[i]) * (x[i, k] - mean[i]), axis=k) * (1.0 / width),
        name="variance",
    )
    y = te.compute(
        (n, width),
        lambda i, d: (x[i, d] - mean[i]) * te.rsqrt(variance[i] + eps) * scale[d] + offset[d],
        name="y",
    )
    return function([x, scale, offset], [y], name="layer_norm")


def embed(config: BertConfig) -> Function:
    """``word[ids[b, s]] + place[s]``; the token type is in ``place``."""
    b, s = te.symbol("b"), te.symbol("s", max=config.max_position_embeddings)
    width = config.hidden_size
    ids = te.placeholder((b, s), "int64", name="ids")
    word = te.placeholder((config.vocab_size, width), "float32", name="word")
    place = te.placeholder((config.max_position_embeddings, width), "float32", name="place")
    x = te.compute((b, s, width), lambda i, t, d: word[ids[i, t], d] + place[t, d], name="x")
    return function([ids, word, place], [x], name="embed")


def transpose_keys(heads: int, width: int) -> Function:
    """``keys[b, h, d, s]`` from the projections, so that neighbouring keys are neighbours."""
    b, s = te.symbol("b"), te.symbol("s")
    projected = te.placeholder((b, s, 3, heads, width), "float32", name="projected")
    keys = te.compute(
        (b, heads, width, s), lambda i, h, d, t: projected[i, t, 1, h, d], name="keys"
    )
    return function([projected], [keys], name="transpose_keys")


def attention_scores(heads: int, width: int) -> Function:
    """``scores[b, h, s, t]``: scaled products of queries and keys, -inf where t is masked."""
    b, s = te.symbol("b"), te.symbol("s")
    projected = te.placeholder((b, s, 3, heads, width), "float32", name="projected")
    keys = te.placeholder((b, heads, width, s), "float32", name="keys")
    mask = te.placeholder((b, s), "bool", name="mask")
    k = te.reduce_axis(width, name="k")
    shape = (b, heads, s, s)
    product = te.compute(
        shape,
        lambda i, h, q, t: te.sum(projected[i, q, 0, h, k] * keys[i, h, k, t], axis=k),
        name="product",
    )
    scale = 1.0 / math.sqrt(width)
    scores = te.compute(
        shape,
        lambda i, h, q, t: te.select(mask[i, t], product[i, h, q, t] * scale, -math.inf),
        name="scores",
    )
    return function([projected, keys, mask], [scores], name="attention_scores")


def softmax() -> Function:
    """``exp(x - max) / sum`` of each row."""
    r, s = te.symbol("r"), te.symbol("s")
    x = te.placeholder((r, s), "float32", name="x")
    j, k = te.reduce_axis(s, name="j"), te.reduce_axis(s, name="k")
    largest = te.compute((r,), lambda i: te.max(x[i, j], axis=j), name="largest")
    terms = te.compute((r, s), lambda i, t: te.exp(x[i, t] - largest[i]), name="terms")
    total = te.compute((r,), lambda i: te.sum(terms[i, k], axis=k), name="total")
    y = te.compute((r, s), lambda i, t: terms[i, t] / total[i], name="y")
    return function([x], [y], name="softmax")


def attention_sum(heads: int, width: int) -> Function:
    """``attended[b, s, h, d]``: the values weighted by the softmax of the scores."""
    b, s = te.symbol("b"), te.symbol("s")
    weights = te.placeholder((b, heads, s, s), "float32", name="weights")
    projected = te.placeholder((b, s, 3, heads, width), "float32", name="projected")
    k = te.reduce_axis(s, name="k")
    attended = te.compute(
        (b, s, heads, width),
        lambda i, q, h, d: te.sum(weights[i, h, q, k] * projected[i, k, 2, h, d], axis=k),
        name="attended",
    )
    return function([weights, projected], [attended], name="attention_sum")


def mean_pool(width: int) -> Function:
    """Average the tokens that the mask keeps, and divide the average by its length."""
    b, s = te.symbol("b"), te.symbol("s")
    x = te.placeholder((b, s, width), "float32", name="x")
    mask = te.placeholder((b, s), "bool", name="mask")
    j, t, k = te.reduce_axis(s, name="j"), te.reduce_axis(s, name="t"), te.reduce_axis(width, "k")
    count = te.compute((b,), lambda i: te.sum(te.cast(mask[i, j], "float32"), axis=j), name="count")
    total = te.compute(
        (b, width), lambda i, d: te.sum(x[i, t, d], axis=t, where=mask[i, t]), name="total"
    )
    mean = te.compute((b, width), lambda i, d: total[i, d] / count[i], name="mean")
    square = te.compute((b,), lambda i: te.sum(mean[i, k] * mean[i, k], axis=k), name="square")
    y = te.compute(
        (b, width), lambda i, d: mean[i, d] / te.sqrt(te.maximum(square[i], 1e-24)), name="y"
    )
    return function([x, mask], [y], name="mean_pool")
