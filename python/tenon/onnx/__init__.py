"""ONNX models: load them, check them, compile them with `tenon.compile`; export networks."""

from tenon.onnx._check import OperatorReport, Report, check
from tenon.onnx._export import export
from tenon.onnx._model import Model, load

__all__ = ["Model", "OperatorReport", "Report", "check", "export", "load"]
