"""Weights from and to PyTorch, against PyTorch itself."""

import inspect
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from data_support import corpus_or_skip

from jaxrnn import CELLS, chain, clipped_adam, init_state, make_train_step, stateless, unroll
from jaxrnn.base import Batch
from jaxrnn.data import build_vocabulary
from jaxrnn.gradients import bptt
from jaxrnn.interop import (
    Names,
    from_pytorch,
    model_from_pytorch,
    model_to_pytorch,
    to_pytorch,
)
from jaxrnn.interop.pytorch import ORDERS
from jaxrnn.models import TokenModel, build_model, cross_entropy

torch = pytest.importorskip("torch")

T, B, INPUT, HIDDEN = 7, 3, 5, 4
TOLERANCE = 1e-5
CELL_NAMES = [name for name in ORDERS if name in CELLS]


def make(cell, *, num_layers=1, bias=True, bidirectional=False):
    torch.manual_seed(0)
    kinds = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
    options = {"nonlinearity": "relu"} if cell == "elman_relu" else {}
    return kinds.get(cell, torch.nn.RNN)(
        INPUT, HIDDEN, num_layers, bias=bias, bidirectional=bidirectional, **options
    )


def tensors(weights):
    return {name: torch.tensor(array) for name, array in weights.items()}


def ours(cell, layers, xs):
    """Outputs of the layers one after another, from carries of zeros."""
    model = chain(*(CELLS[cell](p.w_ih.shape[0], HIDDEN) for p in layers))
    params = {str(k): p for k, p in enumerate(layers)}
    carry = jax.vmap(model.init_carry, (None, 0))(params, jax.random.split(jax.random.key(0), B))
    return np.array(unroll(model, params, carry, jnp.array(xs))[1])


