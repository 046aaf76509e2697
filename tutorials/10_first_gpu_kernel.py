# %% [markdown]
# # A first GPU kernel
#
# **Question.** A GPU starts tens of thousands of threads at once. A matrix product gives each of
# them an element, and is slow all the same: what do the threads wait for, and what helps?
#
# Three schedules of one product answer: a thread an element, tiles in shared memory, tensor
# instructions. Each is printed, interpreted, and compiled without a GPU; one that is there runs it.
#
# Run it: `python tutorials/10_first_gpu_kernel.py [sm_90a]`, after `pip install nvidia-cuda-nvrtc`.

# %%
import sys
import time

import numpy as np

import tenon as tn
from tenon import te

target = tn.Target("cuda -arch=" + (sys.argv[1] if len(sys.argv) > 1 else "sm_80"))
rng = np.random.default_rng(0)


def matmul(n, dtype="float32"):
    a = te.placeholder((n, n), dtype, name="A")
    b = te.placeholder((n, n), dtype, name="B")
    k = te.reduce_axis(n, name="k")
    c = te.compute((n, n), lambda i, j: te.sum(a[i, k] * b[k, j], k, dtype="float32"), name="C")
    return tn.function([a, b], [c], name="matmul")


# %% [markdown]
# ## A thread for each element
#
# Threads come in *blocks*, blocks in a *grid*, with axes x and y. `bind` makes a loop such a
# coordinate: the loop is gone, each thread does the one iteration that is its own.
#
#     for io, jo: blocks             # 16 x 16 threads each
#       for ii, ji: threads          # an element each
#         for k: C[i, j] += A[i, k] * B[k, j]


# %%
def naive(n):
    s = tn.Schedule(matmul(n))
    i, j, _ = s.loops("C")
    axes = ("blockIdx.y", "blockIdx.x", "threadIdx.y", "threadIdx.x")
    for loop, axis in zip(s.tile(i, j, 16, 16), axes, strict=True):  # io, jo, ii, ji
        s.bind(loop, axis)
    return s


print(naive(64))

# %% [markdown]
# `tn.build` lowers the schedule, writes CUDA C++ and compiles it. `kernel.loops` is the last form
# before the text; memory is flat there. The interpreter runs its threads in step, and reports
# races, barriers that not all threads reach, and reads of what no thread wrote.


# %%
def check(make, dtype="float32"):
    kernel = tn.build(make(64), target)
    a, b = (rng.standard_normal((64, 64)).astype(dtype) for _ in range(2))
    c = tn.interpret(kernel.loops, a.ravel(), b.ravel()).numpy().reshape(64, 64)
    np.testing.assert_allclose(c, a.astype("float64") @ b.astype("float64"), rtol=1e-4, atol=1e-4)
    print(kernel.report())
    return kernel, kernel.cuda_source()


kernel, source = check(naive)
print(source)
assert "fmaf(A[io * 1024 + ii * 64 + k], B[k * 64 + jo * 16 + ji]," in source

# %% [markdown]
# The text says what is wrong: a multiply-add reads two numbers from global memory, and C is read
# and written there as well. The 16 threads of a row all fetch the same A.
#
# ## Tiles in shared memory
#
# A block has a small memory of its own, *shared* by its threads. The block copies a 16 x 16 tile of
# A and of B, one number a thread, and each number serves 16 threads. The sum stays in the thread.
#
#     for io, jo: blocks
#       for ii, ji: threads, with c = 0
#         for ko:                    # tiles along k
#           A_shared[ii, ji] = A[i, ko * 16 + ji]
#           B_shared[ii, ji] = B[ko * 16 + ii, j]
#           for ki in 0..16: c += A_shared[ii, ki] * B_shared[ki, ji]
#         C[i, j] = c


# %%
def shared(n):
    s = naive(n)
    out = s.cache_write("C", scope="local")  # the sum, in memory of the thread
    *_, ji, k = s.loops("C")
    ko, _ = s.split(k, factors=[None, 16])
    s.reverse_compute_at(out, ji)
    s.decompose_reduction("C", ko)  # zeroing moves before the loop
    for operand in ("A", "B"):
        copy = s.cache_read("C", operand, scope="shared")
        s.compute_at(copy, ko)
        *_, row, column = s.loops(copy)
        s.bind(row, "threadIdx.y")  # the axes of ii and ji: the threads share the copying
        s.bind(column, "threadIdx.x")
    return s


