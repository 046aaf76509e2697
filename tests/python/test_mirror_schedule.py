"""Schedules of derivatives that carry the tile of the forward schedule."""

import numpy as np
import pytest

import tenon as tn
from tenon import te

RNG = np.random.default_rng(3)


def tile(s, block, row, column, rows, columns):
    """Rows by columns in registers over the reduction, written by hand."""
    loops = {str(loop): loop for loop in s.loops(block)}
    reductions = [loops[n] for n in "rskc" if n in loops and n not in (row, column)]
    batch = [loops[n] for n in "nh" if n in loops]
    row_o, row_i = s.split(loops[row], [None, rows], tail="balance")
    column_o, column_i = s.split(loops[column], [None, columns], tail="partition")
    s.reorder(*batch, row_o, column_o, *reductions, row_i, column_i)
    copy = s.cache_write(block, "register")
    s.reverse_compute_at(copy, column_o)
    s.vectorize(column_i)
    s.unroll(row_i)
    *_, last = s.loops(copy)
    s.vectorize(last)
    s.decompose_reduction(block, reductions[0])
    s.parallel((batch or [row_o])[0])


def matmul():
    a = te.placeholder((40, 48), "float32", name="A")
    b = te.placeholder((48, 64), "float32", name="B")
    k = te.reduce_axis(48, "k")
    c = te.compute((40, 64), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    return [a, b], c


def conv3x3(height=8, width=10):
    x = te.placeholder((1, height, width, 32), "float32", name="X")
    f = te.placeholder((3, 3, 32, 32), "float32", name="F")
    r, s, c = te.reduce_axis(3, "r"), te.reduce_axis(3, "s"), te.reduce_axis(32, "c")

    def element(n, h, w, o):
        y, z = h + r - 1, w + s - 1
        inside = te.all(y >= 0, y < height, z >= 0, z < width)
        return te.sum(x[n, y, z, c] * f[r, s, c, o], axis=[r, s, c], where=inside)

    return [x, f], te.compute((1, height, width, 32), element, name="Y")


@pytest.fixture(autouse=True)
def verified():
    tn.config.verify = "verifier"
    yield
    tn.config.verify = "off"


def mirrored(inputs, output, schedule):
    g = te.placeholder(output.shape, "float32", name="G")
    backward = tn.function([*inputs, g], te.vjp(output, inputs, g), name="backward")
    made, report = tn.mirror_schedule(schedule, backward)
    arrays = [RNG.normal(size=t.shape).astype("float32") for t in (*inputs, g)]
    found, expected = tn.build(made)(*arrays), tn.build(backward)(*arrays)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())  # one result
    return made, report


def test_adjoints_of_a_matmul_carry_its_tile():
    inputs, c = matmul()
    s = tn.Schedule(tn.function(inputs, [c], name="matmul"))
    tile(s, "C", "i", "j", 5, 16)
    made, report = mirrored(inputs, c, s)
    forward = "mirrors C (i parallel, i: 5 unrolled, j: 16 vectorized; order i j k i j)"
    assert report == (
        f"A_grad: {forward} as i parallel, i: 5 unrolled, k: 16 vectorized; order i k j i k\n"
        f"B_grad: {forward} as k parallel, k: 5 unrolled, j: 16 vectorized; order k j i k j\n"
    )
    text = str(made)
    for block, row, column in (("A_grad", "i", "k"), ("B_grad", "k", "j")):
        loops = [str(loop) for loop in made.loops(block)]
        assert loops[:2] == [f"{row}o", f"{column}o"]
        assert loops[3:] == [f"{row}i", f"{column}i"]
    assert text.count("in 0..16") >= 4
    assert "unrolled for ki in 0..select" in text or "unrolled for ki in 0..5" in text


def test_adjoints_of_a_convolution_carry_its_tile():
    inputs, y = conv3x3()
    s = tn.Schedule(tn.function(inputs, [y], name="conv"))
    tile(s, "Y", "w", "o", 3, 16)
    _, report = mirrored(inputs, y, s)
    of_x, of_f = report.splitlines()
    tiles = "n parallel, w: 3 unrolled, o: 16 vectorized"
    assert of_x.startswith(f"X_grad: mirrors Y ({tiles}; order n h w o r s c w o) as ")
    assert "w: 3 unrolled, c: 16 vectorized; order n h w c r s o w c" in of_x
    assert "c: 3 unrolled, o: 16 vectorized" in of_f


