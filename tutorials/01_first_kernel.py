# %% [markdown]
# # A first kernel
#
# **Question.** A matrix product is three nested loops. Written that way it runs at one hundredth of
# what the machine can do. What has to change, and how do we say it without writing the loops anew?
#
# Tenon keeps two things apart: *what* is computed, a tensor expression, and *how*, a schedule of
# steps that rewrite the loops. Each step is checked, so none can change the result.
#
# Run it: `python tutorials/01_first_kernel.py`, or with another target as argument:
# `python tutorials/01_first_kernel.py "cpu -mcpu=x86-64-v3"`.

# %%
import sys

import numpy as np

import tenon as tn
from tenon import te

target = tn.Target(sys.argv[1] if len(sys.argv) > 1 else "cpu")

# %% [markdown]
# ## What is computed
#
# `te.compute` takes a shape and a function from indices to the element there. `k` is an axis to sum
# over. Nothing runs yet: `C` knows how it is computed.


# %%
def matmul(m, n, k):
    a = te.placeholder((m, k), "float32", name="A")
    b = te.placeholder((k, n), "float32", name="B")
    r = te.reduce_axis(k, name="k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    return tn.function([a, b], [c], name="matmul")


f = matmul(512, 512, 512)
print(f)

# %% [markdown]
# That is the program as loops. A *block* is the unit of work: its own variables `vi vj vk`, how the
# loops bind them, what it reads and writes. The sum of products is one `fma` a step, which rounds
# once. The text is complete: `tn.parse` reads it back.

# %%
AS_WRITTEN = """\
function matmul(A: float32[512, 512], B: float32[512, 512]) -> (C: float32[512, 512])
  for i in 0..512
    for j in 0..512
      for k in 0..512
        block C {reduction_order="chain"}
          spatial vi in 0..512 = i
          spatial vj in 0..512 = j
          reduction vk in 0..512 = k
          reads A[vi, vk], B[vk, vj], C[vi, vj]
          writes C[vi, vj]
          init
            C[vi, vj] = 0.0
          C[vi, vj] = fma(A[vi, vk], B[vk, vj], C[vi, vj])
"""
assert str(f) == AS_WRITTEN
assert tn.parse(AS_WRITTEN) == f

# %% [markdown]
# ## How it is computed
#
# A core can start two vector multiply-adds a cycle, each of which takes four cycles to finish, and
# it can load two vectors a cycle. One sum at a time leaves it waiting. So we compute a *tile* of C
# at once, as large as the registers hold: 6 rows of 4 vectors with AVX-512. Each step over k then
# loads 4 vectors of B, and 6 numbers of A, for 24 multiply-adds.
#
# The tiles of one column of tiles read the same `nr` columns of B. In memory their rows lie 2 KiB
# apart, so that they fall into few places of the cache. We copy them side by side first, into a
# *panel* that stays in the cache while the tiles pass.
#
#     for jo:                        # panels, on several threads
#       panel = B[:, j:j+nr]         # 512 x nr numbers, side by side
#       for io:                      # tiles of C
#         tile = 0                   # mr x nr numbers, in registers
#         for k:
#           for ii in 0..mr:         # unrolled: the code repeats mr times
#             tile[ii, :] += A[i, k] * panel[k, :]       # nr numbers at once
#         C[i:i+mr, j:j+nr] = tile   # one store for each element

# %%
s = tn.Schedule(f)
i, j, k = s.loops("C")
panel = s.cache_read("C", "B", scope="global")  # a block that copies B, which C reads instead
mr, nr = target.register_tile("float32")  # (6, 64) with AVX-512, (6, 16) with AVX2
io, ii = s.split(i, factors=[None, mr], tail="balance")  # 512 = 4 x 5 + 82 x 6: no ragged rest
jo, ji = s.split(j, factors=[None, nr])
s.reorder(jo, io, k, ii, ji)  # k outside the tile: each step updates all of it
out = s.cache_write("C", scope="register")  # sums stay in registers until k is done
s.reverse_compute_at(out, io)  # ... and are stored once for each tile
s.compute_at(panel, jo)  # of the copy only the panel is left, made anew for each jo
s.vectorize(s.loops(panel)[-1])
s.vectorize(ji)
s.unroll(ii)
*_, oi, oj = s.loops(out)
s.vectorize(oj)
s.unroll(oi)
s.decompose_reduction("C", k)  # zeroing moves before the k loop
s.parallel(jo)
print(s)

# %% [markdown]
# The printed function has the loops drawn above, and nothing of the block's meaning changed: the
# same `fma` stands inside, with the copy in the place of B.

# %%
assert f"      for k in 0..512\n        unrolled for ii in 0..select(io < 4, 5, {mr})\n" in str(s)
assert f"vectorized for ji in 0..{nr}" in str(s)
assert "C_register[vi, vj] = fma(A[vi, vk], B_global[vk, vj], C_register[vi, vj])" in str(s)

# %% [markdown]
# A step that would change the result is refused, and the schedule stays as it was. `k` runs over
# the sum, so its iterations cannot run on several threads:

# %%
fresh = tn.Schedule(f)
try:
    fresh.parallel(fresh.loops("C")[2])
except tn.ScheduleError as error:
    print(error)
else:
    raise AssertionError("a parallel sum should be refused")
assert str(fresh) == AS_WRITTEN

# %% [markdown]
# ## The numbers
#
# `tn.build` compiles a schedule as it is. A function without one gets the *default* schedule, which
# Tenon derives from the structure of its blocks; a fresh `Schedule(f)` has no steps: the naive
# loops. Arrays of NumPy go in without a copy.

# %%
naive, ours, default = tn.build(tn.Schedule(f)), tn.build(s, target), tn.build(f, target)
rng = np.random.default_rng(0)
a = rng.standard_normal((512, 512), dtype=np.float32)
b = rng.standard_normal((512, 512), dtype=np.float32)
c = ours(a, b)
print(ours.report())

# %% [markdown]
# All three agree in every bit: each element is the same chain of multiply-adds, whatever the loops
# around it. Against float64 the error is what 512 roundings of such sums may be.

# %%
assert np.array_equal(c, naive(a, b))
assert np.array_equal(c, default(a, b))
exact = a.astype(np.float64) @ b.astype(np.float64)
bound = 2 * 512 * np.finfo(np.float32).eps * (np.abs(a).astype(np.float64) @ np.abs(b))
assert (np.abs(c.numpy() - exact) <= bound).all()

for name, kernel in (("naive", naive), ("our schedule", ours), ("default", default)):
    seconds = kernel.time(a, b, num_samples=5).median
    print(f"{name:13} {2 * 512**3 / seconds / 1e9:8.1f} GF/s")

# %% [markdown]
# ## A schedule is data
#
# The trace lists the steps. As JSON it can be stored, compared, and replayed on another function:
# here on matrices of other sizes.

# %%
print(s.trace)
other = tn.Schedule(matmul(1024, 768, 512))
tn.Trace.from_json(s.trace.to_json()).replay(other)
a = rng.standard_normal((1024, 512), dtype=np.float32)
b = rng.standard_normal((512, 768), dtype=np.float32)
replayed, plain = tn.build(other, target), tn.build(tn.Schedule(matmul(1024, 768, 512)))
assert np.array_equal(replayed(a, b), plain(a, b))

# %% [markdown]
# ## Try this
#
# - Split `i` by 1 row: each vector of B that is loaded serves one multiply-add. How much slower?
# - Split `i` by 12 rows: `ours.report()` counts vector spills in the innermost loop.
# - Read `ours.assembly()`: the loop over k has mr x nr / 16 multiply-adds with AVX-512 and no
#   store.
#
# Next: `02_a_whole_network.py` compiles a sentence encoder of such kernels.
