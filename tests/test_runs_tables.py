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
    assert "(none for one seed)" in runs.spread_note([found])
    assert runs.spread_tables({"gru": found, "elman": None}) == []


def test_a_seed_that_diverged_is_counted():
    """Of five, one is trimmed away; of its interval's ends one is infinite."""
    found = runs.median_and_spread([1.0, 2.0, math.nan, 3.0, 4.0])
    assert (found["iqm"], found["median"], found["max"]) == (3.0, 3.0, math.inf)
    (table,) = runs.spread_tables({"gru": found})
    assert table.rows[0][:3] == ["gru", 5, "3.0000"]
    assert str(table.rows[0][3]).endswith("diverged]")
    assert 1 <= found["interval"][0] <= 3


def test_a_table_is_written_by_its_columns():
    """What there is none of is a dash, and a row's spread has its columns."""
    spread = runs.median_and_spread([1.0, 2.0])
    rows = [{"loss": 0.25, "spread": spread}, {"loss": None, "spread": None}]
    columns = {"loss": "{loss:.1f}", "seeds": "{spread[seeds]}", **runs.SPREAD_COLUMNS}
    table = runs.written("t", rows[:1], columns)
    assert list(table.columns) == ["loss", "seeds", *runs.SPREAD]
    assert table.rows == [["0.2", "2", *runs.spread_columns(spread)]]
    assert runs.written("t", rows[1:], {"loss": "{loss:.1f}"}).rows == [["-"]]


def test_epochs_are_a_line_each():
    epoch = {"epoch": 1, "train_loss": 2.0, "valid_loss": math.log(2), "seconds": 0.25}
    row = {"parameters": 1234, "seconds_per_epoch": 0.5, "seeds": [0, 1]}
    row |= {"per_epoch": [epoch, epoch | {"epoch": 2, "valid_loss": None}]}
    table = runs.epochs_table("gru", row)
    assert table.title.startswith(
        "gru: nats and bits per symbol; 1,234 parameters, 0.5 s per epoch"
    )
    assert [list(line) for line in table.rows] == [
        ["1", "2.0000", "0.6931", "1.0000", "0.2"],
        ["2", "2.0000", "-", "-", "0.2"],
    ]
