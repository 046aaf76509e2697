"""`tenon compile`, and what `run` and `inspect` do with libraries; `tn.aot.load`."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper
from test_cli import refused, run
from test_cli_models import info, save

import tenon as tn

LEVEL = ["--targets", "x86-64-v3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    nodes = [
        helper.make_node("Add", ["x", "x"], ["twice"]),
        helper.make_node("Relu", ["twice"], ["out"]),
        helper.make_node("Mul", ["y", "y"], ["square"]),
    ]
    inputs = [info("x", ["batch", 3]), info("y", ["batch", "width"])]
    outputs = [info("out", ["batch", 3]), info("square", ["batch", "width"])]
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    return save(path, nodes, inputs, outputs)


@pytest.fixture(scope="module")
def library(model):
    path = model.with_suffix(".so")
    network = tn.compile(tn.onnx.load(model))
    tn.export(network, path, targets="x86-64-v3", name="small")
    return path


def test_compile_writes_library_and_header(capsys, model, tmp_path):
    path = tmp_path / "net.so"
    options = ["-o", path, *LEVEL, "--size", "width=3", "--name", "net", "--symbolic", "batch"]
    code, out, _ = run(capsys, "compile", model, *options)
    assert code == 0
    assert "input   x: float32[batch, 3]" in out
    assert f"wrote {path}" in out
    assert f"wrote {tmp_path}/net.h" in out
    assert tn.aot.inspect(path)["model"] == "net"
    found = json.loads(run(capsys, "compile", model, *options, "--json")[1])
    assert found["levels"] == ["x86-64-v3"]
    assert found["symbols"] == ["batch"]
    assert found["bytes"] == path.stat().st_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--symbolic", "batch"], "the sizes width are open and not among --symbolic; fix them:"),
        (
            ["--symbolic", "n"],
            "--symbolic n: the sizes that can stay open are batch, width [E1034]",
        ),
        (["--size", "n=3"], "--size n: the open sizes of '{model}' are batch, width [E1034]"),
        (["--targets", "frob"], "[E09"),
        (["--name", "1 2"], "[E09"),
        (["-o", "{tmp}/none/x.so"], "does not exist [E1028]"),
        (["-o", "{tmp}"], "is a folder; give the name of a file [E1028]"),
    ],
)
def test_bad_input_of_compile_is_one_line(capsys, model, tmp_path, options, message):
    places = {"model": str(model), "tmp": str(tmp_path)}
    given = [o.format(**places) for o in options]
    if "-o" not in given:
        given += ["-o", f"{tmp_path}/x.so"]
    line = refused(capsys, "compile", model, *LEVEL, *given)
    assert message.format(**places) in line, line
    assert not list(tmp_path.iterdir())


def test_a_library_is_run_as_the_model_is(capsys, model, library, tmp_path):
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((5, 3), np.float32) for _ in range(2))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    options = ["--input", f"x={tmp_path}/x.npy", "--input", f"y={tmp_path}/y.npy", "--output"]
    assert run(capsys, "run", library, *options, tmp_path / "library.npz")[0] == 0
    assert run(capsys, "run", model, *options, tmp_path / "model.npz")[0] == 0
    for kind in ("library", "model"):
        found = np.load(tmp_path / f"{kind}.npz")
        assert set(found) == {"out", "square"}
        np.testing.assert_array_equal(found["out"], np.maximum(2 * x, 0))
        np.testing.assert_array_equal(found["square"], y * y)


def test_libraries_are_called_by_position_and_by_name(library):
    loaded = tn.aot.load(library)
    assert loaded.input_names == ["x", "y"]
    assert loaded.result_names == ["out", "square"]
    x, y = np.full((2, 3), 2.0, "float32"), np.full((2, 3), 3.0, "float32")
    for out, square in (loaded(x, y), loaded(x, y=y), loaded(x[::-1], y)):
        np.testing.assert_array_equal(out, 2 * x)
        np.testing.assert_array_equal(square, y * y)
    with pytest.raises(tn.ExpressionError, match=r"takes x, y; got 1 by position.*\[E0155\]"):
        loaded(x)
    with pytest.raises(tn.ShapeError, match=r"'x'"):
        loaded(x[:, :2], y)
    with pytest.raises(tn.DTypeError, match=r"'y'"):
        loaded(x, y.astype("float64"))


def test_bad_arrays_for_a_library_are_one_line(capsys, library):
    assert "--input q: the network's inputs are x, y [E1023]" in refused(
        capsys, "run", library, "--input", "q=ones"
    )
    assert "[E1032]" in refused(capsys, "run", library, "--shape", "x=2,4")


def test_inspect_reads_and_verifies_a_library(capsys, library, tmp_path):
    code, out, _ = run(capsys, "inspect", library, "--verify")
    assert code == 0
    assert out.startswith("library of 'small', made by tenon ")
    assert "input   x: float32[batch, 3]" in out
    assert "level   x86-64-v3: 2 kernels" in out
    assert out.endswith("intact: every byte is as it was written\n")
    found = json.loads(run(capsys, "inspect", library, "--json", "--verify")[1])
    assert found["verified"] is True
    damaged = tmp_path / "damaged.so"
    content = bytearray(library.read_bytes())
    content[-40] ^= 1
    damaged.write_bytes(content)
    code, out, _ = run(capsys, "inspect", damaged, "--verify")
    assert code == 1
    assert "NOT intact: " in out
    assert run(capsys, "inspect", damaged)[0] == 0


def test_damaged_and_foreign_libraries_are_one_line(capsys, library, tmp_path):
    broken = tmp_path / "broken.so"
    content = library.read_bytes()
    for part in (content[:100], content[: len(content) // 2], b"\x7fELF" + bytes(200)):
        broken.write_bytes(part)
        assert "[E094" in refused(capsys, "run", broken)
        assert "[E094" in refused(capsys, "inspect", broken)
    assert "--html and --profile need the model itself [E1031]" in refused(
        capsys, "inspect", library, "--html", tmp_path / "page.html"
    )
    broken.write_bytes(content[:100])
    assert "[E094" in refused(capsys, "bench", broken)


def test_bench_times_calls_of_a_library(capsys, library):
    options = ["--size", "batch=2", "--size", "width=3", "--seconds", "0.02"]
    code, out, _ = run(capsys, "bench", library, *options)
    assert code == 0
    assert out.startswith("small: latency ")
    found = json.loads(run(capsys, "bench", library, *options, "--threads", "1", "--json")[1])
    assert found["threads"] == 1
    assert 0 < found["latency"]["minimum"] <= found["latency"]["median"]
    assert found["num_runs"] >= 5


def test_verify_is_for_libraries(capsys, model):
    assert "--verify is for libraries" in refused(capsys, "inspect", model, "--verify")


def test_values_that_decide_shapes_become_part_of_the_library(capsys, tmp_path):
    nodes = [helper.make_node("Reshape", ["x", "to"], ["y"])]
    inputs = [info("x", [2, 6]), info("to", ["k"], TensorProto.INT64)]
    path = save(tmp_path / "reshape.onnx", nodes, inputs, [info("y", None)])
    np.save(tmp_path / "to.npy", np.array([3, 4], "int64"))
    output = ["-o", tmp_path / "reshape.so", *LEVEL]
    assert "[E1033]" in refused(capsys, "compile", path, *output)
    assert run(capsys, "compile", path, *output, "--input", f"to={tmp_path}/to.npy")[0] == 0
    assert tn.aot.load(tmp_path / "reshape.so").input_names == ["x"]
