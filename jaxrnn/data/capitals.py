"""Capitals as lower-cased characters with a flag."""

from jaxrnn.data.vocabulary import Vocabulary


def capital_table(vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    """Of each symbol the id of its lower-cased form, and 1 where that is another symbol, else 0.

    The lower-cased forms have ids of their own, in the order of the vocabulary. Only what can be
    told from form and flag is lower-cased, so that no two symbols meet: not "İ", whose lower case
    is two characters, nor the Kelvin sign, whose lower case is that of K.
    """
    forms = [_lower(symbol) for symbol in vocabulary.symbols]
    ids = {form: i for i, form in enumerate(dict.fromkeys(forms))}
    return tuple(
        (ids[form], int(form != symbol))
        for form, symbol in zip(forms, vocabulary.symbols, strict=True)
    )


def _lower(symbol: str) -> str:
    lower = symbol.lower()
    return lower if lower.upper() == symbol else symbol
