"""ONNX operators that give elements other places, and the shapes that models compute for them."""

from typing import Any

import numpy as np
import onnx_graphs as og
import pytest
from onnx_graphs import node

import tenon as tn

RNG = np.random.default_rng(7)
X = RNG.standard_normal((3, 5, 4), np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        (0, 3, 1),
        (1, 2**63 - 1, 1),
        (-3, -1, 1),
        (-(2**63), 99, 2),
        (4, 1, 1),
        (3, 0, -1),
        (-1, -(2**63), -2),
        (2**62, -9, -1),
        (1, -1, -1),
        (0, 5, 2**62),
        (-1, -9, -(2**63)),
    ],
)
def test_slices_clamp_as_python_does_for_fixed_and_symbolic_sizes(
    start: int, end: int, step: int
) -> None:
    nodes = [node("Slice", "x s e a t", "y")]
    constants = {"s": ints(start), "e": ints(end), "a": ints(-2), "t": ints(step)}
    expected = X[:, start:end:step]
    og.same(og.tenon(nodes, {"x": X}, constants=constants)[0], expected)
    data = og.model(nodes, {"x": X}, constants=constants, dims={"x": [3, "n", 4]})
    compiled = og.network(data)
    for n in (5, 1, 0, 3):
        x = np.ascontiguousarray(X[:, :n])
        og.same(np.asarray(compiled(x)), x[:, start:end:step])


def test_slice_of_old_opsets_and_of_several_axes() -> None:
    old = [node("Slice", "x", "y", starts=[1, 0], ends=[9, -1], axes=[0, 2])]
    og.check(old, {"x": X}, opset=7)
    og.same(og.tenon([node("Slice", "x", "y", starts=[1], ends=[2])], {"x": X}, opset=1)[0], X[1:2])
    with pytest.raises(tn.ModelError, match=r"1 starts, 2 ends, 2 axes and 1 steps"):
        og.tenon([node("Slice", "x", "y", starts=[1], ends=[9, 2], axes=[0, 1])], {"x": X}, opset=7)
    with pytest.raises(tn.ModelError, match="a step is 0"):
        og.tenon(
            [node("Slice", "x o o o z", "y")], {"x": X}, constants={"o": ints(1), "z": ints(0)}
        )
    with pytest.raises(tn.ModelError, match="axis 3 is out of range for 3 dimensions"):
        og.tenon([node("Slice", "x o o a", "y")], {"x": X}, constants={"o": ints(1), "a": ints(3)})


def test_split_by_sizes_by_number_and_of_a_symbolic_size() -> None:
    og.check([node("Split", "x", "a b", axis=1, split=[2, 3])], {"x": X}, outputs="a b", opset=11)
    og.check([node("Split", "x", "a b", axis=-1, num_outputs=2)], {"x": X}, outputs="a b", opset=18)
    uneven = [node("Split", "x", "a b c", axis=1, num_outputs=3)]
    data = og.model(uneven, {"x": X}, "a b c", dims={"x": [3, "n", 4]})
    compiled = og.network(data)
    for n in (5, 3):
        x = np.ascontiguousarray(X[:, :n])
        chunk = -(-n // 3)
        for i, part in enumerate(compiled(x)):
            og.same(np.asarray(part), x[:, i * chunk : (i + 1) * chunk])
    with pytest.raises(tn.ModelError, match="add up to 4, expected 5"):
        og.tenon(
            [node("Split", "x s", "a b", axis=1)],
            {"x": X},
            outputs="a b",
            constants={"s": ints(2, 2)},
        )
    with pytest.raises(tn.ModelError, match="size 5 cannot be divided by 2"):
        og.tenon([node("Split", "x", "a b", axis=1)], {"x": X}, outputs="a b", opset=13)


def test_squeeze_and_unsqueeze_of_old_and_new_opsets() -> None:
    x = X[:1, :, :1]
    for opset, extra, constants in (
        (11, {"axes": [-1, 0]}, {}),
        (13, {}, {"a": ints(-1, 0)}),
    ):
        inputs = "x a" if constants else "x"
        og.check(
            [node("Squeeze", inputs, "y", **extra)], {"x": x}, constants=constants, opset=opset
        )
        og.check(
            [node("Unsqueeze", inputs, "y", **extra)], {"x": x}, constants=constants, opset=opset
        )
    og.check([node("Squeeze", "x", "y")], {"x": x})
    with pytest.raises(tn.ModelError, match="dimension 1 of size 5, expected 1"):
        og.tenon([node("Squeeze", "x a", "y")], {"x": x}, constants={"a": ints(1)})
    with pytest.raises(tn.ModelError, match="axis 1 is given twice"):
        og.tenon([node("Unsqueeze", "x a", "y")], {"x": x}, constants={"a": ints(1, 1)})
    with pytest.raises(tn.UnsupportedError, match="dimension 0 may be 1 or not"):
        og.network(og.model([node("Squeeze", "x", "y")], {"x": x}, dims={"x": ["n", 5, 1]}))
    many = {"a": np.arange(65)}
    with pytest.raises(tn.UnsupportedError, match="a result of 68 dimensions, at most 64"):
        og.tenon([node("Unsqueeze", "x a", "y")], {"x": x}, constants=many)


@pytest.mark.parametrize("axis", [-3, -1, 0, 2, 3])
def test_flatten(axis: int) -> None:
    og.check([node("Flatten", "x", "y", axis=axis)], {"x": X}, opset=13)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint64, np.float16, np.float64])
