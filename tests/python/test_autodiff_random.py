"""Derivatives of random programs: reverse mode against central differences and forward mode."""

import numpy as np
import pytest
from derivatives import check, interpret, placeholders
from random_programs import Program

import tenon as tn
from tenon import te

NUM_PROGRAMS = 300
NUM_SCANS = 100
# The last ones found mistakes.
SECOND_ORDER = {False: [*range(40), 277, 1062], True: [*range(20), 198, 444, 481]}
CHUNK = 25


def check_programs(programs, max_unsteady=2):
    unsteady = 0
    for program in programs:
        try:
            unsteady += not check(program.make, *program.arrays, kinks=True)
        except Exception as error:
            raise AssertionError(f"program {program.seed}") from error
    assert unsteady <= max_unsteady


# A program may use one of its inputs only.
@pytest.mark.filterwarnings("ignore:.*its derivative is zero:UserWarning")
@pytest.mark.parametrize("first", range(0, NUM_PROGRAMS, CHUNK))
def test_random_programs(first):
    check_programs(Program(seed) for seed in range(first, first + CHUNK))


@pytest.mark.filterwarnings("ignore:.*its derivative is zero:UserWarning")
@pytest.mark.parametrize("first", range(0, NUM_SCANS, CHUNK))
def test_random_programs_with_scans(first):
    programs = (Program(seed, scans=True) for seed in range(first, first + CHUNK))
    check_programs(programs, max_unsteady=6)


@pytest.mark.filterwarnings("ignore:.*its derivative is zero:UserWarning")
@pytest.mark.parametrize("scans", [False, True])
def test_second_order_of_random_programs(scans):
    """Both modes of gradients, against central differences of these."""
    unsteady = 0
    for seed in SECOND_ORDER[scans]:
        program = Program(seed, scans)

        def gradients(*inputs, program=program):
            variables = [x for x in inputs if x.dtype == "float64"]
            return list(te.grad(total(program.make(*inputs)), variables))

        try:
            unsteady += not check(
                gradients, *program.arrays, kinks=True, tolerance=1e-5, agreement=1e-10
            )
        except Exception as error:
            raise AssertionError(f"program {seed}") from error
    assert unsteady <= 5


def total(y):
    """Sum the sines of all elements to a scalar."""
    axes = [te.reduce_axis(extent, "k") for extent in y.shape]
    if not axes:
        return te.compute((), lambda: te.sin(y[()]), name="total")
    return te.compute((), lambda: te.sum(te.sin(y[tuple(axes)]), axis=axes), name="total")


@pytest.mark.filterwarnings("ignore:.*its derivative is zero:UserWarning")
@pytest.mark.parametrize("seed", [275, 326, 481, 601, 673, 868, 1407])
def test_programs_that_found_mistakes(seed):
    """Merged axes of which one has a triangle as its domain, or leaves remainders unreached."""
    program = Program(seed, scans=True)
    check(program.make, *program.arrays, kinks=True)


def test_checks_of_indices_that_were_rewritten_are_compiled():
    program = Program(98, scans=True)
    inputs = placeholders("x", program.arrays)
    result = program.make(*inputs)
    cotangent = te.placeholder(result.shape, "float64", name="g")
    gradients = te.vjp(result, inputs[:2], cotangent)
    arrays = [*program.arrays, np.ones(result.shape)]
    kernel = tn.build(tn.function([*inputs, cotangent], list(gradients), name="f"))
    expected = interpret([*inputs, cotangent], list(gradients), arrays)
    for got, want in zip(kernel(*arrays), expected, strict=True):
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-10, atol=1e-12)
