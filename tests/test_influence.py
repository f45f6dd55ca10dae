"""What the online styles read from a step: which numbers reach which, and products of the carry."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full, of_kinds

from jaxrnn import CELLS, Batch, Cell, elman, gru, lstm, rflo
from jaxrnn.gradients.online.influence import lay_out
from jaxrnn.gradients.online.parts import Parts, in_parts
from jaxrnn.gradients.online.products import held
from jaxrnn.gradients.sequence import flat_floats
from jaxrnn.jaxprs.reach import reach

KEY = jax.random.key(0)
T, B = 3, 2


LOOKED_UP = {  # and how many numbers of w [4, 3] a number of the result may be
    "a row": (lambda w, x: w[x], 4),
    "a column": (lambda w, x: w[:, x], 3),
    "some rows": (lambda w, x: w[jnp.stack([x, 2 * x])], 4),
    "a number": (lambda w, x: w[x, 1], 12),
    "numbers along both": (lambda w, x: w[jnp.stack([x, x + 1]), jnp.stack([x, x])], 12),
    "a block": (lambda w, x: jax.lax.dynamic_slice(w, (x, 1), (2, 3)), 4),
    "all of it": (lambda w, x: jax.lax.dynamic_slice(w, (x, 0), (4, 3)), 1),
}


@pytest.mark.parametrize("kind", mostly_full(LOOKED_UP, "some rows", "a number", "a block"))
def test_what_is_looked_up_can_be_any_of_its_axis(kind):
    """The pattern is that of all places together."""
    look_up, count = LOOKED_UP[kind]
    w = jnp.ones((4, 3))
    pattern, shape = reach(look_up, (w,), jnp.int32(0))
    places = [jax.jit(jax.jacobian(look_up))(w, jnp.int32(x)) for x in range(4)]
    seen = np.any(np.stack(places) != 0, axis=0).reshape(shape.size, w.size)
    assert (pattern.toarray() >= seen).all()
    assert pattern.nnz == shape.size * count


def step_by(way):
    """h' = keep h + tanh(x @ w_ih + h @ w_hh), the product inside of something."""

    def product(h, w):
        return {
            "itself": lambda: h @ w,
            "a scan over a product": lambda: jax.lax.scan(
                lambda s, _: (s @ w, None), h, None, length=1
            )[0],
            "a branch": lambda: jax.lax.cond(h[0] > 9, lambda h: h, lambda h: h @ w, h),
            "a derivative of its own": lambda: multiplied(h, w),
            "a backward pass of its own": lambda: multiplied_back(h, w),
            "a call": lambda: jax.jit(lambda h: h @ w)(h),
        }[way]()

    def step(params, h, x):
        h = params["keep"] * h + jnp.tanh(x @ params["w_ih"] + product(h, params["w_hh"]))
        return h, h

    return Cell(
        init=lambda key: {
            "w_ih": jax.random.normal(key, (3, 4)),
            "w_hh": jax.random.normal(key, (4, 4)),
            "keep": jnp.full(4, 0.5),
        },
        init_carry=lambda params, key: jnp.ones(4),
        step=step,
    )


@jax.custom_jvp
def multiplied(h, w):
    return h @ w


multiplied.defjvp(lambda given, d: (given[0] @ given[1], d[0] @ given[1] + given[0] @ d[1]))


@jax.custom_vjp
def multiplied_back(h, w):
    return h @ w


multiplied_back.defvjp(lambda h, w: (h @ w, (h, w)), lambda r, g: (r[1] @ g, jnp.outer(r[0], g)))


WAYS = ("a scan over a product", "a branch", "a call", "a derivative of its own")
WAYS += ("a backward pass of its own",)


