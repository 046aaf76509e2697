"""Arrays for the inputs of a network: from files, or random ones that are the same every time."""

from __future__ import annotations

import argparse
import os
import re
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np
import numpy.typing as npt

from tenon import _core
from tenon._arrays import asarray
from tenon._files import open_regular
from tenon.cli._command import number
from tenon.cli._model import Argument
from tenon.errors import DTypeError, ShapeError, UserError

__all__ = [
    "Given",
    "add_input_options",
    "add_run_options",
    "array_of",
    "for_target",
    "given_inputs",
    "is_gpu",
    "make_inputs",
    "read_array",
]

Array = npt.NDArray[Any]
_MAX_BYTES = 1 << 36
_UNREADABLE = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    KeyError,
    NotImplementedError,  # of zipfile: a compression that it does not know
    RuntimeError,  # of zipfile: encrypted
    SyntaxError,
    tokenize.TokenError,  # of the header
    zipfile.BadZipFile,
    zlib.error,
)
_RANDOM = re.compile(r"random(?::(-?\d+):(-?\d+))?")


class Given(NamedTuple):
    """What the options say of the inputs."""

    inputs: dict[str, str]
    shapes: dict[str, list[int]]
    sizes: dict[str, int]
    seed: int


def given_inputs(arguments: argparse.Namespace) -> Given:
    """Return what the options of `add_input_options` say; E1023 and E1024 for what has no form."""
    return Given(
        named(arguments.input, "--input", "x=file.npy"),
        parse_shapes(arguments.shape),
        parse_sizes(arguments.size),
        arguments.seed,
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add threads, target and duration."""
    parser.add_argument(
        "--threads", type=number(0, 1024), default=0, help="threads (default: all that may be used)"
    )
    parser.add_argument(
        "--target", default="cpu", help="such as 'cpu -mcpu=x86-64-v3' or cuda (a GPU)"
    )
    parser.add_argument(
        "--seconds", type=number(0.0, 3600.0, float), default=2.0, help="how long (default: 2)"
    )


def is_gpu(target: str) -> bool:
    """Say whether programs for the target run on a GPU."""
    return _core.Target(target).kind == "cuda"


def for_target(arrays: Sequence[Any], target: str) -> list[Any]:
    """Return the arrays where the target's programs read them: for a GPU, copies there."""
    return [asarray(a).to("cuda") for a in arrays] if is_gpu(target) else list(arrays)


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which arrays a network is given."""
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=WHAT",
        help="the array of an input: file.npy, file.npz:KEY, random, random:LOW:HIGH (integers),"
        " zeros or ones; by default random (integers 0 and 1, booleans true)",
    )
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=SIZES",
        help="the shape of an input that is not from a file, such as x=1,3,224,224",
    )
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="SYMBOL=N",
        help="the value of a symbolic size; 1 by default",
    )
    parser.add_argument(
        "--seed", type=number(0, 2**31 - 1), default=0, help="of random arrays (default: 0)"
    )


def named(texts: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Return the parts of NAME=TEXT arguments.

    Raises
    ------
    UserError
        ``E1023``: another form, or a name twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise UserError("E1023", f"{option} should look like {form}, got {text!r}")
        if name in found:
            raise UserError("E1023", f"{option} names '{name}' twice")
        found[name] = value
    return found


def parse_shapes(texts: Sequence[str]) -> dict[str, list[int]]:
    """Return the shapes of ``--shape``; E1024 for what is none."""
    shapes = {}
    for name, text in named(texts, "--shape", "x=1,3,224,224").items():
        parts = text.strip("[]()").split(",")
        if not all(re.fullmatch(r"\s*\d{1,12}\s*", part) for part in parts):
            raise UserError("E1024", f"--shape {name}={text} should be sizes such as 1,3,224,224")
        shapes[name] = [int(part) for part in parts]
    return shapes


def parse_sizes(texts: Sequence[str]) -> dict[str, int]:
    """Return the values of ``--size``; E1024 for what is none."""
    sizes = {}
    for name, text in named(texts, "--size", "batch=8").items():
        if not re.fullmatch(r"\d{1,12}", text):
            raise UserError("E1024", f"--size {name}={text} should be a whole number such as 8")
        sizes[name] = int(text)
    return sizes


def make_inputs(
    arguments: Sequence[Argument], given: Given, constants: Sequence[str] = ()
) -> list[Array]:
    """Return one array for each input of a network; `constants` are inputs that became part of it.

    Raises
    ------
    UserError
        ``E1023``: no input or symbol has the name; ``E1025``: two sizes of one symbol; ``E1026``:
        a file that cannot be read, ``E1029``: more than 64 GiB.
    ShapeError
        ``E1032``: rank or sizes that the input does not have.
    DTypeError
        ``E1027``: a file with elements of another type.
    """
    inputs, shapes, sizes = given.inputs, given.shapes, given.sizes
    _check_names(arguments, inputs, shapes, sizes, constants)
    files = {a.name: _file(a, inputs[a.name]) for a in arguments if _is_file(inputs, a.name)}
    values = _Values(sizes)
    for argument in arguments:
        if argument.name in files:
            values.take(argument, files[argument.name].shape, "its array")
        elif argument.name in shapes:
            values.take(argument, shapes[argument.name], "--shape")
    arrays = []
    for i, argument in enumerate(arguments):
        if argument.name in files:
            arrays.append(files[argument.name])
            continue
        shape = values.shape(argument)
        rng = np.random.default_rng([given.seed, i])
        arrays.append(array_of(argument, inputs.get(argument.name, "random"), shape, rng))
    return arrays


def _check_names(
    arguments: Sequence[Argument],
    inputs: Mapping[str, str],
    shapes: Mapping[str, Any],
    sizes: Mapping[str, int],
    constants: Sequence[str],
) -> None:
    names = [*(a.name for a in arguments), *constants]
    for option, given in (("--input", inputs), ("--shape", shapes)):
        for name in given:
            if name not in names:
                raise UserError(
                    "E1023", f"{option} {name}: the network's inputs are {', '.join(names)}"
                )
    symbols = sorted({d for a in arguments for d in a.dims if not d.isdigit()})
    for name in sizes:
        if name not in symbols:
            have = f"the symbolic sizes are {', '.join(symbols)}" if symbols else "all are fixed"
            raise UserError("E1023", f"--size {name}: no size of the inputs is called so; {have}")


class _Values:
    """The values of symbols, and who said them."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._values = {name: (value, "--size") for name, value in sizes.items()}

    def take(self, argument: Argument, shape: Sequence[int], source: str) -> None:
        """Learn from the shape of an input."""
        wanted = f"{argument.dtype}[{', '.join(argument.dims)}]"
        if len(shape) != len(argument.dims):
            raise ShapeError(
                "E1032",
                f"input '{argument.name}' is {wanted} with {len(argument.dims)} dimensions;"
                f" {source} has {len(shape)}: {list(shape)}",
            )
        for axis, (dim, size) in enumerate(zip(argument.dims, shape, strict=True)):
            if dim.isdigit():
                if int(dim) != size:
                    raise ShapeError(
                        "E1032",
                        f"input '{argument.name}' is {wanted}: axis {axis} is {dim}, but {source}"
                        f" says {size}",
                    )
                continue
            here = f"{source} of '{argument.name}'"
            known, who = self._values.setdefault(dim, (size, here))
            if known != size:
                raise UserError(
                    "E1025", f"size '{dim}' is {known} by {who} and {size} by {here}; make it one"
                )

    def shape(self, argument: Argument) -> list[int]:
        """Return the shape of an input; symbols that nobody said are 1."""
        return [
            int(dim) if dim.isdigit() else self._values.get(dim, (1, ""))[0]
            for dim in argument.dims
        ]


def _is_file(inputs: Mapping[str, str], name: str) -> bool:
    what = inputs.get(name, "random")
    return what not in ("zeros", "ones") and _RANDOM.fullmatch(what) is None


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of a name of Tenon's."""
    special = {"bfloat16": ml_dtypes.bfloat16}
    dtype: np.dtype[Any] = np.dtype(special.get(name, name))
    return dtype


def array_of(argument: Argument, what: str, shape: Sequence[int], rng: Any) -> Array:
    """Return an array that is not from a file."""
    dtype = numpy_dtype(argument.dtype)
    num_bytes = dtype.itemsize
    for size in shape:
        num_bytes *= size
    if num_bytes > _MAX_BYTES:
        raise UserError(
            "E1029", f"input '{argument.name}' of shape {list(shape)} takes more than 64 GiB"
        )
    if what in ("zeros", "ones"):
        return np.full(shape, what == "ones", dtype)
    match = _RANDOM.fullmatch(what)
    assert match is not None
    low, high = (int(match[1]), int(match[2])) if match[1] is not None else (0, 2)
    if match[1] is not None and not low < high:
        raise UserError("E1029", f"--input {argument.name}={what}: LOW should be below HIGH")
    if dtype.kind in "iu" or (match[1] is not None and dtype.kind != "b"):
        limits = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo(np.int64)
        if low < limits.min or high - 1 > limits.max:
            raise UserError("E1029", f"--input {argument.name}={what} is beyond {argument.dtype}")
        return np.asarray(rng.integers(low, high, shape)).astype(dtype)
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    return np.asarray(rng.standard_normal(shape, dtype=np.float32)).astype(dtype)


def _file(argument: Argument, text: str) -> Array:
    """Return the array of a file: no pickle, regular files only."""
    array = read_array(argument.name, text)
    wanted = numpy_dtype(argument.dtype)
    if argument.dtype == "bfloat16" and array.dtype == np.dtype("V2"):
        array = array.view(wanted)  # how .npy files keep it
    if array.dtype.newbyteorder("=") != wanted:
        raise DTypeError(
            "E1027",
            f"input '{argument.name}' is {argument.dtype}, but '{text}' holds {array.dtype};"
            f" convert it with NumPy's astype('{argument.dtype}')",
        )
    return np.ascontiguousarray(array, wanted).reshape(array.shape)


def read_array(name: str, text: str) -> Array:
    """Return the array of FILE.npy, or of FILE.npz:KEY.

    Raises
    ------
    UserError
        ``E1026``: the file is missing, cut short, or holds no numbers.
    """
    path, key = text, None
    if not os.path.exists(text):
        match = re.fullmatch(r"(.*\.npz):(.+)", text)
        if match is not None:
            path, key = match[1], match[2]
    option = f"--input {name}={path}"
    fd, size = open_regular(_checked(path, option))
    try:
        with os.fdopen(fd, "rb") as file:
            if file.read(4) != b"PK\3\4":
                file.seek(0)
                return _load_array(file, size)
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                return _load_member(archive, name, key, option, path)
    except UserError:
        raise
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or ["it is empty"])[0][:200]
        raise UserError(
            "E1026", f"{option} is no whole .npy or .npz file of numbers: {reason}"
        ) from None


