"""Options behind a cell's name: `delta_net(eigenvalues=-1..1)`."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_support import summary

from experiments import battery, char
from experiments.battery.config import setting_name
from jaxrnn import runs
from jaxrnn.cell_files import cell_file, cell_name, check_cells, find_cell
from jaxrnn.cell_options import outside_brackets, with_options
from jaxrnn.cells import cfc, delta_net
from jaxrnn.runs.places import from_anywhere
from jaxrnn.runs.sweep.points import sweep_points
from jaxrnn.sizes import parameters_of, size_by_parameters, size_by_seconds, smallest_size

KEY = jax.random.key(0)
OWN = """
from typing import Optional
from jaxrnn import elman


def scaled(input_size, hidden_size, scale=1.0, *, kind: Optional[int] = None, exact=False):
    cell = elman(input_size, hidden_size)

    def step(params, h, x):
        h, y = cell.step(params, h, x)
        return h, scale * y * (kind or 1) * (0 if exact else 1)

    return cell._replace(step=step)
"""


@pytest.mark.parametrize(
    ("name", "called", "same"),
    [
        ("cfc(time_step=0.5)", "cfc(time_step=0.5)", cfc(3, 4, time_step=0.5)),
        (
            "delta_net( eigenvalues = [-1, 1], heads=2 )",
            "delta_net(eigenvalues=-1..1,heads=2)",
            delta_net(3, 4, 2, "[-1, 1]"),
        ),
        ("delta_net()", "delta_net", delta_net(3, 4)),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_options_go_to_the_factory(name, called, same):
    cell = find_cell(name)(3, 4)
    params = same.init(KEY)
    carry = jax.tree.map(lambda a: a + 0.5, same.init_carry(params, KEY))
    ours, theirs = (one.step(params, carry, jnp.ones(3))[1] for one in (cell, same))
    np.testing.assert_array_equal(ours, theirs)
    assert cell_name(name) == called
    assert cell_name(called) == called
    assert cell_file(name) is None
    assert inspect.getdoc(find_cell(name)) == inspect.getdoc(find_cell(called.split("(")[0]))


def test_options_of_a_cell_of_ones_own(tmp_path):
    """In a folder with brackets; types are those of defaults where none is written."""
    folder = tmp_path / "a (1)"
    folder.mkdir()
    (folder / "own.py").write_text(OWN)
    name = f"{folder / 'own.py'}:scaled"

    def output(options):
        cell = find_cell(name + options)(3, 4)
        params = cell.init(KEY)
        return cell.step(params, cell.init_carry(params, KEY), jnp.ones(3))[1]

    np.testing.assert_allclose(output("(scale=2,kind=3)"), 6 * output(""), rtol=1e-6)
    np.testing.assert_array_equal(output("(exact=true,kind=None)"), jnp.zeros(4))
    assert cell_file(name + "(scale=2)") == folder / "own.py"
    assert cell_name(name + "(scale=2)") == "scaled(scale=2)"
    with pytest.raises(ValueError, match=r"exact is 2; give true or false"):
        find_cell(name + "(exact=2)")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gru(heads=2)", "cell gru(heads=2): there is no option heads; it has reset"),
        ("min_gru(heads=2)", "cell min_gru(heads=2): there is no option heads; it has none"),
        ("gru(reset=after,reset=before)", "has reset twice; give it once"),
        ("gru(reset=never)", "reset is never; give after or before"),
        ("delta_net(eigenvalues=-1)", "eigenvalues is -1; give 0..1 or -1..1"),
        ("delta_net(heads=x)", "heads is x; give a whole number"),
        ("lru(r_min=nan)", "r_min is nan; give a number"),
        ("delta_net(4)", "'4' is no option with a value; give NAME(OPTION=VALUE,...)"),
        ("delta_net(heads=1/2)", "'heads=1/2' is no option with a value"),
        ("delta_net(heads=3)", "cell delta_net(heads=3): heads is 3; give a number that divides"),
        ("grux(heads=3)", "cell 'grux(heads=3)' is not known; give one of elman"),
    ],
)
def test_what_is_no_option_is_refused_in_one_line(name, said):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        find_cell(name)(3, 4)
    assert "\n" not in str(error.value)


def test_cells_that_differ_by_their_options_are_two():
    check_cells(["delta_net", "delta_net(eigenvalues=-1..1)"])
    with pytest.raises(ValueError, match=r"holds delta_net\(eigenvalues=-1..1\) 2 times"):
        check_cells(["delta_net(eigenvalues=-1..1)", "delta_net(eigenvalues=[-1, 1])"])


def test_commas_in_brackets_divide_nothing():
    assert outside_brackets("a(b=1,c=[2,3]),d),e,") == ["a(b=1,c=[2,3])", "d)", "e", ""]
    with pytest.raises(ValueError, match=r"there is no option a; it has none"):
        with_options("cell(a=1)", lambda *sizes: cfc(*sizes))


def test_a_sweep_over_cells_with_options():
    (text,) = ["cell=gru, delta_net(heads=2,eigenvalues=[-1, 1]),delta_net(heads=2)"]
    points = sweep_points(char.PRESETS["smoke"], [text])
    cells = ["gru", "delta_net(heads=2,eigenvalues=[-1, 1])", "delta_net(heads=2)"]
    assert [point.config.model.cell for point in points] == cells
    assert points[2].name == "cell=delta_net_heads=2_"


def test_sizes_are_multiples_of_the_heads():
    part = runs.replaced(battery.PRESETS["smoke"], cells=("delta_net(heads=3)",))
    model = battery.build(next(iter(battery.settings(part).values()))).model
    assert model.hidden_size % 3 == 0
    assert size_by_parameters(model, 10_000) % 3 == 0
    assert smallest_size(model) == 3
    larger = parameters_of(runs.replaced(model, hidden_size=model.hidden_size + 3))
    assert parameters_of(model) <= part.parameters < larger
    assert size_by_seconds(lambda size: size / 10, 10.0, unit=5) == 100


def test_a_file_is_found_from_anywhere_with_its_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = runs.replaced(char.PRESETS["smoke"], cell="own.py:scaled(scale=2)")
    found = from_anywhere(config, code=True).model.cell
    assert found == f"{tmp_path / 'own.py'}:scaled(scale=2)"


@pytest.mark.full
def test_a_run_of_cells_with_options(tmp_path, monkeypatch, capsys):
    """Trained, resumed from another folder, loaded and shown by the names that were given."""
    (tmp_path / "own.py").write_text(OWN)
    own, negative = f"{tmp_path / 'own.py'}:scaled(scale=2)", "delta_net(eigenvalues=-1..1)"
    run, small = tmp_path / "run", ["--preset", "smoke", "--epochs", "1", "--tasks", "parity"]
    argv = [*small, "--rates", "0.01", "--cells", own, negative, "--run", str(run)]
    assert battery.main(argv) == 0
    assert negative in capsys.readouterr().out
    rows = summary(run)["results"]
    assert [row["cell"] for row in rows] == ["scaled(scale=2)", negative]
    assert (run / "cards" / f"{negative}.html").is_file()
    (one,) = [path for path in run.iterdir() if (path / "config.json").is_file()]
    cell, params, _, config = runs.load(one, setting=setting_name("parity", negative))
    assert config["cells"][1] == negative
    assert cell.step(params, cell.init_carry(params, KEY), 1)[1].shape == (2,)
    (tmp_path / "own.py").unlink()
    monkeypatch.chdir(tmp_path)
    assert battery.main(["--resume", "run"]) == 0
    assert summary(run)["results"] == rows
