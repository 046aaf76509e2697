"""Networks compiled for GPUs, on machines without one: plans, kernels and what they take."""

import re

import numpy as np
import pytest
from needs_nvrtc import needs_nvrtc
from tiny_model import CONFIG

import tenon as tn
from tenon import nn, te
from tenon.models.bert_config import BertConfig
from tenon.models.bert_module import BertModule

ARCHITECTURES = ("sm_80", "sm_90a")


def check(network, arch):
    """Each kernel call has launches, none of which keeps registers in memory."""
    text = network.report()
    assert f"for cuda -arch={arch}" in text.splitlines()[0]
    calls = len(re.findall(r"^ +\d+ +kernel ", text, re.MULTILINE))
    launches = re.findall(r"launch (\w+): blocks .* of (\d+) threads, (\d+) registers, .*", text)
    assert calls > 0
    assert len(launches) >= calls
    assert "bytes spilled" not in text
    for name, threads, registers in launches:
        assert int(threads) <= 1024, name
        assert int(threads) * int(registers) <= 65536, name
    return text


def layers():
    """A convolution and dense layers, as the network that learns digits."""
    return nn.Sequential(
        nn.Reshape(8, 8, 1),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_sizes_may_be_symbols(arch):
    module = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.LayerNorm(7))
    network = tn.compile(module, [tn.TensorSpec(("n", 5))], target=f"cuda -arch={arch}")
    assert re.search(r"blocks [^,]*(n|rows)", check(network, arch))


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_an_encoder_compiles(arch):
    sizes = {key: CONFIG[key] for key in BertConfig.__dataclass_fields__}
    module = BertModule(BertConfig(**sizes))
    specs = [tn.TensorSpec(("b", "s"), "int64"), tn.TensorSpec(("b", "s"), "bool")]
    check(tn.compile(module, specs, target=f"cuda -arch={arch}"), arch)


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_step_of_training_compiles(arch):
    module = layers()

    def step(module, x, y):
        return tn.value_and_grad(lambda m: nn.functional.cross_entropy(m(x), y))(module)

    x, y = np.zeros((4, 64), np.float32), np.zeros(4, np.int64)
    check(tn.compile(step, [module, x, y], target=f"cuda -arch={arch}"), arch)


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_recurrent_layer_compiles(arch):
    network = tn.compile(nn.LSTM(5, 8), [tn.TensorSpec((6, 3, 5))], target=f"cuda -arch={arch}")
    text = check(network, arch)
    assert "loop" in text or "scan" in text


@needs_nvrtc
def test_a_call_without_a_gpu_says_what_is_missing():
    network = tn.compile(nn.Linear(4, 3), [tn.TensorSpec((2, 4))], target="cuda -arch=sm_80")
    with pytest.raises(tn.ResourceError, match=r"E112\d"):
        network(np.zeros((2, 4), np.float32))


@needs_nvrtc
def test_reports_say_where_schedules_come_from_and_what_the_host_waits_for():
    def doubled(x):
        return tn.while_loop(lambda v: v.sum() < 100.0, lambda v: v * 2.0, x)

    x = np.ones((3, 4), "float32")
    text = tn.compile(doubled, [x], target="cuda -arch=sm_80").report()
    assert "the host waits for data of 0 branches and 1 loop: the steps are launched" in text
    assert "schedule: rule gpu elements: kernel" in text
    without = tn.compile(lambda x: x * 2.0, [x], target="cuda -arch=sm_80").report()
    assert "waits" not in without
    assert "waits" not in tn.compile(doubled, [x]).report()  # on a CPU nothing waits


@needs_nvrtc
def test_a_kernel_report_names_its_schedule():
    x = te.placeholder((8,), "float32", name="x")
    f = tn.function([x], [te.compute((8,), lambda i: x[i] * 2.0, name="y")], name="twice")
    assert "schedule: rule gpu elements\n" in tn.build(f, "cuda -arch=sm_80").report()
    s = tn.Schedule(f)
    s.bind(s.loops("y")[0], "threadIdx.x")
    assert "schedule: the caller's\n" in tn.build(s, "cuda -arch=sm_80").report()


@pytest.fixture
def libraries():
    """Set `config.libraries`, which is what it was afterwards."""
    before = tn.config.libraries

    def use(mode):
        tn.config.libraries = mode

    yield use
    tn.config.libraries = before


@needs_nvrtc
def test_products_of_a_library_are_named_in_the_report(libraries):
    module = nn.Sequential(nn.Linear(20, 72), nn.ReLU(), nn.Linear(72, 9))
    specs = [tn.TensorSpec((tn.te.symbol("b"), 20))]
    assert "librar" not in tn.compile(module, specs, target="cuda -arch=sm_80").report()
    libraries("always")
    text = tn.compile(module, specs, target="cuda -arch=sm_80").report()
    assert text.count("library cuBLASLt, whose order of sums is its own") == 2
    assert re.search(r"libraries: always, 2 of \d kernel calls", text)
    none = tn.compile(lambda x: x * 2.0, specs, target="cuda -arch=sm_80").report()
    assert "libraries: always, 0 of 1 kernel calls" in none
    assert "librar" not in tn.compile(module, specs).report()  # a CPU has none


@pytest.mark.parametrize("mode", ["sometimes", None, True, 1])
def test_a_bad_setting_of_libraries(mode):
    with pytest.raises(tn.UserError, match=r"'never', 'auto' or 'always', got .*E1315"):
        tn.config.libraries = mode
    assert tn.config.libraries == "never"
    assert "libraries='never'" in repr(tn.config)
