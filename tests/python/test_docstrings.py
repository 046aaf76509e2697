"""The examples in docstrings run, and every public name has a docstring."""

import doctest

import tenon as tn
from tenon import te


def test_examples_in_docstrings_run():
    assert doctest.testmod(te).failed == 0


def test_every_public_name_is_documented():
    for module in (tn, te):
        for name in module.__all__:
            value = getattr(module, name)
            assert name == "__version__" or value.__doc__, f"{module.__name__}.{name}"


def test_the_public_names_are_those_that_are_listed():
    assert sorted(tn.__all__) == sorted(set(tn.__all__))
    assert all(hasattr(tn, name) for name in tn.__all__)