@pytest.mark.full
@pytest.mark.parametrize("way", WAYS)
def test_rflo_holds_a_product_wherever_it_is(way):
    """The influence goes on by `keep` alone, as where the product is in the open."""
    inputs, found = jax.random.normal(jax.random.key(1), (T, B, 3)), []
    for each in ("itself", way):
        cell = step_by(each)
        params = cell.init(KEY)
        estimator = rflo(cell, lambda outputs, targets: outputs.sum(-1), schedule="scan")
        estimate, batch = jax.jit(estimator.estimate), Batch(inputs, inputs)
        _, carry, _ = estimate(params, estimator.init(params, KEY, B), batch)
        found.append(estimate(params, carry, batch)[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *found)
    d = jax.jacobian(lambda h: held(cell).step(params, h, inputs[0, 0])[0])(jnp.ones(4))
    np.testing.assert_allclose(d, 0.5 * np.eye(4), atol=1e-7)


def derivative(cell, params, carry, x):
    """D [C, C]."""
    flat, unravel = jax.flatten_util.ravel_pytree(carry)
    return jax.jit(
        jax.jacobian(lambda flat: flat_floats(cell.step(params, unravel(flat), x)[0], flat.dtype))
    )(flat)


@pytest.mark.parametrize("factory", mostly_full([elman, gru, lstm], elman))
def test_snap_works_out_what_it_reads_of_a_derivative(factory):
    """Right there, little elsewhere, and in backward passes that do not grow with the layer."""
    passes = []
    for size in (4, 9):
        cell = factory(3, size)
        params, x = cell.init(KEY), jnp.ones(3)
        carry = jax.tree.map(lambda a: a + 0.3, cell.init_carry(params, KEY))
        layout = lay_out(cell, cell, params, x, lambda immediate, feeds: immediate)
        passes.append(len(layout.picks))
        full, thin = (derivative(each, params, carry, x) for each in (cell, layout.local))
        read = layout.feeds[:-1, :-1]
        np.testing.assert_allclose(thin[read], full[read], rtol=1e-6)
        assert np.count_nonzero(thin) == read.sum() < full.size / 2
    assert passes[0] == passes[1] <= 2


def test_products_that_feed_one_another_are_left_whole():
    """A reset before the product, as in the paper of the gru: the way from a number to itself leads
    through all others."""

    def step(params, h, x):
        r = jax.nn.sigmoid(x @ params["w_ir"] + h @ params["w_hr"])
        h = jnp.tanh(x @ params["w_in"] + (r * h) @ params["w_hn"])
        return h, h

    names = {"w_ir": (3, 4), "w_hr": (4, 4), "w_in": (3, 4), "w_hn": (4, 4)}
    cell = Cell(
        init=lambda key: {n: jax.random.normal(key, shape) for n, shape in names.items()},
        init_carry=lambda params, key: jnp.ones(4),
        step=step,
    )
    params, x, h = cell.init(KEY), jnp.ones(3), jnp.full(4, 0.3)
    layout = lay_out(cell, cell, params, x, lambda immediate, feeds: immediate)
    full, thin = (derivative(each, params, h, x) for each in (cell, layout.local))
    np.testing.assert_allclose(np.diag(thin), np.diag(full), rtol=1e-6)


def test_a_product_of_two_vectors_reads_a_number_of_each():
    """`vmap` multiplies axes of one number with longer ones."""
    pattern, _ = reach(jax.vmap(jnp.outer), (jnp.ones((1, 2)), jnp.ones((1, 3))))
    first, second = np.repeat(np.eye(2), 3, axis=0), np.tile(np.eye(3), (2, 1))
    np.testing.assert_array_equal(pattern.toarray(), np.concatenate([first, second], axis=1))


ARRANGED = {
    "stack": (lambda a: jnp.stack([a[0], a[1]], 1), [[0, 2], [1, 3]]),
    "unstack": (lambda a: jnp.unstack(a, axis=1), [[0, 2], [1, 3]]),
    "reshape": (lambda a: jnp.reshape(a, 4, order="F"), [0, 2, 1, 3]),
    "tile": (lambda a: jnp.tile(a, (1, 2)), [[0, 1, 0, 1], [2, 3, 2, 3]]),
}


@pytest.mark.parametrize("name", ARRANGED)
def test_what_is_only_moved_reads_one_number_each(name):
    function, places = ARRANGED[name]
    pattern, _ = reach(function, (jnp.ones((2, 2)),))
    np.testing.assert_array_equal(pattern.toarray(), np.eye(4)[np.ravel(places)])


@pytest.mark.parametrize("name", mostly_full(of_kinds(CELLS), "gru", "lru"))
def test_what_can_reach_covers_what_does(name):
    cell = in_parts(CELLS[name](3, 4))
    params = cell.init(KEY)
    carry = jax.tree.map(lambda a: a + 0.3, cell.init_carry(params, KEY))
    x = jnp.ones(3)
    pattern, _ = reach(lambda *given: cell.step(*given)[0], (params, carry), x)
    flat, unravel = jax.flatten_util.ravel_pytree((params, carry))

    def new_carry(flat, x):
        params, carry = unravel(flat)
        return flat_floats(cell.step(params, carry, x)[0], flat.dtype)

    def place(key):
        return flat + jax.random.normal(key, flat.shape) / 2, jax.random.normal(key, x.shape)

    derivative = jax.jit(jax.jacobian(new_carry))
    places = [place(key) for key in jax.random.split(KEY, 4)]
    found = np.any([np.asarray(derivative(*there)) != 0 for there in places], axis=0)
    assert (pattern.toarray() >= found).all()
    # and little more, be it many or few; of a complex number both parts count where one does
    assert pattern.nnz < (2.2 if isinstance(carry, Parts) else 1.2) * found.sum()
