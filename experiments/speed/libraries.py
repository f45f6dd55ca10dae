"""One LSTM or GRU layer of each library, as its users write it, on our weights.

Every function takes a cell's name and our params and returns a `Layer`. The libraries differ in the
order of gates, in where the biases stand and in the order of axes; `back` brings their gradients
into our form again.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from experiments.speed.measuring import Unsuitable


class Layer(NamedTuple):
    """A library's layer that runs on JAX.

    Attributes:
      params: ours in the library's form.
      forward: `(params, xs) -> ys`, from a carry of zeros.
      back: gradients of `params` in the form of ours.
      batch_axis: 1 where xs is [T, B, I], 0 where it is [B, T, I].
    """

    params: Any
    forward: Callable[[Any, jax.Array], jax.Array]
    back: Callable[[Any], Any]
    batch_axis: int


def reorder(matrix: Any, order: tuple[int, ...]) -> Any:
    """The blocks of columns of `matrix` in another order."""
    numpy = np if isinstance(matrix, np.ndarray) else jnp
    blocks = numpy.split(matrix, len(order), axis=-1)
    return numpy.concatenate([blocks[k] for k in order], axis=-1)


# i, f, o, g to i, f, g, o (PyTorch, Keras, Equinox), which is its own inverse
LAST_TWO = (0, 1, 3, 2)


def flax_layer(name: str, params: Any) -> Layer:
    """Flax linen, on the faster of its LSTM cells."""
    from flax import linen as nn

    hidden_size = params.w_hh.shape[0]
    cells = {"lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}
    # the layout that needs no transposes; the default has the batch first
    layer = nn.RNN(cells[name](hidden_size), time_major=True)
    gates = "ifog" if name == "lstm" else "rzn"

    def join(grads, prefix, part):
        return jnp.concatenate([grads[f"{prefix}{gate}"][part] for gate in gates], axis=-1)

    def back(grads):
        grads = grads["cell"]
        w_ih, w_hh = join(grads, "i", "kernel"), join(grads, "h", "kernel")
        if name == "lstm":
            return params._replace(w_ih=w_ih, w_hh=w_hh, b=join(grads, "h", "bias"))
        b, b_hn = join(grads, "i", "bias"), grads["hn"]["bias"]
        return params._replace(w_ih=w_ih, w_hh=w_hh, b=b, b_hn=b_hn)

    return Layer({"cell": flax_params(name, params)}, flax_forward(layer), back, 1)


def flax_forward(layer: Any) -> Callable[[Any, jax.Array], jax.Array]:
    """`apply` of an nn.RNN as `(params, xs) -> ys`."""
    return lambda params, xs: layer.apply({"params": params}, xs)


def flax_params(name: str, ours: Any) -> dict[str, Any]:
    """Our columns as Flax's one matrix for each gate. The bias is with h in its LSTM, with x in its
    GRU."""
    gates = "ifog" if name == "lstm" else "rzn"
    w_ih, w_hh, b = (
        dict(zip(gates, jnp.split(a, len(gates), axis=-1), strict=True))
        for a in (ours.w_ih, ours.w_hh, ours.b)
    )
    from_x = {f"i{gate}": {"kernel": w_ih[gate]} for gate in gates}
    from_h = {f"h{gate}": {"kernel": w_hh[gate]} for gate in gates}
    for gate in gates:
        (from_h[f"h{gate}"] if name == "lstm" else from_x[f"i{gate}"])["bias"] = b[gate]
    if name == "gru":
        from_h["hn"]["bias"] = ours.b_hn
    return from_x | from_h


def haiku_layer(name: str, params: Any) -> Layer:
    """dm-haiku. Its LSTM adds 1 to the forget gate, and has one matrix for x and h."""
    import haiku as hk  # pyright: ignore[reportMissingImports]

    if name != "lstm":
        raise Unsuitable("its GRU resets before the matmul, ours after it: not the same function")
    input_size, hidden_size = params.w_ih.shape[0], params.w_hh.shape[0]

    def unrolled(xs):
        core = hk.LSTM(hidden_size)
        ys, _ = hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))
        return ys

    model = hk.without_apply_rng(hk.transform(unrolled))
    order, inverse = (0, 3, 1, 2), (0, 2, 3, 1)  # i, f, o, g to i, g, f, o and back
    plus_one = params.b.at[hidden_size : 2 * hidden_size].add(-1)
    w = reorder(jnp.concatenate([params.w_ih, params.w_hh]), order)
    theirs = {"lstm/linear": {"w": w, "b": reorder(plus_one, order)}}

    def back(grads):
        w, b = (reorder(grads["lstm/linear"][part], inverse) for part in "wb")
        return params._replace(w_ih=w[:input_size], w_hh=w[input_size:], b=b)

    return Layer(theirs, model.apply, back, 1)


def equinox_layer(name: str, params: Any) -> Layer:
    """Equinox: a cell of one example in a scan, and vmap over the batch."""
    import equinox as eqx  # pyright: ignore[reportMissingImports]

    input_size, hidden_size = params.w_ih.shape[0], params.w_hh.shape[0]
    kind = {"lstm": eqx.nn.LSTMCell, "gru": eqx.nn.GRUCell}[name]
    cell = kind(input_size, hidden_size, key=jax.random.key(0))

    def arrange(a):
        return reorder(a, LAST_TWO) if name == "lstm" else a

    weights = [arrange(params.w_ih).T, arrange(params.w_hh).T, arrange(params.b)]
    if name == "gru":
        weights.append(params.b_hn)

    def places(cell):
        found = [cell.weight_ih, cell.weight_hh, cell.bias]
        return found if name == "lstm" else [*found, cell.bias_n]

    def one_example(cell, xs):
        zeros = jnp.zeros(hidden_size)

        def step(carry, x):
            carry = cell(x, carry)
            return carry, carry[0] if name == "lstm" else carry

        return jax.lax.scan(step, (zeros, zeros) if name == "lstm" else zeros, xs)[1]

    def back(grads):
        w_ih, w_hh, *biases = places(grads)
        grads = [arrange(w_ih.T), arrange(w_hh.T), arrange(biases[0]), *biases[1:]]
        return type(params)(*grads)

    theirs = eqx.tree_at(places, cell, weights)
    return Layer(theirs, jax.vmap(one_example, in_axes=(None, 0)), back, 0)


def keras_layer(name: str, params: Any) -> Layer:
    """Keras 3 on JAX, called without state as inside a jitted training step."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras  # pyright: ignore[reportMissingImports]

    if keras.backend.backend() != "jax":
        raise Unsuitable(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=jax")
    input_size, hidden_size = params.w_ih.shape[0], params.w_hh.shape[0]
    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[name]
    layer = kind(hidden_size, return_sequences=True)
    layer.build((None, None, input_size))
    # Keras has the gates of its GRU as z, r, n
    order = LAST_TWO if name == "lstm" else (1, 0, 2)
    w_ih, w_hh, b = (reorder(a, order) for a in (params.w_ih, params.w_hh, params.b))
    if name == "gru":  # one bias with x and one with h
        b = jnp.stack([b, jnp.zeros_like(b).at[2 * hidden_size :].set(params.b_hn)])
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def forward(weights, xs):
        return layer.stateless_call(weights, fixed, xs)[0]

    def back(grads):
        w_ih, w_hh, b = (reorder(a, order) for a in grads)
        if name == "lstm":
            return params._replace(w_ih=w_ih, w_hh=w_hh, b=b)
        return params._replace(w_ih=w_ih, w_hh=w_hh, b=b[0], b_hn=b[1, 2 * hidden_size :])

    return Layer([w_ih, w_hh, b], forward, back, 0)


def cudnn_layer(name: str, params: Any) -> Layer:
    """NVIDIA's fused LSTM through `jax.experimental.rnn`, which has no GRU."""
    if name != "lstm":
        raise Unsuitable("jax.experimental.rnn has an LSTM alone")
    if jax.default_backend() != "gpu":
        raise Unsuitable("it runs on NVIDIA's GPUs alone")
    from jax.experimental import rnn

    input_size, hidden_size = params.w_ih.shape[0], params.w_hh.shape[0]
    sizes = (input_size, hidden_size, 1, 0.0, False)

    def forward(weights, xs):
        zeros = jnp.zeros((1, xs.shape[0], hidden_size))
        lengths = jnp.full(xs.shape[0], xs.shape[1], jnp.int32)
        ys, *_ = cast(Any, rnn.lstm)(xs, zeros, zeros, weights, lengths, *sizes)
        return ys

    return Layer(cudnn_weights(params), forward, lambda grads: cudnn_back(params, grads), 0)


def cudnn_weights(params: Any) -> jax.Array:
    """Our LSTM's weights as cuDNN's one vector: gates i, f, g, o, and a bias with x and with h."""
    w_ih, w_hh, b = (reorder(a, LAST_TWO) for a in (params.w_ih, params.w_hh, params.b))
    return jnp.concatenate([w_ih.T.ravel(), w_hh.T.ravel(), b, jnp.zeros_like(b)])


def cudnn_back(params: Any, flat: Any) -> Any:
    """The way back; each bias has the gradient of their sum."""
    ends = np.cumsum([params.w_ih.size, params.w_hh.size, params.b.size])
    w_ih, w_hh, b, _ = np.split(np.asarray(flat), ends)
    w_ih, w_hh = w_ih.reshape(-1, len(params.w_ih)).T, w_hh.reshape(-1, len(params.w_hh)).T
    return type(params)(*(reorder(a, LAST_TWO) for a in (w_ih, w_hh, b)))


def torch_layer(name: str, params: Any) -> tuple[Any, Callable[[], Any]]:
    """PyTorch's fused layer, and its gradients in the form of ours once they were taken."""
    import torch  # pyright: ignore[reportMissingImports]

    input_size, hidden_size = params.w_ih.shape[0], params.w_hh.shape[0]
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[name](input_size, hidden_size)

    def arrange(a):
        return reorder(np.asarray(a), LAST_TWO) if name == "lstm" else np.asarray(a)

    # one bias with x and one with h
    b = arrange(params.b)
    b_h = np.zeros_like(b)
    if name == "gru":
        b_h[2 * hidden_size :] = params.b_hn
    ours = [arrange(params.w_ih).T, arrange(params.w_hh).T, b, b_h]
    with torch.no_grad():
        for weight, value in zip(layer.parameters(), ours, strict=True):
            weight.copy_(torch.tensor(value))

    def back():
        w_ih, w_hh, b, b_h = (weight.grad.cpu().numpy() for weight in layer.parameters())
        grads = {"w_ih": arrange(w_ih.T), "w_hh": arrange(w_hh.T), "b": arrange(b)}
        if name == "gru":
            grads["b_hn"] = b_h[2 * hidden_size :]
        return type(params)(**grads)

    return layer, back


JAX_LIBRARIES: dict[str, Callable[[str, Any], Layer]] = {
    "cuDNN": cudnn_layer,
    "Flax": flax_layer,
    "Haiku": haiku_layer,
    "Equinox": equinox_layer,
    "Keras": keras_layer,
}
