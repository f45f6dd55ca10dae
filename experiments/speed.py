"""Speed: training steps of jaxrnn beside the same mathematics elsewhere.

Question:  How long does a training step take, and how long in another library?
Command:   python -m experiments.speed --case char-step
Expected:  ratio (peer's median / ours) of at least 0.95 against Flax for char-step, of at least 8
           against an eager PyTorch loop for toy-step (`pip install -e '.[peers]'`)
Run time:  about 1 minute a case on two CPU cores

All sides run in one process, in turns, after their results were seen to agree; compiling and
logging are left out. Ours is what an experiment does by default, devices chosen by size; a second
row shows it on one device.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxrnn.base import Batch, TrainState, require_positive
from jaxrnn.data import TOY, lag_sequence, streams
from jaxrnn.gradients import bptt
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.parallel import Workload, batch_parallel, choose_devices, place
from jaxrnn.runs.command import guarded, parse
from jaxrnn.runs.directory import create_run, default_run_path
from jaxrnn.runs.environment import describe_environment
from jaxrnn.runs.files import write_json
from jaxrnn.runs.report import print_table
from jaxrnn.runs.summary import write_summary
from jaxrnn.training import clipped_adagrad, clipped_adam, init_state, make_train_step


@dataclass(frozen=True)
class Config:
    """What to time."""

    case: Literal["char-step", "toy-step"] = "char-step"
    """char-step: R2RT's 3 layers of 100, batch 32, 200 steps, clip, Adam, against Flax. toy-step: 5
    steps, state 4, batch 200, Adagrad, as part of an epoch, against loops over single steps."""
    repeats: int = 15
    """Measurements of each side; medians are shown."""
    run: Path | None = None
    """Directory of the result; runs/speed/TIME if not given."""


class Side(NamedTuple):
    """One thing to time.

    Attributes:
      name: of the row.
      call: does `steps` training steps and waits for them; returns the loss of the first one.
      steps: training steps in a call.
    """

    name: str
    call: Callable[[], float]
    steps: int


class Case(NamedTuple):
    """Ours first; `missing` names the peers that are not installed."""

    shape: str
    sides: list[Side]
    missing: list[str]


def char_step() -> Case:
    """A full training step of R2RT's character model: embedding, 3 LSTM layers, head, Adam."""
    batch_size, num_steps, size, vocab_size = 32, 200, 100, 65
    model = build_model(TokenModel(vocab_size, vocab_size, "lstm", size, 3, size))
    tokens = jax.random.randint(jax.random.key(1), (num_steps + 1, batch_size), 0, vocab_size)
    batch = Batch(tokens[:-1], tokens[1:])
    params = jax.jit(model.init)(jax.random.key(0))
    sides = []
    workload = Workload(1, batch_size, num_steps, size)
    chosen = choose_devices(jax.default_backend(), jax.device_count(), workload)
    for name, count in (("jaxrnn", chosen), ("jaxrnn, one device", 1)):
        devices = jax.devices()[:count]
        estimator = batch_parallel(bptt(model, cross_entropy), devices)
        optimizer = clipped_adam(1e-4, 1.0)
        state = init_state(model, estimator, optimizer, jax.random.key(0), batch_size)
        state = _on(devices, state._replace(params=params))
        step = jax.jit(make_train_step(estimator, optimizer), donate_argnums=0)
        sides.append(Side(name, _stepping(step, state, batch), 1))
    sides.append(_flax_char_step(params, batch, size, vocab_size))
    return Case(f"B {batch_size}, T {num_steps}, H 3 x {size}", sides, [])


