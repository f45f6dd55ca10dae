"""Slow solvers of the tasks, in plain Python: each is given the past alone, and says what the
answer is or that nobody can know one."""

import numpy as np

from jaxrnn.data.tasks.word_problem import elements

NOT_ASKED = None
EITHER = "either"
"""Answers that are drawn: the past says no more than a probability."""


def check_answers(solve, inputs, values, scored):
    """Of one whole sequence: the scored places are those where `solve` has an answer, and it is
    the one."""
    for t in range(len(inputs)):
        answer = solve(inputs[: t + 1].tolist(), t + 1 == len(inputs))
        assert scored[t] == (answer is not NOT_ASKED), t
        if answer is NOT_ASKED or answer is EITHER:
            continue
        if isinstance(answer, float):
            np.testing.assert_allclose(values[t], answer, atol=3e-2)
        else:
            assert values[t] == answer, t


def lag(past, ends):
    return EITHER if len(past) > 8 else NOT_ASKED


def copied(delimiter, rearranged):
    """What stands before the delimiter, rearranged, one symbol to a place behind it."""

    def solve(past, ends):
        if delimiter not in past[:-1]:
            return NOT_ASKED
        at = past.index(delimiter)
        return rearranged(past[:at])[len(past) - at - 2]

    return solve


def symbols_only(told):
    return [token - 1 for token in told if token]


def adding(past, ends):
    return sum(number for number, mark in past if mark) if ends else NOT_ASKED


def parity(past, ends):
    return past.count(1) % 2


def modular_arithmetic(past, ends):
    if past[-1] >= 5:
        return NOT_ASKED
    return eval("".join("01234+-*"[token] for token in past)) % 5


def modular_brackets(past, ends):
    if past[-1] != 10:
        return NOT_ASKED
    return eval("".join("01234+-*()"[token] for token in past[:-1])) % 5


def word(group):
    every = elements(group)

    def solve(past, ends):
        where = list(range(len(every[0])))
        for number in past:
            where = [every[number][i] for i in where]
        return every.index(tuple(where))

    return solve


def flip_flop(past, ends):
    if len(past) % 2 == 0 or past[-1] != 3:
        return NOT_ASKED
    pairs = zip(past[:-1:2], past[1::2], strict=True)
    return [bit for instruction, bit in pairs if instruction == 2][-1]


def dyck(past, ends):
    still_open = []
    for token in past:
        if token < 2:
            still_open.append(token)
        else:
            assert still_open.pop() == token - 2
    return still_open[-1] if still_open else NOT_ASKED


def recall(past, ends):
    *before, token = past
    if not 1 <= token <= 31 or token not in before:
        return NOT_ASKED
    return before[before.index(token) + 1] - 32


def induction(past, ends):
    if past.count(16) < 2:
        return NOT_ASKED
    return past[past.index(16) + 1]


def sines(past, ends):
    """A sum of two sine waves obeys x_t = a (x_{t-1} + x_{t-3}) + b x_{t-2} - x_{t-4}."""
    if len(past) < 8:
        return NOT_ASKED
    x = np.array(past)[:, 0]
    rows = np.stack([x[3:-1] + x[1:-3], x[2:-2]], axis=1)
    a, b = np.linalg.lstsq(rows, x[4:] + x[:-4], rcond=None)[0]
    return float(a * (x[-1] + x[-3]) + b * x[-2] - x[-4])


SOLVERS = {
    "lag": lag,
    "copy": copied(9, symbols_only),
    "selective_copy": copied(15, symbols_only),
    "adding": adding,
    "parity": parity,
    "modular_arithmetic": modular_arithmetic,
    "modular_brackets": modular_brackets,
    "word_s3": word("S3"),
    "word_s5": word("S5"),
    "word_a5": word("A5"),
    "flip_flop": flip_flop,
    "dyck": dyck,
    "recall": recall,
    "induction": induction,
    "reversing": copied(2, lambda told: told[::-1]),
    "sorting": copied(8, sorted),
    "sines": sines,
}
