"""Records of measured schedules: stored, looked up by builds, exported, merged, shown."""

import json
import re

import numpy as np
import pytest

import tenon as tn
from tenon import _core, nn, te, tuning
from tenon.cli import main

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    before = tn.config.tuning_dir
    tn.config.tuning_dir = tmp_path / "tuning"
    yield tmp_path / "tuning"
    tn.config.tuning_dir = before


def product(rows=24, prefix=""):
    a = te.placeholder((rows, 32), "float32", name=f"{prefix}A")
    b = te.placeholder((32, 48), "float32", name=f"{prefix}B")
    k = te.reduce_axis(32, name="k")
    c = te.compute((rows, 48), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name=f"{prefix}C")
    return tn.function([a, b], [c], name=f"{prefix}product")


def scheduled(function, width=16):
    s = tn.Schedule(function)
    i, j, k = s.loops(s.blocks()[0])
    jo, ji = s.split(j, [None, width])
    s.reorder(i, jo, k, ji)
    s.vectorize(ji)
    return s


def store(function, seconds=4e-4, width=16, **changes):
    s = scheduled(function, width)
    given = {"seconds": seconds, "default_seconds": 1e-3, "verified": "bit-equal"} | changes
    return tuning.store(function, s.trace, **given)


def line_of(report):
    return next(line.strip() for line in report.splitlines() if "schedule: " in line)


def test_a_build_uses_what_is_stored_and_its_report_says_so():
    f = product()
    assert line_of(tn.build(f).report()) == "schedule: rule contraction"
    assert line_of(tn.build(scheduled(f)).report()) == "schedule: the caller's"
    expected = tn.build(f)
    record = store(f)
    kernel = tn.build(product())
    assert line_of(kernel.report()) == f"schedule: tuned {record.date[:10]}, 2.50x"
    assert str(kernel.function) == str(scheduled(f).function)
    a = RNG.standard_normal((24, 32), dtype="float32")
    b = RNG.standard_normal((32, 48), dtype="float32")
    np.testing.assert_array_equal(kernel(a, b), expected(a, b))
    assert line_of(tn.build(product(25)).report()) == "schedule: rule contraction"


def test_names_do_not_matter():
    store(product())
    assert "tuned" in line_of(tn.build(product(prefix="my_")).report())


def test_only_verified_records_of_the_same_key_are_used():
    f = product()
    store(f, verified="no")
    assert line_of(tn.build(f).report()) == "schedule: rule contraction"
    threads = tn.config.threads
    store(f)
    try:
        tn.config.threads = threads + 1
        assert line_of(tn.build(f).report()) == "schedule: rule contraction"
        tn.config.threads = threads
        assert "tuned" in line_of(tn.build(f).report())
    finally:
        tn.config.threads = 0
    assert "tuned" not in line_of(tn.build(f, "cpu -mcpu=x86-64-v3").report())


def test_a_record_that_no_longer_fits_is_named_and_the_rule_used(folder):
    f = product()
    record = store(f)
    data = json.loads(record.text)
    data["trace"]["steps"][1]["arguments"]["factors"] = [None, 0]
    data["seconds"] = 1e-4
    _core.TuningDatabase(str(folder)).add([json.dumps(data)])
    line = line_of(tn.build(f).report())
    pattern = (
        r"schedule: rule contraction \(the stored one, tuned [-\d]+, 10.00x, does not fit: "
        r"trace: step 2 .* \[E0203\]\)"
    )
    assert re.fullmatch(pattern, line), line


def test_kernels_of_networks_and_their_deduplication():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(32, 32)
            self.second = nn.Linear(32, 32)

        def forward(self, x):
            return self.second(self.first(x))

    x = RNG.standard_normal((40, 32), dtype="float32")
    network = tn.compile(Twice(), [x])
    before = np.asarray(network(x))
    assert "  schedule: rule contraction: kernel 0\n" in network.report()
    function = network._compiled.functions[0]
    s, source = _core.rule_schedule(function, tn.Target("cpu"))
    assert source == "rule contraction"
    record = tuning.store(
        function, s.trace, seconds=1e-4, default_seconds=2e-4, verified="bit-equal"
    )
    again = tn.compile(Twice(), [x])
    assert f"  schedule: tuned {record.date[:10]}, 2.00x: kernel 0\n" in again.report()
    assert before.shape == np.asarray(again(x)).shape


def test_mirrored_schedules_give_way_to_measured_ones():
    x = te.placeholder((64, 64), "float32", name="x")
    y = te.compute((64, 64), lambda i, j: te.tanh(x[i, j]), name="y")
    g = te.placeholder((64, 64), "float32", name="g")
    forward = tn.Schedule(tn.function([x], [y]))
    gradient = tn.function([x, g], te.vjp(y, x, g))
    assert "mirrors y" in tn.mirror_schedule(forward, gradient)[1]
    s, _ = _core.rule_schedule(gradient, tn.Target("cpu"))
    tuning.store(gradient, s.trace, seconds=1e-4, default_seconds=2e-4, verified="bit-equal")
    schedule, report = tn.mirror_schedule(forward, gradient)
    assert re.fullmatch(r"all blocks: tuned [-\d]+, 2.00x\n", report)
    assert str(schedule) == str(s)


