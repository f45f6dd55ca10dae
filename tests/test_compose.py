"""Cells from cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full, of_kinds

from jaxrnn import (
    CELLS,
    Cell,
    chain,
    computing_in,
    dropout,
    elman,
    embed,
    gru,
    learnt_carry,
    linear,
    lstm,
    one_hot,
    pointwise,
    reinitialised,
    resettable,
    residual,
    skip_chain,
    tied,
    unroll,
    zoneout,
)

KEY = jax.random.key(0)


def test_chain_names_its_parts():
    cell = chain(one_hot(3), gru(3, 4), head=linear(4, 2))
    params = cell.init(KEY)
    assert list(params) == list(cell.init_carry(params, KEY)) == ["0", "1", "head"]


def test_chain_is_its_parts_in_order():
    first, second = gru(3, 4), lstm(4, 5)
    cell = chain(first=first, tanh=pointwise(jnp.tanh), second=second)
    params = cell.init(KEY)
    carry = cell.init_carry(params, KEY)
    x = jax.random.normal(KEY, (3,))
    new, y = cell.step(params, carry, x)
    new_first, y_first = first.step(params["first"], carry["first"], x)
    new_second, y_second = second.step(params["second"], carry["second"], jnp.tanh(y_first))
    expected = {"first": new_first, "tanh": (), "second": new_second}
    assert jax.tree.structure((new, y)) == jax.tree.structure((expected, y_second))
    jax.tree.map(np.testing.assert_array_equal, (new, y), (expected, y_second))


def test_chain_draws_different_params_for_equal_parts():
    params = chain(elman(4, 4), elman(4, 4)).init(KEY)
    assert not jnp.allclose(params["0"].w_ih, params["1"].w_ih)


def test_chain_names_are_seen_in_profiles():
    cell = chain(encoder=linear(3, 4), tanh=pointwise(jnp.tanh))
    params = cell.init(KEY)
    carry = cell.init_carry(params, KEY)
    program = jax.jit(cell.step).lower(params, carry, jnp.ones(3)).as_text(debug_info=True)
    assert "encoder/dot_general" in program
    assert "tanh/tanh" in program


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: chain(), "chain has no cells"),
        (lambda: embed(0, 3), "vocab_size is 0"),
        (lambda: embed(3, -1), "size is -1"),
        (lambda: one_hot(0), "vocab_size is 0"),
        (lambda: linear(3, 0), "output_size is 0"),
        (lambda: gru(0, 3), "input_size is 0"),
        (lambda: lstm(3, 0), "hidden_size is 0"),
        (lambda: skip_chain(), "skip_chain has no cells"),
        (lambda: chain(gru(3, 4), **{"0": linear(3, 4)}), "chain has two cells called '0'"),
    ],
)
def test_nonsense_sizes(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("cell", [embed(5, 3), one_hot(5)])
def test_a_token_is_its_one_hot_vector(cell):
    params = cell.init(KEY)
    for token in range(5):
        _, of_token = cell.step(params, (), jnp.int32(token))
        _, of_vector = cell.step(params, (), jnp.eye(5)[token])
        np.testing.assert_allclose(of_token, of_vector, rtol=1e-6)


def test_embedding_is_normal():
    numbers = embed(100, 100).init(KEY)["w"]
    assert abs(numbers.mean()) < 0.04
    assert abs(numbers.std() - 1) < 0.04


def test_linear_begins_without_bias():
    params = linear(3, 2).init(KEY)
    assert not params["b"].any()
    _, y = linear(3, 2).step({"w": params["w"], "b": jnp.arange(2.0)}, (), jnp.ones(3))
    np.testing.assert_allclose(y, params["w"].sum(0) + np.arange(2.0, dtype=np.float32), rtol=1e-6)


def test_reinitialised_draws_matrices_and_leaves_vectors():
    cell = reinitialised(chain(lstm(3, 4), linear(4, 2)), jax.nn.initializers.constant(7.0))
    params, usual = cell.init(KEY), chain(lstm(3, 4), linear(4, 2)).init(KEY)
    for leaf, before in zip(jax.tree.leaves(params), jax.tree.leaves(usual), strict=True):
        expected = jnp.full_like(leaf, 7.0) if leaf.ndim == 2 else before
        np.testing.assert_array_equal(leaf, expected)


def test_reinitialised_gives_each_matrix_its_own_key():
    cell = reinitialised(elman(4, 4), jax.nn.initializers.normal())
    params = cell.init(KEY)
    assert not jnp.allclose(params.w_ih, params.w_hh)


@pytest.mark.parametrize("kind", [jnp.float32, jnp.float64])
def test_what_computes_in_bfloat16_gives_the_type_of_its_params(kind):
    """Under x64 too, where JAX's own float has 64 bits."""
    with jax.enable_x64(True):
        cell = computing_in(linear(3, 4), jnp.bfloat16)
        params = jax.tree.map(lambda a: a.astype(kind), cell.init(KEY))
        _, y = cell.step(params, (), jnp.ones(3, jnp.float32))
        assert y.dtype == kind
        np.testing.assert_array_equal(y, y.astype(jnp.bfloat16).astype(kind))


