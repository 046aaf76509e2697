"""python/tenon/_core.pyi says what the extension module has."""

import ast
import inspect
from pathlib import Path

import pytest

from tenon import _core

STUB = ast.parse((Path(_core.__file__).parent / "_core.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
IGNORED = {"__init__", "__new__", "__getstate__", "__str__", "__repr__", "__eq__", "__ne__"}


def members(cls):
    return {
        name
        for name, value in vars(cls).items()
        if name not in IGNORED
        and not name.startswith("_pybind11")
        and (not name.startswith("__") or callable(value))
    }


def test_the_module_has_the_classes_and_functions_of_the_stub():
    public = {n for n in vars(_core) if not n.startswith("_")}
    assert {n for n in public if inspect.isclass(getattr(_core, n))} == set(CLASSES)
    assert {n for n in public if not inspect.isclass(getattr(_core, n))} == set(FUNCTIONS)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_the_members_of_the_stub(name):
    listed = {n.name for n in CLASSES[name].body if isinstance(n, ast.FunctionDef)} - IGNORED
    assert members(getattr(_core, name)) - {"__hash__"} == listed - {"__hash__"}


@pytest.mark.parametrize(
    "method",
    [
        n
        for n in CLASSES["Schedule"].body
        if "Requires:" in (getattr(_core.Schedule, n.name).__doc__ or "")
    ],
    ids=lambda n: n.name,
)
def test_schedule_primitives_have_the_parameters_of_their_registration(method):
    documented = next(
        line
        for line in getattr(_core.Schedule, method.name).__doc__.splitlines()
        if line.startswith(method.name + "(") and "*args" not in line
    )
    registered = documented[len(method.name) + 1 : -1].split(", ")
    arguments = [a.arg for a in method.args.args[1:]]
    if method.args.vararg is not None:
        arguments.append("*" + method.args.vararg.arg)
    assert [parameter.split("=")[0] for parameter in registered] == arguments
