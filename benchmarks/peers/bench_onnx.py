"""ONNX runtimes: bench_onnx.py ort|openvino|openvino-default MODELS CASE...

CASE: gemm, memory, call or net_NAME. Environment as in records.py. The outputs of a network are
compared with ONNX Runtime's, so run ``ort`` first.
"""

import sys
import time
from pathlib import Path

import nets
import numpy as np
from records import GEMMS, MEMORY, THREADS, failure, report, timed


class Ort:
    """ONNX Runtime with default options and bound buffers."""

    def __init__(self):
        import onnxruntime

        self._ort, self.version = onnxruntime, onnxruntime.__version__

    def load(self, path):
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._session = self._ort.InferenceSession(path, options, ["CPUExecutionProvider"])

    def bind(self, arrays):
        session, binding = self._session, self._session.io_binding()
        for value, array in zip(session.get_inputs(), arrays, strict=True):
            binding.bind_cpu_input(value.name, array)
        for value in session.get_outputs():
            binding.bind_output(value.name)
        self._binding = binding
        return lambda: session.run_with_iobinding(binding)

    def outputs(self):
        return self._binding.copy_outputs_to_cpu()

    def plain(self, arrays):
        """The call that a Python user writes."""
        session = self._session
        feeds = {v.name: a for v, a in zip(session.get_inputs(), arrays, strict=True)}
        return lambda: session.run(None, feeds)


class OpenVino:
    """OpenVINO; its default on this class of processor is bfloat16 unless float32 is forced."""

    def __init__(self, force_float32=True):
        import openvino

        self._openvino, self.version = openvino, openvino.__version__
        self._force_float32, self._core = force_float32, openvino.Core()

    def load(self, path):
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS}
        if self._force_float32:
            options["INFERENCE_PRECISION_HINT"] = "f32"
        self._compiled = self._core.compile_model(path, "CPU", options)
        self._request = self._compiled.create_infer_request()

    def bind(self, arrays):
        for index, array in enumerate(arrays):
            tensor = self._openvino.Tensor(array, shared_memory=True)
            self._request.set_input_tensor(index, tensor)
        return self._request.infer

    def outputs(self):
        count = len(self._compiled.outputs)
        return [self._request.get_output_tensor(i).data.copy() for i in range(count)]

    def plain(self, arrays):
        compiled, arrays = self._compiled, list(arrays)
        return lambda: compiled(arrays)


PEERS = {"ort": Ort, "openvino": OpenVino, "openvino-default": lambda: OpenVino(False)}


class Bench:
    """One peer over the models of one folder."""

    def __init__(self, name, models):
        self.name, self.models, self.peer = name, Path(models), PEERS[name]()
        self._rng = np.random.default_rng(1)

    def random(self, *shape):
        return self._rng.standard_normal(shape, dtype=np.float32)

    def run(self, stem, arrays, flop=None, num_bytes=None, budget_s=1.0):
        try:
            start = time.perf_counter()
            self.peer.load(self.models / f"{stem}.onnx")
            load_s = time.perf_counter() - start
            call = self.peer.bind(arrays)
            call()
            extra = {"version": self.peer.version, "load_s": load_s}
            extra |= self._compare(stem, self.peer.outputs())
            report(self.name, stem, timed(call, budget_s), flop, num_bytes, **extra)
        except Exception as error:  # a peer's failure is a result
            failure(self.name, stem, error, version=self.peer.version)

    def _compare(self, stem, outputs):
        path = self.models / f"reference_{stem}.npz"
        if self.name == "ort" and stem.startswith("net_"):
            np.savez(path, *outputs)
        if not path.exists():
            return {}
        expected = list(np.load(path).values())
        errors = [
            np.abs(got - want).max() / np.abs(want).max()
            for got, want in zip(outputs, expected, strict=True)
        ]
        return {"max_rel_err_vs_ort": float(max(errors))}

    def calls(self):
        arrays = [self.random(16), self.random(16)]
        self.peer.load(self.models / "call_add16.onnx")
        for kind, call in (("plain", self.peer.plain(arrays)), ("bound", self.peer.bind(arrays))):
            report(self.name, f"call_{kind}", timed(call), version=self.peer.version)

    def case(self, case):
        if case == "gemm":
            for m, n, k in GEMMS:
                self.run(f"gemm_{m}x{n}x{k}", [self.random(m, k)], flop=2 * m * n * k)
        elif case == "memory":
            for name, (shapes, num_bytes) in MEMORY.items():
                arrays = [self.random(*shape) for shape in shapes]
                self.run(f"memory_{name}", arrays, num_bytes=num_bytes)
        elif case == "call":
            self.calls()
        else:
            name = case.removeprefix("net_")
            flop = nets.NET_GFLOP.get(name, 0) * 1e9
            self.run(case, nets.net_inputs(name), flop=flop, budget_s=4.0)


if __name__ == "__main__":
    bench = Bench(sys.argv[1], sys.argv[2])
    for requested in sys.argv[3:]:
        bench.case(requested)
