"""The matmul of tutorial 01, with the schedule that its reader writes."""

import tenon as tn
from tenon import te


def matmul_function(m: int, n: int, k: int) -> "tn.Function":
    """Return ``C[i, j] = sum over k of A[i, k] * B[k, j]`` as a naive loop nest."""
    a = te.placeholder((m, k), "float32", name="A")
    b = te.placeholder((k, n), "float32", name="B")
    r = te.reduce_axis(k, name="k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    return tn.function([a, b], [c], name="matmul")


def hand_schedule(function: "tn.Function", parallel: bool = False) -> "tn.Schedule":
    """Return the function with panels of B and a tile that stays in registers over all of k."""
    s = tn.Schedule(function)
    i, j, k = s.loops("C")
    panel = s.cache_read("C", "B", scope="global")
    rows, columns = tn.Target("cpu").register_tile("float32")
    io, ii = s.split(i, factors=[None, rows], tail="balance")
    jo, ji = s.split(j, factors=[None, columns])
    s.reorder(jo, io, k, ii, ji)
    out = s.cache_write("C", scope="register")
    s.reverse_compute_at(out, io)
    s.compute_at(panel, jo)
    s.vectorize(s.loops(panel)[-1])
    s.vectorize(ji)
    s.unroll(ii)
    *_, oi, oj = s.loops(out)
    s.vectorize(oj)
    s.unroll(oi)
    s.decompose_reduction("C", k)
    if parallel:
        s.parallel(jo)
    return s
