"""config.check_numerics names the operator and the line that first made NaN or infinity."""

import numpy as np
import pytest

import tenon as tn
from tenon import nn, optim
from tenon.nn import functional as f


@pytest.fixture(autouse=True)
def checked():
    tn.config.check_numerics = True
    yield
    tn.config.check_numerics = False


def test_the_first_operator_is_named_with_its_line():
    def function(x):
        root = f.sqrt(x * 1.0)
        return f.exp(f.log(root)) + 1.0

    network = tn.compile(function, [tn.TensorSpec(("n", 3))])
    good = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(np.asarray(network(good)), 2)
    bad = good.copy()
    bad[1, 2] = 0
    line = function.__code__.co_firstlineno + 2
    message = rf"operator 'log' at .*numerics.py:{line} made -inf at \[1, 2\] of finite.*E0704"
    with pytest.raises(tn.NumericError, match=message):
        network(bad)
    bad[0, 1] = -1
    with pytest.raises(tn.NumericError, match=r"operator 'sqrt' at .* made nan at \[0, 1\]"):
        network(bad)


def test_infinities_that_are_given_are_not_made():
    network = tn.compile(
        lambda x, m: f.softmax(f.where(m, x, -np.inf)),
        [tn.TensorSpec((4,)), tn.TensorSpec((4,), "bool")],
    )
    x, m = np.arange(4, dtype=np.float32), np.array([True, False, True, True])
    assert np.asarray(network(x, m))[1] == 0
    out = np.empty(4, np.float32)
    assert network(x, m, out=out) is out
    assert out[1] == 0


def test_a_training_that_diverges_stops_before_the_update():
    x = np.full((4, 2), 1e30, np.float32)
    step = tn.train_step(nn.Linear(2, 2), nn.MSELoss(), optim.SGD(0.1))
    with pytest.raises(
        tn.NumericError, match=r"operator '\w+' at .*_losses|operator '\w+'.* made inf"
    ):
        step(x, np.zeros((4, 2), np.float32))
    assert step.num_updates == 0


def test_the_setting_is_checked():
    with pytest.raises(
        tn.UserError, match=r"check_numerics should be True or False, got 1 \[E0143\]"
    ):
        tn.config.check_numerics = 1
    assert "check_numerics=True" in repr(tn.config)


def test_functions_of_arrays_are_checked_too():
    function = tn.jit(lambda x: f.log(x).sum())
    with pytest.raises(tn.NumericError, match=r"operator 'log' at .*numerics.py:\d+ made nan"):
        function(-np.ones(3, np.float32))
    gradient = tn.grad(lambda x: f.sqrt(x).sum())
    with pytest.raises(tn.NumericError, match=r"made inf .*E0704"):
        gradient(np.zeros(3, np.float32))
    tn.config.check_numerics = False
    assert np.isnan(np.asarray(function(-np.ones(3, np.float32))))
