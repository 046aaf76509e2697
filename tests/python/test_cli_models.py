"""`tenon check`, `inspect`, `run` and `bench` on ONNX models, and damaged ones."""

import json
import re

import numpy as np
import onnx
import pytest
from needs_nvrtc import needs_nvrtc
from onnx import TensorProto, helper
from test_cli import refused, run


def info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def save(path, nodes, inputs, outputs, initializer=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializer))
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset).SerializeToString())
    return path


@pytest.fixture
def model(tmp_path):
    nodes = [
        helper.make_node("Add", ["x", "x"], ["twice"]),
        helper.make_node("Relu", ["twice"], ["layer/out:0"]),
    ]
    shape = ["batch", 3]
    return save(tmp_path / "model.onnx", nodes, [info("x", shape)], [info("layer/out:0", shape)])


@pytest.fixture
def unsupported(tmp_path):
    nodes = [helper.make_node("Frobnicate", ["x"], ["y"], domain="com.example")]
    return save(tmp_path / "other.onnx", nodes, [info("x", [3])], [info("y", [3])])


def test_check_says_what_is_supported(capsys, model, unsupported):
    code, out, _ = run(capsys, "check", model)
    assert code == 0
    assert out.endswith("supported: all 2 operators\n")
    code, out, _ = run(capsys, "check", unsupported)
    assert code == 1
    assert "com.example.Frobnicate-1" in out
    assert "NOT supported: 1 of 1 operators: Frobnicate" in out
    code, out, _ = run(capsys, "check", unsupported, "--json")
    found = json.loads(out)
    assert (code, found["is_supported"]) == (1, False)
    assert found["operators"][0]["status"] == "unsupported"


def test_what_is_not_supported_cannot_be_run(capsys, unsupported):
    assert "Frobnicate" in refused(capsys, "run", unsupported)


def test_run_names_results_as_the_model_does(capsys, model, tmp_path):
    x = np.random.default_rng(0).standard_normal((4, 3), np.float32)
    np.save(tmp_path / "x.npy", x)
    place = tmp_path / "out"
    code, out, _ = run(capsys, "run", model, "--input", f"x={tmp_path}/x.npy", "--output", place)
    assert code == 0
    assert "layer/out:0" in out
    np.testing.assert_array_equal(np.load(place / "layer_out_0.npy"), np.maximum(2 * x, 0))


def test_sizes_that_contradict_each_other_are_named(capsys, model, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 2), "float32"))
    line = refused(capsys, "run", model, "--input", f"x={tmp_path}/x.npy")
    assert "input 'x' is float32[batch, 3]: axis 1 is 3, but its array says 2 [E1032]" in line
    line = refused(capsys, "bench", model, "--shape", "x=2,3", "--size", "batch=5")
    assert "size 'batch' is 5 by --size and 2 by --shape of 'x'; make it one [E1025]" in line
    assert "all are fixed" in refused(capsys, "run", save_fixed(tmp_path), "--size", "n=1")


