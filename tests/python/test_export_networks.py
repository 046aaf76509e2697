"""Networks of many kinds give in a library the bits that they give in Python, at every level."""

import subprocess

import numpy as np
import pytest
from exported import Exported

import tenon as tn
from tenon import nn

RANDOM = np.random.default_rng(7)


def floats(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def gru():
    return nn.GRU(5, 7, batch_first=True).initialize(seed=3)


def convolution():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)).initialize(2)


def count_down(x, n):
    return tn.while_loop(lambda s: s[1] > 0, lambda s: (s[0] * 1.5 + x, s[1] - 1), (x, n))


def branch(x):
    return tn.cond(x.sum() > 0, lambda v: v * 2, lambda v: v - 1, x)


def several(x, i):
    return x.sum(axis=-1), x[:, :2] > 0, i + 1


CASES = {
    "gru": (gru, [("n", "t", 5)], [floats(2, 6, 5)]),
    "convolution": (convolution, [("n", 8, "w", 3)], [floats(2, 8, 6, 3)]),
    "loop": (lambda: count_down, [("n",), ()], [floats(4), np.array(5, np.int64)]),
    "branch": (lambda: branch, [("n",)], [floats(6)]),
    "several": (lambda: several, [("n", 3), ("m",)], [floats(4, 3), np.arange(5, dtype=np.int32)]),
}


@pytest.mark.parametrize("case", CASES)
def test_every_level_gives_the_bits_of_the_jit(case, tmp_path):
    make, shapes, arrays = CASES[case]
    specs = [
        tn.TensorSpec(shape, array.dtype, name=f"a{i}")
        for i, (shape, array) in enumerate(zip(shapes, arrays, strict=True))
    ]
    network = tn.compile(make(), specs)
    found = network(*arrays)
    expected = []
    for leaf in found if isinstance(found, tuple) else (found,):
        expected += [np.asarray(x) for x in (leaf if isinstance(leaf, tuple) else (leaf,))]
    assert any(np.count_nonzero(x) for x in expected)
    made = tn.export(network, tmp_path / f"{case}.so")
    for level in made.levels:
        library = Exported(made, [x.dtype for x in expected], level)
        for got, wanted in zip(library(*arrays), expected, strict=True):
            assert got.shape == wanted.shape
            np.testing.assert_array_equal(got, wanted)
        library.close()


def test_weights_do_not_depend_on_the_target_that_folded_and_packed_them(tmp_path):
    module = nn.Sequential(
        nn.Conv2d(3, 70, 3), nn.BatchNorm(70), nn.ReLU(), nn.Conv2d(70, 5, 1), nn.Linear(5, 66)
    ).initialize(seed=4)
    found = []
    for target in ("cpu -mcpu=x86-64-v3", "cpu"):
        network = tn.compile(module.eval(), [tn.TensorSpec(["n", 8, 8, 3])], target=target)
        made = tn.export(network, tmp_path / "m.so", targets="x86-64-v3")
        found.append(tn.aot.inspect(made.path))
    assert found[0]["rounding"] == {"folded_batch_norms": 1}
    weights = [manifest["parts"][".tenon.weights"]["sha256"] for manifest in found]
    assert weights[0] == weights[1]
    assert found[0]["weights_bytes"] > 30_000


def test_a_donated_argument_is_changed_in_place(tmp_path):
    def step(weight, gradient):
        return weight - gradient * 0.5

    network = tn.compile(step, [tn.TensorSpec(["n"]), tn.TensorSpec(["n"])], donate=0)
    made = tn.export(network, tmp_path / "step.so", targets="x86-64-v3")
    assert tn.aot.inspect(made.path)["results"][0]["in_place_of"] == "weight"
    library = Exported(made, [np.float32])
    weight, gradient = floats(9), floats(9)
    expected = weight - gradient * np.float32(0.5)
    library.run_into([weight, gradient], [weight])
    np.testing.assert_array_equal(weight, expected)
    library.close()


def test_names_that_c_does_not_have_are_made_into_ones_that_it_has(tmp_path):
    def forward(tree, context, odd):
        return tree["a"] + tree["b"] + context + odd

    spec = tn.TensorSpec(["int"])
    specs = [{"a": spec, "b": spec}, spec, tn.TensorSpec(["int"], name="*/ ü\n\\")]
    made = tn.export(forward, tmp_path / "names.so", specs, targets="x86-64-v3")
    text = made.header.read_text()
    assert (
        "names_run(tenon_context* context, int64_t int_, const float* tree_a, const float* tree_b,"
        " const float* context_, const float* x, float* result)" in text
    )
    source = tmp_path / "main.c"
    source.write_text('#include "names.h"\nint main(void) { return names_load(0) == TENON_OK; }\n')
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", str(source)]
    subprocess.run([*command, str(made.path), "-o", str(tmp_path / "main")], check=True)
    subprocess.run([str(tmp_path / "main")], check=True)


def test_a_network_of_expressions_of_its_sizes_has_a_function_of_pointers(tmp_path):
    def forward(x):
        return x[1:].sum(axis=1)

    made = tn.export(
        forward, tmp_path / "sizes.so", [tn.TensorSpec(["n", "m"])], targets="x86-64-v3"
    )
    assert tn.aot.inspect(made.path)["results"][0]["shape"] == ["n - 1"]
    assert "int64_t shape_of_result[] = {(n - 1), 1};" in made.header.read_text()