def test_movement_has_every_dtype(dtype: Any) -> None:
    x = (X * 3).astype(dtype)
    og.check(
        [
            node("Expand", "x s", "e"),
            node("Tile", "e r", "t"),
            node("Slice", "t f l a", "c"),
            node("Concat", "c c", "k", axis=2),
            node("Gather", "k i", "g", axis=1),
            node("Transpose", "g", "y"),
        ],
        {"x": x[:, :, None]},
        constants={
            "s": ints(3, 1, 2, 1),
            "r": ints(1, 2, 1, 1),
            "f": ints(1),
            "l": ints(-1),
            "a": ints(1),
            "i": ints(3, -1, 0),
        },
    )


def test_expand_broadcasts_both_ways_and_refuses_what_does_not_fit() -> None:
    x = X[:1, :, :1]
    og.check([node("Expand", "x s", "y")], {"x": x}, constants={"s": ints(2, 1, 1, 6)})
    with pytest.raises(tn.ShapeError, match=r"\(Expand\): the shapes cannot be broadcast"):
        og.tenon([node("Expand", "x s", "y")], {"x": x}, constants={"s": ints(4, 6)})
    with pytest.raises(tn.ModelError, match="size -2 in the shape"):
        og.tenon([node("Expand", "x s", "y")], {"x": x}, constants={"s": ints(-2)})


def test_a_large_constant_of_a_shape_takes_no_memory() -> None:
    huge = ints(10**6, 10**6)
    nodes = [
        node("ConstantOfShape", "s", "c", value=og.numpy_helper.from_array(np.array([3], np.int8))),
        node("Slice", "c b e", "d"),
        node("Add", "d x", "y"),
    ]
    x = np.array([[1, 2]], np.int8)
    constants = {"s": huge, "b": ints(5, 7), "e": ints(6, 9)}
    og.same(og.tenon(nodes, {"x": x}, constants=constants)[0], x + np.int8(3))
    og.check(
        [node("ConstantOfShape", "s", "c"), node("Add", "c x", "y")],
        {"x": X},
        constants={"s": ints(3, 5, 4)},
    )


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        (np.int64, (2, 11, 3)),
        (np.int32, (10, -3, -4)),
        (np.int16, (5, 5, 1)),
        (np.float32, (0.5, 2.0, 0.4)),
        (np.float64, (3.0, -1.0, -0.7)),
        (np.int64, (4, 0, 1)),
    ],
)
def test_ranges(dtype: Any, numbers: Any) -> None:
    constants = dict(zip("sld", np.array(numbers, dtype), strict=True))
    [got] = og.tenon([node("Range", "s l d", "y")], {}, constants=constants)
    og.same(got, np.arange(*np.array(numbers, dtype), dtype=dtype), rtol=1e-6)


