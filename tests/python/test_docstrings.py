"""The examples in docstrings run, and every public name has a docstring."""

import doctest
import inspect

import pytest

import tenon as tn
from tenon import _variants, nn, optim, random, te, training, tuning
from tenon.nn import functional, init
from tenon.training import _fit, _step


@pytest.mark.parametrize("module", [te, random, _fit, _step, _variants], ids=lambda m: m.__name__)
def test_examples_in_docstrings_run(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_every_public_name_is_documented():
    for module in (tn, te, nn, functional, init, optim, random, training, tuning):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
                assert value.__doc__, f"{module.__name__}.{name}"


def test_the_public_names_are_those_that_are_listed():
    assert sorted(tn.__all__) == sorted(set(tn.__all__))
    assert all(hasattr(tn, name) for name in tn.__all__)
