"""Derivatives of 300 random programs: reverse mode against central differences and forward mode."""

import pytest
from derivatives import check
from random_programs import Program

NUM_PROGRAMS = 300
CHUNK = 25


# A program may use one of its inputs only.
@pytest.mark.filterwarnings("ignore:.*its derivative is zero:UserWarning")
@pytest.mark.parametrize("first", range(0, NUM_PROGRAMS, CHUNK))
def test_random_programs(first):
    unsteady = 0
    for seed in range(first, first + CHUNK):
        program = Program(seed)
        try:
            unsteady += not check(program.make, *program.arrays, kinks=True)
        except Exception as error:
            raise AssertionError(f"program {seed}") from error
    assert unsteady <= 2