def test_records_export_and_merge(tmp_path):
    store(product(), 4e-4)
    best = store(product(), 2e-4, width=8)
    other = store(product(30), 3e-4)
    assert {r.text for r in tuning.records(best=True)} == {best.text, other.text}
    assert len(tuning.records()) == 3
    assert best.speedup == 5
    assert best.threads == tn.config.threads
    assert tuning.export(tmp_path / "all.jsonl") == (3, [])
    assert tuning.export(tmp_path / "best.jsonl", best=True) == (2, [])
    tn.config.tuning_dir = tmp_path / "elsewhere"
    assert tuning.records() == []
    assert tuning.merge(tmp_path / "best.jsonl") == (2, 0, [])
    assert tuning.merge([tmp_path / "best.jsonl", tmp_path / "all.jsonl"]) == (1, 4, [])
    assert "tuned" in line_of(tn.build(product()).report())
    table = tuning.show()
    assert table.startswith(f"2 records in {tmp_path / 'elsewhere'}\n")
    assert "24x32 32x48 -> 24x48" in table
    assert "5.00x" in table
    assert f"measured on {_core.machine_class()}" in table
    # Every line of a file is JSON.
    for line in (tmp_path / "all.jsonl").read_text().splitlines():
        assert {"length", "crc32c"} < set(json.loads(line))


def test_what_is_damaged_is_named(tmp_path):
    store(product())
    store(product(30))
    tuning.export(tmp_path / "x.jsonl")
    content = bytearray((tmp_path / "x.jsonl").read_bytes())
    content[content.rindex(b"bit-equal")] ^= 1
    (tmp_path / "x.jsonl").write_bytes(content)
    tn.config.tuning_dir = tmp_path / "elsewhere"
    report = tuning.merge(tmp_path / "x.jsonl")
    assert (report.num_added, report.num_known) == (1, 0)
    assert re.fullmatch(
        r".*x.jsonl, line 3 \(offset \d+\): the checksum does not hold; the record is lost",
        report.damage[0],
    )
    (tmp_path / "x.jsonl").write_bytes(content[:1000])
    assert "the end of the file is missing" in tuning.merge(tmp_path / "x.jsonl").damage[-1]


def test_bad_input_is_refused(tmp_path):
    f = product()
    with pytest.raises(tn.CacheError, match=r"times should be positive.*\[E1200\]"):
        store(f, float("nan"))
    with pytest.raises(tn.UserError, match=r"verified should be .* got 'maybe' \[E1231\]"):
        store(f, verified="maybe")
    with pytest.raises(tn.UserError, match=r"at least one file \[E1232\]"):
        tuning.merge([])
    with pytest.raises(tn.UserError, match=r"tuning_dir should be a path or None, got 3 \[E1230\]"):
        tn.config.tuning_dir = 3
    (tmp_path / "text").write_text("hello\n")
    with pytest.raises(tn.CacheError, match=r"is no file of tuning records \[E1201\]"):
        tuning.merge(tmp_path / "text")
    with pytest.raises(tn.ResourceError, match=r"cannot read .*none.*\[E1203\]"):
        tuning.merge(tmp_path / "none")
    with pytest.raises(tn.ResourceError, match=r"cannot write .*\[E1220\]"):
        tuning.export(tmp_path / "none" / "x")
    tn.config.tuning_dir = None
    assert tn.config.tuning_dir is None
    assert tuning.show() == "0 records in nowhere: tuning is off"
    with pytest.raises(tn.CacheError, match=r"tuning is off.*\[E1225\]"):
        store(f)


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_line(capsys, tmp_path):
    record = store(product())
    path = tmp_path / "x.jsonl"
    assert run(capsys, "tune", "show") == (0, tuning.show() + "\n", "")
    shown = json.loads(run(capsys, "tune", "show", "--all", "--json")[1])
    assert shown["records"][0]["speedup"] == record.speedup
    assert "s.split(" in shown["records"][0]["trace"]
    assert run(capsys, "tune", "export", path) == (0, f"wrote 1 records to {path}\n", "")
    tn.config.tuning_dir = tmp_path / "elsewhere"
    code, out, err = run(capsys, "tune", "merge", path, path)
    assert (code, err) == (0, "")
    assert out == f"1 records added, 1 known, to {tmp_path / 'elsewhere'}\n"
    path.write_bytes(path.read_bytes()[:-9])
    code, out, err = run(capsys, "tune", "merge", path)
    assert code == 1
    assert err.startswith("damaged: ")
    code, _, err = run(capsys, "tune", "export", tmp_path / "none" / "x")
    assert code == 2
    assert "does not exist [E1028]" in err
    code, _, err = run(capsys, "tune", "frob")
    assert code == 2
    assert "invalid choice: 'frob'" in err
    assert "tenon tune show" in run(capsys, "tune", "show", "--help")[1]
