"""Kernels of a GPU as programs: parsed, checked and interpreted without one."""

import numpy as np
import pytest

import tenon as tn

ROWS = """loop function rows[n](A: float32[n]) -> (S: float32[n // 64])
  thread for bx in 0..n // 64 on "blockIdx.x"
    alloc T: float32[64] shared
    thread for tx in 0..64 on "threadIdx.x"
      T[tx] = A[bx * 64 + tx]
      evaluate thread_barrier()
      for s in 0..6
        if tx < 32 >> s
          T[tx] = T[tx] + T[tx + (32 >> s)]
        evaluate thread_barrier()
      S[bx] = T[0] where tx == 63
"""


def test_a_kernel_runs_in_the_interpreter() -> None:
    a = np.arange(192, dtype="float32")
    np.testing.assert_array_equal(
        np.asarray(tn.interpret(tn.parse(ROWS), a)), a.reshape(3, 64).sum(1)
    )


def test_a_missing_barrier_is_found() -> None:
    kernel = tn.parse(ROWS.replace("      evaluate thread_barrier()\n", "", 1))
    with pytest.raises(tn.InternalError, match=r"race on T\[32\].*without a barrier between"):
        tn.interpret(kernel, np.ones(64, "float32"))


def test_a_divergent_barrier_breaks_a_rule() -> None:
    text = ROWS.replace("      evaluate thread", "      if tx < 8\n        evaluate thread", 1)
    with pytest.raises(tn.ExpressionError, match=r"rule 'collective': .*under 'if tx < 8'.*E0124"):
        tn.parse(text)


def test_kernels_beyond_a_limit_break_a_rule() -> None:
    with pytest.raises(tn.ExpressionError, match=r"threadIdx.x has extent 2048, at most 1024"):
        tn.parse(ROWS.replace("tx in 0..64", "tx in 0..2048"))


def test_cpus_have_no_gpu_threads() -> None:
    with pytest.raises(tn.ScheduleError, match=r"'rows' has loops bound to the threads .*E0683"):
        tn.build(tn.parse(ROWS))