def numbers(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def drawn(cell, num_layers):
    """Params with every number drawn, biases too."""
    generator = np.random.default_rng(2)
    cells = [CELLS[cell](INPUT if k == 0 else HIDDEN, HIDDEN) for k in range(num_layers)]
    return [
        jax.tree.map(
            lambda a: jnp.array(generator.standard_normal(a.shape) / 2, a.dtype),
            made.init(jax.random.key(0)),
        )
        for made in cells
    ]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_outputs_of_a_pytorch_layer(cell, num_layers, bias):
    layer, xs = make(cell, num_layers=num_layers, bias=bias), numbers(T, B, INPUT)
    layers = from_pytorch(cell, layer.state_dict())
    assert len(layers) == num_layers
    with torch.no_grad():
        expected, _ = layer(torch.tensor(xs))
    np.testing.assert_allclose(ours(cell, layers, xs), expected.numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_outputs_of_our_layers_in_pytorch(cell, num_layers):
    layers, xs = drawn(cell, num_layers), numbers(T, B, INPUT)
    layer = make(cell, num_layers=num_layers)
    layer.load_state_dict(tensors(to_pytorch(cell, layers)))
    with torch.no_grad():
        found, _ = layer(torch.tensor(xs))
    np.testing.assert_allclose(found.numpy(), ours(cell, layers, xs), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_there_and_back_is_exact(cell):
    layers = drawn(cell, 2)
    weights = to_pytorch(cell, layers, prefix="model.rnn.")
    assert all(name.startswith("model.rnn.") for name in weights)
    back = from_pytorch(cell, weights | {"model.head": np.ones(3)}, prefix="model.rnn.")
    jax.tree.map(np.testing.assert_array_equal, back, layers)
    again = to_pytorch(cell, back, prefix="model.rnn.")
    jax.tree.map(np.testing.assert_array_equal, again, weights)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_both_directions(cell):
    layer, xs = make(cell, bidirectional=True), numbers(T, B, INPUT)
    weights = layer.state_dict()
    forward = from_pytorch(cell, weights, direction="forward")
    backward = from_pytorch(cell, weights, direction="backward")
    with torch.no_grad():
        expected, _ = layer(torch.tensor(xs))
    both = [ours(cell, forward, xs), ours(cell, backward, xs[::-1])[::-1]]
    found = np.concatenate(both, axis=-1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=TOLERANCE)
    again = to_pytorch(cell, forward, direction="forward")
    again |= to_pytorch(cell, backward, direction="backward")
    layer.load_state_dict(tensors(again))
    with torch.no_grad():
        same, _ = layer(torch.tensor(xs))
    np.testing.assert_allclose(same.numpy(), expected.numpy(), rtol=0, atol=TOLERANCE)


def test_what_comes_back_is_a_copy():
    layer = make("elman")
    (params,) = from_pytorch("elman", layer.state_dict())
    before = np.array(params.w_hh)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    np.testing.assert_array_equal(params.w_hh, before)
    assert before.any()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_params_are_float32_whatever_the_weights_are(dtype):
    """And biases of 16 bits are not rounded where they are added."""
    weights = {n: a.astype(dtype) for n, a in to_pytorch("gru", drawn("gru", 1)).items()}
    weights["bias_hh_l0"] += dtype(1 / 3)
    (params,) = from_pytorch("gru", weights)
    assert {leaf.dtype for leaf in params} == {np.dtype(np.float32)}
    exact = weights["bias_ih_l0"].astype(np.float64) + weights["bias_hh_l0"].astype(np.float64)
    np.testing.assert_array_equal(params.b[: 2 * HIDDEN], exact[: 2 * HIDDEN].astype(np.float32))


WEIGHTS = to_pytorch("lstm", drawn("lstm", 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hh_l1": None}, "weights lacks weight_hh_l1"),
        ({"bias_hh_l0": None}, "weights lacks bias_hh_l0"),
        (
            {"weight_hr_l0": np.ones((2, 4))},
            "weights hold weight_hr_l0, of an nn.LSTM with proj_size",
        ),
        ({"weight_ih_l0_reverse": np.ones((16, 5))}, "hold a second direction; give direction="),
        ({"weight_ih_l1": np.ones((12, 4))}, "weight_ih_l1 has shape (12, 4)"),
        (
            {"bias_ih_l0": np.ones(3)},
            "bias_ih_l0 has shape (3,); lstm of hidden_size 4 takes (16,)",
        ),
        ({"weight_hh_l0": np.ones((16, 4), int)}, "weight_hh_l0 has dtype int64"),
        ({"weight_ih_l0": np.float32(3)}, "weight_ih_l0 has shape (); give a matrix"),
        ({"weight_hh_l0": [[1.0], [2.0, 3.0]]}, "weight_hh_l0 is a list"),
    ],
)
def test_weights_that_do_not_fit(change, message):
    weights = {n: a for n, a in (WEIGHTS | change).items() if a is not None}
    with pytest.raises(ValueError, match=r".*") as caught:
        from_pytorch("lstm", weights)
    assert message in str(caught.value)


def test_other_refusals():
    with pytest.raises(ValueError, match=r"the weights under 'encoder\.' lacks"):
        from_pytorch("lstm", WEIGHTS, prefix="encoder.")
    with pytest.raises(ValueError, match="cell is 'gru_reset_before'; PyTorch has elman"):
        to_pytorch("gru_reset_before", [])
    with pytest.raises(ValueError, match="layers is one LSTMParams; give a list"):
        to_pytorch("lstm", drawn("lstm", 1)[0])
    with pytest.raises(ValueError, match=r"bias_ih_l0 is not zero \(up to .*give bias=True"):
        to_pytorch("lstm", drawn("lstm", 1), bias=False)
    with pytest.raises(ValueError, match="direction is 'both'; give one of single, forward"):
        # around the annotation, which tests enforce
        inspect.unwrap(from_pytorch)("lstm", WEIGHTS, direction="both")
    with pytest.raises(ValueError, match="params are LSTMParams, those of gru are GRUParams; give"):
        to_pytorch("gru", drawn("lstm", 1))
    with pytest.raises(ValueError, match="params are dict, those of lstm are LSTMParams"):
        to_pytorch("lstm", [drawn("lstm", 1)[0]._asdict()])
    members = jax.tree.map(lambda a: a[None], drawn("lstm", 1))
    with pytest.raises(ValueError, match=r"params\.w_ih has shape \(1, .*; give a matrix"):
        to_pytorch("lstm", members)
    with pytest.raises(ValueError, match=r"params\.b has shape \(3,\); lstm of hidden_size"):
        to_pytorch("lstm", [drawn("lstm", 1)[0]._replace(b=jnp.zeros(3))])
    inside = [drawn("gru", 1)[0]._replace(b=jnp.zeros(3 * HIDDEN))]
    with pytest.raises(ValueError, match="bias_hh_l0 is not zero"):
        to_pytorch("gru", inside, bias=False)


class Model(torch.nn.Module):
    """As a user of PyTorch writes it."""

    def __init__(self, vocab_size, embedding_size, hidden_size, num_layers):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab_size, embedding_size)
        self.rnn = torch.nn.LSTM(embedding_size, hidden_size, num_layers)
        self.linear = torch.nn.Linear(hidden_size, vocab_size)

    def forward(self, tokens):
        return self.linear(self.rnn(self.embedding(tokens))[0])


def torch_loss(model, tokens):
    logits = model(torch.tensor(tokens[:-1]))
    targets = torch.tensor(tokens[1:]).flatten()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets)


@pytest.mark.full
def test_a_training_goes_on_here_and_there():
    """An LSTM trained in PyTorch on a text has the same loss here, and back."""
    text = corpus_or_skip("nvidia").train
    vocabulary = build_vocabulary(text, "character")
    tokens = np.asarray(vocabulary.encode(text), np.int64)[: 33 * 32].reshape(32, 33).T
    size = vocabulary.size
    config = TokenModel(size, size, hidden_size=24, num_layers=2, embedding_size=12)
    torch.manual_seed(0)
    theirs = Model(size, 12, 24, 2)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    first = torch_loss(theirs, tokens).item()
    for _ in range(20):
        optimizer.zero_grad()
        torch_loss(theirs, tokens).backward()
        optimizer.step()
    trained = torch_loss(theirs, tokens).item()
    assert trained < first - 0.1

    # here
    params = model_from_pytorch(config, theirs.state_dict())
    model = build_model(config)
    estimator, adam = stateless(bptt(model, cross_entropy)), clipped_adam(1e-2)
    state = init_state(model, estimator, adam, jax.random.key(0), batch_size=32)._replace(
        params=params
    )
    batch = Batch(jnp.array(tokens[:-1], jnp.int32), jnp.array(tokens[1:], jnp.int32))
    train_step = jax.jit(make_train_step(estimator, adam))
    losses = []
    for _ in range(20):
        state, metrics = train_step(state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[0] == pytest.approx(trained, abs=1e-5)
    assert losses[-1] < trained - 0.1

    # and back
    theirs.load_state_dict(tensors(model_to_pytorch(config, state.params)))
    _, metrics = train_step(state, batch)
    assert torch_loss(theirs, tokens).item() == pytest.approx(float(metrics["loss"]), abs=1e-5)


CONFIG = TokenModel(6, 6, hidden_size=4, embedding_size=3, num_layers=2)
NAMES = Names("encoder", "", "decoder")


def test_a_model_there_and_back():
    # of a model just made the biases are zero
    params = jax.tree.map(lambda a: a + 1, build_model(CONFIG).init(jax.random.key(0)))
    weights = model_to_pytorch(CONFIG, params, NAMES)
    assert {"encoder.weight", "weight_ih_l1", "decoder.bias"} < weights.keys()
    jax.tree.map(np.testing.assert_array_equal, model_from_pytorch(CONFIG, weights, NAMES), params)
    del weights["decoder.bias"]  # nn.Linear(bias=False)
    assert not np.any(model_from_pytorch(CONFIG, weights, NAMES)["head"]["b"])


def test_a_model_of_one_hot_vectors():
    config = TokenModel(6, 6, hidden_size=4, cell="gru", dropout=0.5)
    params = build_model(config).init(jax.random.key(0))
    weights = model_to_pytorch(config, params)
    assert "embedding.weight" not in weights
    jax.tree.map(np.testing.assert_array_equal, model_from_pytorch(config, weights), params)


TIED = TokenModel(6, 6, hidden_size=4, embedding_size=4, tied=True)


def test_a_tied_model_has_one_matrix_under_two_names():
    params = build_model(TIED).init(jax.random.key(0))
    weights = model_to_pytorch(TIED, params)
    np.testing.assert_array_equal(weights["embedding.weight"], weights["linear.weight"])
    jax.tree.map(np.testing.assert_array_equal, model_from_pytorch(TIED, weights), params)
    weights["embedding.weight"] = weights["embedding.weight"] + 1
    with pytest.raises(
        ValueError, match=r"tied, and embedding\.weight differs from linear\.weight"
    ):
        model_from_pytorch(TIED, weights)


@pytest.mark.parametrize(
    "field",
    [
        {"connect": "residual"},
        {"dense_size": 3},
        {"connect": "skip"},
        {"zoneout": 0.1},
        {"learnt_carry": True},
        {"capitals": tuple((n, 0) for n in range(6))},
    ],
)
def test_a_model_that_a_module_would_not_compute(field):
    """It has weights that would fit, most of the time."""
    config = replace(CONFIG, embedding_size=4, **field)
    weights = model_to_pytorch(
        replace(CONFIG, embedding_size=4), build_model(CONFIG).init(jax.random.key(0))
    )
    ((name, value),) = field.items()
    message = re.escape(f"{name} of the model is {value!r:.60}, which a module of embedding")
    with pytest.raises(ValueError, match=message):
        model_to_pytorch(config, build_model(config).init(jax.random.key(0)))
    with pytest.raises(ValueError, match=message):
        model_from_pytorch(config, weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.weight": None}, "weights lacks decoder.weight"),
        ({"encoder.weight": np.ones((7, 3))}, "params['embed']['w'] has shape (7, 3); the model"),
        ({"decoder.weight": np.ones((6, 5))}, "params['head']['w'] has shape (5, 6)"),
        ({"norm.weight": np.ones(3)}, "weights holds norm.weight"),
        (
            {n: None for n in to_pytorch("lstm", drawn("lstm", 2)) if "_l1" in n},
            "weights have 1 layers under ''; num_layers of the model is 2",
        ),
    ],
)
def test_weights_of_another_model(change, message):
    weights = model_to_pytorch(CONFIG, build_model(CONFIG).init(jax.random.key(0)), NAMES)
    weights = {n: a for n, a in (weights | change).items() if a is not None}
    with pytest.raises(ValueError, match=r".*") as caught:
        model_from_pytorch(CONFIG, weights, NAMES)
    assert message in str(caught.value)
