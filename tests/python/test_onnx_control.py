"""If, Loop, Scan, sequences and optionals of ONNX models, compared with onnxruntime or NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import tenon as tn


def write(tmp_path: Path, text: str, opset: int = 21) -> Path:
    header = f'<ir_version: 8, opset_import: ["" : {opset}]>\n'
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.parser.parse_model(header + text).SerializeToString())
    return path


def check(tmp_path: Path, text: str, *calls: dict[str, Any], opset: int = 21) -> Any:
    """Compare with onnxruntime for each call; return the compiled network."""
    path = write(tmp_path, text, opset)
    session = onnxruntime.InferenceSession(path)
    network = tn.compile(tn.onnx.load(path))
    for inputs in calls:
        expected = session.run(None, inputs)
        got = network(**inputs)
        got = got if isinstance(got, tuple) else (got,)
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            a = np.asarray(a)
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-6)
    return network


X = np.array([1, 2, 3], np.float32)
TRUE, FALSE = np.array(True), np.array(False)


def test_if_computes_one_branch_or_is_decided_at_import(tmp_path: Path) -> None:
    text = """g (bool c, float[3] x) => (float[3] y, float[3] z) {
      s = Add(x, x)
      y, z = If (c) <
        then_branch = t () => (float[3] a, float[3] b) { a = Mul(s, x) b = Identity(x) },
        else_branch = e () => (float[3] d, float[3] f) {
          k = Constant <value = float[3] {5.0, 6.0, 7.0}> ()
          d = Sub(s, k) f = Identity(s) }>
    }"""
    check(tmp_path, text, {"c": TRUE, "x": X}, {"c": FALSE, "x": X})
    constant = text.replace("bool c, ", "").replace(
        "s = Add(x, x)", "s = Add(x, x) c = Constant <value = bool {1}> ()"
    )
    check(tmp_path, constant, {"x": X})


def test_if_with_branches_of_different_shapes_is_compiled_for_each_value(tmp_path: Path) -> None:
    text = """g (bool c, float[3] x) => (float[?] y) {
      y = If (c) <then_branch = t () => (float[3] a) { a = Add(x, x) },
                  else_branch = e () => (float[6] d) { d = Concat <axis = 0> (x, x) }>
    }"""
    check(tmp_path, text, {"c": TRUE, "x": X}, {"c": FALSE, "x": X}, {"c": TRUE, "x": X})


COUNTING = """g (int64 m, float[3] x) => (float[3] last, float[?, 3] rows) {
  t = Constant <value = bool {1}> ()
  last, rows = Loop (m, t, x) <body = b (int64 i, bool c, float[3] s) =>
    (bool c2, float[3] s2, float[3] row) {
      c2 = Identity(c) s2 = Add(s, x) row = Mul(s, s) }>
}"""


def test_loop_that_stacks_results(tmp_path: Path) -> None:
    check(tmp_path, COUNTING, *({"m": np.array(n), "x": X} for n in (4, 1, 0, 4)))


def test_loop_whose_length_is_a_size_is_one_network(tmp_path: Path) -> None:
    text = """g (float[n, 2] a, float[3] x) => (float[3] last, float[n, 3] rows) {
      t = Constant <value = bool {1}> ()
      m = Shape <start = 0, end = 1> (a)
      last, rows = Loop (m, t, x) <body = b (int64 i, bool c, float[3] s) =>
        (bool c2, float[3] s2, float[3] row) {
          c2 = Identity(c) s2 = Add(s, x) row = Mul(s2, x) }>
    }"""
    network = check(
        tmp_path, text, *({"a": np.zeros((n, 2), np.float32), "x": X} for n in (4, 1, 0))
    )
    assert type(network).__name__ == "Network"


def test_loop_of_a_length_in_data_and_without_stacked_results(tmp_path: Path) -> None:
    text = """g (int64 m, float[3] x) => (float[3] last) {
      t = Constant <value = bool {1}> ()
      last = Loop (m, t, x) <body = b (int64 i, bool c, float[3] s) =>
        (bool c2, float[3] s2) { c2 = Identity(c) s2 = Add(s, x) }>
    }"""
    network = check(tmp_path, text, *({"m": np.array(n), "x": X} for n in (4, 1, 0, -3)))
    assert type(network).__name__ == "Network"


def test_loop_that_ends_by_a_condition_in_data(tmp_path: Path) -> None:
    text = """g (float x, float top) => (float last, int64 n) {
      t = Constant <value = bool {1}> ()
      zero = Constant <value = int64 {0}> ()
      one = Constant <value = int64 {1}> ()
      last, n = Loop ("", t, x, zero) <body = b (int64 i, bool c, float s, int64 k) =>
        (bool c2, float s2, int64 k2) {
          s2 = Add(s, s) k2 = Add(k, one) c2 = Less(s2, top) }>
    }"""
    calls = [{"x": np.float32(1), "top": np.float32(top)} for top in (100, 1, 9)]
    calls = [{k: np.array(v) for k, v in call.items()} for call in calls]
    network = check(tmp_path, text, *calls)
    assert type(network).__name__ == "Network"
    stacking = text.replace("int64 n)", "float[?] n)").replace(
        "k2 = Add(k, one) ", "k2 = Identity(s) "
    )
    stacking = stacking.replace(", zero) <", ") <").replace("float s, int64 k)", "float s)")
    stacking = stacking.replace("float s2, int64 k2)", "float s2, float k2)")
    check(tmp_path, stacking, *calls)  # compiled for each value: iterations are imported


def test_loop_whose_state_grows_is_imported_iteration_by_iteration(tmp_path: Path) -> None:
    text = """g (float[3] x) => (float[?] last, float[?, 3] rows) {
      t = Constant <value = bool {1}> ()
      m = Constant <value = int64 {3}> ()
      last, rows = Loop (m, t, x) <body = b (int64 i, bool c, float[?] s) =>
        (bool c2, float[?] s2, float[3] row) {
          c2 = Identity(c) s2 = Concat <axis = 0> (s, x) row = Identity(x) }>
    }"""
    check(tmp_path, text, {"x": X})
    with pytest.raises(
        tn.UnsupportedError,
        match=r"\(Loop\): state 0 is float32\[3\] at first and float32\[6\] after an iteration",
    ):
        tn.compile(tn.onnx.load(write(tmp_path, text.replace("{3}", "{2000}"))))


def test_loops_in_loops_and_branches(tmp_path: Path) -> None:
    text = """g (bool p, float[3] x) => (float[3] last) {
      t = Constant <value = bool {1}> ()
      m = Constant <value = int64 {3}> ()
      last = Loop (m, t, x) <body = b (int64 i, bool c, float[3] s) => (bool c2, float[3] s2) {
        c2 = Identity(c)
        q = Loop (m, t, s) <body = b2 (int64 j, bool d, float[3] r) => (bool d2, float[3] r2) {
          d2 = Identity(d)
          r2 = If (p) <then_branch = u () => (float[3] a) { a = Add(r, s) },
                       else_branch = v () => (float[3] f) { f = Sub(r, x) }> }>
        s2 = Relu(q) }>
    }"""
    check(tmp_path, text, {"p": TRUE, "x": X}, {"p": FALSE, "x": X})


SCAN = """g (float[2] h, float[n, 2] a, float[2, n] b)
    => (float[2] last, float[OUT] y, float[n, 2] z) {
  last, y, z = Scan (h, a, b) <num_scan_inputs = 2, scan_input_axes = [0, -1], MORE
    body = f (float[2] s, float[2] p, float[2] q) => (float[2] s2, float[2] u, float[2] w) {
      k = Mul(s, p) s2 = Add(k, q) u = Identity(s2) w = Mul(p, q) }>
}"""


@pytest.mark.parametrize(
    ("directions", "axes"),
    [("[0, 0]", "[0, 0]"), ("[1, 1]", "[1, 1]"), ("[1, 0]", "[0, 1]"), ("[0, 1]", "[1, 1]")],
)
def test_scan_axes_and_directions(tmp_path: Path, directions: str, axes: str) -> None:
    more = (
        f"scan_input_directions = {directions}, scan_output_directions = {axes},"
        f" scan_output_axes = [{axes[1]}, 0],"
    )
    text = SCAN.replace("MORE", more).replace("OUT", "n, 2" if axes[1] == "0" else "2, n")
    rng = np.random.default_rng(0)
    calls = [
        {
            "h": rng.standard_normal(2, np.float32),
            "a": rng.standard_normal((n, 2), np.float32),
            "b": rng.standard_normal((2, n), np.float32),
        }
        for n in (5, 1)
    ]
    network = check(tmp_path, text, *calls)
    assert type(network).__name__ == "Network"


@pytest.mark.parametrize("direction", [0, 1])
def test_scan_of_batches(tmp_path: Path, direction: int) -> None:
    text = """g (float[b, 2] h, float[b, n, 2] x) => (float[b, 2] last, float[b, n, 2] y) {
      last, y = Scan ("", h, x) <num_scan_inputs = 1, directions = [D],
        body = f (float[2] s, float[2] p) => (float[2] s2, float[2] u) {
          s2 = Add(s, p) u = Identity(s2) }>
    }""".replace("D", str(direction))
    rng = np.random.default_rng(0)
    network = tn.compile(tn.onnx.load(write(tmp_path, text, 8)))
    for b, n in ((3, 4), (1, 1)):
        h, x = rng.standard_normal((b, 2), np.float32), rng.standard_normal((b, n, 2), np.float32)
        steps = x[:, ::-1] if direction else x
        expected = h[:, None] + np.cumsum(steps, axis=1)
        last, y = network(h, x)
        np.testing.assert_allclose(last, expected[:, -1], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_sequences_are_resolved_at_import(tmp_path: Path) -> None:
    text = """g (float[5, 2] x, float[2, 2] w) => (float[?, 2] y, float[?, ?, 2] z, int64 n) {
      two = Constant <value = int64 {2}> ()
      last = Constant <value = int64 {-1}> ()
      parts = SplitToSequence <axis = 0> (x, two)
      more = SequenceInsert (parts, w, last)
      less = SequenceErase (more, two)
      n = SequenceLength (less)
      at = SequenceAt (less, last)
      both = SequenceConstruct (at, at)
      y = ConcatFromSequence <axis = 0> (less)
      z = ConcatFromSequence <axis = 1, new_axis = 1> (both)
    }"""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 2), np.float32), rng.standard_normal((2, 2), np.float32)
    check(tmp_path, text, {"x": x, "w": w})


def test_a_sequence_that_a_loop_fills_and_a_map(tmp_path: Path) -> None:
    text = """g (float[3] x) => (float[?, 3] y, float[?] z) {
      m = Constant <value = int64 {3}> ()
      t = Constant <value = bool {1}> ()
      none = SequenceEmpty ()
      all = Loop (m, t, none) <body = b (int64 i, bool c, seq(float[3]) s) =>
        (bool c2, seq(float[3]) s2) {
          c2 = Identity(c) r = Add(x, x) s2 = SequenceInsert(s, r) }>
      y = ConcatFromSequence <axis = 0, new_axis = 1> (all)
      mapped = SequenceMap (all, x) <body = f (float[3] e, float[3] k) => (float[3] p) {
        p = Mul(e, k) }>
      z = ConcatFromSequence <axis = 0> (mapped)
    }"""
    check(tmp_path, text, {"x": X})


def test_what_a_check_says_of_bodies(tmp_path: Path) -> None:
    counts = {r.name: r.count for r in tn.check(write(tmp_path, COUNTING)).operators}
    assert counts == {"Constant": 1, "Loop": 1}  # the body depends on the value of m
    fixed = COUNTING.replace("int64 m, ", "").replace(
        "t = ", "m = Constant <value_int = 3> () t = "
    )
    counts = {r.name: r.count for r in tn.check(write(tmp_path, fixed)).operators}
    assert counts == {"Constant": 2, "Loop": 1, "Identity": 1, "Add": 1, "Mul": 1}
    bad = fixed.replace("Mul(s, s)", "NoSuch(s, s)")
    report = {r.name: r for r in tn.check(write(tmp_path, bad)).operators}
    assert report["NoSuch"].status == "unsupported"
    assert report["NoSuch"].reason == "Tenon has no such operator"
    assert report["Loop"].status == "native"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "g (bool[3] c) => (bool[3] y) { y = If (c) <"
            "then_branch = t () => (bool[3] a) { a = Identity(c) },"
            "else_branch = e () => (bool[3] d) { d = Identity(c) }> }",
            tn.ModelError,
            r"\(If\): the condition should be one bool, got bool\[3\]",
        ),
        (
            "g (float[3] x) => (float[3] y) { y = Loop () <"
            "body = b (int64 i, bool c) => (bool c2) { c2 = Identity(c) }> }",
            tn.ModelError,
            "expected at least 2 inputs, got 0",
        ),
        (
            'g (float[3] x) => (float[3] y) { y = Loop ("", "", x) <'
            "body = b (int64 i, bool c, float[3] s) => (bool c2, float[3] s2) {"
            "c2 = Identity(c) s2 = Add(s, s) }> }",
            tn.UnsupportedError,
            "a loop without a number of iterations and without a condition",
        ),
        (
            "g (float[3] x) => (float[3] y) { y = Scan (x) <num_scan_inputs = 2,"
            "body = b (float[3] s) => (float[3] s2) { s2 = Add(s, s) }> }",
            tn.ModelError,
            "'num_scan_inputs' is 2 and there are 1 inputs",
        ),
        (
            "g (float[3] x) => (float[3] y) { k = Constant <value = int64 {2}> ()"
            "s = SequenceConstruct (x, x) y = SequenceAt (s, k) }",
            tn.ModelError,
            "position 2 is out of range for 2",
        ),
        (
            "g (float[3] x) => (float[3] y) { s = SequenceConstruct (x, x) y = Add (s, x) }",
            tn.ModelError,
            "input 's' is a sequence, expected a tensor",
        ),
        (
            "g (float[3] x) => (seq(float[3]) s) { s = SequenceConstruct (x, x) }",
            tn.UnsupportedError,
            "output 's' is a sequence",
        ),
        (
            "g (seq(float[3]) x) => (int64 n) { n = SequenceLength (x) }",
            tn.UnsupportedError,
            "input 'x' is a sequence, whose length is not known",
        ),
    ],
)
def test_errors(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tn.compile(tn.onnx.load(write(tmp_path, text)))
