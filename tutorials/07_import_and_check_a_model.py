# %% [markdown]
# # Import and check a model
#
# **Question.** A model comes as an ONNX file, from any framework. Will it run here, all of it, for
# every batch size? It is better to know before the first image than at the hundredth.
#
# Run it: `python tutorials/07_import_and_check_a_model.py`.

# %%
import tempfile
from pathlib import Path

import numpy as np
import onnx

import tenon as tn
import tenon.nn.functional as F

# %% [markdown]
# ## A file
#
# Here Tenon writes one itself: `tn.onnx.export` takes what `tn.compile` takes. The batch size has a
# name, so that it stays open in the file as well.


# %%
class Classifier(tn.nn.Module):
    def __init__(self):
        self.hidden = tn.nn.Linear(16, 32)
        self.norm = tn.nn.LayerNorm(32)
        self.scores = tn.nn.Linear(32, 4)

    def forward(self, x):
        y = F.gelu(self.hidden(x))
        return F.softmax(self.scores(self.norm(y)))


classifier = Classifier().initialize(seed=0)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "classifier.onnx"
tn.onnx.export(classifier, path, [tn.TensorSpec(["batch", 16])], output_names=["probabilities"])
onnx.checker.check_model(path, full_check=True)
rng = np.random.default_rng(0)
print(f"{path.name}: {path.stat().st_size} bytes")

# %% [markdown]
# ## Check
#
# `tn.check` reads the model as an import does and says of every operator whether it is one of
# Tenon's (*native*), several (*decomposed*), or *unsupported*, with the reason. Nothing is
# compiled. On the command line: `tenon check classifier.onnx`.

# %%
report = tn.check(path)
print(report)
assert report.is_supported

# %% [markdown]
# A model with an operator that nobody knows is refused, and the report names it; the rest is judged
# all the same.

# %%
model = onnx.load(path)
model.graph.node.insert(0, onnx.helper.make_node("Sharpen", ["x"], ["sharp"]))
strange = Path(folder.name) / "strange.onnx"
onnx.save(model, strange)
report = tn.check(strange)
assert not report.is_supported
assert [r.name for r in report.operators if r.status == "unsupported"] == ["Sharpen"]
try:
    tn.compile(tn.onnx.load(strange))
    raise AssertionError("the model was taken")
except tn.UnsupportedError as error:
    print(error)

# %% [markdown]
# ## Compile and run
#
# What `tn.onnx.load` returns is compiled as a module is. One network serves every batch: the named
# dimension is a symbol.

# %%
network = tn.compile(tn.onnx.load(path))
original = tn.compile(classifier, [tn.TensorSpec(["batch", 16])])
for batch in (1, 3, 100):
    x = rng.standard_normal((batch, 16)).astype("float32")
    probabilities = np.asarray(network(x))
    assert probabilities.shape == (batch, 4)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(probabilities, original(x), rtol=1e-4, atol=1e-6)
assert network.result_names == ["probabilities"]
print(network.report())

# %% [markdown]
# ## Fixed sizes
#
# A size that is known can be given: shapes that depend on it become constants, and what does not
# fit is an error with names.

# %%
fixed = tn.compile(tn.onnx.load(path, sizes={"batch": 2}))
assert fixed(x[:2]).shape == (2, 4)
try:
    fixed(x)
    raise AssertionError("100 rows were taken for 2")
except tn.ShapeError as error:
    print(error)
folder.cleanup()
