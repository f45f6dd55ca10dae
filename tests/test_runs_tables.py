"""What several seeds are shown as, wherever they are."""

import math

from jaxrnn import runs
from jaxrnn.analysis.coverage import covers


def test_several_seeds_are_an_interquartile_mean_with_what_its_interval_covers():
    found = runs.median_and_spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found["iqm"], found["median"], found["min"], found["max"]) == (3, 3, 1, 5)
    low, high = found["interval"]
    assert 1 < low < 3 < high < 5
    assert found["covers"] == covers(5)
    columns = dict(zip(runs.SPREAD, runs.spread_columns(found), strict=True))
    assert columns == {
        "IQM": "3.0000",
        "interval": f"[{low:.4f}, {high:.4f}]",
        "median": "3.0000",
        "lowest": "1.0000",
        "highest": "5.0000",
    }
    assert f"covers {100 * covers(5):.0f} % at 5 seeds" in runs.spread_note([found])


def test_a_single_seed_has_no_interval_and_no_table():
    found = runs.median_and_spread([1.5])
    assert (found["iqm"], found["interval"], found["covers"]) == (1.5, None, None)
    assert runs.spread_columns(found)[1] == "-"
    assert "no interval of one seed" in runs.spread_note([found])
    assert runs.spread_tables({"gru": found, "elman": None}) == []


def test_a_seed_that_diverged_is_counted():
    """Of five, one is trimmed away; of its interval's ends one is infinite."""
    found = runs.median_and_spread([1.0, 2.0, math.nan, 3.0, 4.0])
    assert (found["iqm"], found["median"], found["max"]) == (3.0, 3.0, math.inf)
    (table,) = runs.spread_tables({"gru": found})
    assert table.rows[0][:3] == ["gru", 5, "3.0000"]
    assert str(table.rows[0][3]).endswith("diverged]")
    assert 1 <= found["interval"][0] <= 3
