"""The error tree: which class is caught by which."""

import builtins
import pickle

import pytest

import tenon.errors as errors


def test_every_class_has_one_root():
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.Error)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ExpressionError", TypeError),
        ("ShapeError", ValueError),
        ("DTypeError", TypeError),
        ("IndexError", builtins.IndexError),
    ],
)
def test_classes_that_are_also_builtins(name, builtin):
    assert issubclass(getattr(errors, name), (errors.UserError, builtin))
    assert issubclass(getattr(errors, name), builtin)


def test_the_users_errors_are_neither_ours_nor_the_environments():
    assert not issubclass(errors.InternalError, errors.UserError)
    assert not issubclass(errors.ResourceError, errors.UserError)


def test_the_code_ends_the_first_line_once():
    error = errors.ModelError("E0801", "first\nhint: second")
    assert str(error) == "first [E0801]\nhint: second"
    assert error.code == "E0801"
    assert str(errors.ModelError("E0801", str(error))) == str(error)


def test_errors_cross_process_borders():
    copy = pickle.loads(pickle.dumps(errors.ShapeError("E0301", "sizes\nmore")))
    assert type(copy) is errors.ShapeError
    assert (copy.code, str(copy)) == ("E0301", "sizes [E0301]\nmore")
