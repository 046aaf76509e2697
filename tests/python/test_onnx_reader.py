"""The ONNX reader sees in the models and tensors of the package onnx what that package sees."""

import json
import subprocess
from pathlib import Path
from typing import Any

import onnx
import onnx.backend.test
import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(onnx.backend.test.__file__).parent / "data"
KINDS = {"tensor_type": 1, "sparse_tensor_type": 2, "sequence_type": 3, "optional_type": 4}
UNSUPPORTED = {
    8,
    14,
    15,
    *range(17, 27),
}  # strings, complex numbers, floats and integers below 16 bits
FOLDERS = sorted(folder for folder in DATA.iterdir() if folder.is_dir())


def dump(paths: list[Path]) -> list[Any]:
    tools = list(ROOT.glob("build/*/tests/dump_onnx"))
    assert tools, "build the target dump_onnx first"
    newest = max(tools, key=lambda tool: tool.stat().st_mtime)
    text = "".join(f"{path}\n" for path in paths)
    run = subprocess.run([newest], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def numbers(values: Any) -> list[Any]:
    """Return floats as JSON has them: null for what is not finite."""
    return [v if v - v == 0 else None for v in values]


def tensor(t: Any) -> dict[str, Any]:
    return {
        "name": t.name,
        "dims": list(t.dims),
        "type": t.data_type,
        "floats": numbers(t.float_data),
        "int32s": list(t.int32_data),
        "int64s": list(t.int64_data),
        "doubles": numbers(t.double_data),
        "uint64s": list(t.uint64_data),
        "strings": [len(s) for s in t.string_data],
        "raw": list(t.raw_data) if t.HasField("raw_data") else None,
    }


def sparse(t: Any) -> dict[str, Any]:
    return {"values": tensor(t.values), "indices": tensor(t.indices), "dims": list(t.dims)}


def dim(d: Any) -> Any:
    if d.WhichOneof("value") == "dim_value":
        return d.dim_value if d.dim_value >= 0 else None
    return d.dim_param or None


def type_of(t: Any) -> dict[str, Any]:
    which = t.WhichOneof("value")
    result: dict[str, Any] = {"kind": KINDS.get(which, 0), "type": 0}
    if which in ("tensor_type", "sparse_tensor_type"):
        inner = getattr(t, which)
        result["type"] = inner.elem_type
        if inner.HasField("shape"):
            result["shape"] = [dim(d) for d in inner.shape.dim]
    elif which in ("sequence_type", "optional_type") and getattr(t, which).HasField("elem_type"):
        result["element"] = type_of(getattr(t, which).elem_type)
    return result


def value(a: Any) -> Any:
    if a.ref_attr_name:
        return None
    readers = {
        a.FLOAT: lambda: {"f": numbers([a.f])[0]},
        a.INT: lambda: {"i": a.i},
        a.STRING: lambda: {"s": len(a.s)},
        a.TENSOR: lambda: {"t": tensor(a.t)},
        a.SPARSE_TENSOR: lambda: {"sparse": sparse(a.sparse_tensor)},
        a.GRAPH: lambda: {"g": graph(a.g)},
        a.TYPE_PROTO: lambda: {"tp": type_of(a.tp)},
        a.FLOATS: lambda: {"floats": numbers(a.floats)},
        a.INTS: lambda: {"ints": list(a.ints)},
        a.STRINGS: lambda: {"strings": [s.decode() for s in a.strings]},
        a.TENSORS: lambda: {"tensors": [tensor(t) for t in a.tensors]},
        a.GRAPHS: lambda: {"graphs": [graph(g) for g in a.graphs]},
    }
    return readers[a.type]()


def attribute(a: Any) -> dict[str, Any]:
    return {"name": a.name, "ref": a.ref_attr_name, "value": value(a)}


def node(n: Any) -> dict[str, Any]:
    return {
        "name": n.name,
        "op": n.op_type,
        "domain": "" if n.domain == "ai.onnx" else n.domain,
        "inputs": list(n.input),
        "outputs": list(n.output),
        "attributes": [attribute(a) for a in n.attribute],
    }


def info(v: Any) -> dict[str, Any]:
    return {"name": v.name, "type": type_of(v.type)}


def graph(g: Any) -> dict[str, Any]:
    return {
        "name": g.name,
        "nodes": [node(n) for n in g.node],
        "initializers": [tensor(t) for t in g.initializer],
        "sparse": [sparse(t) for t in g.sparse_initializer],
        "inputs": [info(v) for v in g.input],
        "outputs": [info(v) for v in g.output],
        "values": [info(v) for v in g.value_info],
    }


def opsets(imports: Any) -> dict[str, int]:
    return {"" if i.domain == "ai.onnx" else i.domain: i.version for i in imports}


def model(m: Any) -> dict[str, Any]:
    return {
        "ir_version": m.ir_version,
        "producer": m.producer_name,
        "opsets": opsets(m.opset_import),
        "graph": graph(m.graph),
        "functions": [
            {
                "name": f.name,
                "domain": f.domain,
                "inputs": list(f.input),
                "outputs": list(f.output),
                "attributes": list(f.attribute),
                "defaults": [attribute(a) for a in f.attribute_proto],
                "nodes": [node(n) for n in f.node],
                "opsets": opsets(f.opset_import),
            }
            for f in m.functions
        ],
        "metadata": {p.key: p.value for p in m.metadata_props},
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_models_are_read_as_by_the_package(folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*.onnx") if path.stat().st_size < 1 << 20)
    for path, seen in zip(paths, dump(paths), strict=True):
        assert seen == model(onnx.load(str(path), load_external_data=False)), path


def tensors_of(folder: Path) -> list[Path]:
    """Return the files of test data that hold one tensor."""
    found = []
    for path in sorted(folder.rglob("model.onnx")):
        g = onnx.load(str(path), load_external_data=False).graph
        for kind, values in (("input", g.input), ("output", g.output)):
            for i, v in enumerate(values):
                if v.type.WhichOneof("value") == "tensor_type":
                    found += sorted(path.parent.glob(f"test_data_set_*/{kind}_{i}.pb"))
    return [path for path in found if path.stat().st_size < 1 << 14]


def test_tensors_are_read_as_by_the_package() -> None:
    paths = tensors_of(DATA / "node")
    num_read = 0
    for path, seen in zip(paths, dump(paths), strict=True):
        t = onnx.load_tensor(str(path))
        if "error" in seen:
            assert "which Tenon does not have [E0874]" in seen["error"]
            assert t.data_type in UNSUPPORTED
            continue
        expected = onnx.numpy_helper.to_array(t)
        assert seen["shape"] == list(expected.shape), path
        assert seen["dtype"] == str(expected.dtype), path
        assert bytes(seen["bytes"]) == expected.tobytes(), path
        num_read += 1
    assert num_read > 3000