def test_ranges_up_to_a_symbolic_size_and_those_that_have_no_end() -> None:
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "n"),
        node("Range", "zero n one", "r"),
        node("Mul", "r x", "y"),
    ]
    constants = {"zero": np.int64(0), "one": np.int64(1)}
    x = np.arange(5) + 1
    og.check(nodes, {"x": x}, {"x": x[:2]}, {"x": x[:0]}, constants=constants, dims={"x": ["n"]})
    with pytest.raises(tn.ModelError, match="the step of the range is 0"):
        og.tenon([node("Range", "zero one zero", "y")], {}, constants=constants)
    with pytest.raises(tn.ModelError, match="no number of elements"):
        og.tenon(
            [node("Range", "a b a", "y")], {}, constants={"a": np.float32(0), "b": np.float32(1)}
        )
    with pytest.raises(tn.ModelError, match="the range goes to 9223372036854775807"):
        og.tenon(
            [node("Range", "a b a", "y")],
            {},
            constants={"a": np.int64(1), "b": np.int64(2**63 - 1)},
        )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(
    "index", [np.int64(-1), np.array([1, -2, 0], np.int32), np.zeros((2, 0), np.int64)]
)
def test_gather_with_constant_and_with_given_indices(axis: int, index: Any) -> None:
    nodes = [node("Gather", "x i", "y", axis=axis)]
    og.check(nodes, {"x": X}, constants={"i": index})
    og.check(nodes, {"x": X, "i": np.asarray(index)})


def test_gathers_check_their_indices() -> None:
    nodes = [node("Gather", "x i", "y", axis=1)]
    with pytest.raises(tn.ModelError, match="index 5 is out of range for dimension 1 of size 5"):
        og.tenon(nodes, {"x": X}, constants={"i": np.int64(5)})
    for given in (5, -6):
        with pytest.raises(tn.IndexError, match="is out of range"):
            og.tenon(nodes, {"x": X, "i": ints(0, given)})


def test_a_constant_index_bounds_a_size_that_is_not_fixed() -> None:
    nodes = [node("Gather", "x i", "y", axis=1)]
    for index in (-4, 3):
        constants = {"i": np.int64(index)}
        data = og.model(nodes, {"x": X}, constants=constants, dims={"x": [3, "n", 4]})
        compiled = og.network(data)
        for n in (5, 4):
            x = np.ascontiguousarray(X[:, :n])
            og.same(np.asarray(compiled(x)), x[:, index])
        with pytest.raises(tn.ShapeError, match=r"symbol 'n' is 3.*at least 4"):
            compiled(X[:, :3])


def test_a_size_that_has_to_be_one_or_a_multiple() -> None:
    x = np.ascontiguousarray(X[:, :1])
    squeeze = og.model(
        [node("Squeeze", "x a", "y")], {"x": x}, constants={"a": ints(1)}, dims={"x": [3, "n", 4]}
    )
    compiled = og.network(squeeze)
    og.same(np.asarray(compiled(x)), x[:, 0])
    with pytest.raises(tn.ShapeError, match="argument 'x'"):
        compiled(X)
    x = X.reshape(1, 5, 3, 4)
    blocks = og.network(
        og.model(
            [node("SpaceToDepth", "x", "y", blocksize=2)], {"x": x}, dims={"x": [1, 5, "h", 4]}
        )
    )
    assert blocks(np.ones((1, 5, 4, 4), np.float32)).shape == (1, 20, 2, 2)
    with pytest.raises(tn.ShapeError, match=r"symbol 'h' is 3.*a multiple of 2"):
        blocks(x)
    halves = [node("Split", "x", "a b", axis=1)]
    parts = og.network(og.model(halves, {"x": X}, "a b", opset=13, dims={"x": [3, "n", 4]}))
    assert [p.shape for p in parts(X[:, :4])] == [(3, 2, 4), (3, 2, 4)]
    with pytest.raises(tn.ShapeError, match=r"symbol 'n' is 5.*a multiple of 2"):
        parts(X)


