# %% [markdown]
# # Read a profile
#
# **Question.** A network takes 3 ms. Is that good, and if not, which part of it is to blame? A
# total says neither. What helps is, for each kernel, its time beside the least time that this
# machine could need for it.
#
# Run it: `python tutorials/09_read_a_profile.py`. The same from a shell, for a model in a file:
# `tenon bench model.onnx`, and `tenon inspect model.onnx --profile --html page.html`.

# %%
import tempfile
from pathlib import Path

import numpy as np

import tenon as tn
from tenon import nn
from tenon.nn import functional as F

# %% [markdown]
# ## A network with kernels of several kinds
#
# Two linear layers (much arithmetic for each byte), a softmax (exponentials), and a plain sum of
# two arrays (hardly any arithmetic at all).


# %%
class Network(nn.Module):
    def __init__(self):
        self.first = nn.Linear(512, 1024)
        self.second = nn.Linear(1024, 512)

    def forward(self, x, y):
        hidden = F.gelu(self.first(x))
        return F.softmax(self.second(hidden)), x + y


specs = [tn.TensorSpec(["n", 512], name="x"), tn.TensorSpec(["n", 512], name="y")]
network = tn.compile(Network(), specs, name="four_kinds")
rng = np.random.default_rng(0)
x, y = (rng.standard_normal((256, 512), dtype=np.float32) for _ in range(2))

# %% [markdown]
# ## What became of the operators
#
# The graph passes say what they did. `gelu` and the additions of biases have no kernels of their
# own: each is computed on elements that are in registers anyway.

# %%
for rewrite in network.rewrites():
    print(f"{rewrite.graph_pass}: {rewrite.node} {rewrite.action} ({rewrite.reason})")
names = [name for name, *_ in network.kernels()]
print(names)
assert "linear_add_gelu" in names
fused = [r.node.split(" ")[0] for r in network.rewrites() if r.graph_pass == "fuse"]
assert fused.count("linear") == 2

# %% [markdown]
# ## Where the time goes
#
# `profile` runs the network with a clock around each kernel, and again without clocks for the
# latency. Beside each kernel stands what it had to do, counted in its IR:
#
# - *GF/s*: operations per second; a fused multiply-add counts two, each `exp` one;
# - *GB/s*: bytes per second that it must read and write at least, each element of an operand once;
# - *roof*: the larger one of the two as a fraction of what this machine reaches, measured just now
#   with kernels that do nothing else.

# %%
profile = network.profile(x, y, seconds=0.5)
print(profile)

# %% [markdown]
# How to read it:
#
# 1. **Start with the share.** The linear layers take nearly all of the time; nothing else is worth
#    a look until they are at their roof.
# 2. **Then the roof.** Near 100 %: no schedule makes this kernel faster, only less work does. A
#    linear layer at 30 % has something wrong with it: too few rows for the threads, say.
# 3. **A low roof and a small share** is what softmax looks like: an exponential counts one
#    operation but takes twenty, and the kernel is short. Leave it.
# 4. **Above 100 %** means that the data never came from memory: they were in a cache.
# 5. **Latency minus total** is what the network does between kernels.
#
# The numbers are plain data, so that a program can look for the first kernel to work on.

# %%
slowest = max(profile.kernels, key=lambda kernel: kernel.seconds)
first = profile.kernels[names.index("linear_add_gelu")]
rows, inputs, outputs = 256, 512, 1024
products = 2 * rows * inputs * outputs
assert first.operations > products  # and what gelu and the bias add
assert first.bytes == 4 * (rows * inputs + inputs * outputs + outputs + rows * outputs)
assert slowest.name.startswith("linear")
print(f"look first at {slowest.name}: {slowest.seconds / profile.total.seconds:.0%} of the time")

# %% [markdown]
# ## The same as a page
#
# The graph with its kernels, a click away from operators, times and memory. It is one file: send it
# with the question.

# %%
page = Path(tempfile.mkdtemp()) / "four_kinds.html"
network.html(page, profile=profile)
print(f"wrote {page}: {page.stat().st_size} bytes")

# %% [markdown]
# **Try this.** Profile with `n = 1`: the same layers now read each weight for one row, and the roof
# that they are near to is memory's. Then set `tn.config.threads = 1` and compare.
#
# **Next.** `docs/design/runtime.md` says how steps are timed, `docs/design/command_line.md` what
# `tenon bench` and `tenon inspect` take.
