"""Models that count how often each token followed each context."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from jaxrnn.base import require_positive

Tokens = Integer[np.ndarray, " N"]
Nodes = Int[np.ndarray, " nodes"]


class Counts(NamedTuple):
    """Every n-gram of a text up to a length, as a trie in sorted arrays.

    Node 0 is the empty n-gram. The others stand level by level, and within a level by parent and
    then by last token, so that `keys` ascend: one binary search finds a child whatever its level,
    and the children of a node are neighbours.

    Attributes:
      vocab_size: V; all tokens are below it.
      context: the longest context C; n-grams have up to C + 1 tokens.
      keys: parent * V + last token; -1 for node 0.
      occurrences: how often the n-gram occurs.
      followed: how often a token followed it.
      first: the first of its children, and behind the last node where all end.
    """

    vocab_size: int
    context: int
    keys: Nodes
    occurrences: Nodes
    followed: Nodes
    first: Nodes


class CountModel(NamedTuple):
    """What counts say of the next token.

    Attributes:
      counts: of the text it was made of.
      context: how many tokens it reads back at most.
      nats: `tokens [N] -> [N]`, what each token costs after those before it, infinite where its
        probability is 0. The first tokens have shorter contexts.
      probabilities: `path -> [V]`, of the token after a `path` of the counts.
    """

    counts: Counts
    context: int
    nats: Callable[[Tokens], Float[np.ndarray, " N"]]
    probabilities: Callable[[Nodes], Float[np.ndarray, " V"]]


def count(tokens: Tokens, vocab_size: int, context: int) -> Counts:
    """Counts every n-gram of up to `context` + 1 tokens, with one sort of the text for each length.

    Raises:
      ValueError: a context below 0, no tokens, or one outside the vocabulary.
    """
    require_positive(vocab_size=vocab_size)
    if context < 0:
        raise ValueError(f"context is {context}; give a number of tokens, at least 0")
    if not len(tokens):
        raise ValueError("tokens is empty; give at least one")
    _check_tokens(vocab_size, tokens)
    nodes = np.zeros(len(tokens), np.int64)  # of the n-gram that starts at each token
    keys, there = [np.array([-1])], 1
    occurrences = [np.array([len(tokens)], np.int32)]
    for length in range(1, min(context + 1, len(tokens)) + 1):
        starts = len(tokens) - length + 1
        found, inverse, times = np.unique(
            nodes[:starts] * vocab_size + tokens[length - 1 :],
            return_inverse=True,
            return_counts=True,
        )
        nodes = there + inverse
        keys.append(found)
        occurrences.append(times.astype(np.int32))
        there += len(found)
    every, times = np.concatenate(keys), np.concatenate(occurrences)
    parents = every[1:] // vocab_size
    kinds = np.bincount(parents, minlength=there)
    return Counts(
        vocab_size=vocab_size,
        context=context,
        keys=every,
        occurrences=times,
        followed=np.bincount(parents, weights=times[1:], minlength=there).astype(np.int32),
        first=1 + np.concatenate([[0], np.cumsum(kinds)]),
    )


def unsmoothed(counts: Counts, context: int) -> CountModel:
    """How often the token followed the whole context: P(w | h) = c(h w) / c(h).

    What never followed has probability 0. Of a context that was never seen the counts say nothing,
    and `nats` are infinite there too; but `probabilities`, from which something is to be drawn, are
    then those of the longest end of the context that was seen.
    """
    _check_context(counts, context)

    def mix(times, followed, kinds, shorter):
        return times / np.maximum(followed, 1)

    def probabilities(path):
        longest = [node for node in path[: context + 1] if _has_children(counts, node)][-1]
        tokens, times = _next_tokens(counts, longest)
        found = np.zeros(counts.vocab_size)
        found[tokens] = times / times.sum()
        return found

    return CountModel(counts, context, lambda x: _nats(counts, context, mix, x), probabilities)


def witten_bell(counts: Counts, context: int) -> CountModel:
    """Contexts of every length mixed, the shorter the fewer kinds of tokens followed the longer:

        P(w | h) = (c(h w) + T(h) P(w | h')) / (c(h) + T(h))

    with T(h) the number of different tokens that followed h, and h' = h without its first token.
    Below the empty context all V tokens are equally likely; a context that was never seen leaves
    the decision to the shorter one.

    Reference: Witten and Bell (1991), method C, https://doi.org/10.1109/18.87000; interpolated as
    in Chen and Goodman (1998), section 2.6
    """
    _check_context(counts, context)

    def mix(times, followed, kinds, shorter):
        mixed = (times + kinds * shorter) / np.maximum(followed + kinds, 1)
        return np.where(followed > 0, mixed, shorter)

    def probabilities(path):
        found = np.full(counts.vocab_size, 1 / counts.vocab_size)
        for node in path[: context + 1]:
            if _has_children(counts, node):
                tokens, times = _next_tokens(counts, node)
                total = times.sum() + len(times)
                found *= len(times) / total
                found[tokens] += times / total
        return found

    return CountModel(counts, context, lambda x: _nats(counts, context, mix, x), probabilities)


def path(counts: Counts, tokens: Sequence[int] | Tokens) -> Nodes:
    """The nodes of the last 0, 1, ... C of `tokens`, all that a model looks at; -1 for an n-gram
    that was never seen, or longer than `tokens`."""
    nodes = np.full(counts.context + 1, -1)
    nodes[0] = 0
    for token in tokens[max(len(tokens) - counts.context, 0) :]:
        nodes = extend(counts, nodes, int(token))
    return nodes


def extend(counts: Counts, path: Nodes, token: int) -> Nodes:
    """The path after one token more."""
    return np.concatenate([path[:1], _children(counts, path[:-1], np.int64(token))])


def write(
    model: CountModel,
    prompt: Sequence[int] | Tokens,
    length: int,
    *,
    temperature: float,
    random: np.random.Generator,
) -> Int[np.ndarray, " length"]:
    """`length` tokens after the prompt, drawn from P(w)**(1 / temperature); at 0 the likeliest.

    Raises:
      ValueError: a length below 1, or a temperature below 0.
    """
    require_positive(length=length)
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature is {temperature}; give 0 (the likeliest token) or more")
    nodes, found = path(model.counts, prompt), np.empty(length, np.int64)
    for i, number in enumerate(random.random(length)):
        weights = model.probabilities(nodes)
        if temperature:
            weights = (weights / weights.max()) ** (1 / temperature)
            total = np.cumsum(weights)
            found[i] = np.searchsorted(total, number * total[-1], side="right")
        else:
            found[i] = weights.argmax()
        nodes = extend(model.counts, nodes, int(found[i]))
    return found


def _nats(counts, context, mix, tokens):
    """-log P of every token, from the empty context to the longest."""
    _check_tokens(counts.vocab_size, tokens)
    found, nodes = np.full(len(tokens), 1 / counts.vocab_size), np.zeros(len(tokens), np.int64)
    for length in range(min(context, len(tokens) - 1) + 1):
        # nodes: of the contexts of this length, by their starts; the last has no token behind it
        nodes = nodes[: len(tokens) - length]
        behind = _children(counts, nodes, tokens[length:])
        seen = nodes >= 0
        found[length:] = mix(
            np.where(behind >= 0, counts.occurrences[behind], 0),
            np.where(seen, counts.followed[nodes], 0),
            np.where(seen, counts.first[nodes + 1] - counts.first[nodes], 0),
            found[length:],
        )
        nodes = behind
    with np.errstate(divide="ignore"):
        return -np.log(found)


def _children(counts, nodes, tokens):
    """The node behind each node and token; -1 where there is none, or the node is -1."""
    keys = nodes * counts.vocab_size + tokens
    places = np.minimum(np.searchsorted(counts.keys, keys), len(counts.keys) - 1)
    return np.where((nodes >= 0) & (counts.keys[places] == keys), places, -1)


def _has_children(counts, node):
    return node >= 0 and counts.first[node + 1] > counts.first[node]


def _next_tokens(counts, node):
    """The tokens that followed an n-gram, and how often each did."""
    some = slice(counts.first[node], counts.first[node + 1])
    return counts.keys[some] - node * counts.vocab_size, counts.occurrences[some]


def _check_tokens(vocab_size, tokens):
    outside = (tokens < 0) | (tokens >= vocab_size)
    if np.any(outside):
        raise ValueError(
            f"tokens holds {tokens[outside][0]}; give tokens from 0 to {vocab_size - 1}"
        )


def _check_context(counts, context):
    if not 0 <= context <= counts.context:
        raise ValueError(f"context is {context}; give 0 to {counts.context}, as far as was counted")