def test_gather_elements_and_gather_nd() -> None:
    i = RNG.integers(-5, 5, (3, 7, 4))
    og.check([node("GatherElements", "x i", "y", axis=1)], {"x": X, "i": i})
    og.check(
        [node("GatherElements", "x i", "y", axis=-2)], {"x": X, "i": i[:2, :, :3].astype(np.int32)}
    )
    og.check([node("GatherND", "x i", "y")], {"x": X, "i": RNG.integers(-3, 3, (2, 6, 2))})
    og.check(
        [node("GatherND", "x i", "y", batch_dims=1)], {"x": X, "i": RNG.integers(-4, 4, (3, 2))}
    )
    with pytest.raises(tn.ModelError, match="dimension 2 of the indices is longer"):
        og.tenon([node("GatherElements", "x i", "y", axis=1)], {"x": X[:, :, :3], "i": i})
    with pytest.raises(tn.ModelError, match="4 indices are given for 3 dimensions"):
        og.tenon([node("GatherND", "x i", "y")], {"x": X, "i": np.zeros((1, 4), np.int64)})
    with pytest.raises(tn.ModelError, match="'batch_dims' is 3"):
        og.tenon([node("GatherND", "x i", "y", batch_dims=3)], {"x": X, "i": i})


def test_shapes_as_exporters_compute_them_stay_symbolic() -> None:
    """x.view(b, s, 2, -1).transpose(1, 2).reshape(b * 2, s, -1), and back."""
    shape = [
        node("Shape", "x", "shape"),
        node("Gather", "shape c0", "b"),
        node("Shape", "x", "again"),
        node("Slice", "again s1 s2", "s_1"),
        node("Squeeze", "s_1 a0", "s"),
        node("Unsqueeze", "b a0", "b1"),
        node("Unsqueeze", "s a0", "s1b"),
        node("Concat", "b1 s1b two open", "to", axis=0),
        node("Reshape", "x to", "heads"),
        node("Transpose", "heads", "turned", perm=[0, 2, 1, 3]),
        node("Mul", "b c2", "b2"),
        node("Unsqueeze", "b2 a0", "b2u"),
        node("Concat", "b2u s1b open", "merged", axis=0),
        node("Reshape", "turned merged", "flat"),
        node("Concat", "b1 two s1b open", "back", axis=0),
        node("Reshape", "flat back", "unflat"),
        node("Transpose", "unflat", "heads2", perm=[0, 2, 1, 3]),
        node("Reshape", "heads2 shape", "same"),
        node("Size", "x", "size"),
        node("ConstantOfShape", "shape", "zeros"),
        node("Add", "same zeros", "y"),
    ]
    constants = {
        "c0": np.int64(0),
        "c2": np.int64(2),
        "s1": ints(1),
        "s2": ints(2),
        "a0": ints(0),
        "two": ints(2),
        "open": ints(-1),
    }
    x = RNG.standard_normal((2, 3, 6), np.float32)
    og.check(
        shape,
        {"x": x},
        {"x": x[:1, :2]},
        {"x": x[:, :1]},
        outputs="y flat size",
        constants=constants,
        dims={"x": ["batch", "seq", 6]},
    )


def test_expand_to_a_shape_of_where_and_equal_as_pytorch_writes_it() -> None:
    """x.expand(-1, s, -1): sizes -1 become 1 by ConstantOfShape, Mul, Equal and Where."""
    x = RNG.standard_normal((2, 1, 4), np.float32)
    other = RNG.standard_normal((2, 3), np.float32)
    nodes = [
        node("Shape", "o", "shape"),
        node("Gather", "shape c1", "s"),
        node("Unsqueeze", "s a0", "s1"),
        node("Concat", "minus s1 minus", "wanted", axis=0),
        node("Expand", "x wanted2", "y"),
    ]
    constants = {
        "c1": np.int64(1),
        "a0": ints(0),
        "minus": ints(-1),
        "minus_ones": ints(-1, -1, -1),
    }
    nodes[4:4] = [
        node("Shape", "wanted", "rank"),
        node("ConstantOfShape", "rank", "ones", value=og.numpy_helper.from_array(ints(1))),
        node("Equal", "wanted minus_ones", "is_open"),
        node("Where", "is_open ones wanted", "wanted2"),
    ]
    og.check(
        nodes,
        {"x": x, "o": other},
        {"x": x, "o": other[:, :1]},
        constants=constants,
        dims={"o": [2, "s"]},
    )