kernel, source = check(shared)
print(source)
assert source.count("__syncthreads();") == 2
assert "C_local[0] = fmaf(A_shared[ii * 16 + ki], B_shared[ki * 16 + ji], C_local[0]);" in source

# %% [markdown]
# Nobody wrote a barrier. Lowering puts one where a thread meets what another wrote: before the tile
# is read, and before the next tile overwrites it.
#
# ## Tensor instructions
#
# A multiply-add still reads two numbers. Tensor instructions take whole tiles: the 32 threads of a
# *warp* hold tiles of 16 x 16 in their registers, *fragments*, and multiply two of them at once.
# Operands are float16 or bfloat16, sums float32.
#
#     for i0, j0: blocks             # 64 x 32 elements
#       for i1 in 0..4: warps        # 16 x 32 elements, two tiles of C
#         for k0:                    # 32 terms; the next tiles of A and B are on their way already
#           for k1 in 0..2:          # load a tile of A, two of B
#             C[0], C[1] += A B[0], A B[1]


# %%
def tensorize(s, block, instruction):
    *_, row, column = s.loops(block)
    ro, co, ri, _ = s.tile(row, column, 16, 16)
    s.unroll(ro)  # registers have no index
    s.unroll(co)
    s.tensorize(ri, instruction)  # refused unless the loops below do what the instruction does


def tensor(n):
    s = tn.Schedule(matmul(n, "float16"))
    out = s.cache_write("C", scope="fragment")
    i, j, k = s.loops("C")
    i0, i1, i2 = s.split(i, factors=[None, 4, 16])
    j0, j1, j2 = s.split(j, factors=[None, 2, 16])
    k0, k1, k2 = s.split(k, factors=[None, 2, 16])
    s.reorder(i0, j0, i1, k0, k1, j1, i2, j2, k2)
    for loop, axis in ((i0, "blockIdx.y"), (j0, "blockIdx.x"), (i1, "threadIdx.y")):
        s.bind(loop, axis)
    s.reverse_compute_at(out, i1)
    for operand, load in (("A", "load_a_f16"), ("B", "load_b_f16")):
        copy = s.cache_read("C", operand, scope="shared")
        fragment = s.cache_read("C", copy.name, scope="fragment")
        s.compute_at(fragment, k1)
        s.compute_at(copy, k0)
        *_, row, column = s.loops(copy)
        part, lanes = s.split(column, factors=[4, 8])
        s.bind(s.split(row, factors=[None, 32])[1], "threadIdx.x")
        s.bind(part, "threadIdx.y")
        s.vectorize(lanes)  # 16 bytes a thread
        s.storage_align(copy, axis=0, factor=32, offset=8)  # rows begin in different banks
        s.async_copy(copy)
        tensorize(s, fragment, load)
    zero = s.decompose_reduction("C", k0)
    for loop in (k1, j1, s.loops(zero)[-3]):
        s.unroll(loop)
    s.tensorize(i2, "mma_16x16x16_f16")
    s.tensorize(s.loops(zero)[-2], "fill_zero_f32")
    tensorize(s, out, "store_f32")
    s.software_pipeline(k0, stages=2)  # tiles of step k0 + 1 are copied while k0 multiplies
    return s


kernel, source = check(tensor, "float16")
print(kernel.loops, source)
assert str(kernel.loops).count("thread_barrier()") == 1
assert "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" in source

# %% [markdown]
# ## On the device
#
# Arrays have to lie there; nothing is moved silently. A call returns when its kernel is done.

# %%
try:
    for make, dtype in ((naive, "float32"), (shared, "float32"), (tensor, "float16")):
        a, b = (tn.asarray(rng.standard_normal((2048, 2048)).astype(dtype)) for _ in range(2))
        kernel, x, y = tn.build(make(2048), target), a.to("cuda"), b.to("cuda")
        c = kernel(x, y)
        np.testing.assert_allclose(c.to("cpu"), np.float32(a) @ np.float32(b), atol=1e-2)
        start = time.perf_counter()
        kernel(x, y, out=c)
        print(f"{make.__name__}: {2 * 2048**3 / (time.perf_counter() - start) / 1e9:.0f} GF/s")
except tn.ResourceError as error:
    print(error)

# %% [markdown]
# **Try this.** Copy A with scope `local` in `shared`: which step refuses, and why?
