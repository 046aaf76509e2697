"""Written files: read back by Tenon and by the safetensors package, whole or not at all."""

import json
import os
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import tenon as tn
from tenon.safetensors import SafetensorsFile, save

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array(2.5),
    "empty": np.zeros((0, 4), np.int64),
    "flags": np.array([True, False, True]),
    "half": np.linspace(0, 1, 5).astype(ml_dtypes.bfloat16),
    "strided": np.arange(12, dtype=np.uint32).reshape(3, 4).T,
    "swapped": np.arange(3, dtype=">i2"),
}


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "x.safetensors"
    save(path, ARRAYS, {"step": "3"})
    file = SafetensorsFile(path)
    assert file.metadata == {"step": "3"}
    assert sorted(file) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(file[name], array)
        assert file[name].shape == array.shape
    theirs = safetensors.numpy.load_file(path)
    for name in ("a", "b", "empty", "flags", "strided"):
        np.testing.assert_array_equal(theirs[name], ARRAYS[name])
    length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    assert length % 8 == 0
    assert json.loads(path.read_bytes()[8 : 8 + length])


def test_equal_arrays_give_equal_bytes(tmp_path):
    save(tmp_path / "x", ARRAYS)
    save(tmp_path / "y", dict(reversed(ARRAYS.items())))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_an_old_file_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "x"
    save(path, {"a": np.ones(3)})
    old = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(tn.ResourceError, match=r"cannot write .*No space left .*\[E0828\]"):
        save(path, {"a": np.zeros(3)})
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["x"]


def test_mistakes_are_named(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(tn.DTypeError, match=r"tensor 'a' has dtype complex64, .*\[E0545\]"):
        save(path, {"a": np.zeros(2, np.complex64)})
    with pytest.raises(tn.ModelError, match=r"'__metadata__' cannot be the name .*\[E0844\]"):
        save(path, {"__metadata__": np.zeros(2)})
    with pytest.raises(tn.ModelError, match=r"metadata should map texts to texts \[E0844\]"):
        save(path, {}, {"a": 1})
    with pytest.raises(tn.ResourceError, match=r"No such file or directory \[E0828\]"):
        save(tmp_path / "no" / "x", {})
    assert os.listdir(tmp_path) == []