def test_depth_to_space_and_back() -> None:
    x = RNG.standard_normal((2, 8, 3, 4), np.float32)
    for mode in ("DCR", "CRD"):
        og.check(
            [node("DepthToSpace", "x", "y", blocksize=2, mode=mode)],
            {"x": x},
            {"x": x[:1, :, :, :1]},
            dims={"x": ["n", 8, 3, "w"]},
        )
    og.check([node("SpaceToDepth", "x", "y", blocksize=2)], {"x": x[:, :, :2]})
    with pytest.raises(tn.ModelError, match="size 8 cannot be divided by 9"):
        og.tenon([node("DepthToSpace", "x", "y", blocksize=3)], {"x": x})
    with pytest.raises(tn.ModelError, match="'blocksize' is -1"):
        og.tenon([node("DepthToSpace", "x", "y", blocksize=-1)], {"x": x})


def test_triangles_one_hot_and_identity_matrices() -> None:
    og.check([node("Trilu", "x k", "y", upper=0)], {"x": X, "k": np.array(-1)})
    og.check(
        [node("Trilu", "x k", "y")], {"x": (X * 9).astype(np.int64)}, constants={"k": np.array(9)}
    )
    og.check([node("EyeLike", "x", "y", k=-1, dtype=7)], {"x": X[0]})
    values = np.array([2, 5], np.float32)
    i = np.array([[0, -1, 3], [4, -4, -5]], np.int64)
    for axis in (-1, 0, 1):
        og.check(
            [node("OneHot", "i d v", "y", axis=axis)],
            {"i": i, "v": values},
            constants={"d": np.int64(4)},
        )
    with pytest.raises(tn.ModelError, match="the depth is -4"):
        og.tenon(
            [node("OneHot", "i d v", "y")], {"i": i, "v": values}, constants={"d": np.int64(-4)}
        )


def test_reversed_sequences() -> None:
    lengths = ints(5, 1, 3)
    x = np.ascontiguousarray(X)
    og.check(
        [node("ReverseSequence", "x n", "y", batch_axis=0, time_axis=1)], {"x": x, "n": lengths}
    )
    with pytest.raises(tn.IndexError, match="is out of range"):
        og.tenon(
            [node("ReverseSequence", "x n", "y", batch_axis=0, time_axis=1)],
            {"x": x, "n": ints(6, 1, 3)},
        )


def test_numbers_in_a_model_that_are_too_large_are_refused() -> None:
    far = ints(2**62)
    with pytest.raises(tn.ModelError, match="is repeated 4611686018427387904 times"):
        og.tenon([node("Tile", "x r", "y")], {"x": X[0, 0]}, constants={"r": far})
    with pytest.raises(tn.Error, match=r"\(Reshape\)"):
        og.tenon([node("Reshape", "x r", "y")], {"x": X}, constants={"r": ints(2**62, 2**62, -1)})
    with pytest.raises(tn.Error, match=r"\(Reshape\)"):
        og.tenon(
            [node("Reshape", "x r", "y")], {"x": X[0, 0]}, constants={"r": ints(2**32, 2**32, 4)}
        )


def test_a_part_of_a_table_is_as_long_as_the_input_or_the_call_is_refused() -> None:
    """Position embeddings as exporters write them: the first n rows of a table."""
    table = RNG.standard_normal((6, 4)).astype(np.float32)
    nodes = [
        node("Shape", "x", "n", start=1, end=2),
        node("Slice", "table zero n zero", "rows"),
        node("Add", "x rows", "y"),
    ]
    constants = {"table": table, "zero": ints(0)}
    data = og.model(nodes, {"x": X}, constants=constants, dims={"x": [3, "n", 4]})
    compiled = og.network(data)
    for n in (5, 1):
        x = np.ascontiguousarray(X[:, :n])
        og.same(np.asarray(compiled(x)), x + table[:n])
    with pytest.raises(tn.ShapeError, match=r"symbol 'n' is 10.*at most 6"):
        compiled(np.concatenate([X, X], 1))


def test_dimensions_without_names_that_have_to_be_equal_are_one() -> None:
    nodes = [node("Mul", "a b", "c"), node("Concat", "c a", "y", axis=1)]
    a, b = X[0], X[1]
    data = og.model(nodes, {"a": a, "b": b}, dims={"a": [None, None], "b": ["rows", None]})
    compiled = og.network(data)
    og.same(np.asarray(compiled(a, b)), np.concatenate([a * b, a], 1))
    with pytest.raises(tn.ShapeError, match="a_0"):
        compiled(a, b[:1])