def _flax_char_step(params: Any, batch: Batch, size: int, vocab_size: int) -> Side:
    """The same as a Flax user writes it, on the faster of their LSTM cells."""
    from flax import linen as nn

    class Model(nn.Module):
        @nn.compact
        def __call__(self, tokens, carries):
            x = nn.Embed(vocab_size, size)(tokens)
            new = []
            for carry in carries:
                layer = nn.RNN(nn.OptimizedLSTMCell(size), time_major=True, return_carry=True)
                carry, x = layer(x, initial_carry=carry)
                new.append(carry)
            return new, nn.Dense(vocab_size)(x)

    model = Model()
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-4))
    batch_size = batch.targets.shape[1]

    def train_step(state, batch):
        params, opt_state, carries = state

        def mean_loss(params):
            new, logits = model.apply({"params": params}, batch.inputs, carries)
            return cross_entropy(logits, batch.targets).mean(), new

        (loss, carries), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, carries), {"loss": loss}

    def layer(ours):
        # ours has the gates side by side as i, f, o, g; Flax one matrix each, the bias with h
        w_ih, w_hh, b = (jnp.split(a, 4, axis=-1) for a in (ours.w_ih, ours.w_hh, ours.b))
        gates = dict(zip("ifog", zip(w_ih, w_hh, b, strict=True), strict=True))
        inputs = {f"i{gate}": {"kernel": w} for gate, (w, _, _) in gates.items()}
        return inputs | {f"h{gate}": {"kernel": w, "bias": b} for gate, (_, w, b) in gates.items()}

    theirs = {"Embed_0": {"embedding": params["embed"]["w"]}}
    theirs |= {f"OptimizedLSTMCell_{i}": layer(params[f"layer_{i + 1}"]) for i in range(3)}
    theirs["Dense_0"] = {"kernel": params["head"]["w"], "bias": params["head"]["b"]}
    carries = [(jnp.zeros((batch_size, size)), jnp.zeros((batch_size, size))) for _ in range(3)]
    state = jax.tree.map(jnp.copy, (theirs, optimizer.init(theirs), carries))
    step = jax.jit(train_step, donate_argnums=0)
    return Side("Flax", _stepping(step, state, batch), 1)


def toy_step() -> Case:
    """The toy training step inside an epoch: 5 steps, state 4, batch 200, Adagrad 0.1."""
    batch_size, num_steps, size, steps = 200, 5, 4, 1000
    model = build_model(TokenModel(2, 2, "elman", size))
    estimator, optimizer = bptt(model, cross_entropy), clipped_adagrad(0.1, None)
    sequence = lag_sequence(TOY, jax.random.key(1), batch_size * num_steps * steps)
    rows = (streams(tokens, batch_size) for tokens in sequence)
    batches = Batch(*(row.reshape(steps, num_steps, batch_size) for row in rows))
    state = init_state(model, estimator, optimizer, jax.random.key(0), batch_size)
    train_step = make_train_step(estimator, optimizer)
    epoch = jax.jit(lambda state, batches: lax.scan(train_step, state, batches))
    single = jax.jit(train_step)

    def in_an_epoch():
        _, metrics = jax.block_until_ready(epoch(state, batches))
        return float(metrics["loss"][0])

    count = 200  # a loop needs no whole epoch to be timed
    each = [jax.tree.map(lambda a, i=i: a[i], batches) for i in range(count)]

    def in_a_loop():
        current, first = state, None
        for batch in each:
            current, metrics = single(current, batch)
            first = metrics["loss"] if first is None else first
        jax.block_until_ready(current)
        assert first is not None
        return float(first)

    sides = [Side("jaxrnn", in_an_epoch, steps), Side("jitted Python loop", in_a_loop, count)]
    try:
        sides.append(Side("PyTorch eager", _torch_toy_step(state.params, each), count))
    except ImportError:
        return Case(f"B {batch_size}, T {num_steps}, H {size}", sides, ["PyTorch eager"])
    return Case(f"B {batch_size}, T {num_steps}, H {size}", sides, [])


