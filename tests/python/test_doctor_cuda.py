"""`tenon doctor` on planted set-ups of CUDA: libraries made here, found through TENON_CUDA_PATH."""

import json
import os
import subprocess
import sys

import pytest
from test_device_arrays import fake_driver, run

VERSIONS = {
    "libnvrtc.so.13": "int nvrtcVersion(int* a, int* b) {{ *a = {0}; *b = {1}; return 0; }}",
    "libcublasLt.so.13": "unsigned long cublasLtGetVersion(void) {{ return {0}; }}",
    "libcudnn.so.9": "unsigned long cudnnGetVersion(void) {{ return {0}; }}",
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """Compile each library once for each of its versions."""
    folder = tmp_path_factory.mktemp("libraries")

    def library(name, *version):
        source = VERSIONS[name].format(*version)
        file = folder / f"{name}.{'_'.join(str(v) for v in version)}"
        if not file.exists():
            command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(file)]
            subprocess.run(command, input=source, text=True, check=True)
        return file

    return library


@pytest.fixture
def place(tmp_path, libraries):
    """A folder in which all fits together; tests break it."""
    (tmp_path / "libcuda.so.1").symlink_to(fake_driver() / "libcuda.so.1")
    plant(tmp_path, libraries("libnvrtc.so.13", 13, 0), "libnvrtc.so.13")
    plant(tmp_path, libraries("libcublasLt.so.13", 130100), "libcublasLt.so.13")
    plant(tmp_path, libraries("libcudnn.so.9", 91900), "libcudnn.so.9")
    return tmp_path


def plant(folder, file, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(file)


def doctor(place, *options, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "tenon", "doctor", "--no-peaks", *options],
        capture_output=True,
        text=True,
        env=os.environ | {"TENON_CUDA_PATH": str(place), "TENON_CACHE_DIR": "none"} | environment,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def problem(place, **environment):
    code, out = doctor(place, "--json", **environment)
    found = json.loads(out)["cuda"]["problem"]
    assert (code == 0) == (found is None)
    return found


def test_a_set_up_that_fits_is_listed_row_by_row(place):
    code, out = doctor(place)
    assert code == 0, out
    rows = [line for line in out.splitlines() if line.startswith("cuda")]
    assert [row.split()[1] for row in rows] == ["driver", "nvrtc", "cublaslt", "cudnn", "card"]
    assert f"driver for CUDA up to 13.0, {place}/libcuda.so.1" in rows[0]
    assert f"nvrtc 13.0, {place}/libnvrtc.so.13" in rows[1]
    assert "cublaslt 13.1.0" in rows[2]
    assert "cudnn 9.19.0" in rows[3]
    assert rows[4].split(maxsplit=1)[1].startswith("card Fake GPU, sm_90, 64")


def test_a_driver_without_a_device(place):
    found = problem(place, FAKE_CUDA_DEVICES="0")
    assert found["what"] == "the driver finds no device"
    assert "CUDA_VISIBLE_DEVICES" in found["cure"]
    assert problem(place, FAKE_CUDA_INIT="100")["what"] == "the driver finds no device"


def test_a_driver_that_is_too_old(place):
    found = problem(place, FAKE_CUDA_VERSION="11080")
    assert found["what"].endswith("too old: it runs CUDA 11.8, needed is CUDA 12.0")
    assert found["cure"] == "update NVIDIA's driver"
    plant(place, fake_driver("fake_cuda_old") / "libcuda.so.1", "libcuda.so.1")
    assert "too old: it lacks cuStreamBeginCapture_v2" in problem(place)["what"]


def test_nvrtc_newer_than_the_driver(place):
    found = problem(place, FAKE_CUDA_VERSION="12040")
    assert found["what"] == "NVRTC 13.0 is newer than the driver, which runs CUDA 12.4"
    assert found["cure"] == "update the driver, or install NVRTC 12"


def test_cublaslt_newer_than_the_driver(place, libraries):
    plant(place, libraries("libnvrtc.so.13", 12, 9), "libnvrtc.so.13")
    found = problem(place, FAKE_CUDA_VERSION="12040")
    assert found["what"].startswith("cuBLASLt 13.1.0 is newer than the driver")


def test_cudnn_of_another_major_version(place, libraries):
    plant(place, libraries("libcudnn.so.9", 8907), "libcudnn.so.9")
    found = problem(place)
    assert found["what"] == "cuDNN 8.9.7 is found, Tenon uses 9"
    assert "nvidia-cudnn-cu13" in found["cure"]


def test_a_library_that_is_there_and_does_not_load(place):
    (place / "libcudnn.so.9").unlink()
    (place / "libcudnn.so.9").write_text("no library")
    found = problem(place)
    if found is not None:  # a cuDNN of the system is taken otherwise
        assert found["what"].startswith("cudnn is there and does not open (")
        assert f"{place}/libcudnn.so.9" in found["what"]
        assert "pip install nvidia-cudnn-cu13 or set TENON_CUDA_PATH" in found["cure"]


def test_a_driver_that_does_not_load(place):
    (place / "libcuda.so.1").unlink()
    (place / "libcuda.so.1").write_text("no library")
    found = problem(place)
    if found is not None:  # a driver of the system is taken otherwise
        assert found["what"].startswith("the CUDA driver is there and does not open (")
        code, out = doctor(place)
        assert code == 1
        assert "no driver (libcuda.so.1): kernels run on the CPU: " in out


@pytest.mark.parametrize(
    ("file", "name", "package"),
    [
        ("libnvrtc.so.13", "nvrtc", "nvidia-cuda-nvrtc"),
        ("libcublasLt.so.13", "cublaslt", "nvidia-cublas"),
        ("libcudnn.so.9", "cudnn", "nvidia-cudnn-cu13"),
    ],
)
def test_a_part_that_is_missing(place, file, name, package):
    # This machine may have the part elsewhere. In a process of its own: a driver that is loaded
    # once is found by all tests that follow.
    program = """
import json
from tenon.cli import _cuda
_cuda._candidates = lambda names, own: _cuda._files(names, [own])
print(json.dumps(_cuda.cuda_parts()["problem"]))
"""

    assert json.loads(run(program, place)) is None
    (place / file).unlink()
    found = json.loads(run(program, place))
    assert found["what"] == f"there is a driver but no {name} (not found)"
    assert found["cure"] == f"pip install {package} or set TENON_CUDA_PATH (now '{place}')"


def test_the_runtime_takes_the_same_driver(place):
    assert run("print(tn.asarray(np.ones(3)).to('cuda').device)", place) == "cuda:0"