def test_chains_of_elements():
    x = te.placeholder((64, 96), "float32", name="x")
    y = te.compute((64, 96), lambda i, j: te.tanh(x[i, j]), name="y")
    s = tn.Schedule(tn.function([x], [y], name="f"))
    i, j = s.loops("y")
    _, ji = s.split(j, [None, 24])
    s.vectorize(ji)
    s.parallel(i)
    made, report = mirrored_of_one(x, y, s)
    tiles = "i parallel, j: 24 vectorized; order i j j"
    assert report == f"y: mirrors y ({tiles}) as {tiles}\nx_grad: mirrors y ({tiles}) as {tiles}\n"
    assert "vectorized for ji in 0..24" in str(made)


def mirrored_of_one(x, y, s):
    g = te.placeholder(y.shape, "float32", name="G")
    return tn.mirror_schedule(s, tn.function([x, g], te.vjp(y, x, g), name="b"))


def test_what_cannot_be_mirrored_gets_the_default_rule():
    x = te.placeholder((64, 96), "float32", name="x")
    y = te.compute((64, 96), lambda i, j: te.tanh(x[i, j]), name="y")
    s = tn.Schedule(tn.function([x], [y], name="f"))
    s.fuse(*s.loops("y"))
    made, report = mirrored_of_one(x, y, s)
    assert report.endswith("x_grad: default rule ('y' has no loops of single axes)\n")
    assert "vectorized" in str(made)
    other = te.compute((64, 96), lambda i, j: te.exp(x[i, j]), name="other")
    _, report = mirrored_of_one(x, other, s)
    assert report.endswith("x_grad: default rule ('other' has no loops of single axes)\n")


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (7, 7), (9, 9), (13, 11)])
def test_strided_convolutions_have_no_remainders_or_conditions_in_inner_loops(size):
    """The two innermost loops of the backward of a 3x3 convolution with stride 2."""
    height, width = size
    x = te.placeholder((1, height, width, 32), "float32", name="X")
    f = te.placeholder((3, 3, 32, 32), "float32", name="F")
    r, s, c = te.reduce_axis(3, "r"), te.reduce_axis(3, "s"), te.reduce_axis(32, "c")

    def element(n, h, w, o):
        y, z = 2 * h + r - 1, 2 * w + s - 1
        inside = te.all(y >= 0, y < height, z >= 0, z < width)
        return te.sum(x[n, y, z, c] * f[r, s, c, o], axis=[r, s, c], where=inside)

    y = te.compute((1, (height + 1) // 2, (width + 1) // 2, 32), element, name="Y")
    g = te.placeholder(y.shape, "float32", name="G")
    backward = tn.function([x, f, g], te.vjp(y, [x, f], g), name="backward")
    kernel = tn.build(backward)
    lines = inner_lines(str(kernel.loops))
    assert lines
    for line in lines:
        assert " % " not in line, line
        assert " // " not in line, line
        assert " if " not in f" {line} ", line
        assert "select" not in line, line


def inner_lines(text):
    """The lines of the two innermost loops of each nest: what no loop of two levels is under."""
    lines = [line for line in text.splitlines() if line.strip()]
    depths = [len(line) - len(line.lstrip()) for line in lines]
    out = []
    for n, line in enumerate(lines):
        if " for " not in f" {line.strip()} ":
            continue
        body = []
        for m in range(n + 1, len(lines)):
            if depths[m] <= depths[n]:
                break
            body.append(m)
        nested = [m for m in body if lines[m].strip().startswith("for ")]
        inner = [m for m in nested if any(m < k and depths[k] > depths[m] for k in nested)]
        if not inner:
            # The range of a loop is evaluated once, before it.
            out += [lines[m] for m in body if " for " not in f" {lines[m].strip()} "]
    return out
