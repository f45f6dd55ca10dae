"""Whatever optax has as a rule trains a model; what cannot says so."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.tree_util import tree_map_with_path
from optax import contrib
from tiers import mostly_full

from jaxrnn import Batch, Cell, GradientEstimator, init_state, make_train_step
from jaxrnn.base import path_name
from jaxrnn.laws.comparing import require_close
from jaxrnn.optimizers import current_learning_rate, decaying, with_learning_rate

CELL = Cell(
    init=lambda key: {"w_hh": jax.random.normal(key, (3, 3)), "w_ih": jnp.ones((2, 3))},
    init_carry=lambda params, key: (),
    step=lambda params, carry, x: (carry, x),
)
BATCH = Batch(jnp.ones((1, 2)), jnp.ones((1, 2)))
STEPS = 4


def bowl(params):
    return sum(((leaf - 0.5) ** 2).sum() for leaf in jax.tree.leaves(params))


def estimate(params, carry, batch):
    """What a gradient style gives, of a loss that compiles in no time."""
    loss, grads = jax.value_and_grad(bowl)(params)
    return grads, carry, {"loss": loss}


ESTIMATOR = GradientEstimator(lambda params, key, batch_size: (), estimate)


def recurrent(params):
    return tree_map_with_path(lambda path, _: path_name(path) == "w_hh", params)


def labels(params):
    return jax.tree.map(lambda one: "a" if one else "b", recurrent(params))


# What asks for more than gradients, counts its calls, or looks at params.
WRAPPERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "apply_if_finite": lambda: optax.apply_if_finite(optax.adam(0.1), 3),
    "chain with clipping": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.adam(0.1)),
    "ema of updates": lambda: optax.chain(optax.sgd(0.1), optax.ema(0.9)),
    "freeze": lambda: optax.chain(optax.adam(0.1), optax.freeze(recurrent(PARAMS))),
    "masked": lambda: optax.chain(optax.masked(optax.add_decayed_weights(0.1), recurrent)),
    "momo": lambda: contrib.momo(0.1),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation(),
    "MultiSteps on a plateau": lambda: optax.GradientTransformationExtraArgs(
        *optax.MultiSteps(PLATEAU, 2).gradient_transformation()
    ),
    "partition": lambda: optax.partition({"a": optax.adam(0.1), "b": optax.set_to_zero()}, labels),
    "polyak_sgd": lambda: optax.polyak_sgd(1.0),
    "reduce_on_plateau": lambda: PLATEAU,
    "schedule": lambda: optax.sgd(optax.linear_schedule(0.1, 0.0, STEPS)),
    "schedule_free": lambda: contrib.schedule_free_sgd(0.1),
}
PLATEAU = optax.chain(
    optax.sgd(3.0), contrib.reduce_on_plateau(factor=0.5, patience=1, cooldown=0, rtol=0.5)
)
PARAMS = jax.eval_shape(CELL.init, jax.random.key(0))
PLAIN = {
    **{
        name: getattr(optax, name)
        for name in (
            *("adabelief", "adadelta", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan"),
            *("amsgrad", "fromage", "lamb", "lars", "lion", "nadam", "nadamw"),
            *("novograd", "optimistic_gradient_descent", "radam", "rmsprop", "rprop", "sgd"),
            *("sign_sgd", "sm3", "yogi"),
        )
    },
    **{
        name: getattr(contrib, name)
        for name in ("acprop", "ademamix", "adopt", "muon", "momo_adam", "prodigy")
    },
}


def agrees_with_a_loop(optimizer):
    """A scan of training steps is optax's own loop, the loss given as value=."""
    train_step = make_train_step(ESTIMATOR, optimizer)

    def trained(state):
        return jax.lax.scan(lambda state, _: train_step(state, BATCH), state, length=STEPS)[0]

    @jax.jit
    def by_hand(params, opt_state):
        loss, grads = jax.value_and_grad(bowl)(params)
        update = optax.with_extra_args_support(optimizer).update
        updates, opt_state = update(grads, opt_state, params, value=loss)
        return optax.apply_updates(params, updates), opt_state

    with jax.numpy_dtype_promotion("standard"):  # optax's own
        state = init_state(CELL, ESTIMATOR, optimizer, jax.random.key(0), 2)
        after = jax.jit(trained)(state)
        params, opt_state = state.params, state.opt_state
        for _ in range(STEPS):
            params, opt_state = by_hand(params, opt_state)
    require_close("params", ("a scan", after.params), ("a loop", params), 1e-5)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), state.params, after.params)
    assert any(jax.tree.leaves(moved))
    return after


