"""ONNX models: load them, check what is supported, and compile them with `tenon.compile`."""

from tenon.onnx._check import OperatorReport, Report, check
from tenon.onnx._model import Model, load

__all__ = ["Model", "OperatorReport", "Report", "check", "load"]
