"""The sentence encoder's network through tn.compile against the float64 reference."""

import numpy as np
import pytest
from reference_encoder import ReferenceEncoder
from tiny_model import CONFIG, tiny_weights

import tenon as tn
from tenon.models.bert_config import BertConfig
from tenon.models.bert_module import BertModule


@pytest.fixture(scope="module")
def encoder():
    config = BertConfig(**{key: CONFIG[key] for key in BertConfig.__dataclass_fields__})
    weights = {name: w for name, w in tiny_weights().items() if name in config.weight_shapes()}
    module = BertModule(config)
    module.load_state_dict(weights)
    network = tn.compile(
        module, [tn.TensorSpec(["b", "s"], "int64"), tn.TensorSpec(["b", "s"], "bool")]
    )
    return network, ReferenceEncoder(weights, config)


def batch(lengths, width):
    rng = np.random.default_rng(4)
    ids, mask = np.zeros((len(lengths), width), np.int64), np.zeros((len(lengths), width), bool)
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(2, 28, length)
        mask[row, :length] = True
    return ids, mask


def test_vectors_match_the_reference_and_padding_changes_no_bit(encoder):
    network, reference = encoder
    ids, mask = batch([16, 9, 2, 5, 1], 16)
    vectors = np.asarray(network(ids, mask))
    tokens = [list(row[keep]) for row, keep in zip(ids, mask, strict=True)]
    np.testing.assert_allclose(vectors, reference.encode_tokens(tokens), atol=2e-6)
    for row, keep in enumerate(mask):
        alone = np.asarray(network(ids[row : row + 1, keep], mask[row : row + 1, keep]))
        assert (alone[0] == vectors[row]).all()


def test_at_most_ten_kernels_a_layer_and_none_only_element_wise(encoder):
    network, _ = encoder
    layers = CONFIG["num_hidden_layers"]
    assert network.num_kernels == 7 * layers + 4
    heavy = {"linear", "attention", "layer_norm", "sum"}
    names = [name for name, *_ in network.kernels()]
    assert all(any(op in name for op in heavy) for name in names)
    assert network.num_compiled < network.num_kernels
