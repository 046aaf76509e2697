"""Schedules of whole kernels: ordinary functions over the primitives of `Schedule`.

Each takes a schedule and leaves its steps in the trace, which replays on other sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenon import Block, Loop, Schedule

__all__ = ["shared_memory_matmul", "tensor_core_matmul"]

_TILE = 16  # rows and columns of the tiles of tensor instructions
_LANES = 32
_COPY_BYTES = 16  # of one asynchronous copy


def shared_memory_matmul(
    s: Schedule,
    block: str,
    *,
    operands: tuple[str, str] = ("A", "B"),
    tile: tuple[int, int, int] = (64, 64, 16),
    threads: tuple[int, int] = (16, 16),
) -> None:
    """Schedule a float32 product for a GPU: tiles of both operands in shared memory.

    Parameters
    ----------
    s
        A schedule without bound loops.
    block
        The reduction block, with loops over rows, columns and terms.
    operands
        The buffers that it multiplies.
    tile
        Rows, columns and terms of a step of one block of threads. Sizes that they do not divide
        are guarded.
    threads
        Threads of a block along rows and columns; each divides its side of the tile.

    """
    rows, columns, terms = tile
    i, j, k = s.loops(block)
    io, it, iv = s.split(i, factors=[None, threads[0], rows // threads[0]])
    jo, jt, jv = s.split(j, factors=[None, threads[1], columns // threads[1]])
    ko, ki = s.split(k, factors=[None, terms])
    s.reorder(io, jo, it, jt, ko, ki, iv, jv)
    out = s.cache_write(block, scope="register")
    s.bind(io, "blockIdx.y")
    s.bind(jo, "blockIdx.x")
    s.bind(it, "threadIdx.y")
    s.bind(jt, "threadIdx.x")
    for name in operands:
        copy = s.cache_read(block, name, scope="shared")
        s.compute_at(copy, ko)
        _share_copy(s, copy, ["threadIdx.y", "threadIdx.x"], list(threads))
    s.reverse_compute_at(out, jt)
    init = s.decompose_reduction(block, ko)
    for part in (init, s.block(block), out):
        for loop in s.loops(part)[-2:]:
            s.unroll(loop)


def tensor_core_matmul(
    s: Schedule,
    block: str,
    *,
    operands: tuple[str, str] = ("A", "B"),
    result: str | None = None,
    dtype: str = "bf16",
    transposed: tuple[bool, bool] = (False, False),
    tile: tuple[int, int, int] = (64, 64, 32),
    warps: tuple[int, int] = (2, 2),
    stages: int = 2,
) -> None:
    """Schedule a product of bfloat16 or float16 operands for the tensor cores of a GPU.

    Tiles of the operands are copied asynchronously, `stages - 1` steps ahead, into shared memory
    with padded rows, loaded into fragments and multiplied in tiles of 16 x 16 x 16; sums are
    float32 and stay in fragments until they are stored.

    Parameters
    ----------
    s
        A schedule without bound loops. The sizes of the product are multiples of the tile.
    block
        The reduction block, with loops over rows, columns and terms, which makes float32 sums.
    operands
        The buffers that it multiplies.
    result
        The block that rounds the sums to the result; None where the sums are the result.
    dtype
        ``"bf16"`` or ``"f16"``.
    transposed
        Whether an operand lies in memory the other way round, as ``[K, M]`` or ``[N, K]``.
    tile
        Rows, columns and terms of a step of one block of threads; multiples of 16 times warps.
    warps
        Warps of a block along rows and columns.
    stages
        Versions of the tiles in shared memory; 1 copies without running ahead.

    """
    rows, columns, terms = tile
    i, j, k = s.loops(block)
    if result is None:
        out = s.cache_write(block, scope="fragment")
    else:
        s.set_scope(block, scope="fragment")
        out = s.block(result)
    io, iw, it, ii = s.split(i, factors=[None, warps[0], rows // warps[0] // _TILE, _TILE])
    jo, jw, jt, ji = s.split(j, factors=[None, warps[1], columns // warps[1] // _TILE, _TILE])
    ko, kt, ki = s.split(k, factors=[None, terms // _TILE, _TILE])
    s.reorder(io, jo, iw, jw, ko, kt, it, jt, ii, ji, ki)
    s.reverse_compute_at(out, jw)
    s.bind(io, "blockIdx.y")
    s.bind(jo, "blockIdx.x")
    s.bind(iw, "threadIdx.z")
    s.bind(jw, "threadIdx.y")
    axes, extents = ["threadIdx.z", "threadIdx.y", "threadIdx.x"], [*warps, _LANES]
    copies, loads = [], []
    for name, way in zip(operands, transposed, strict=True):
        copies.append(s.cache_read(block, name, scope="shared"))
        loads.append(s.cache_read(block, copies[-1].name, scope="fragment"))
        if way:
            s.transform_layout(loads[-1], loads[-1].name, lambda a, b: (b, a))
        s.compute_at(loads[-1], kt)
        s.compute_at(copies[-1], ko)
    for copy in copies:
        lanes = _share_copy(s, copy, axes, [*extents], _COPY_BYTES // 2)
        s.vectorize(lanes)
        s.storage_align(copy, 0, factor=_LANES, offset=8)
        s.async_copy(copy)
    init = s.decompose_reduction(block, ko)
    s.tensorize(ii, f"mma_16x16x16_{dtype}")
    for name, way, load in zip(("load_a", "load_b"), transposed, loads, strict=True):
        _tensorize_tiles(s, load, f"{name}_{'transposed_' if way else ''}{dtype}")
    *_, oi, oj = s.loops(init)[:-2]
    s.tensorize(s.loops(init)[-2], "fill_zero_f32")
    _tensorize_tiles(s, out, "store_f32" if result is None else f"store_{dtype}")
    for loop in (it, jt, oi, oj):
        s.unroll(loop)
    if stages > 1:
        s.software_pipeline(ko, stages=stages)


def _share_copy(
    s: Schedule, copy: Block, axes: list[str], extents: list[int], lanes: int = 1
) -> Loop:
    """Share the two inner loops of a copy out over threads, `lanes` elements each at a time."""
    whole = s.fuse(*s.loops(copy)[-2:])
    _, *bound, inner = s.split(whole, factors=[None, *extents, lanes])
    for loop, axis in zip(bound, axes, strict=True):
        s.bind(loop, axis)
    return inner


def _tensorize_tiles(s: Schedule, block: Block, instruction: str) -> None:
    """Make each 16 x 16 tile of the two inner loops an instruction; unroll loops over tiles."""
    i, j = s.loops(block)[-2:]
    io, ii = s.split(i, factors=[None, _TILE])
    jo, ji = s.split(j, factors=[None, _TILE])
    s.reorder(io, jo, ii, ji)
    s.tensorize(ii, instruction)
    s.unroll(io)
    s.unroll(jo)