def test_computing_in_leaves_params_integers_and_keys():
    plain = chain(gru(3, 4), dropout(0.5), head=linear(4, 2))
    cell = computing_in(plain, jnp.bfloat16)
    params = cell.init(KEY)
    jax.tree.map(np.testing.assert_array_equal, params, plain.init(KEY))
    carry = cell.init_carry(params, KEY)
    new, y = cell.step(params, carry, jnp.ones(3))
    assert (carry["0"].dtype, new["0"].dtype, y.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)
    assert new["1"]["key"] == carry["1"]["key"] == plain.init_carry(params, KEY)["1"]["key"]
    assert (new["1"]["step"].dtype, int(new["1"]["step"])) == (jnp.int32, 1)


def test_updates_too_small_for_a_step_to_see_add_up():
    cell = computing_in(linear(1, 1), jnp.bfloat16)
    params = {"w": jnp.ones((1, 1)), "b": jnp.zeros(1)}

    def output(params):
        return cell.step(params, (), jnp.ones(1))[1][0]

    seen = []
    for _ in range(8):
        grads = jax.grad(output)(params)
        params = params | {"w": params["w"] + 0.001 * grads["w"]}
        seen.append(float(output(params)))
    assert seen[0] == 1  # 1.001 in 8 bits
    assert seen[-1] > 1


def test_a_chain_of_chains_is_a_cell():
    inner = chain(a=elman(3, 4), b=elman(4, 4))
    outer = chain(inner=inner, head=linear(4, 2))
    assert isinstance(outer, Cell)
    params = outer.init(KEY)
    assert set(params["inner"]) == {"a", "b"}


def require_equal(found, expected):
    """Trees of the same numbers, keys included."""

    def numbers(a):
        return jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a

    jax.tree.map(
        np.testing.assert_array_equal, *(jax.tree.map(numbers, t) for t in (found, expected))
    )


@pytest.mark.parametrize("name", mostly_full(of_kinds(CELLS), "gru"))
def test_residual_adds_x(name):
    cell = CELLS[name](4, 4)
    params, x = cell.init(KEY), jax.random.normal(KEY, (4,))
    carry = cell.init_carry(params, KEY)
    new, y = cell.step(params, carry, x)
    require_equal(residual(cell).step(params, carry, x), (new, x + y))


def test_residual_of_sizes_that_differ():
    cell = residual(gru(3, 4))
    params = cell.init(KEY)
    with pytest.raises(ValueError, match=r"adds x of shape \(3,\) to y of shape \(4,\)"):
        cell.step(params, cell.init_carry(params, KEY), jnp.ones(3))


# a part is not looked into: one whose carry is one array, and one with several
@pytest.mark.parametrize("name", mostly_full(of_kinds(CELLS), "elman"))
def test_skip_chain_shows_x_to_all_and_all_to_the_output(name):
    """With positional names, as `chain` has them, and params drawn as there."""
    parts = [CELLS[name](*sizes) for sizes in ((3, 4), (3 + 4, 8), (3 + 8, 4))]
    cell = skip_chain(*parts)
    params = cell.init(KEY)
    require_equal(params, chain(*parts).init(KEY))
    carry = cell.init_carry(params, KEY)
    x = jax.random.normal(KEY, (3,))
    new, y = cell.step(params, carry, x)
    outputs, below = [], x
    for n, part in enumerate(parts):
        after, below = part.step(params[str(n)], carry[str(n)], below)
        require_equal(new[str(n)], after)
        outputs.append(below)
        below = np.concatenate([x, below])
    np.testing.assert_array_equal(y, np.concatenate(outputs))


