# %% [markdown]
# # Ship a library
#
# How does a network run where there is no Python? In an editor written in C, in a server written in
# C++, on a machine on which nothing may be installed? `tn.export` makes one shared library of it,
# and a header. They hold everything: kernels, weights, and the runtime that calls them. What they
# need is the C library of the system.

# %%
import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import tenon as tn
from tenon import nn

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A network
#
# Its batch is symbolic, `n`: one library will serve every batch.

# %%
first = nn.Linear(64, 128)
layers = nn.Sequential(first, nn.ReLU(), nn.Linear(128, 10)).initialize(seed=0)
network = tn.compile(layers, [tn.TensorSpec(["n", 64], name="pixels")])

# %% [markdown]
# ## The library
#
# A kernel for AVX-512 does not run on a CPU that has AVX2 alone, and one for AVX2 leaves half of a
# newer CPU idle. So the library has kernels for several *levels*, and one set of weights that all
# of them read. Levels can be named (`targets="x86-64-v3,znver4"`); by default they are x86-64-v3,
# x86-64-v4 and this machine. Any of them is made on any machine.

# %%
library = tn.export(network, folder / "digits.so")
print(library.name, library.levels)
print(*sorted(path.name for path in folder.iterdir()))
assert "x86-64-v3" in library.levels

# %% [markdown]
# No compiler of the system took part: LLVM and its linker ran inside Python. `ldd` shows what the
# library needs.

# %%
needed = subprocess.run(["ldd", library.path], capture_output=True, text=True, check=True).stdout
print(needed)
assert "libc.so" in needed
assert "stdc++" not in needed
assert "python" not in needed

# %% [markdown]
# ## A program in C
#
# The functions begin with the model's name, here `digits`, so that several models live in one
# program. A *model* is loaded once and shared by all threads; a *context* holds the memory of one
# call at a time, so each thread has its own. `digits_run` takes the sizes (the symbols of the
# network), the inputs and the results.

# %%
source = r"""
#include <stdio.h>
#include "digits.h"

int main(void) {
  float pixels[3 * 64], scores[3 * 10];
  tenon_model* model;
  tenon_context* context;
  if (fread(pixels, sizeof(pixels), 1, stdin) != 1) return 1;
  if (digits_load(&model) != TENON_OK || digits_context_create(model, &context) != TENON_OK) {
    fputs(digits_last_error(), stderr);
    return 1;
  }
  fprintf(stderr, "level %s\n", digits_level(model));
  if (digits_run(context, 3, pixels, scores) != TENON_OK) {
    fputs(digits_last_error(), stderr);
    return 1;
  }
  fwrite(scores, sizeof(scores), 1, stdout);
  digits_context_destroy(context);
  digits_release(model);
  return 0;
}
"""
(folder / "main.c").write_text(source)
subprocess.run(["cc", "main.c", "./digits.so", "-o", "main"], cwd=folder, check=True)
pixels = np.random.default_rng(0).standard_normal((3, 64), np.float32)
ran = subprocess.run(
    ["./main"], input=pixels.tobytes(), cwd=folder, capture_output=True, check=True
)
print(ran.stderr.decode())

# %% [markdown]
# The result has the very bits that Python gives. That holds on every CPU and for every number of
# threads: Tenon adds in one documented order, whatever the width of the vectors.

# %%
scores = np.frombuffer(ran.stdout, np.float32).reshape(3, 10)
np.testing.assert_array_equal(scores, np.asarray(network(pixels)))

# %% [markdown]
# ## From another language
#
# `digits_run` is a line of C in the header. Under it is `digits_context_run`, which takes DLPack's
# tensor descriptors; any language that calls C can call it. Simple functions need no more than
# this:

# %%
loaded = ctypes.CDLL(str(library.path))
model = ctypes.c_void_p()
assert loaded.digits_load(ctypes.byref(model)) == 0
print("inputs", loaded.digits_num_inputs(model), "results", loaded.digits_num_results(model))

# %% [markdown]
# ## What is in it
#
# The library says what it holds; `inspect` reads that without running anything, so it is safe for
# files from elsewhere. `verify` compares every byte with the digests written when it was made.

# %%
found = tn.aot.inspect(library.path)
print(found["inputs"], found["results"], found["symbols"])
print({name: part["bytes"] for name, part in found["parts"].items()})
assert found["inputs"][0]["shape"] == ["n", "64"]
assert tn.aot.verify(library.path) == found

# %% [markdown]
# ## A damaged copy
#
# Loading checks weights and plan as well, by a checksum that the CPU computes at the speed of
# memory. Here one bit of the first layer's weights changes on the way (they lie in panels of 64
# columns, so the first weights of neighbouring outputs are neighbours):

# %%
data = bytearray(library.path.read_bytes())
weight = np.asarray(first.weight.array())
data[data.index(weight[:8, 0].tobytes())] ^= 1
damaged = folder / "damaged.so"
damaged.write_bytes(data)
copy = ctypes.CDLL(str(damaged))
copy.digits_last_error.restype = ctypes.c_char_p
assert copy.digits_load(ctypes.byref(model)) != 0
print(copy.digits_last_error().decode())
try:
    tn.aot.verify(damaged)
except tn.ModelError as error:
    print(error)
else:
    raise AssertionError

# %% [markdown]
# ## Try this
#
# - Export `tn.models.SentenceEncoder` and embed token ids from C.
# - `digits_load_level("x86-64-v3", &model)` takes a level by name. Are the bits equal?
# - Load two models in one program: how many threads does it have?
#
# The file and the C functions are described in `docs/design/artefact.md`.
