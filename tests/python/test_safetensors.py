"""Every way in which a safetensors file can be wrong, and that right files read right."""

import json
import os
import struct

import ml_dtypes
import numpy as np
import pytest

from tenon.errors import ModelError, UnsupportedError
from tenon.safetensors import SafetensorsFile


def write(path, header, data=b""):
    """Write a file from a header (a dict or raw bytes) and its data section."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_reads_views_of_every_dtype(path):
    arrays = {
        "bool": np.array([True, False, True]),
        "u8": np.arange(3, dtype=np.uint8),
        "i8": np.arange(-3, 0, dtype=np.int8),
        "f16": np.linspace(0, 1, 5, dtype=np.float16).reshape(5, 1),
        "bf16": np.linspace(0, 1, 4).astype(ml_dtypes.bfloat16),
        "u16": np.arange(3, dtype=np.uint16),
        "i16": np.arange(3, dtype=np.int16),
        "u32": np.arange(3, dtype=np.uint32),
        "i32": np.arange(3, dtype=np.int32),
        "f32": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.array(2.5, np.float64),
        "empty": np.zeros((0, 7), np.float32),
        "i64": np.array([2**62], np.int64),
        "u64": np.array([2**63], np.uint64),
    }
    header, data = {"__metadata__": {"format": "np"}}, b""
    for name, array in arrays.items():
        code = {"b": "BOOL"}.get(array.dtype.kind, name.upper())
        code = {"SCALAR": "F64", "EMPTY": "F32"}.get(code, code)
        header[name] = entry(code, array.shape, len(data), len(data) + array.nbytes)
        data += array.tobytes()
    weights = SafetensorsFile(write(path, header, data))
    assert weights.metadata == {"format": "np"}
    assert len(weights) == len(arrays)
    assert weights.keys() == list(weights) == list(arrays)
    for name, array in arrays.items():
        assert name in weights
        assert weights.shape(name) == array.shape
        assert weights[name].dtype == array.dtype
        assert not weights[name].flags.writeable
        np.testing.assert_array_equal(weights[name], array)


def test_entries_may_be_listed_in_any_order(path):
    header = {"late": entry(begin=8, end=16), "early": entry()}
    weights = SafetensorsFile(write(path, header, np.arange(4, dtype=np.float32).tobytes()))
    np.testing.assert_array_equal(weights["late"], [2, 3])


def test_an_array_outlives_its_file(path):
    array = SafetensorsFile(write(path, {"x": entry()}, struct.pack("<ff", 1, 2)))["x"]
    path.unlink()
    np.testing.assert_array_equal(array, [1, 2])


def test_a_link_to_a_regular_file_is_fine(path, tmp_path):
    write(path, {"x": entry()}, bytes(8))
    (tmp_path / "link").symlink_to(path)
    assert "x" in SafetensorsFile(tmp_path / "link")


BAD_HEADERS = [
    (b"", "not valid JSON", "E0803"),
    (b"\xff\xfe", "not valid JSON.*utf-8", "E0803"),
    (b'{"x": 1', "not valid JSON", "E0803"),
    (b"[]", "top level should be an object, got list", "E0803"),
    (b'{"x": NaN}', "NaN is not JSON", "E0803"),
    (b"[" * 100_000, "nesting is deeper than 64", "E0803"),
    (b'{"x": ' + b"9" * 5000 + b"}", "not valid JSON", "E0803"),
    (b'{"x": {}, "x": {}}', "key 'x' appears twice", "E0804"),
    (b'{"x": {"dtype": "F32", "dtype": "F32"}}', "key 'dtype' appears twice", "E0804"),
    ({"__metadata__": {"a": 1}}, "__metadata__ should map texts to texts", "E0812"),
    ({"x": 3}, "'x' should have exactly dtype, shape and data_offsets", "E0812"),
    ({"x": {"dtype": "F32", "shape": [2]}}, "should have exactly dtype", "E0812"),
    ({"x": entry("F33")}, "tensor 'x' has the unknown dtype 'F33'", "E0813"),
    ({"x": entry(["F32"])}, "unknown dtype", "E0813"),
    ({"x": entry(shape=[-2])}, r"integers from 0 up, got \[-2\]", "E0814"),
    ({"x": entry(shape=[2.0])}, "integers from 0 up", "E0814"),
    ({"x": entry(shape=[True])}, "integers from 0 up", "E0814"),
    ({"x": entry(shape=[1] * 33)}, "at most 32 integers", "E0814"),
    ({"x": entry(shape=[2**32, 2**32])}, "overflows 64-bit sizes", "E0814"),
    ({"x": entry(shape=[0, 2**62, 2**62], end=0)}, "overflows 64-bit sizes", "E0814"),
    ({"x": entry(shape=[3])}, r"hold 8 bytes, shape \[3\] of F32 needs 12", "E0815"),
    ({"x": entry(shape=[0])}, "hold 8 bytes.*needs 0", "E0815"),
    ({"x": entry(begin=8, end=0)}, "should be .begin, end., ascending", "E0815"),
    ({"x": entry(begin=-8, end=0)}, "data_offsets should be", "E0815"),
    ({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 9]}}, "data_offsets", "E0815"),
    ({"x": entry(), "y": entry()}, "'y' begins at byte 0 and overlaps tensor 'x'.*at 8", "E0816"),
    ({"x": entry(), "y": entry(begin=4, end=12)}, "'y' begins at byte 4 and overlaps", "E0816"),
    ({"x": entry(begin=4, end=12)}, "bytes 0 to 4 between the start of the data", "E0816"),
    ({"x": entry(), "y": entry(begin=12, end=20)}, "bytes 8 to 12 between tensor 'x'", "E0816"),
    ({"x": entry(shape=[1], end=4)}, "4 bytes after tensor 'x' belong to no tensor", "E0816"),
    ({"x": entry(shape=[4], end=16)}, "truncated: its tensors should have 16 bytes", "E0810"),
]


@pytest.mark.parametrize(("header", "match", "code"), BAD_HEADERS)
def test_a_bad_header_is_named(path, header, match, code):
    with pytest.raises(ModelError, match=match) as raised:
        SafetensorsFile(write(path, header, bytes(8)))
    assert raised.value.code == code
    assert str(path) in str(raised.value)
    assert str(raised.value).partition("\n")[0].endswith(f"[{code}]")


def test_a_file_shorter_than_its_prefix(path):
    path.write_bytes(b"\x01\x02")
    with pytest.raises(ModelError, match=r"truncated: 2 bytes.*\[E0810\]"):
        SafetensorsFile(path)


def test_a_file_shorter_than_its_header(path):
    path.write_bytes(struct.pack("<Q", 100) + b"{}")
    with pytest.raises(ModelError, match="header should have 100 bytes, 2 are there"):
        SafetensorsFile(path)


@pytest.mark.parametrize("length", [(8 << 20) + 1, 2**63, 2**64 - 1])
def test_an_over_long_header(path, length):
    path.write_bytes(struct.pack("<Q", length) + bytes(64))
    with pytest.raises(ModelError, match=rf"its header has {length} bytes; at most 8388608"):
        SafetensorsFile(path)


def test_a_missing_file(path):
    with pytest.raises(ModelError, match=r"cannot open.*No such file"):
        SafetensorsFile(path)


def test_a_path_with_a_null_byte():
    with pytest.raises(ModelError, match=r"cannot open.*null byte"):
        SafetensorsFile("a\0b")


def test_a_folder_a_fifo_and_a_device_are_refused(path, tmp_path):
    os.mkfifo(path)
    for bad in (path, tmp_path, "/dev/zero"):
        with pytest.raises(ModelError, match="should be a regular file"):
            SafetensorsFile(bad)


def test_a_name_that_is_not_there(path):
    weights = SafetensorsFile(write(path, {"x": entry()}, bytes(8)))
    with pytest.raises(ModelError, match="has no tensor 'y' among its 1 tensors"):
        weights["y"]


def test_a_dtype_that_tenon_does_not_have(path):
    weights = SafetensorsFile(write(path, {"x": entry("F8_E4M3", [8])}, bytes(8)))
    with pytest.raises(UnsupportedError, match="dtype F8_E4M3, which Tenon does not have"):
        weights["x"]


def test_a_bool_that_is_neither_0_nor_1(path):
    weights = SafetensorsFile(write(path, {"x": entry("BOOL", [8])}, b"\0\1\2\0\0\0\0\0"))
    with pytest.raises(ModelError, match="BOOL tensor 'x' holds the byte 2"):
        weights["x"]
