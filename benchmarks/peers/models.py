"""Writes every ONNX model. usage: models.py FOLDER MODEL_SAFETENSORS (needs tenon on the path)."""

import sys
from pathlib import Path

import nets
import numpy as np
import onnx
from onnx_graph import OnnxGraph
from records import GEMMS, MEMORY

from tenon.safetensors import SafetensorsFile

FLOAT = np.float32


def save(graph, path, shapes, output):
    names = [f"x{i or ''}" for i in range(len(shapes))]
    inputs = [(name, shape, FLOAT) for name, shape in zip(names, shapes, strict=True)]
    onnx.save(graph.model(inputs, [output]), path)


def write_gemms(folder):
    for m, n, k in GEMMS:
        graph = OnnxGraph()
        output = graph.op("MatMul", "x", nets.random_weight(f"g{m}{n}{k}", (k, n), k))
        save(graph, folder / f"gemm_{m}x{n}x{k}.onnx", [(m, k)], output)


def write_memory(folder):
    for name, (shapes, _) in MEMORY.items():
        graph = OnnxGraph()
        scale, offset = nets.random_weight("lg", (768,), 1), nets.random_weight("lb", (768,), 1)
        functions = {
            "softmax": lambda g=graph: g.op("Softmax", "x", axis=-1),
            "layernorm": lambda g=graph, s=scale, o=offset: g.layernorm("x", s, o, 1e-5),
            "gelu": lambda g=graph: g.gelu("x"),
            "add": lambda g=graph: g.add("x", "x1"),
            "sum": lambda g=graph: g.op("ReduceSum", "x", keepdims=0),
            "transpose": lambda g=graph: g.op("Transpose", "x", perm=[1, 0]),
        }
        output = functions[name.split("_")[0]]()
        save(graph, folder / f"memory_{name}.onnx", shapes, output)


def write_nets(folder, weights):
    for name in nets.NETS:
        arrays = nets.net_inputs(name)
        params = {}
        if name.startswith("minilm_"):
            params = nets.minilm_params(weights, int(name.split("_")[1]))
        graph = OnnxGraph(params)
        names = [f"x{i or ''}" for i in range(len(arrays))]
        outputs = nets.net_function(name)(graph, *names)
        inputs = [(n, a.shape, a.dtype) for n, a in zip(names, arrays, strict=True)]
        outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
        onnx.save(graph.model(inputs, outputs), folder / f"net_{name}.onnx")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_gemms(folder)
    write_memory(folder)
    graph = OnnxGraph()
    save(graph, folder / "call_add16.onnx", [(16,), (16,)], graph.add("x", "x1"))
    write_nets(folder, SafetensorsFile(sys.argv[2]))


if __name__ == "__main__":
    main()
