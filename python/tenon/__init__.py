"""Tenon, a tensor-operator compiler: tensor expressions, schedules, and kernels made from them."""

from tenon import aot, models, nn, onnx, optim, random, recipes, te, training, tuning
from tenon._arrays import asarray, from_dlpack
from tenon._batches import vmap
from tenon._build import build, function, interpret, lower, mirror_schedule, parse
from tenon._compile import Network, TensorSpec, compile
from tenon._config import config
from tenon._control import cond, fori_loop, scan, while_loop
from tenon._core import (
    Block,
    DeviceKernel,
    Function,
    Kernel,
    Loop,
    Schedule,
    Target,
    Tensor,
    Trace,
    __version__,
)
from tenon._cuda_places import tell_package_folders as _tell_package_folders
from tenon._custom_vjp import custom_vjp
from tenon._export import Library, export
from tenon._gradients import grad, jvp, stop_gradient, value_and_grad, vjp
from tenon._jit import jit
from tenon._op import op
from tenon._variants import VariantSchedule
from tenon.errors import (
    CacheError,
    DTypeError,
    Error,
    ExpressionError,
    GradientError,
    IndexError,
    InternalError,
    ModelError,
    NumericError,
    ResourceError,
    ScheduleError,
    ShapeError,
    TargetError,
    UnsupportedError,
    UserError,
)
from tenon.onnx import check
from tenon.training import History, TrainStep, fit, train_step

__all__ = [
    "Block",
    "CacheError",
    "DTypeError",
    "DeviceKernel",
    "Error",
    "ExpressionError",
    "Function",
    "GradientError",
    "History",
    "IndexError",
    "InternalError",
    "Kernel",
    "Library",
    "Loop",
    "ModelError",
    "Network",
    "NumericError",
    "ResourceError",
    "Schedule",
    "ScheduleError",
    "ShapeError",
    "Target",
    "TargetError",
    "Tensor",
    "TensorSpec",
    "Trace",
    "TrainStep",
    "UnsupportedError",
    "UserError",
    "VariantSchedule",
    "__version__",
    "aot",
    "asarray",
    "build",
    "check",
    "compile",
    "cond",
    "config",
    "custom_vjp",
    "export",
    "fit",
    "fori_loop",
    "from_dlpack",
    "function",
    "grad",
    "interpret",
    "jit",
    "jvp",
    "lower",
    "mirror_schedule",
    "models",
    "nn",
    "onnx",
    "op",
    "optim",
    "parse",
    "random",
    "recipes",
    "scan",
    "stop_gradient",
    "te",
    "train_step",
    "training",
    "tuning",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]

_tell_package_folders()