def _load_member(
    archive: zipfile.ZipFile, name: str, key: str | None, option: str, path: str
) -> Array:
    """Return an array of an .npz: the one of that key, the only one, or the input's namesake."""
    names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    if key is None:
        key = names[0] if len(names) == 1 else name
    if key not in names:
        have = ", ".join(names[:20]) or "no arrays"
        raise UserError("E1026", f"{option} has {have}; name one as {path}:KEY")
    entry = archive.getinfo(f"{key}.npy")
    with archive.open(entry) as file:
        return _load_array(file, entry.file_size)


def _load_array(file: IO[bytes], size: int) -> Array:
    """Return the array of a .npy file; nothing is allocated that the file does not hold."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format is not read")
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers that Python 2 wrote
        shape, is_fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("Object arrays are not read")
    count = 1
    for extent in shape:
        if extent < 0:
            raise ValueError(f"its shape is {shape}")
        count *= extent
    if count * dtype.itemsize > size:
        raise ValueError(f"{count} elements of {dtype} do not fit into {size} bytes")
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"it ends after {len(data)} bytes of its elements")
    array = np.frombuffer(data, dtype, count)
    return array.reshape(shape, order="F" if is_fortran else "C")


def _checked(path: str, option: str) -> Path:
    if not os.path.exists(path):
        raise UserError(
            "E1026", f"{option}: there is no such file; give a .npy file, random, zeros or ones"
        )
    return Path(path)
