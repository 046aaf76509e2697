"""The table of what inputs operators take is that of the package onnx."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import tenon as tn

SOURCE = Path(__file__).parents[2] / "src" / "graph" / "onnx" / "signatures.cpp"
ROW = re.compile(r'\{"(\w+)", (-?\d+), (-?\d+), "([a-l.]*)", "([0-9a-f]*)"\}')
FLOATS = {"float", "double", "float16", "bfloat16"}
VARIADIC = onnx.defs.OpSchema.FormalParameterOption.Variadic


def kinds(schema: Any, formal: Any) -> int:
    """Return the sum of 1 (floats), 2 (signed), 4 (unsigned integers) and 8 (bool)."""
    if formal.option == VARIADIC and not formal.is_homogeneous:
        return 15
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    found = 0
    for text in allowed.get(formal.type_str, [formal.type_str]):
        match = re.fullmatch(r"tensor\((\w+)\)", text)
        if match is None:
            found |= 15 if "seq" in text or "optional" in text else 0
            continue
        name = match.group(1)
        found |= 1 if name in FLOATS else 0
        found |= 2 if re.fullmatch(r"int(8|16|32|64)", name) else 0
        found |= 4 if re.fullmatch(r"uint(8|16|32|64)", name) else 0
        found |= 8 if name == "bool" else 0
    return found


def test_the_table_is_that_of_the_package() -> None:
    rows = {name: rest for name, *rest in ROW.findall(SOURCE.read_text())}
    schemas = defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            schemas[schema.name].append(schema)
    assert set(rows) == set(schemas)
    assert list(rows) == sorted(rows)
    for name, versions in schemas.items():
        fewest, most, letters, digits = rows[name]
        top = max(s.max_input for s in versions)
        assert int(fewest) == min(s.min_input for s in versions), name
        assert int(most) == (-1 if top > 1000 else top), name
        for s in versions:
            for i, formal in enumerate(s.inputs):
                assert kinds(s, formal) & ~int(digits[i], 16) == 0, name
                for k, other in enumerate(s.inputs[:i]):
                    same = i < len(letters) and letters[i] != "." and letters[i] == letters[k]
                    assert not same or formal.type_str == other.type_str, name


@pytest.mark.parametrize(
    ("op", "inputs", "message"),
    [
        ("Add", ["x"], "expected 2 inputs, got 1"),
        ("Relu", ["x", "x"], "expected 1 input, got 2"),
        ("Slice", [], "expected 1 to 5 inputs, got 0"),
        ("Concat", [], "expected at least 1 inputs, got 0"),
    ],
)
def test_inputs_that_no_version_takes(
    tmp_path: Path, op: str, inputs: list[str], message: str
) -> None:
    infos = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("i", TensorProto.INT64, [3]),
    ]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    node = helper.make_node(op, inputs, ["y"], **({"axis": 0} if op == "Concat" else {}))
    model = helper.make_model(helper.make_graph([node], "g", infos, out))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(tn.ModelError, match=rf"\({op}\): {message}"):
        tn.compile(tn.onnx.load(path))
