"""The back end that emits ONNX: opset 17, in the form that PyTorch's exporter writes."""

import nets
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

_ELEMENT_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}


class OnnxGraph(nets.Ops):
    """Collects nodes and initialisers; a value is its name, a constant is an array."""

    def __init__(self, params=None):
        super().__init__(params)
        self._nodes, self._initialisers, self._constants, self._names = [], {}, {}, {}

    def op(self, kind, *inputs, **attributes):
        """Append a node with one output and return the output's name."""
        name = f"v{len(self._nodes)}"
        inputs = [self._name(value) for value in inputs]
        self._nodes.append(
            helper.make_node(kind, inputs, [name], name=f"{kind}_{name}", **attributes)
        )
        return name

    def _name(self, value):
        if isinstance(value, str):
            return value
        if id(value) not in self._names:
            name = f"c{len(self._initialisers)}"
            self._names[id(value)] = name
            self._initialisers[name] = value
        return self._names[id(value)]

    def _const(self, value, dtype=np.float32):
        key = (repr(value), np.dtype(dtype).str)
        return self._constants.setdefault(key, np.array(value, dtype))

    def conv(self, x, weight, bias, stride, pad, groups):
        kernel = weight.shape[2]
        return self.op(
            "Conv",
            x,
            weight,
            bias,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=groups,
        )

    def maxpool(self, x, kernel, stride, pad):
        shape = {"kernel_shape": [kernel, kernel], "strides": [stride, stride], "pads": [pad] * 4}
        return self.op("MaxPool", x, **shape)

    def relu(self, x):
        return self.op("Relu", x)

    def relu6(self, x):
        return self.op("Clip", x, self._const(0.0), self._const(6.0))

    def add(self, a, b):
        return self.op("Add", a, b)

    def global_avg(self, x):
        return self.op("Flatten", self.op("GlobalAveragePool", x), axis=1)

    def linear(self, x, weight, bias):
        y = self.op("MatMul", x, weight)
        return y if bias is None else self.op("Add", y, bias)

    def layernorm(self, x, scale, offset, eps):
        return self.op("LayerNormalization", x, scale, offset, axis=-1, epsilon=float(eps))

    def gelu(self, x):
        error = self.op("Erf", self.op("Div", x, self._const(float(np.sqrt(2.0)))))
        twice = self.op("Mul", x, self.op("Add", error, self._const(1.0)))
        return self.op("Mul", twice, self._const(0.5))

    def heads(self, x, batch, length, num_heads, head):
        shape = self._const([batch, length, num_heads, head], np.int64)
        return self.op("Transpose", self.op("Reshape", x, shape), perm=[0, 2, 1, 3])

    def unheads(self, x, batch, length, width):
        shape = self._const([batch, length, width], np.int64)
        return self.op("Reshape", self.op("Transpose", x, perm=[0, 2, 1, 3]), shape)

    def attention(self, q, k, v, bias, scale):
        product = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self.op("Div", product, self._const(float(1.0 / scale)))
        scores = scores if bias is None else self.op("Add", scores, bias)
        return self.op("MatMul", self.op("Softmax", scores, axis=-1), v)

    def embed(self, table, ids):
        return self.op("Gather", table, ids, axis=0)

    def first_rows(self, table, ids):
        """The first rows of ``table[1, n, d]``, as many as ``ids[1, s]`` has columns."""
        end = self.op("Shape", ids, start=1, end=2)
        zero, axis = self._const([0], np.int64), self._const([1], np.int64)
        return self.op("Slice", table, zero, end, axis)

    def concat(self, a, b):
        return self.op("Concat", a, b, axis=2)

    def mask_bias(self, mask):
        axes = self._const([1, 2], np.int64)
        mask = self.op("Unsqueeze", self.op("Cast", mask, to=TensorProto.FLOAT), axes)
        return self.op("Mul", self.op("Sub", self._const(1.0), mask), self._const(-10000.0))

    def mean_pool(self, x, mask):
        axis = self._const([2], np.int64)
        mask = self.op("Unsqueeze", self.op("Cast", mask, to=TensorProto.FLOAT), axis)
        tokens = self._const([1], np.int64)
        total = self.op("ReduceSum", self.op("Mul", x, mask), tokens, keepdims=0)
        return self.op("Div", total, self.op("ReduceSum", mask, tokens, keepdims=0))

    def model(self, inputs, outputs) -> onnx.ModelProto:
        """Return the checked model.

        ``inputs`` are (name, shape, dtype), an open extent being a text; ``outputs`` are names,
        whose shapes come from inference.
        """
        graph = helper.make_graph(
            self._nodes,
            "network",
            [
                helper.make_tensor_value_info(name, _ELEMENT_TYPES[np.dtype(dtype)], shape)
                for name, shape, dtype in inputs
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in self._initialisers.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        inferred = {v.name: v for v in shape_inference.infer_shapes(model).graph.output}
        del model.graph.output[:]
        model.graph.output.extend(inferred[name] for name in outputs)
        onnx.checker.check_model(model)
        return model


def minilm_model(weights, length: int) -> onnx.ModelProto:
    """Return MiniLM-L6 from its published weights, batch 1; ``length`` -1 leaves it open."""
    graph = OnnxGraph(nets.minilm_params(weights, length))
    output = nets.minilm(graph, "ids", "mask", length)
    shape = (1, "length" if length < 0 else length)
    return graph.model([("ids", shape, np.int64), ("mask", shape, np.int64)], [output])