def _torch_toy_step(params: Any, batches: list[Batch]) -> Callable[[], float]:
    """The same step as an eager PyTorch loop over time, from the same weights."""
    import torch  # pyright: ignore[reportMissingImports]

    cell, head = params["layer_1"], params["head"]
    numbers = [cell.w_ih, cell.w_hh, cell.b, head["w"], head["b"]]
    data = [
        (torch.tensor(np.asarray(inputs)), torch.tensor(np.asarray(targets), dtype=torch.int64))
        for inputs, targets in batches
    ]

    def call():
        weights = [torch.tensor(np.asarray(a), requires_grad=True) for a in numbers]
        w_ih, w_hh, b, w, b_out = weights
        optimizer = torch.optim.Adagrad(weights, lr=0.1, initial_accumulator_value=0.1, eps=1e-7)
        h = torch.zeros(data[0][0].shape[1], w_hh.shape[0])
        first = None
        for inputs, targets in data:
            h, outputs = h.detach(), []
            for x in torch.nn.functional.one_hot(inputs.long(), 2).float():
                h = torch.tanh(x @ w_ih + h @ w_hh + b)
                outputs.append(h @ w + b_out)
            logits = torch.stack(outputs).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            first = loss.item() if first is None else first
        assert first is not None
        return first

    return call


CASES: dict[str, Callable[[], Case]] = {"char-step": char_step, "toy-step": toy_step}


def _on(devices: Sequence[Any], state: TrainState) -> TrainState:
    """The state of a single training where `batch_parallel` wants it, in buffers of its own."""
    stacked = jax.tree.map(lambda a: jnp.copy(a)[None], state)
    return jax.tree.map(lambda a: a[0], place(stacked, devices))


def _stepping(step: Callable, state: Any, batch: Batch) -> Callable[[], float]:
    """Calls `step` on a state that goes on from call to call."""
    current = [state]

    def call():
        current[0], metrics = jax.block_until_ready(step(current[0], batch))
        return float(metrics["loss"])

    return call


def measure(case: Case, repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds per training step of each side, [repeats].

    Raises:
      ValueError: the sides disagree on the loss before the first update.
    """
    losses = {side.name: side.call() for side in case.sides}
    expected = losses[case.sides[0].name]
    for name, loss in losses.items():
        if not np.isclose(loss, expected, rtol=1e-4):
            raise ValueError(f"{name} has loss {loss:.6f}, ours {expected:.6f}: not the same model")
    times: dict[str, list[float]] = {side.name: [] for side in case.sides}
    for _ in range(repeats):
        for side in case.sides:
            start = time.perf_counter()
            side.call()
            times[side.name].append(1e3 * (time.perf_counter() - start) / side.steps)
    return {name: np.array(values) for name, values in times.items()}


def run(config: Config) -> None:
    require_positive(repeats=config.repeats)
    if config.repeats > 1000:
        raise ValueError(f"--repeats is {config.repeats}; give at most 1000")
    # a device per core must be asked for before JAX starts; one of them alone is the single device
    with contextlib.suppress(AttributeError, RuntimeError):  # macOS; JAX has started
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    directory = create_run(config.run or default_run_path("speed"))
    print(f"run {directory.path}", flush=True)
    write_json(directory.environment, describe_environment({}, jax.device_count()))
    start = time.perf_counter()
    case = CASES[config.case]()
    times = measure(case, config.repeats)
    ours = float(np.median(times[case.sides[0].name]))
    rows, results = [], []
    for name, values in times.items():
        low, median, high = np.percentile(values, [25, 50, 75])
        rows.append([name, f"{median:.4g}", f"{low:.4g} to {high:.4g}", f"{median / ours:.2f}"])
        results.append(
            {
                "case": config.case,
                "peer": name,
                "shape": case.shape,
                "ratio": float(median / ours),
                "ours_ms": ours,
                "peer_ms": float(median),
            }
        )
    rows += [[name, "missing", "-", "-"] for name in case.missing]
    title = f"{config.case}, {case.shape}: one training step, medians of {config.repeats}"
    print_table(["", "median (ms)", "middle half (ms)", "ratio"], rows, title=title)
    write_summary(directory, "speed", config, results[1:], [], time.perf_counter() - start)
    print(f"summary {directory.summary}")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    prog = "python -m experiments.speed"
    return guarded(lambda: run(parse(Config, prog=prog, description=__doc__ or "", argv=arguments)))


if __name__ == "__main__":
    # there is nothing to save, and an exception in the middle of XLA's compiler may crash Python
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise SystemExit(main())
