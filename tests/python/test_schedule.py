"""The Python side of schedules: arguments, handles, traces, messages with the user's line."""

import inspect
import re

import numpy as np
import pytest

import tenon as tn
from tenon import te


def matmul(m=8, n=8, k=8):
    a = te.placeholder((m, k), "float32", name="A")
    b = te.placeholder((k, n), "float32", name="B")
    r = te.reduce_axis(k, name="k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    return tn.function([a, b], [c], name="matmul")


@pytest.fixture
def s():
    return tn.Schedule(matmul())


def test_blocks_are_taken_by_handle_or_name(s):
    assert s.loops("C") == s.loops(s.block("C"))
    assert [b.name for b in s.blocks()] == ["C"]
    assert [loop.name for loop in s.loops("C")] == ["i", "j", "k"]


def test_loops_are_taken_one_by_one_or_as_a_list(s):
    i, j, _ = s.loops("C")
    s.reorder([j, i])
    assert [loop.name for loop in s.loops("C")] == ["j", "i", "k"]
    assert s.fuse(j, i) == s.loops("C")[0]


def test_an_index_map_is_a_python_function(s):
    s.cache_write("C", "global")
    s.transform_layout("C", "C_global", lambda i, j: (i // 4, j, i % 4))
    assert "C_global: float32[2, 8, 4]" in str(s)


def test_an_error_shows_the_users_line_and_leaves_the_schedule(s):
    before = str(s)
    i = s.loops("C")[0]
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(tn.ScheduleError, match=r"factors\[1\] = 0") as caught:
        s.split(i, factors=[None, 0])
    message = str(caught.value)
    assert f"test_schedule.py:{line}" in message
    assert "requires (2)" in message
    assert "s.split(i, " in message
    assert "<--- here" in message
    assert str(s) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, i: s.split(i), "the argument 'factors' is missing"),
        (lambda s, i: s.split(i, 3), "'factors' should be a list of integers and None"),
        (lambda s, i: s.split(i, [2**70, None]), "'factors' should be a list of integers"),
        (lambda s, i: s.split("i", [2, None]), "'loop' should be a loop"),
        (lambda s, i: s.split(i, [2, None], "mask", 1), "at most 3 positional arguments, got 4"),
        (lambda s, i: s.split(i, [2, None], loop=i), "'loop' is given twice"),
        (lambda s, i: s.split(i, [2, None], tails="mask"), "there is no argument 'tails'"),
        (lambda s, i: s.cache_write("D", "global"), "no block 'D' in function 'matmul'"),
        (lambda s, i: s.cache_write("C", "attic"), "attic"),
        (lambda s, i: s.loops(3), "a block or its name"),
        (lambda s, i: s.annotate(i, "key", [1]), "'value' should be an integer, float or text"),
    ],
)
def test_wrong_arguments_are_named(s, call, message):
    with pytest.raises(tn.ScheduleError, match=re.escape(message)):
        call(s, s.loops("C")[0])


def test_a_consumed_loop_names_what_replaced_it(s):
    i = s.loops("C")[0]
    s.split(i, [None, 4])
    with pytest.raises(tn.ScheduleError, match=r"'i'.*split"):
        s.unroll(i)


def test_a_copy_is_independent(s):
    copy = s.copy()
    copy.parallel(copy.loops("C")[0])
    assert "parallel" in str(copy)
    assert "parallel" not in str(s)


def test_traces_replay_through_json_on_another_size(s):
    i, j, k = s.loops("C")
    io, ii = s.split(i, factors=[None, 4])
    s.reorder(io, j, k, ii)
    s.parallel(io)
    trace = tn.Trace.from_json(s.trace.to_json())
    other = tn.Schedule(matmul(16, 4, 2))
    trace.replay(other)
    assert [loop.name for loop in other.loops("C")] == [loop.name for loop in s.loops("C")]
    assert str(trace) == str(s.trace)


def test_a_trace_that_does_not_fit_names_the_step(s):
    s.parallel(s.loops("C")[0])
    x = te.placeholder((4,), "float32", name="X")
    other = tn.Schedule(tn.function([x], [te.compute((4,), lambda i: x[i] + 1, name="C")]))
    with pytest.raises(tn.ScheduleError, match=r"\[E0273\]"):
        s.trace.replay(other)
    with pytest.raises(tn.ScheduleError, match=r"\[E0271\]"):
        tn.Trace.from_json("{")


def test_a_register_tile_as_large_as_the_tensor_is_memory():
    x = te.placeholder((4_000_000,), "float32", name="x")
    s = tn.Schedule(tn.function([x], [te.compute((4_000_000,), lambda i: x[i] * 2, name="B")]))
    s.cache_write("B", "register")
    a = np.arange(4_000_000, dtype="float32")
    np.testing.assert_array_equal(tn.build(s)(a).numpy(), a * 2)
