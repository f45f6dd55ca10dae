"""The mutants of `python tests/mutants.py` still are what they say: code moves on under them."""

from mutants import MUTANTS, Mutant, broken


def test_every_mutant_fits_the_code():
    assert broken(MUTANTS) == []


def test_a_mutant_that_does_not_fit_is_named():
    fits = MUTANTS[0]
    assert broken([fits._replace(old="nowhere in the file")])[0].startswith(f"{fits.name}: ")
    assert "the old one" in broken([fits._replace(new=fits.old)])[0]
    assert "no Python" in broken([fits._replace(new="(")])[0]
    assert "no tests/test_none.py" in broken([fits._replace(tests="test_none.py")])[0]
    assert "2 mutants" in broken([fits, fits])[0]
    assert "0 times" in broken([Mutant("gone", "gone.py", "a", "b", "test_mutants.py", "")])[0]
