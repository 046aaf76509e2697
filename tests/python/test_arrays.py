"""tn.Tensor: sharing memory with NumPy and through DLPack."""

import ml_dtypes
import numpy as np
import pytest

import tenon as tn

DTYPES = ["float64", "float32", "float16", "bfloat16", "bool"]
DTYPES += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]


def numpy_dtype(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_comes_from_numpy_and_goes_back_without_a_copy(name):
    array = np.array([[0, 1, 2], [3, 1, 0]]).astype(numpy_dtype(name))
    tensor = tn.asarray(array)
    assert (tensor.dtype, tensor.shape, tensor.size) == (name, (2, 3), 6)
    assert np.shares_memory(tensor.numpy(), array)
    assert tensor.numpy().dtype == array.dtype
    assert (np.asarray(tensor) == array).all()


@pytest.mark.parametrize("name", [n for n in DTYPES if n != "bfloat16"])
def test_dlpack_both_ways_shares_memory(name):
    tensor = tn.asarray(np.array([1, 0, 1]).astype(name))
    array = np.from_dlpack(tensor)
    assert np.shares_memory(array, tensor.numpy())
    back = tn.from_dlpack(array)
    assert back.dtype == name
    assert np.shares_memory(back.numpy(), array)


def test_a_producer_without_versions_is_understood():
    class Old:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, *, stream=None):
            return self.array.__dlpack__()

        def __dlpack_device__(self):
            return (1, 0)

    array = np.arange(6.0).reshape(2, 3)
    assert np.shares_memory(tn.from_dlpack(Old(array)).numpy(), array)


def test_another_device_is_refused():
    class OnGpu:
        def __dlpack__(self, **_):
            raise AssertionError

        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(tn.TargetError, match=r"DLPack device type 2[\s\S]*CPU"):
        tn.from_dlpack(OnGpu())


def test_views_read_only_memory_and_other_byte_orders_are_taken():
    array = np.arange(12, dtype="int32").reshape(3, 4)
    assert np.shares_memory(tn.asarray(array[:, ::2]).numpy(), array)
    assert (np.asarray(tn.asarray(array[::-1])) == array[::-1]).all()
    array.flags.writeable = False
    tensor = tn.asarray(array)
    assert tensor.read_only
    assert not tensor.numpy().flags.writeable
    assert (np.asarray(tn.asarray(array.astype(">i4"))) == array).all()
    fields = np.zeros(3, dtype=[("x", "i1"), ("y", "f4")])
    assert (np.asarray(tn.asarray(fields["y"])) == 0).all()


def test_memory_lives_as_long_as_a_view():
    view = tn.asarray(np.arange(1000.0)).numpy()[10:20]
    assert view.sum() == sum(range(10, 20))


def test_numbers_and_lists_become_tensors():
    assert tn.asarray([1, 2]).dtype == "int64"
    assert tn.asarray([[1], [2]], "bfloat16").numpy().tolist() == [[1], [2]]
    assert tn.asarray(3.5, "float32").item() == 3.5
    assert tn.asarray(np.arange(3), "float32").dtype == "float32"
    assert len(tn.asarray([1, 2, 3])) == 3
    assert repr(tn.asarray([1.0, 2.0], "float32")) == "tenon.Tensor([1., 2.], dtype=float32)"


def test_what_numpy_asks_for_is_given():
    tensor = tn.asarray([1.5, 2.5])
    assert np.asarray(tensor, dtype="int32").tolist() == [1, 2]
    assert not np.shares_memory(np.array(tensor), tensor.numpy())
    with pytest.raises(tn.DTypeError, match="without a copy"):
        np.asarray(tensor, dtype="int32", copy=False)


def test_what_is_no_array_is_named():
    with pytest.raises(tn.DTypeError, match=r"with __dlpack__, got list[\s\S]*tn.asarray"):
        tn.from_dlpack([1, 2])
    with pytest.raises(tn.DTypeError, match="NumPy dtype complex128"):
        tn.asarray(np.zeros(2, dtype="complex128"))
    with pytest.raises(TypeError, match="len"):
        len(tn.asarray(1.0))


def test_a_tensor_is_a_number_where_it_has_one_element():
    assert float(tn.asarray(np.float32(0.5))) == 0.5
    assert int(tn.asarray(np.array([3], np.int64))) == 3
    assert bool(tn.asarray(np.array(True))) is True
    assert tn.asarray(np.array([[1, 2]])).tolist() == [[1, 2]]
    with pytest.raises(TypeError, match="a tensor of 2 elements is no number"):
        float(tn.asarray(np.zeros(2)))
    with pytest.raises(TypeError, match="a tensor of 0 elements is no number"):
        bool(tn.asarray(np.zeros(0)))


def test_parts_of_a_tensor_share_its_memory():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensor = tn.asarray(values)
    row, corner = tensor[1], tensor[2, ::2]
    assert isinstance(row, tn.Tensor)
    values[1, 0] = -5
    np.testing.assert_array_equal(row, [-5, 5, 6, 7])
    np.testing.assert_array_equal(corner, [8, 10])
    assert float(tensor[0, 3]) == 3
    with pytest.raises(IndexError, match="out of bounds"):
        tensor[3]
