"""Choices that schedules leave open, from Python."""

import numpy as np
import pytest

import tenon as tn
from tenon import _core, te
from tenon._operator_suite import operators


def product(m, n, k):
    a, b = te.placeholder((m, k), "float32", "A"), te.placeholder((k, n), "float32", "B")
    r = te.reduce_axis(k, "k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], r), name="C")
    return tn.function([a, b], [c])


def test_samples_take_what_is_wanted_and_show_it():
    s = tn.Schedule(product(12, 32, 8))
    s.use_decisions({"rows": [6]})
    j = s.loops("C")[1]
    assert s.sample_categorical("rows", [4, 6, 8], 4) == 6
    assert s.sample_tile("j", j, 2, preferred=[4, 8]) == [4, 8]
    assert s.sample_compute_location("place", "C") == -1
    s.split(j, s.sample_tile("again", j, 2))
    rows, tile, place, _ = s.decisions
    assert (rows.name, rows.kind, rows.value, rows.preferred) == ("rows", "categorical", [6], [4])
    assert rows.options == [[4], [6], [8]]
    assert (tile.kind, place.kind) == ("tile", "compute_location")
    assert repr(tile) == "<tenon.Decision j = [4, 8]>"
    # The trace is a program that makes the same schedule and the same decisions.
    t = tn.Schedule(product(12, 32, 8))
    exec(s.trace.to_python(), {"s": t})
    assert str(t) == str(s)
    assert [d.value for d in t.decisions] == [d.value for d in s.decisions]


def test_values_that_are_no_options_are_refused():
    s = tn.Schedule(product(12, 32, 8))
    with pytest.raises(tn.ScheduleError, match=r"preferred value of 'rows' .* \[E1402\]"):
        s.sample_categorical("rows", [4, 6], 5)
    s.use_decisions({"rows": [5]})
    with pytest.raises(tn.ScheduleError, match=r"the decision \[5\] for 'rows' .* \[E1403\]"):
        s.sample_categorical("rows", [4, 6], 4)
    with pytest.raises(tn.ScheduleError, match=r"'options' should be a list .* \[E0241\]"):
        s.sample_categorical("rows", "abc", 4)
    target = tn.Target("cpu")
    with pytest.raises(tn.ScheduleError, match=r"\[999\] for 'C.rows' .* \[E1403\]"):
        _core.rule_schedule_with(product(33, 70, 17), target, {"C.rows": [999]})


@pytest.mark.parametrize("operator", operators()[::7], ids=lambda o: o.name)
def test_rules_without_decisions_write_the_default(operator):
    target = tn.Target("cpu")
    default, _ = _core.rule_schedule(operator.function, target)
    point = _core.rule_schedule_with(operator.function, target, {})
    assert str(point) == str(default)
    assert point.decisions
    assert not default.decisions


def test_decided_rules_compute_the_same():
    f, target = product(33, 70, 17), tn.Target("cpu")
    a = np.random.default_rng(1).standard_normal((33, 17)).astype(np.float32)
    b = np.random.default_rng(2).standard_normal((17, 70)).astype(np.float32)
    default = tn.build(_core.rule_schedule_with(f, target, {}))(a, b)
    decided = _core.rule_schedule_with(f, target, {"C.rows": [3], "C.unroll_terms": [4]})
    assert str(decided) != str(_core.rule_schedule(f, target)[0])
    got = tn.build(decided)(a, b)
    assert np.asarray(got).tobytes() == np.asarray(default).tobytes()
