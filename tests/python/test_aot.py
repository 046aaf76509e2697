"""What libraries say of themselves, and that damage is found without running them."""

import os
import shutil
from pathlib import Path

import pytest

import tenon as tn


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "model.so"
    layers = tn.nn.Sequential(tn.nn.Linear(16, 32), tn.nn.ReLU(), tn.nn.Linear(32, 4)).initialize()
    tn.export(layers, path, [tn.TensorSpec(["n", 16], name="x")], targets="x86-64-v4, x86-64-v3")
    return path


@pytest.fixture
def copy(library, tmp_path):
    return shutil.copy(library, tmp_path / "copy.so")


def test_a_library_says_what_it_holds(library):
    found = tn.aot.inspect(library)
    assert found == tn.aot.verify(library)
    assert (found["manifest_version"], found["model"], found["title"]) == (1, "model", "Sequential")
    assert found["producer"] == f"tenon {tn.__version__}"
    assert (found["c_api"], found["plan_format"], found["kernel_abi"]) == ("1.2", "2.0", 1)
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["n", "16"]}]
    assert found["results"] == [{"name": "result", "dtype": "float32", "shape": ["n", "4"]}]
    assert found["symbols"] == [{"name": "n", "min": 0, "max": None, "multiple_of": 1}]
    assert [level["name"] for level in found["levels"]] == ["x86-64-v4", "x86-64-v3"]
    wide, narrow = found["levels"]
    assert set(narrow["needs"]) < set(wide["needs"])
    assert {"avx2", "fma", "bmi2"} <= set(narrow["needs"])
    assert "avx512f" in wide["needs"]
    assert "avx512f" not in narrow["needs"]
    assert narrow["code"] in found["parts"]
    assert found["weights_bytes"] == found["parts"][".tenon.weights"]["bytes"]
    assert [w["bytes"] for w in found["weights"]] == [4 * 16 * 64, 4 * 32, 4 * 32 * 64, 4 * 4]
    assert found["rounding"] == {"folded_batch_norms": 0}


@pytest.mark.parametrize(
    "part", [".tenon.weights", ".tenon.plan", ".text", ".rodata", ".tenon.code.x86-64-v3"]
)
@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
def test_a_changed_byte_is_found_and_its_part_is_named(copy, part, place):
    with open(copy, "rb") as file:
        begin, size = tn.aot._sections(file, copy)[part]
    change(copy, begin + int(place * (size - 1)))
    with pytest.raises(tn.ModelError, match=rf"is damaged: {part} does not match.*\[E0945\]"):
        tn.aot.verify(copy)


def change(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def test_every_changed_byte_of_the_rest_is_found(copy):
    with open(copy, "rb") as file:
        begin, size = tn.aot._sections(file, copy)[".tenon.weights"]
    total = os.path.getsize(copy)
    for at in [*range(0, begin, 7), *range(begin + size, total, 97)]:
        change(copy, at)
        with pytest.raises(tn.ModelError, match=r"\[E094[0-5]\]"):
            tn.aot.verify(copy)
        change(copy, at)
    tn.aot.verify(copy)


def test_a_library_that_is_cut_off_is_refused(copy):
    good = Path(copy).read_bytes()
    for size in [*range(0, 300, 13), len(good) // 2, len(good) - 1]:
        Path(copy).write_bytes(good[:size])
        with pytest.raises(tn.ModelError, match=r"is no 64-bit ELF|is cut off"):
            tn.aot.inspect(copy)


def test_the_runtime_opens_no_library_that_is_cut_off(copy):
    good = Path(copy).read_bytes()
    for size in (0, 63, 600, len(good) // 3, len(good) // 2):
        Path(copy).write_bytes(good[:size])
        with pytest.raises(tn.ResourceError, match=r"not a shared library|is cut off \[E1003\]"):
            tn._core.LoadedModel(str(copy), "model")


def test_files_of_others_are_refused(tmp_path):
    with pytest.raises(
        tn.ModelError, match=r"was not made by tenon: it has no .note.tenon \[E0942"
    ):
        tn.aot.verify(tn._core.__file__)
    (tmp_path / "text").write_text("no library")
    with pytest.raises(tn.ModelError, match=r"is no 64-bit ELF library \[E0940\]"):
        tn.aot.inspect(tmp_path / "text")
    with pytest.raises(tn.ResourceError, match=r"No such file or directory \[E0944\]"):
        tn.aot.inspect(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(tn.ResourceError, match=r"not a regular file \[E0944\]"):
            tn.aot.inspect(path)


def test_a_damaged_manifest_is_refused(copy):
    with open(copy, "rb") as file:
        begin, size = tn.aot._sections(file, copy)[".note.tenon"]
    with open(copy, "r+b") as file:
        file.seek(begin + 20)
        file.write(b"[" * (size - 20))
    with pytest.raises(tn.ModelError, match=r"the manifest of .* is damaged.*\[E0943\]"):
        tn.aot.inspect(copy)