TOKENS = chain(embed=embed(5, 4), layer=gru(4, 4), head=linear(4, 5))


def test_tied_is_the_cell_with_the_transpose_in_place():
    """Its step, and its gradient: of both uses together."""
    cell = tied(TOKENS, {"embed.w": "head.w"})
    params, usual = cell.init(KEY), TOKENS.init(KEY)
    assert params["embed"] == {"w": ()}
    require_equal(params["head"], usual["head"])
    assert len(jax.tree.leaves(params)) == len(jax.tree.leaves(usual)) - 1
    carry = TOKENS.init_carry(usual, KEY)

    def output(cell, params):
        return jnp.sum(cell.step(params, carry, jnp.int32(2))[1] ** 2)

    value, grads = jax.value_and_grad(output, argnums=1)(cell, params)
    full = usual | {"embed": {"w": params["head"]["w"].T}}
    expected, apart = jax.value_and_grad(output, argnums=1)(TOKENS, full)
    assert value == expected
    both = apart["head"]["w"] + apart["embed"]["w"].T
    np.testing.assert_allclose(grads["head"]["w"], both, rtol=1e-5)
    assert apart["embed"]["w"].any()


@pytest.mark.parametrize(
    ("cell", "ties", "message"),
    [
        (
            TOKENS,
            {"embed.v": "head.w"},
            "ties name 'embed.v', and the leaves of params are embed.w",
        ),
        (TOKENS, {"embed.w": "tail.w"}, "ties name 'tail.w'"),
        (TOKENS, {"embed.w": "head.w", "head.w": "embed.w"}, "'head.w', which is itself tied"),
        (TOKENS, {"embed.w": "head.b"}, r"'embed.w' of shape \(5, 4\) .* 'head.b' of shape \(5,\)"),
        (elman(3, 4), {"w_hh": "w_ih"}, r"'w_hh' of shape \(4, 4\) .* 'w_ih' of shape \(3, 4\)"),
    ],
)
def test_ties_that_do_not_fit(cell, ties, message):
    with pytest.raises(ValueError, match=message):
        tied(cell, ties)


def test_a_learnt_carry_begins_as_the_cell_has_it():
    """Floats are params and the same for every key; a key in the carry stays each example's own."""
    usual = chain(dropout=dropout(0.5), cell=lstm(3, 4))
    cell = learnt_carry(usual)
    params = cell.init(KEY)
    assert params["carry"]["dropout"] == {"key": (), "step": ()}
    assert [leaf.shape for leaf in jax.tree.leaves(params["carry"])] == [(4,), (4,)]
    require_equal(cell.init_carry(params, KEY), usual.init_carry(params["cell"], KEY))
    moved = params | {"carry": jax.tree.map(lambda a: a + 1, params["carry"])}
    carries = [cell.init_carry(moved, jax.random.key(seed)) for seed in range(2)]
    for carry in carries:
        assert jax.tree.leaves(carry["cell"])[0].tolist() == [1.0] * 4
    assert carries[0]["dropout"]["key"] != carries[1]["dropout"]["key"]


def test_a_learnt_carry_of_complex_numbers():
    """Its parts are real params, and each is learnt."""
    begun = jnp.array([0, 1 + 2j, 3j, -1], jnp.complex64)
    usual = CELLS["lru"](3, 4)._replace(init_carry=lambda params, key: begun)
    cell = learnt_carry(usual)
    params = cell.init(KEY)
    assert (params["carry"].shape, params["carry"].dtype) == ((4, 2), jnp.float32)
    require_equal(cell.init_carry(params, KEY), usual.init_carry(params["cell"], KEY))
    parts = jax.random.normal(jax.random.key(1), (4, 2))
    moved = cell.init_carry(params | {"carry": parts}, KEY)
    assert moved.dtype == jnp.complex64
    np.testing.assert_array_equal(moved, jax.lax.complex(parts[:, 0], parts[:, 1]))

    def output(params):
        return jnp.sum(cell.step(params, cell.init_carry(params, KEY), jnp.ones(3))[1] ** 2)

    assert jax.grad(output)(params)["carry"].all()


