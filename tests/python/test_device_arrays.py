"""Tensors on a GPU: the fake driver of tests/fake_cuda in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from needs_nvrtc import needs_nvrtc

import tenon as tn

ROOT = Path(__file__).parent.parent.parent


def fake_driver(variant="fake_cuda"):
    found = list(ROOT.glob(f"build/*/tests/{variant}/libcuda.so.1"))
    assert found, "build the target fake_cuda"
    return found[0].parent


def run(program, place=None, **environment):
    """Run `program` on the fake driver; its output."""
    environment |= {"TENON_CUDA_PATH": str(place or fake_driver())}
    done = subprocess.run(
        [sys.executable, "-c", "import numpy as np, tenon as tn\n" + program],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_elements_go_to_the_device_and_back():
    program = """
x = np.arange(6, dtype="float32").reshape(2, 3)
t = tn.asarray(x).to("cuda")
print(t.device, t.shape, t.__dlpack_device__(), t)
assert (np.asarray(t.to("cpu")) == x).all()
assert (np.asarray(tn.asarray(x.T).to("cuda:0").to("cpu")) == x.T).all()
assert t.to("cuda").device == "cuda:0" and t.to("cpu").device == "cpu"
back = tn.from_dlpack(t)
assert back.device == "cuda:0" and (np.asarray(back.to("cpu")) == x).all()
assert t.__dlpack__(dl_device=(1, 0)) is not None
"""
    place = "(2, 0)"
    text = "tenon.Tensor(shape=[2, 3], dtype=float32, device=cuda:0)"
    assert run(program) == f"cuda:0 (2, 3) {place} {text}"


def test_what_needs_host_memory_names_the_cure():
    program = """
t = tn.asarray(np.ones(3, "float32")).to("cuda")
for use in (np.asarray, float, lambda t: t.tolist(), lambda t: t[0], lambda t: t.numpy()):
    try:
        use(t)
    except tn.TargetError as error:
        assert error.code == "E1132" and '.to("cpu")' in str(error), error
    except TypeError:
        assert use is float
    else:
        raise AssertionError(use)
"""
    run(program)


def test_streams_of_the_exchange_are_checked():
    program = """
t = tn.asarray(np.ones(3, "float32")).to("cuda")
for stream in (None, -1, 1, 2, 12345678):
    t.__dlpack__(stream=stream)
for stream in (0, -2, "1"):
    try:
        t.__dlpack__(stream=stream)
    except tn.TargetError as error:
        assert error.code == "E1134", error
    else:
        raise AssertionError(stream)
"""
    run(program)


def test_a_producer_is_asked_for_the_default_stream():
    program = """
class Producer:
    def __init__(self, tensor):
        self.tensor = tensor
    def __dlpack_device__(self):
        return (2, 0)
    def __dlpack__(self, *, stream, max_version=None):
        print("stream", stream)
        return self.tensor.__dlpack__(stream=stream, max_version=max_version)
t = tn.from_dlpack(Producer(tn.asarray(np.ones(3, "float32")).to("cuda")))
assert t.device == "cuda:0" and t.to("cpu").tolist() == [1, 1, 1]
"""
    assert run(program) == "stream 1"


def test_a_kernel_for_the_cpu_refuses_it_by_name():
    program = """
x = tn.te.placeholder((3,), "float32", name="X")
f = tn.build(tn.function([x], [tn.te.compute((3,), lambda i: x[i] + 1.0, name="Y")]))
t = tn.asarray(np.ones(3, "float32")).to("cuda")
for call in (lambda: f(t), lambda: f(np.ones(3, "float32"), out=t)):
    try:
        call()
    except tn.TargetError as error:
        print(error)
"""
    out = run(program)
    assert "argument 'X' is on device 2:0, expected host memory" in out
    assert "result 'Y' is on device 2:0, expected host memory" in out
    assert out.count('.to("cpu")') == 2


@needs_nvrtc
def test_networks_name_arguments_that_are_in_the_wrong_memory():
    program = """
x = np.ones((2, 4), "float32")
layer = tn.nn.Linear(4, 3)
on_gpu = tn.compile(layer, [tn.TensorSpec((2, 4))], target="cuda -arch=sm_90a")
on_cpu = tn.compile(layer, [tn.TensorSpec((2, 4))])
there = tn.asarray(x).to("cuda")
calls = [
    lambda: on_gpu(x),
    lambda: on_gpu(tn.asarray(x)),
    lambda: on_gpu(tn.asarray(x).to("cuda:1")),
    lambda: on_cpu(there),
    lambda: on_cpu(x, out=tn.asarray(np.ones((2, 3), "float32")).to("cuda")),
]
for call in calls:
    try:
        call()
    except tn.TargetError as error:
        print(str(error).replace(chr(10), ""))
"""
    to_gpu = '  hint: copy it with .to("cuda:0")'
    to_cpu = '  hint: copy it with .to("cpu"), or compile for its device'
    assert run(program, FAKE_CUDA_DEVICES="2").splitlines() == [
        f"Linear: argument 'x' is in host memory, expected cuda:0 [E1125]{to_gpu}",
        f"Linear: argument 'x' is in host memory, expected cuda:0 [E1125]{to_gpu}",
        f"Linear: argument 'x' is on cuda:1, expected cuda:0 [E1125]{to_gpu}",
        f"Linear: argument 'x' is on device 2:0, expected host memory [E0905]{to_cpu}",
        f"Linear: result 'result' is on device 2:0, expected host memory [E0905]{to_cpu}",
    ]


@pytest.mark.parametrize(
    ("place", "environment", "code", "words"),
    [
        ("none", {}, "E1120", "switched off"),
        ("fake_cuda", {"FAKE_CUDA_VERSION": "11040"}, "E1121", "it runs CUDA 11.4"),
        ("fake_cuda_old", {}, "E1121", "has no function cuStreamBeginCapture_v2"),
        ("fake_cuda", {"FAKE_CUDA_INIT": "100"}, "E1122", "does not start"),
        ("fake_cuda", {"FAKE_CUDA_DEVICES": "0"}, "E1122", "does not start"),
        ("fake_cuda", {"FAKE_CUDA_MEMORY": "1000"}, "E1126", "out of memory on cuda:0"),
    ],
)
def test_what_is_wrong_with_the_driver_is_said(place, environment, code, words):
    program = """
try:
    tn.asarray(np.ones(1000, "float32")).to("cuda")
except tn.ResourceError as error:
    print(error.code, error)
"""
    folder = place if place == "none" else fake_driver(place)
    out = run(program, folder, **environment)
    assert out.startswith(code)
    assert words in out


def test_devices_that_are_not_there_are_refused():
    program = """
for device in ("gpu", "cuda:1"):
    try:
        tn.asarray(np.ones(3)).to(device)
    except tn.TargetError as error:
        print(error.code)
"""
    assert run(program) == "E1133\nE1123"


def test_host_tensors_say_so():
    tensor = tn.asarray(np.ones(3))
    assert tensor.device == "cpu"
    assert np.shares_memory(tensor.to("cpu").numpy(), tensor.numpy())
    with pytest.raises(tn.TargetError, match=r"no device \"tpu\" \[E1133\]"):
        tensor.to("tpu")


def test_the_command_line_copies_arrays_to_where_the_target_reads_them():
    program = """
from tenon.cli._inputs import for_target
x = np.arange(3, dtype="float32")
assert for_target([x], "cpu")[0] is x
(t,) = for_target([x], "cuda -arch=sm_80")
print(t.device, np.asarray(t.to("cpu")))
"""
    assert run(program) == "cuda:0 [0. 1. 2.]"
