"""Sampling: which tokens may come, how often, and after which prompts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import Cell, chain, dropout, elman, embed, generate, linear, pad_prompts
from jaxrnn.generation import AT_ONCE

KEY = jax.random.key(0)
VOCAB = 6
MODEL = chain(embed=embed(VOCAB, 3), layer=elman(3, 5), head=linear(5, VOCAB))
# far from uniform, so that contexts matter
PARAMS = jax.tree.map(lambda a: 3 * a, MODEL.init(jax.random.key(1)))
PROBABILITIES = np.array([0.4, 0.3, 0.15, 0.1, 0.05])


def fixed(probabilities) -> Cell:
    """A cell whose logits do not depend on anything."""
    logits = jnp.log(jnp.asarray(probabilities, jnp.float32))
    return Cell(
        init=lambda key: (),
        init_carry=lambda params, key: (),
        step=lambda params, carry, token: (carry, logits),
    )


def likeliest(prompt: list[int], length: int) -> list[int]:
    """Argmax after argmax, one example, no scan."""
    carry = MODEL.init_carry(PARAMS, KEY)
    step = jax.jit(MODEL.step)
    tokens = list(prompt)
    for t in range(len(prompt) + length - 1):
        carry, logits = step(PARAMS, carry, jnp.int32(tokens[t]))
        if t >= len(prompt) - 1:
            tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :]


PROMPTS = [[2], [1, 5, 0], [4, 4, 3, 1, 2], [0, 1, 2, 3, 4, 5, 0, 1]]


@functools.cache
def expected() -> list[list[int]]:
    return [likeliest(prompt, 12) for prompt in PROMPTS]


def columns(prompts: list[list[int]]):
    return tuple(map(jnp.asarray, pad_prompts(prompts)))


@pytest.mark.full
@pytest.mark.parametrize(
    "setting", [{"temperature": 0.0}, {"temperature": 1e-38}, {"top_k": 1}, {"top_p": 1e-6}]
)
def test_the_likeliest_tokens(setting):
    prompt = jnp.array(PROMPTS[1], jnp.int32)[:, None]
    tokens = generate(MODEL, PARAMS, KEY, prompt, 12, **setting)
    assert tokens.dtype == jnp.int32
    assert tokens[:, 0].tolist() == expected()[1]


def test_contexts_matter():
    assert len({tuple(tokens) for tokens in expected()}) > 2


def test_prompts_of_any_lengths_side_by_side():
    """At a temperature that is traced."""
    prompt, lengths = columns(PROMPTS)
    assert prompt.shape == (8, 4)

    @jax.jit
    def sample(temperature):
        return generate(
            MODEL, PARAMS, KEY, prompt, 12, prompt_length=lengths, temperature=temperature
        )

    assert sample(jnp.float32(0)).T.tolist() == expected()


def require_same_draws(model, params, prompt, setting):
    """Of the prompt and of the same prompt with padding behind it."""
    padded, lengths = columns(prompt.T.tolist())
    assert len(padded) > len(prompt)

    @jax.jit
    def both(prompt, padded, lengths):
        return (
            generate(model, params, KEY, prompt, 20, **setting),
            generate(model, params, KEY, padded, 20, prompt_length=lengths, **setting),
        )

    np.testing.assert_array_equal(*both(prompt, padded, lengths))


@pytest.mark.parametrize(
    "setting",
    [{"temperature": 0.7, "top_k": 3}, pytest.param({"top_p": 0.8}, marks=pytest.mark.full)],
)
def test_padding_does_not_change_what_is_drawn(setting):
    prompt = jnp.array([[1, 2], [5, 3], [0, 4]], jnp.int32)
    require_same_draws(MODEL, PARAMS, prompt, setting)


@pytest.mark.full
def test_a_stochastic_cell_is_not_disturbed_by_padding():
    """A pause keeps keys and counters as they are."""
    model = chain(embed=embed(VOCAB, 3), dropout=dropout(0.5), head=linear(3, VOCAB))
    params = model.init(KEY)
    prompt = jnp.array([[1], [5], [0]], jnp.int32)
    require_same_draws(model, params, prompt, {})


# How often. 4000 draws; each frequency within 4.5 standard deviations.


def kept(probabilities, tokens):
    """The probabilities of some tokens, renormalised; 0 for the others."""
    mask = np.isin(np.arange(len(probabilities)), tokens)
    return np.where(mask, probabilities, 0) / probabilities[mask].sum()


SETTINGS = [
    ({}, PROBABILITIES),
    ({"temperature": 0.5}, PROBABILITIES**2 / (PROBABILITIES**2).sum()),
    ({"temperature": 2.0}, PROBABILITIES**0.5 / (PROBABILITIES**0.5).sum()),
    ({"top_k": 2}, kept(PROBABILITIES, [0, 1])),
    ({"top_k": 99}, PROBABILITIES),
    ({"top_p": 1.0}, PROBABILITIES),
    ({"top_p": 0.5}, kept(PROBABILITIES, [0, 1])),
    ({"top_p": 0.69}, kept(PROBABILITIES, [0, 1])),
    ({"top_p": 0.71}, kept(PROBABILITIES, [0, 1, 2])),
    ({"top_p": 0.3}, kept(PROBABILITIES, [0])),
    # of the three likeliest, 0.85 together, the first two hold 0.82
    ({"top_k": 3, "top_p": 0.8}, kept(PROBABILITIES, [0, 1])),
    # the square roots hold 0.30, 0.26, 0.19, 0.15, 0.11
    ({"temperature": 2.0, "top_p": 0.5}, kept(PROBABILITIES**0.5, [0, 1])),
    ({"temperature": 2.0, "top_p": 0.6}, kept(PROBABILITIES**0.5, [0, 1, 2])),
]
# The temperature with the nucleus, and the likeliest few.
ONE_OF_A_KIND = (3, 12)


@pytest.mark.parametrize("number", mostly_full(range(len(SETTINGS)), *ONE_OF_A_KIND))
def test_frequencies(number):
    setting, wanted = SETTINGS[number]
    prompt = jnp.zeros((1, 40), jnp.int32)
    tokens = np.asarray(generate(fixed(PROBABILITIES), (), KEY, prompt, 100, **setting))
    counts = np.bincount(tokens.ravel(), minlength=5)
    assert counts[wanted == 0].sum() == 0
    bounds = 4.5 * np.sqrt(wanted * (1 - wanted) / tokens.size)
    assert (np.abs(counts / tokens.size - wanted) <= bounds).all()


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "old"])
def test_draws_are_categorical(kind):
    """Step by step, though the noise of several steps is drawn at once; five are no multiple."""
    key = jax.random.PRNGKey(3) if kind == "old" else jax.random.key(3, impl=kind)
    size, batch_size = 200, 64
    assert 1 < AT_ONCE // (size * batch_size) < 5
    logits = np.log(np.random.default_rng(0).dirichlet(np.ones(size)))
    prompt = jnp.zeros((1, batch_size), jnp.int32)
    found = jax.jit(lambda key: generate(fixed(np.exp(logits)), (), key, prompt, 5))(key)
    each = jnp.broadcast_to(jnp.asarray(logits, jnp.float32), (batch_size, size))
    key_draw = jax.random.split(key)[1]
    wanted = [jax.random.categorical(jax.random.fold_in(key_draw, t), each) for t in range(5)]
    np.testing.assert_array_equal(found, wanted)


def test_draws_are_independent():
    """Across samples and time steps: pairs come as often as the product says."""
    tokens = np.asarray(generate(fixed([0.5, 0.5]), (), KEY, jnp.zeros((1, 60), jnp.int32), 60))
    for a, b in ((tokens[1:], tokens[:-1]), (tokens[:, 1:], tokens[:, :-1])):
        assert abs((a == b).mean() - 0.5) < 4.5 * 0.5 / a.size**0.5


def test_the_key_decides():
    prompt, model = jnp.zeros((1, 2), jnp.int32), fixed(PROBABILITIES)
    tokens = jax.jit(
        lambda: [generate(model, (), jax.random.key(seed), prompt, 30) for seed in (0, 0, 1)]
    )
    one, again, other = (drawn.tolist() for drawn in tokens())
    assert one == again
    assert one != other


# Compiled programs


def test_a_prompt_of_a_new_length_rarely_compiles(compilations):
    @jax.jit
    def sample(prompt, prompt_length, temperature):
        model = fixed(PROBABILITIES)
        return generate(
            model, (), KEY, prompt, 5, prompt_length=prompt_length, temperature=temperature
        )

    for length in (5, 6, 7, 8):
        sample(*columns([[1] * length]), jnp.float32(1))
    assert compilations("sample") == 1
    sample(*columns([[1] * 9]), jnp.float32(1))
    assert compilations("sample") == 2


@pytest.mark.full
def test_a_traced_temperature():
    prompt, lengths = columns(PROMPTS)

    @jax.jit
    def sample(temperature):
        return generate(
            MODEL, PARAMS, KEY, prompt, 12, prompt_length=lengths, temperature=temperature
        )

    assert sample(jnp.float32(0)).T.tolist() == expected()
    by_value = generate(MODEL, PARAMS, KEY, prompt, 12, prompt_length=lengths, temperature=0.8)
    assert sample(jnp.float32(0.8)).tolist() == by_value.tolist()


# Prompts and errors


@pytest.mark.parametrize(("length", "padded"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (9, 16)])
def test_prompts_are_padded_to_powers_of_two(length, padded):
    prompt, lengths = pad_prompts([list(range(length)), [7]])
    assert prompt.shape == (padded, 2)
    assert prompt[:length, 0].tolist() == list(range(length))
    assert prompt[0, 1] == 7
    assert not prompt[length:, 0].any()
    assert lengths.tolist() == [length, 1]
    assert prompt.dtype == lengths.dtype == np.int32


@pytest.mark.parametrize("prompts", [[], [[]], [[1, 2], []]])
def test_empty_prompts(prompts):
    with pytest.raises(ValueError, match="a prompt is empty"):
        pad_prompts(prompts)


PROMPT = jnp.zeros((2, 1), jnp.int32)


@pytest.mark.parametrize(
    ("prompt", "length", "setting", "message"),
    [
        (PROMPT[:0], 5, {}, r"prompt has shape \(0, 1\)"),
        (PROMPT, 0, {}, "length is 0"),
        (PROMPT, 5, {"temperature": -1.0}, "temperature is -1.0"),
        (PROMPT, 5, {"temperature": float("nan")}, "temperature is nan"),
        (PROMPT, 5, {"temperature": float("inf")}, "temperature is inf"),
        (PROMPT, 5, {"top_k": 0}, "top_k is 0"),
        (PROMPT, 5, {"top_p": 0.0}, "top_p is 0.0"),
        (PROMPT, 5, {"top_p": 1.5}, "top_p is 1.5"),
        (PROMPT, 5, {"prompt_length": jnp.array([0])}, r"prompt_length is \[0\].* 1 to 2"),
        (PROMPT, 5, {"prompt_length": jnp.array([3])}, r"prompt_length is \[3\]"),
    ],
)
def test_nonsense_settings(prompt, length, setting, message):
    with pytest.raises(ValueError, match=message):
        generate(MODEL, PARAMS, KEY, prompt, length, **setting)