def save_fixed(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return save(tmp_path / "fixed.onnx", nodes, [info("x", [3])], [info("y", [3])])


def test_inputs_that_decide_shapes_need_a_value(capsys, tmp_path):
    nodes = [helper.make_node("Reshape", ["x", "to"], ["y"])]
    inputs = [info("x", [2, 6]), info("to", ["k"], TensorProto.INT64)]
    path = save(tmp_path / "reshape.onnx", nodes, inputs, [info("y", None)])
    line = refused(capsys, "run", path)
    assert "input 'to' of" in line
    assert "--input to=file.npy [E1033]" in line
    np.save(tmp_path / "to.npy", np.array([3, 4], "int64"))
    code, out, _ = run(capsys, "run", path, "--input", f"to={tmp_path}/to.npy", "--json")
    assert code == 0
    assert json.loads(out)["results"]["y"]["shape"] == [3, 4]


def test_inspect_lists_kernels_passes_and_memory(capsys, model):
    code, out, _ = run(capsys, "inspect", model, "--size", "batch=4")
    assert code == 0
    assert out.startswith("input   x: float32[batch, 3]\nresult  layer/out:0: float32[batch, 3]\n")
    assert "fuse: fused (read in one kernel: computed there): add" in out
    assert "temporaries: 0 B in 0 blocks for batch = 4" in out
    found = json.loads(run(capsys, "inspect", model, "--size", "batch=4", "--json")[1])
    assert found["kernels"][0]["operations"] == 2 * 4 * 3
    assert found["kernels"][0]["outputs"] == ["layer/out:0"]


def test_inspect_writes_a_page_with_times(capsys, model, tmp_path):
    page = tmp_path / "page.html"
    options = ["--html", page, "--profile", "--seconds", "0.02"]
    code, out, _ = run(capsys, "inspect", model, *options)
    assert code == 0
    assert f"wrote {page}" in out
    assert "latency" in out
    assert "of the roof" in page.read_text()
    assert "is a folder; give the name of a file [E1028]" in refused(
        capsys, "inspect", model, "--html", tmp_path
    )


@pytest.mark.parametrize("command", ["check", "run", "bench", "inspect"])
def test_damaged_models_are_one_line(capsys, command, model, tmp_path):
    whole = model.read_bytes()
    broken = tmp_path / "broken.onnx"
    for content in (b"", whole[: len(whole) // 2], b"hello world, this is text", whole[5:]):
        broken.write_bytes(content)
        assert "[E08" in refused(capsys, command, broken)
    assert "[E1022]" in refused(capsys, command, tmp_path / "none.onnx")
    assert "[E1022]" in refused(capsys, command, tmp_path)


def test_texts_that_are_no_utf8_are_one_line(capsys, model, tmp_path):
    broken = tmp_path / "broken.onnx"
    for command in ("check", "run", "inspect"):
        broken.write_bytes(model.read_bytes().replace(b"twice", b"tw\xffce"))
        assert "is no UTF-8 [E0870]" in refused(capsys, command, broken)
    # Bytes of an attribute may be anything; messages quote them.
    pool = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[1], auto_pad=b"\xff\x80")
    save(broken, [pool], [info("x", [1, 1, 3])], [info("y", [1, 1, 3])])
    assert "\\xff\\x80" in refused(capsys, "run", broken)


def test_changed_models_are_refused_or_read_and_never_a_bug(capsys, model, tmp_path):
    whole = model.read_bytes()
    broken = tmp_path / "broken.onnx"
    rng = np.random.default_rng(0)
    codes = []
    for _ in range(60):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        broken.write_bytes(changed)
        codes.append(run(capsys, "check", broken)[0])
    assert set(codes) <= {0, 1, 2}
    assert codes.count(2) > 10


def test_check_is_for_onnx(capsys, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert "is no ONNX file" in refused(capsys, "check", tmp_path)


def test_lines_of_the_command_line_are_no_lines_of_users(capsys, model):
    assert onnx.load(model).graph.node
    found = json.loads(run(capsys, "inspect", model, "--json")[1])
    lines = [k["line"] for k in found["kernels"]] + [r["line"] for r in found["rewrites"]]
    assert not any("test_cli_models" in line or "cli/" in line for line in lines), lines


@needs_nvrtc
@pytest.mark.parametrize("command", ["run", "bench"])
def test_models_for_a_gpu_are_compiled_and_refused_without_cuda(
    capsys, model, monkeypatch, command
):
    options = [model, "--target", "cuda -arch=sm_80"]
    code, out, _ = run(capsys, "inspect", *options)
    assert code == 0
    assert "registers" in out
    monkeypatch.setenv("TENON_CUDA_PATH", "none")  # whatever this machine has
    assert re.search(r"\[E11[02]0\]", refused(capsys, command, *options, "--size", "batch=2"))
