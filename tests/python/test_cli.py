"""The command line, called in this process but for a few real ones."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from tiny_model import CONFIG, write_tiny_model

import tenon as tn
from tenon import _core
from tenon._error_table import error_table
from tenon.cli import _command, _cuda, _inputs, _machine, main
from tenon.cli._model import Argument

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = CONFIG["vocab_size"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def ids(tmp_path):
    path = tmp_path / "ids.npy"
    np.save(path, np.arange(6, dtype="int64").reshape(2, 3))
    return str(path)


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments):
    """Return the one line that bad input gets."""
    code, out, err = run(capsys, *arguments)
    assert code == 2, (out, err)
    # What was done before may be told, as lines without "tenon:".
    lines = [line for line in err.splitlines() if line.startswith("tenon: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    assert out == ""
    return lines[0]


def test_help_teaches_with_examples(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "exit codes" in out
    for command in ("check", "run", "bench", "inspect", "doctor", "explain"):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert f"examples:\n  tenon {command}" in out, command
    assert run(capsys, "--version")[1] == f"tenon {_core.__version__}\n"


def test_real_processes_have_the_exit_codes_and_no_traceback():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "tenon"]
    done = subprocess.run(
        [*command, "explain", "E0203"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("E0203  ScheduleError")
    done = subprocess.run(
        [*command, "run", "no.onnx"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert (
        done.stderr == "tenon: cannot open the model 'no.onnx': No such file or directory [E1022]\n"
    )


def test_a_reader_that_leaves_is_no_failure():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    script = f"{sys.executable} -m tenon explain | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"the following arguments are required: COMMAND; 'tenon --help'.*\[E1020\]"),
        (["frobnicate"], r"invalid choice: 'frobnicate'.*\[E1020\]"),
        (["doctor", "--frob"], r"unrecognized arguments: --frob.*\[E1020\]"),
        (["bench", "m", "--threads", "-1"], r"whole number from 0 to 1024, got '-1'.*\[E1020\]"),
        (["bench", "m", "--threads", "many"], r"got 'many'.*\[E1020\]"),
        (["bench", "m", "--seconds", "nan"], r"a number from 0.0 to 3600.0, got 'nan'.*\[E1020\]"),
        (["run"], r"required: model; 'tenon run --help' shows what it takes \[E1020\]"),
        (["run", "m", "--input", "x"], r"--input should look like x=file.npy, got 'x' \[E1023\]"),
        (["run", "m", "--shape", "x=1,b"], r"--shape x=1,b should be sizes .* \[E1024\]"),
        (["run", "m", "--shape", "x=-1"], r"--shape x=-1 should be sizes .* \[E1024\]"),
        (["run", "m", "--size", "b=2.5"], r"--size b=2.5 should be a whole number .* \[E1024\]"),
        (["run", "m", "--size", "b=1", "--size", "b=2"], r"--size names 'b' twice \[E1023\]"),
        (
            ["explain", "E\udcff"],
            r"the argument 'E\\xff' is not UTF-8; rename the file.* \[E1020\]",
        ),
        (["explain", "hello"], r"'hello' is no error code; one looks like E0203 \[E1021\]"),
        (["explain", "E9000"], r"no error has the code E9000; the nearest one is E\d{4} \[E1021\]"),
    ],
)
def test_bad_options_are_one_line(capsys, arguments, message):
    line = refused(capsys, *arguments)
    assert re.search(message, line), line


def test_files_that_are_no_models_are_refused_by_name(capsys, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    library = tmp_path / "model.so"
    library.write_bytes(b"\x7fELF" + bytes(60))
    fifo = tmp_path / "fifo.onnx"
    os.mkfifo(fifo)
    assert "is no model that Tenon reads" in refused(capsys, "bench", text)
    assert "[E094" in refused(capsys, "bench", library)
    assert "should be a regular file or a folder" in refused(capsys, "bench", fifo)
    assert "folder without config.json" in refused(capsys, "bench", tmp_path)
    assert "[E1022]" in refused(capsys, "bench", "bad\0name")


def test_a_damaged_model_folder_says_what_is_wrong(capsys, tmp_path):
    broken = write_tiny_model(tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    assert "[E08" in refused(capsys, "run", broken)


def test_explain(capsys):
    code, out, _ = run(capsys, "explain", "e0203")
    assert code == 0
    assert "what is wrong:\n    a factor is not a positive integer or None\n" in out
    assert "the caller can fix it" in out
    row = json.loads(run(capsys, "explain", "E0203", "--json")[1])
    assert row["error_class"] == "ScheduleError"
    listed = run(capsys, "explain")[1].splitlines()
    assert len(listed) == len(error_table()) > 300
    assert not any("\\|" in row.wrong + row.fix for row in error_table().values())


def test_doctor_reports_machine_peaks_and_cache(capsys):
    code, out, err = run(capsys, "doctor", "--json")
    found = json.loads(out)
    assert code == (1 if found["problems"] else 0)
    assert found["codegen"].startswith("llvm ")
    assert {"avx2", "fma"} <= set(found["cpu"]["features"])
    assert found["threads"]["used"] == tn.config.threads
    assert found["caches"][0]["level"] == 1
    assert all(p["flops"] > 1e9 and p["bytes"] > 1e8 for p in found["peaks"])
    assert found["peaks"][0]["threads"] == 1
    assert found["cache_folder"]["path"] is None or found["cache_folder"]["path"].startswith("/")
    assert err.startswith("measuring peaks: ")


def test_doctor_is_told_not_to_look_for_cuda(capsys, monkeypatch):
    monkeypatch.setenv("TENON_CUDA_PATH", "none")
    code, out, err = run(capsys, "doctor", "--no-peaks")
    assert code in (0, 1)
    assert "cuda      not looked for (TENON_CUDA_PATH=none)" in out
    assert "peak" not in out.replace("no-peaks", "")
    assert err == ""


def test_an_open_cache_folder_is_a_problem_with_a_cure(capsys, monkeypatch):
    folder = {"path": "/x/objects", "entries": 1, "bytes": 5, "mode": "0755", "is_mine": True}
    monkeypatch.setattr(_machine, "cache_folder", lambda: folder)
    code, out, _ = run(capsys, "doctor", "--no-peaks")
    assert code == 1
    assert (
        "PROBLEM   the cache folder '/x/objects' should be yours with mode 0700; cure: chmod" in out
    )


def part(version):
    return {"found": True, "version": version, "path": "lib"}


@pytest.mark.parametrize(
    ("change", "what", "cure"),
    [
        ({"driver": {"found": False}}, None, None),
        ({"devices": []}, "finds no device", "nvidia-smi"),
        ({"nvrtc": {"found": False, "error": "not found"}}, "no nvrtc (not found)", "pip install"),
        ({"nvrtc": part("13.1")}, "NVRTC 13.1 is newer than the driver", "install NVRTC 12"),
        ({}, None, None),
    ],
)
def test_the_first_mismatch_of_cuda_has_a_cure(change, what, cure):
    parts = {
        "driver": part("12.4"),
        "devices": [{"name": "gpu"}],
        "nvrtc": part("12.4"),
        "cublaslt": part("12.4.5"),
        "cudnn": part("9.1.0"),
    }
    problem = _cuda._first_problem({**parts, **change}, "")
    if what is None:
        assert problem is None
    else:
        assert what in problem["what"]
        assert cure in problem["cure"]


def test_the_quota_of_a_cgroup_is_read(monkeypatch):
    files = {"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/cpu.max": "150000 100000\n"}
    files["/sys/fs/cgroup/a/b/cpu.max"] = "max 100000\n"
    monkeypatch.setattr(_machine, "_read", lambda path: files.get(str(path), ""))
    assert _machine.cgroup_quota() == 1.5
    files.clear()
    assert _machine.cgroup_quota() is None


def test_run_uses_files_and_writes_results(capsys, folder, ids, tmp_path):
    output = tmp_path / "results"
    code, out, _ = run(capsys, "run", folder, "--input", f"ids={ids}", "--output", output)
    assert code == 0
    assert f"wrote {output}/result.npy" in out
    result = np.load(output / "result.npy")
    assert result.shape == (2, CONFIG["hidden_size"])
    np.testing.assert_allclose((result**2).sum(1), 1, rtol=1e-5)  # vectors of length 1
    npz = tmp_path / "r.npz"
    assert run(capsys, "run", folder, "--input", f"ids={ids}", "--output", npz)[0] == 0
    np.testing.assert_array_equal(np.load(npz)["result"], result)


def test_random_inputs_are_the_same_for_one_seed(capsys, folder):
    sizes = ["--size", "batch=2", "--size", "length=4", "--input", f"ids=random:0:{VOCABULARY}"]
    first = json.loads(run(capsys, "run", folder, *sizes, "--json")[1])
    assert first == json.loads(run(capsys, "run", folder, *sizes, "--json")[1])
    other = json.loads(run(capsys, "run", folder, *sizes, "--seed", "1", "--json")[1])
    assert first["results"]["result"]["shape"] == [2, CONFIG["hidden_size"]]
    assert first["inputs"]["ids"]["maximum"] < VOCABULARY
    assert first["inputs"] != other["inputs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "idz={ids}"], "--input idz: the network's inputs are ids, mask [E1023]"),
        (
            ["--size", "b=2"],
            "--size b: no size of the inputs is called so; the symbolic sizes are ",
        ),
        (
            ["--shape", "ids=2"],
            "input 'ids' is int64[batch, length] with 2 dimensions; --shape has",
        ),
        (
            ["--input", "ids={ids}", "--size", "batch=3"],
            "size 'batch' is 3 by --size and 2 by its array of 'ids'; make it one [E1025]",
        ),
        (
            ["--shape", "ids=2,3", "--shape", "mask=2,4"],
            "size 'length' is 3 by --shape of 'ids' and 4",
        ),
        (["--input", "ids=none.npy"], "--input ids=none.npy: there is no such file; give a .npy"),
        (
            ["--input", "ids={floats}"],
            "input 'ids' is int64, but '{floats}' holds float32; convert",
        ),
        (["--input", "ids={short}"], "is no whole .npy or .npz file of numbers: it ends"),
        (["--input", "ids={pickled}"], "is no whole .npy or .npz file of numbers: Object arrays"),
        (["--input", "ids={text}"], "is no whole .npy or .npz file of numbers: "),
        (["--input", "ids={empty}"], "is no whole .npy or .npz file of numbers: "),
        (["--input", "ids={many}"], "has a, b; name one as {many}:KEY [E1026]"),
        (["--input", "ids=/dev/zero"], "should be a regular file [E0801]"),
        (["--input", "ids=random:3:3"], "LOW should be below HIGH [E1029]"),
        (["--input", "ids=random:0:99999999999999999999"], "is beyond int64 [E1029]"),
        (["--size", "batch=999999999999"], "takes more than 64 GiB [E1029]"),
        (["--input", f"ids=random:{VOCABULARY}:{VOCABULARY + 1}"], "[E0651]"),
        (["--output", "{ids}"], "is a file; give a folder, or a name .npz [E1028]"),
        (["--output", "{ids}/x"], "cannot be made a folder: Not a directory [E1028]"),
        (["--output", "/proc/nothing.npz"], "cannot write '/proc/nothing.npz'"),
        (["--output", "{tmp}/none/x.npz"], "does not exist [E1028]"),
        (["--target", "cpu -mcpu=frob"], "[E0902]"),
    ],
)
def test_bad_input_of_run_is_one_line(capsys, folder, ids, tmp_path, arguments, message):
    places = {"ids": ids, "tmp": str(tmp_path)}
    for name in ("floats", "short", "pickled", "text", "empty", "many"):
        places[name] = str(tmp_path / f"{name}.{'npz' if name == 'many' else 'npy'}")
    np.save(places["floats"], np.zeros((2, 3), "float32"))
    np.save(places["pickled"], np.array([{}], object))
    np.savez(places["many"], a=np.zeros(2), b=np.zeros(2))
    Path(places["short"]).write_bytes(Path(ids).read_bytes()[:-20])
    Path(places["text"]).write_text("1 2 3")
    Path(places["empty"]).write_bytes(b"")
    # What follows decides before the order of shapes does.
    line = refused(capsys, "run", folder, *[a.format(**places) for a in arguments])
    assert message.format(**places) in line, line


def is_refused(path):
    try:
        assert _inputs.read_array("x", path).nbytes < 1 << 20
    except tn.UserError as error:
        return error.code == "E1026"
    return False


def test_no_file_of_an_input_is_more_than_a_line(tmp_path):
    """Files that were changed at random are read or refused; none asks for more than it holds."""
    array = np.arange(12, dtype="float32").reshape(3, 4)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", x=array, y=array)
    rng = np.random.default_rng(0)
    refusals = 0
    for kind in ("npy", "npz"):
        whole = (tmp_path / f"a.{kind}").read_bytes()
        np.testing.assert_array_equal(_inputs.read_array("x", f"{tmp_path}/a.{kind}"), array)
        for _ in range(300):
            changed = bytearray(whole)
            for at in rng.integers(0, len(whole), rng.integers(1, 6)):
                changed[at] = rng.integers(0, 256)
            (tmp_path / f"b.{kind}").write_bytes(changed[: rng.integers(0, len(whole) + 1)])
            refusals += is_refused(f"{tmp_path}/b.{kind}")
    assert refusals > 400
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    content = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(64)
    (tmp_path / "huge.npy").write_bytes(content)
    with pytest.raises(tn.UserError, match=r"do not fit into \d+ bytes \[E1026\]"):
        _inputs.read_array("x", f"{tmp_path}/huge.npy")


def test_files_in_column_order_and_other_byte_order_are_read(tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
    np.save(tmp_path / "f.npy", array)
    argument = Argument("x", "float32", ("2", "3"))
    made = _inputs.make_inputs([argument], given(f"{tmp_path}/f.npy"))[0]
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, array)


def given(path):
    return _inputs.Given({"x": path}, {}, {}, 0)


def test_bfloat16_files_are_read_as_they_are_kept(tmp_path):
    array = np.arange(3).astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "b.npy", array)
    argument = Argument("x", "bfloat16", ("n",))
    made = _inputs.make_inputs([argument], given(f"{tmp_path}/b.npy"))[0]
    np.testing.assert_array_equal(made, array)


def test_folders_without_rights_are_named_before_anything_is_computed(
    capsys, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda *_: False)
    line = refused(capsys, "run", folder, "--output", tmp_path)
    assert f"the folder '{tmp_path}' cannot be written [E1028]" in line


def test_bench_prints_kernels_and_latency(capsys, folder):
    options = ["--size", "batch=1", "--size", "length=8", "--seconds", "0.05"]
    code, out, _ = run(capsys, "bench", folder, *options)
    assert code == 0
    assert "latency" in out
    assert "    total" in out
    assert "roof: " in out
    found = json.loads(run(capsys, "bench", folder, *options, "--threads", "1", "--json")[1])
    assert found["threads"] == 1
    assert len(found["kernels"]) > 5
    assert all(kernel["seconds"] > 0 for kernel in found["kernels"])
    attention = next(k for k in found["kernels"] if k["name"] == "attention")
    assert attention["operations"] > 4 * 8 * 8 * CONFIG["hidden_size"]
    assert found["total"]["operations"] == sum(k["operations"] for k in found["kernels"])
    assert tn.config.threads == _core.default_num_threads()


def test_a_bug_of_ours_is_one_line_too(capsys, monkeypatch):
    def broken():
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("tenon.cli.explain.error_table", broken)
    code, out, err = run(capsys, "explain", "E0203")
    assert (code, out) == (3, "")
    assert err.startswith("tenon: a bug of Tenon: ZeroDivisionError: oh; please report it")


def test_ctrl_c_is_no_traceback(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("tenon.cli.explain.error_table", interrupted)
    assert run(capsys, "explain", "E0203") == (130, "", "tenon: interrupted\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_and_gone_afterwards(monkeypatch):
    screen, log = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with _command.stage("compiling"):
        assert screen.getvalue() == "compiling ..."
    assert screen.getvalue() == "compiling ...\r\x1b[K"
    monkeypatch.setattr(sys, "stderr", log)
    with _command.stage("compiling"):
        assert log.getvalue() == ""
    assert re.fullmatch(r"compiling: \d+\.\d us\n", log.getvalue())