@pytest.mark.full
@pytest.mark.parametrize("around", [learnt_carry, resettable, lambda cell: zoneout(cell, 0.5)])
def test_a_carry_of_python_numbers(around):
    """They become arrays where `unroll` makes a batch of them."""
    usual = elman(3, 4)
    counting = Cell(
        init=usual.init,
        init_carry=lambda params, key: {"h": usual.init_carry(params, key), "n": 0},
        step=lambda params, carry, x: (
            {"h": usual.step(params, carry["h"], x)[0], "n": carry["n"] + 1},
            carry["h"],
        ),
    )
    cell = around(counting)
    params = cell.init(KEY)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(KEY, 2))
    xs = jnp.ones((5, 2, 3))
    inputs = (xs, jnp.zeros((5, 2), bool)) if around is resettable else xs
    end, _ = unroll(cell, params, carry, inputs)
    counts = end["n"] if "n" in end else end["cell"]["n"]
    assert counts.tolist() == [5, 5]


def test_a_learnt_carry_is_float32_whatever_the_cell_computes_in():
    cell = learnt_carry(computing_in(gru(3, 4), jnp.bfloat16))
    params = cell.init(KEY)
    assert params["carry"].dtype == jnp.float32
    assert cell.init_carry(params, KEY).dtype == jnp.bfloat16


def test_a_learnt_carry_of_complex_numbers_has_params_of_fewer_bits():
    """As a cell of complex numbers may."""
    cell = learnt_carry(CELLS["lru"](3, 4))
    params = jax.tree.map(lambda a: (a + 1.5).astype(jnp.bfloat16), cell.init(KEY))
    carry = cell.init_carry(params, KEY)
    np.testing.assert_array_equal(carry, jnp.full(4, 1.5 + 1.5j, jnp.complex64))


def started(cell, params, batch_size):
    return jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(KEY, batch_size))


def test_resets_cut_a_stream_into_sequences():
    """Between two resets it is the cell from its initial carry, values and gradients; before the
    first, from the carry given."""
    cell = learnt_carry(elman(3, 4))
    params = jax.tree.map(lambda a: a + 0.1, cell.init(KEY))
    starts = resettable(cell)
    length, begins = 7, [[0, 3, 4], [5]]
    resets = np.zeros((length, 2), bool)
    for b, steps in enumerate(begins):
        resets[steps, b] = True
    xs, weights = (
        jax.random.normal(jax.random.key(i), (length, 2, n)) for i, n in ((1, 3), (2, 4))
    )
    given = jax.tree.map(lambda a: a + 1, started(cell, params, 2))

    @jax.value_and_grad
    def streamed(params):
        carry = started(starts, params, 2) | {"cell": given}
        return (unroll(starts, params, carry, (xs, jnp.asarray(resets)))[1] * weights).sum()

    @jax.value_and_grad
    def apart(params):
        total = jnp.zeros(())
        for b, steps in enumerate(begins):
            for first, stop in zip([0, *steps], [*steps, length], strict=True):
                own = cell.init_carry(params, KEY)
                if first not in steps:
                    own = jax.tree.map(lambda a, b=b: a[b], given)
                ys = jax.lax.scan(lambda c, x: cell.step(params, c, x), own, xs[first:stop, b])[1]
                total += (ys * weights[first:stop, b]).sum()
        return total

    found, expected = jax.jit(lambda params: [streamed(params), apart(params)])(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, expected)


def test_every_reset_has_a_key_of_its_own():
    """A cell that draws its initial carry begins elsewhere at each reset and in each sequence."""
    cell = resettable(
        Cell(
            init=lambda key: (),
            init_carry=lambda params, key: jax.random.normal(key),
            step=lambda params, carry, x: (carry, carry),
        )
    )
    resets = jnp.array([True, False, True, True])[:, None].repeat(2, 1)
    ys = jax.jit(lambda: unroll(cell, (), started(cell, (), 2), (jnp.zeros((4, 2)), resets))[1])()
    assert (ys[0] == ys[1]).all()
    assert len(np.unique(ys)) == 6


def test_a_reset_to_a_float32_carry_of_a_cell_that_computes_in_fewer_bits():
    plain = gru(3, 4)
    cell = computing_in(
        resettable(plain._replace(init_carry=lambda params, key: jnp.zeros(4))), jnp.bfloat16
    )
    params = cell.init(KEY)
    carry = cell.init_carry(params, KEY)
    new, _ = cell.step(params, carry, (jnp.ones(3), jnp.array(True)))
    assert new["cell"].dtype == carry["cell"].dtype == jnp.bfloat16
