"""A library that tn.export made as a function of arrays, through its C functions."""

import ctypes

import numpy as np
from dl_tensor import DLTensor, host_tensor


class Exported:
    """The model `name` of a library; `dtypes` are those of its results."""

    def __init__(self, made, dtypes, level=None):
        self._library = ctypes.CDLL(str(made.path))
        self._name = made.name
        self._dtypes = dtypes
        self._function("last_error").restype = ctypes.c_char_p
        self._model, self._context = ctypes.c_void_p(), ctypes.c_void_p()
        wanted = None if level is None else level.encode()
        self._check(self._function("load_level")(wanted, ctypes.byref(self._model)))
        create = self._function("context_create")
        self._check(create(self._model, ctypes.byref(self._context)))

    def _function(self, suffix):
        return getattr(self._library, f"{self._name}_{suffix}")

    def _check(self, status):
        assert status == 0, self._function("last_error")().decode()

    def __call__(self, *arrays):
        """Return the results in new arrays, of the shapes that the library says."""
        inputs = (DLTensor * max(len(arrays), 1))(*[host_tensor(a) for a in arrays])
        self._check(self._function("context_bind")(self._context, inputs, len(arrays)))
        results = []
        for i, dtype in enumerate(self._dtypes):
            said = DLTensor()
            self._check(self._function("context_result")(self._context, i, ctypes.byref(said)))
            results.append(np.empty([said.shape[d] for d in range(said.ndim)], dtype))
        self.run_into(arrays, results)
        return results

    def run_into(self, arrays, results):
        inputs = (DLTensor * max(len(arrays), 1))(*[host_tensor(a) for a in arrays])
        outputs = (DLTensor * len(results))(*[host_tensor(a) for a in results])
        run = self._function("context_run")
        self._check(run(self._context, inputs, len(arrays), outputs, len(results)))

    def close(self):
        self._function("context_destroy")(self._context)
        self._function("release")(self._model)