# those that train by another call, or not all params, or keep others than they show
KINDS = ("chain with clipping", "MultiSteps", "apply_if_finite", "freeze", "schedule_free")


@pytest.mark.parametrize("name", mostly_full(WRAPPERS, *KINDS))
def test_wrappers_of_optax(name):
    agrees_with_a_loop(WRAPPERS[name]())


@pytest.mark.full
@pytest.mark.parametrize("name", PLAIN)
def test_rules_of_optax(name):
    agrees_with_a_loop(PLAIN[name](learning_rate=0.05))


def test_a_plateau_is_seen():
    after = agrees_with_a_loop(PLATEAU)
    assert optax.tree.get(after.opt_state, "scale") < 1


def started(optimizer, learning_rate=None):
    return init_state(CELL, ESTIMATOR, optimizer, jax.random.key(0), 2, learning_rate)


def test_what_asks_for_more_than_the_loss_says_so():
    searching = optax.scale_by_backtracking_linesearch(3)
    unheard = optax.MultiSteps(PLATEAU, 2).gradient_transformation()  # keeps it from the inner one
    for optimizer, missing in ((searching, "value_fn"), (unheard, "value")):
        train_step = make_train_step(ESTIMATOR, optimizer)
        with pytest.raises(ValueError, match=f"did not get what it asks for .*'{missing}'"):
            jax.eval_shape(train_step, started(optimizer), BATCH)


def test_a_learning_rate_that_cannot_be_set_says_how():
    with pytest.raises(
        ValueError, match=r"learning_rate is 0\.1, and the optimizer has none"
    ) as no:
        started(optax.adam(1e-3), 0.1)
    assert len(str(no.value)) < 300
    assert "optax.inject_hyperparams(optax.adam)(learning_rate=" in str(no.value)
    followed = optax.inject_hyperparams(optax.adam)(optax.linear_schedule(0.1, 0.0, 3))
    with pytest.raises(ValueError, match="would replace it; inject what the schedule is made of"):
        started(followed, 0.1)


def peaking(learning_rate):
    schedule = optax.linear_schedule(learning_rate, 0.0, STEPS)
    return optax.chain(optax.clip_by_global_norm(0.1), optax.adam(schedule))


def test_what_a_schedule_is_made_of_can_be_swept():
    """Two members under their own peaks, as each alone; `decaying` goes around it too."""

    def trained(optimizer, rate=None):
        train_step = make_train_step(ESTIMATOR, optimizer)
        state, _ = jax.lax.scan(
            lambda state, _: train_step(state, BATCH), started(optimizer, rate), length=STEPS
        )
        return state.params

    around = functools.partial(decaying, decay="linear", training_steps=2 * STEPS)
    swept = around(optax.inject_hyperparams(peaking)(learning_rate=1.0))
    rates = jnp.array([0.05, 0.2])
    with jax.numpy_dtype_promotion("standard"):  # optax's own
        both = jax.jit(jax.vmap(functools.partial(trained, swept)))(rates)
        alone = [jax.jit(functools.partial(trained, around(peaking(r))))() for r in (0.05, 0.2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    require_close("params", ("a sweep", both), ("each alone", stacked), 1e-5)


def test_learning_rates_are_set_wherever_they_are():
    injected = optax.inject_hyperparams(optax.adam)
    two = optax.partition(
        {"a": injected(learning_rate=0.1), "b": injected(learning_rate=0.2)}, labels
    )
    state = started(two, 0.5)
    assert [rate for _, rate in optax.tree.get_all_with_path(state.opt_state, "learning_rate")] == [
        0.5,
        0.5,
    ]
    assert current_learning_rate(state.opt_state) == 0.5
    assert current_learning_rate(optax.adam(0.1).init(state.params)) is None


def test_a_param_called_like_the_learning_rate_is_none():
    params = {"learning_rate": jnp.ones(3), "fall": jnp.ones(2)}
    state = optax.inject_hyperparams(optax.adam)(learning_rate=0.1).init(params)
    state = with_learning_rate(state, 0.5)
    assert current_learning_rate(state) == 0.5
    assert optax.tree.get(state, "mu")["learning_rate"].shape == (3,)
    with pytest.raises(ValueError, match="has none in its state"):
        with_learning_rate(optax.adam(0.1).init(params), 0.5)
