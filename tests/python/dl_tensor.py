"""DLTensor for ctypes."""

import ctypes

_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


def host_tensor(array):
    """Return the descriptor of a row-major array of NumPy, which must outlive it."""
    assert array.flags.c_contiguous
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    code = _CODES[array.dtype.kind]
    return DLTensor(
        array.ctypes.data, (1, 0), array.ndim, code, 8 * array.itemsize, 1, shape, None, 0
    )
