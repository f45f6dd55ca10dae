"""The truncation experiment: quirks and measures by closed forms, claims by known rows."""

import json
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import some_params
from experiments_support import (
    config_of,
    error_of,
    logged,
    refusal,
    summary,
    write_cells,
    write_text,
)

from experiments import truncation
from experiments.truncation import estimators, fair, published, quirks, speed, vanishing
from experiments.truncation import variants as variants_of
from experiments.truncation.config import PRESETS, Config
from experiments.truncation.study import Data, scored
from experiments.truncation.variants import REPEATED, tensorflow_style, truncating, unbounded
from jaxrnn import runs
from jaxrnn.base import Batch, Cell
from jaxrnn.compose import chain, embed, linear
from jaxrnn.data import Streams, is_here
from jaxrnn.gradients import STYLES, bptt
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.runs import configured
from jaxrnn.unroll import unroll

STYLE_FIELDS = {
    *("style", "window", "stride", "learning_rate", "seeds", "valid_loss", "updates", "seconds"),
}
ESTIMATOR_FIELDS = {
    *("estimator", "cosine", "relative_error", "variance", "ms_per_step", "bytes"),
}
NO_LOG: Any = None
"""For the reports of studies that have no need of one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("truncation")


@pytest.fixture(scope="module")
def text(folder):
    return write_text(folder)


@pytest.fixture(scope="module")
def smoke(text):
    return ["--preset", "smoke", "--corpus", str(text)]


# The post's protocol


def token_batch(steps=5, vocab_size=4):
    tokens = np.random.default_rng(3).integers(0, vocab_size, (steps + 1, 3), np.int32)
    return Batch(tokens[:-1], tokens[1:])


def test_all_but_the_heads_gradient_is_scaled():
    cell = build_model(TokenModel(4, 4, "elman", 3, embedding_size=2), training=True)
    plain = bptt(cell, cross_entropy)

    params = some_params(cell)

    @jax.jit
    def both():
        carry = plain.init(params, jax.random.key(1), 3)
        estimators = quirks.scaled(plain, 4.0), plain
        return [each.estimate(params, carry, token_batch())[0] for each in estimators]

    found, expected = both()
    for name in ("embed", "layer_1"):
        for a, b in zip(*map(jax.tree.leaves, (found[name], expected[name])), strict=True):
            assert np.any(b)
            np.testing.assert_array_equal(a, 4 * b)
    np.testing.assert_array_equal(found["head"]["w"], expected["head"]["w"])


@pytest.mark.full
def test_the_carry_is_what_the_head_got():
    """With a head that is the identity, the last outputs themselves: after one batch and two."""
    model = runs.ModelConfig("elman", hidden_size=6, dropout=0.5)
    cell = build_model(runs.token_model(model, 6), training=True)
    estimator = quirks.carrying_dropped(bptt(cell, cross_entropy), model)

    params = some_params(cell) | {"head": {"w": np.eye(6), "b": np.zeros(6)}}
    params = jax.tree.map(np.float32, params)

    @jax.jit
    def batches():
        carry, batch = estimator.init(params, jax.random.key(1), 3), token_batch(vocab_size=6)

        def estimate(carry, _):
            _, after, _ = estimator.estimate(params, carry, batch)
            return after, (after.carry, unroll(cell, params, carry.carry, batch.inputs)[1])

        return jax.lax.scan(estimate, carry, length=2)[1]

    carries, outputs = batches()
    for kept, last in zip(carries["layer_1"], outputs[:, -1], strict=True):
        np.testing.assert_allclose(kept, last, rtol=1e-6)
        assert 0 < np.mean(np.asarray(last) == 0) < 1


@pytest.mark.parametrize(
    "changes",
    [
        {"cell": "lstm"},
        {"num_layers": 2},
        {"dropout_kind": "variational"},
        {"zoneout": 0.1},
        {"weight_drop": 0.1},
    ],
)
def test_a_carry_that_is_no_output_is_not_dropped(changes):
    """Nor one that something else draws in too, whose key would not be at the place known here."""
    model = runs.ModelConfig(**{"cell": "elman", "hidden_size": 6, "dropout": 0.5} | changes)
    estimator = bptt(build_model(runs.token_model(model, 6), training=True), cross_entropy)
    with pytest.raises(ValueError, match="give --carried kept"):
        quirks.carrying_dropped(estimator, model)


def test_the_first_errors_go_back_all_the_way_or_to_the_edge():
    cells = published.all_entries(Config())
    assert len(cells) == 21
    assert {variant.history for variant in cells.values()} == {0}
    full = published.all_entries(Config(edge="full"))
    true = [variant for cell, variant in full.items() if cell.style == "true"]
    assert {(v.window, v.num_steps, v.history) for v in true} == {
        *((5, 20, 4), (10, 30, 9), (20, 40, 19)),
    }


# What is measured


def test_errors_of_known_estimates():
    """Around the gradient (1, 0): once exact, once off by a constant, once by noise alone."""
    full = np.array([[1.0, 0.0], [1.0, 0.0]])
    exact = estimators.errors(full[:, None], full)
    assert exact == {"cosine": 1.0, "relative_error": 0.0, "bias": 0.0, "variance": 0.0}
    biased = estimators.errors(full[:, None] + [0.0, 1.0], full)
    assert biased["cosine"] == pytest.approx(0.5**0.5)
    assert biased["bias"] == biased["relative_error"] == pytest.approx(1.0)
    noise = np.random.default_rng(0).normal(size=(2, 4000, 2)) * 0.5
    assert estimators.errors(full[:, None] + noise, full)["bias"] < 0.1
    noisy = estimators.errors(full[:, None] + [0.0, 1.0] + noise, full)
    assert noisy["variance"] == pytest.approx(2 * 0.25, rel=0.05)
    assert noisy["bias"] == pytest.approx(1.0, rel=0.05)
    assert noisy["relative_error"] ** 2 == pytest.approx(
        noisy["bias"] ** 2 + noisy["variance"], rel=1e-6
    )


@pytest.mark.full
def test_draws_are_seen_where_the_first_are_alike():
    """Windows of random length, of which few are shorter than the stretch."""
    batch = Batch(*(a[:, :1] for a in token_batch(6)))
    cell = build_model(TokenModel(4, 4, "elman", 3, embedding_size=2))
    variants = [v for v in truncating(6, 6) if v.style == "random_length"]
    stages = {0: cell.init(jax.random.key(0))}
    (row,) = estimators.compare(Config(draws=64), cell, [batch], variants, stages)
    assert row["variance"] > 0


def test_gradients_are_taken_by_the_schedule(monkeypatch):
    batch, cell = token_batch(6), build_model(TokenModel(4, 4, "elman", 3, embedding_size=2))
    params, seen = jax.eval_shape(cell.init, jax.random.key(0)), set()

    def noting(style):
        def build(*arguments):
            seen.add(arguments[-1])
            return style.build(*arguments)

        return style._replace(build=build)

    builds = {name: noting(style) for name, style in STYLES.items()}
    monkeypatch.setattr(configured, "STYLES", builds)
    for schedule in ("scan", "checkpointed"):
        config = runs.replaced(Config(), schedule=schedule)
        gradient = estimators.gradient_over(config, cell, tensorflow_style(3), 6)
        jax.eval_shape(gradient, params, jax.random.key(0), batch)
    assert seen == {"scan", "checkpointed"}


def test_a_decay_that_is_known():
    """Each step halves what came before, so each step back halves the gradient."""
    layer = Cell(
        init=lambda key: {"b": jnp.full(3, 0.1)},
        init_carry=lambda params, key: jnp.zeros(3),
        step=lambda params, h, x: (0.5 * h + x + params["b"],) * 2,
    )
    cell = chain(embed=embed(4, 3), layer_1=layer, head=linear(3, 4))
    batch = token_batch(7)
    norms = jax.jit(lambda key: vanishing.norms(cell, cell.init(key), batch.inputs, batch.targets))
    found = np.asarray(norms(jax.random.key(0)))
    np.testing.assert_allclose(found / found[0], 0.5 ** np.arange(7), rtol=1e-5)
    assert vanishing.ratios_per_step(found[None]) == pytest.approx([2.0], rel=1e-5)


def test_a_draw_at_rest_has_no_decay_and_one_that_vanishes_a_finite_one():
    draws = np.array([[0.0, 0.0, 0.0], [1.0, 1e-30, 0.0], [4.0, 2.0, 1.0]])
    vanished, halved = vanishing.ratios_per_step(draws)
    assert halved == pytest.approx(2.0)
    assert 1e10 < vanished < np.inf


def test_equal_budgets_are_read_off_the_curves():
    """One training loses 1 nat per 10 updates, the other the same in half as many targets."""
    slow = np.array([[10.0, 5.0], [20.0, 4.0], [30.0, 3.0]])

    def path(scale) -> fair.Paths:
        return {budget: [slow * [scale[budget], 1.0]] for budget in fair.BUDGETS}

    one = path({"targets": 1.0, "updates": 1.0, "seconds": 1.0})
    other = path({"targets": 0.5, "updates": 1.0, "seconds": 4.0})
    first, second = fair.at_equal([one, other])
    assert first == {"targets": 4.5, "updates": 3.0, "seconds": 3.0}
    assert second == {"targets": 3.0, "updates": 3.0, "seconds": None}


def test_every_style_is_compared():
    assert {v.style for v in [*truncating(5, 20), *unbounded((5, 10), 20)]} == set(STYLES) - {
        *REPEATED
    }


def test_styles_are_left_out_where_some_are_named():
    config = runs.replaced(Config(), toy_styles=("tbptt",), text_styles=("bptt", "rtrl"))
    found = fair.settings(config)
    named = {(name.split("_")[0], part.gradient.estimator) for name, part in found.items()}
    assert named == {("toy", "tbptt"), ("text", "bptt"), ("text", "rtrl")}
    # whatever the claims are about is trained
    assert all(claim.holds is not None for claim in fair.claims(config, all_the_same(found)))
    # that of order 2 is another style's gradient, and is not tried
    for style in ("nope", "snap_2"):
        with pytest.raises(ValueError, match=f"--toy-styles is '{style}'; the styles tried here"):
            fair.settings(runs.replaced(Config(), toy_styles=(style,)))


def all_the_same(settings):
    same = {"part": "toy", "valid_loss": 1.0, "valid_loss_per_seed": [1.0, 1.0]}
    return {name: same for name in settings if name.startswith("toy_")}


def test_what_is_read_before_a_test_does_not_count():
    """Losses of the first time steps are none of the mean, which is over the others alone."""
    tokens = jnp.arange(15).reshape(5, 3) % 2
    logits = jax.random.normal(jax.random.key(0), (5, 3, 2))
    data = Data(2, Streams(tokens, tokens), Batch(tokens, tokens), unscored=2)
    objective, batch = scored(data)
    found = objective(logits.at[:2].set(100.0), batch.targets).mean()
    np.testing.assert_allclose(found, cross_entropy(logits[2:], tokens[2:]).mean(), rtol=1e-6)
    # without any it is the plain mean
    objective, batch = scored(data._replace(unscored=0))
    plain = cross_entropy(logits, tokens).mean()
    np.testing.assert_allclose(objective(logits, batch.targets).mean(), plain, rtol=1e-6)


def test_who_learns_as_he_goes_does_so_as_often_as_any():
    """Styles whose errors cross batches take the shortest; bptt needs the longest."""
    found = {variant.style: variant.num_steps for variant in unbounded((10, 5), 40)}
    online = ("rtrl", "snap", "uoro", "rflo", "eprop")
    assert found == {"bptt": 40} | dict.fromkeys(online, 5)


def test_the_whole_grid_is_extrapolated():
    """From what was trained to its end; from what diverged nothing."""
    config = runs.replaced(Config(window=(5,), num_steps=(20,)), learning_rate=(0.1, 0.2))

    def whole(*rows):
        styles = [
            grid_row(name, seconds=seconds, targets=n, diverged=n == 1) for name, seconds, n in rows
        ]
        return published.report(config, NO_LOG, {"styles": styles}).results

    done, quicker = ("true_5_lr_0.1", 30.0, 10), ("tf_5_lr_0.2", 10.0, 10)
    broken = ("tf_5_lr_0.1", 0.1, 1)
    assert whole() == whole(broken) == {}  # it stays None
    assert whole(done) == {"whole_grid_seconds": pytest.approx(4 * 30)}
    assert whole(done, broken) == {"whole_grid_seconds": pytest.approx(4 * 30)}
    assert whole(done, quicker) == {"whole_grid_seconds": pytest.approx(2 * 30 + 2 * 10)}


def grid_row(name, **fields):
    """A row of the summary, as far as the grid's report reads it."""
    row = {"part": "published", "name": name, "diverged": False, "turned": True}
    row |= {"valid_loss": 5.0, "valid_loss_per_seed": [5.0]}
    row["spread"] = runs.median_and_spread([5.0])
    return row | {"seconds": 1.0, "targets": 1} | fields


# Claims


def test_the_posts_conclusions_hold_of_its_own_table():
    assert [claim.holds for claim in published.grid_claims(published.POST)] == [True] * 4


def test_nothing_is_decided_while_losses_fall():
    """What diverged falls no more."""
    found = published.grid_claims(published.POST, ended=False)
    assert [claim.holds for claim in found] == [None] * 4
    assert all(claim.observed is not None for claim in found)
    rows = [grid_row(cell.name, valid_loss=loss) for cell, loss in published.POST.items()]

    def decided():
        return [c.holds for c in published.report(Config(), NO_LOG, {"styles": rows}).claims[:4]]

    (falling,) = (row for row in rows if row["name"] == "tf_5_lr_0.003")
    assert decided() == [True] * 4
    falling["turned"] = False
    assert decided() == [None] * 4
    falling |= {"diverged": True, "valid_loss": None}
    assert decided() == [None, True, None, True]


def test_other_numbers_refute_them():
    def holds(losses):
        return [claim.holds for claim in published.grid_claims(losses)]

    losses = {
        cell: (-loss if cell.style == "true" else loss) - 20 * (cell.window == 10)
        for cell, loss in published.POST.items()
    }
    assert holds(losses)[1] is False
    other = {"true": "tf", "tf": "true"}
    swapped = {
        cell._replace(style=other[cell.style]) if cell.window < 40 else cell: loss
        for cell, loss in published.POST.items()
    }
    assert holds(swapped)[:3] == [False] * 3
    far = {cell: loss + (cell.window == 40) for cell, loss in published.POST.items()}
    assert holds(far)[3] is False


def test_what_was_not_trained_is_open():
    one = {published.Entry("true", 5, 0.003): 5.12}
    for losses in ({}, one):
        assert all(claim.holds is None for claim in published.grid_claims(losses))
    nothing = {"styles": [], "estimators": [], "vanishing": [], "speed": []}
    claims = [
        claim
        for study in truncation.STUDIES.values()
        for claim in study.report(Config(), NO_LOG, nothing).claims
    ]
    assert len(claims) == 4 + 3 + 1 + 1 + 3
    assert all(claim.holds is None for claim in claims)


def test_what_diverged_leaves_its_claims_open():
    for lost, open_claims in {
        ("tf", 5, 0.003): [0, 2],
        ("tf", 5, 0.0003): [1],
        ("tf", 40, 0.001): [3],
    }.items():
        losses = published.POST | {published.Entry(*lost): None}
        mine = [claim.holds for claim in published.grid_claims(losses)]
        assert [i for i, holds in enumerate(mine) if holds is None] == open_claims
        assert all(holds for holds in mine if holds is not None)
    config = runs.replaced(Config(part=("published",)), corpus="ptb")
    (claim,) = published.entry_claims(config, {published.Entry("tf", 5, 0.003): None})
    assert claim.observed is None
    assert claim.holds is None


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, [True, False]),
        (
            {"seeds": 7, "schedule": "scan", "toy_hidden": 1, "learning_rate": (0.003,)},
            [True, False],
        ),
        ({"corpus": "sherlock"}, [None, None]),
        ({"hidden_size": 99}, [None, None]),
        ({"zoneout": 0.1}, [None, None]),
        ({"edge": "full"}, [None, None]),
        # the batches of true truncation alone
        ({"window": (5,), "num_steps": (30,)}, [None, False]),
    ],
)
def test_cells_are_held_against_the_post_only_where_it_is_the_same_training(changes, holds):
    losses = {published.Entry("true", 5, 0.003): 5.14, published.Entry("tf", 5, 0.003): 5.5}
    config = runs.replaced(Config(part=("published",)), **{"corpus": "ptb"} | changes)
    assert [claim.holds for claim in published.entry_claims(config, losses)] == holds


def test_speed_is_claimed_at_the_published_sizes():
    sizes = [
        *((10_000, 100, True, 1.4), (65, 256, True, 5.1)),
        *((65, 256, False, 4.9), (9, 9, True, 9)),
    ]
    names = ["vocabulary", "hidden_size", "head", "ratio"]
    rows = [dict(zip(names, size, strict=True)) for size in sizes]
    assert [claim.holds for claim in speed.claims(rows)] == [True, False, True]


# The command


@pytest.fixture(scope="module")
def run(folder, smoke):
    """A cell of the grid at a learning rate at which it trains and one at which it diverges, and
    all that is measured, of each kind one, since each compiles a program: of the styles those that
    are exact and drawn. Gradients that vanish and what is timed are traced alone. The cell is a
    researcher's own."""
    path = folder / "run"
    parts = ["--part", "published", "estimators", "vanishing", "speed"]
    grid = ["--grid", "tf_2_*", "--learning-rate", "0.003", "3e38"]
    cell = ["--cell", f"{write_cells(folder)}:mine"]
    all_styles = estimators.compared

    def one_of_each_kind(config):
        return [v for v in all_styles(config) if v.style in ("bptt", "random_length")]

    def as_published(config, log):
        return {"vanishing": [vanishing._row(config, config.model.cell, "published")]}

    def traced(one, keys):
        """What `lax.map` is to the gradients that vanish."""
        return np.ones(jax.eval_shape(jax.vmap(one), keys).shape)

    timed = speed.times

    def undrawn(config, cell, *rest):
        return timed(config, cell._replace(init=lambda key: some_params(cell)), *rest)

    def tokens(key, shape, *limits):
        return jnp.zeros(shape, jnp.int32)

    class Traced:
        """What `jax.jit` is to the timing."""

        def __init__(self, function):
            self.function = function

        def lower(self, *arguments):
            jax.eval_shape(self.function, *arguments)
            return self

        def compile(self):
            return lambda *arguments: 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimators, "compared", one_of_each_kind)
        study = vanishing.STUDY._replace(measure=as_published)
        patch.setitem(truncation.STUDIES, "vanishing", study)
        random = SimpleNamespace(key=jax.random.key, randint=tokens)
        numbers = {"jit": Traced, "random": random}
        patch.setattr(speed, "jax", SimpleNamespace(**vars(jax) | numbers))
        patch.setattr(speed, "times", undrawn)
        patch.setattr(vanishing, "lax", SimpleNamespace(scan=jax.lax.scan, map=traced))
        assert truncation.main([*smoke, *parts, *grid, *cell, "--run", str(path)]) == 0
    return path


def test_rows_of_the_summary(run):
    found = summary(run)
    assert found["config"]["corpus"].endswith("text.txt")
    styles, rows = found["results"]["styles"], found["results"]["estimators"]
    assert [row["name"] for row in styles if row["part"] == "published"] == [
        *("tf_2_lr_0.003", "tf_2_lr_3e+38"),
    ]
    assert all(row.keys() >= STYLE_FIELDS for row in styles)
    assert all(row.keys() >= ESTIMATOR_FIELDS for row in rows)
    assert {row["style"] for row in rows} == {"bptt", "random_length"}
    assert {row["stage"] for row in rows} == {"untrained", "epoch 1", "epoch 2"}
    by_claim = {claim["name"]: claim["holds"] for claim in found["claims"]}
    assert by_claim["bptt over a stretch is its full gradient: relative error"] is True
    assert [row["head"] for row in found["results"]["speed"]] == [True, False]
    assert by_claim["the gap shrinks as n grows"] is None
    for name in ("published", "estimators", "stages", "vanishing"):
        assert (run / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_others_go_on_where_one_diverges(run):
    rows = summary(run)["results"]["styles"]
    assert [row["diverged"] for row in rows] == [False, True, False]
    for row in rows:
        mine = [line for line in logged(run) if line["setting"] == row["name"]]
        losses = [line["valid_loss"] for line in mine if "valid_loss" in line]
        assert row["valid_loss_per_seed"] == [None if row["diverged"] else min(losses)]
        assert (row["valid_loss"] is None) == row["diverged"]
        assert row["updates"] == mine[-1]["step"]


@pytest.mark.full
def test_a_finished_run_is_read_again(run, folder):
    """With the cell that it keeps, wherever the researcher's file went."""
    (folder / "cells.py").unlink()
    before, lines = json.loads((run / "summary.json").read_text()), logged(run)
    assert truncation.main(["--resume", str(run)]) == 0
    assert json.loads((run / "summary.json").read_text()) == before
    assert logged(run) == lines


def test_members_are_loaded_with_their_own_vocabulary(run):
    words, characters = runs.load(run, 0)[2], runs.load(run, 2)[2]
    assert words is not None
    assert words.level == "word"
    assert characters is not None
    assert characters.level == "character"
    assert characters.size == 8


@pytest.mark.full
def test_a_cell_of_the_grid_trained_on(folder, smoke):
    flags = ["--part", "published", "--grid", "tf_2_*"]
    once, twice = folder / "once", folder / "twice"
    assert truncation.main([*smoke, *flags, "--run", str(once)]) == 0
    assert truncation.main([*smoke, *flags, "--epochs", "1", "--run", str(twice)]) == 0
    assert truncation.main(["--resume", str(twice), "--epochs", "2"]) == 0
    assert logged(once) == logged(twice)
    (row,) = summary(once)["results"]["styles"]
    assert summary(twice)["results"]["styles"][0]["valid_loss"] == row["valid_loss"]
    assert summary(once)["results"]["whole_grid_seconds"] > row["seconds"]


@pytest.mark.full
def test_every_part_with_every_style(folder, smoke):
    path = folder / "every part"
    parts = ["--part", "published", "fair", "estimators", "vanishing", "speed"]
    # a style is trained alike on whatever there is: on characters one that truncates, and an online
    online = ["--text-styles", "tbptt", "uoro"]
    assert truncation.main([*smoke, "--seeds", "2", *parts, *online, "--run", str(path)]) == 0
    found = summary(path)["results"]
    assert {row["style"] for row in found["estimators"]} == set(STYLES) - {*REPEATED}
    rows = found["styles"]
    assert [row["name"] for row in rows if row["part"] == "published"] == [
        *("true_2_lr_0.003", "tf_2_lr_0.003", "tf_4_lr_0.003"),
    ]
    for task, styles in (("toy", set(STYLES) - {*REPEATED}), ("text", {"tbptt", "uoro"})):
        mine = [row for row in rows if row["part"] == task]
        assert {row["style"] for row in mine} == styles
        assert all(row.keys() >= STYLE_FIELDS for row in mine)
        assert all(len(row["valid_loss_per_seed"]) == 2 for row in mine)
        least = min(row["targets"] for row in mine)
        for row in mine:
            if row["targets"] == least:
                assert row["at_equal"]["targets"] >= row["valid_loss"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": ()}, "--part names nothing"),
        ({"window": (5,), "num_steps": (4,)}, "--window is 5, above its --num-steps 4"),
        ({"window": (5, 4)}, "--window and --num-steps have 2, 1 entries"),
        ({"window": (2, 2), "num_steps": (4, 4)}, "holds an entry twice"),
        ({"window": (400,), "num_steps": (400,)}, "give a smaller --num-steps"),
        ({"grid": ("tf_3_*",)}, "--grid is 'tf_3_*', which is none of the entries"),
        ({"cell": "lstm"}, "give --carried kept"),
        ({"part": ("estimators",), "text_window": (4,)}, "give a stretch of whole windows"),
        ({"part": ("estimators",), "text_num_steps": 900}, "give fewer, or more --text-tokens"),
        ({"part": ("estimators",), "text_window": ()}, "--text-window holds nothing"),
        ({"part": ("fair",), "toy_window": ()}, "--toy-window holds nothing"),
        ({"part": ("fair",), "text_num_steps": 0}, "--text-num-steps is 0"),
        (
            {"part": ("fair",), "toy_styles": ("tf",)},
            "is 'tf'; the styles tried here are tbptt,",
        ),
        ({"part": ("fair",), "toy_length": 4}, "--toy-length 4 holds out 2 time steps"),
        ({"learning_rate": ()}, "--learning-rate holds nothing"),
        ({"window": (), "num_steps": ()}, "--window and --num-steps have 0, 0 entries"),
        ({"part": ("estimators",), "text_window": (0,)}, "--text-window is 0"),
        ({"part": ("speed",), "speed_hidden": (5, 6)}, "give each the same number"),
        ({"part": ("speed",), "speed_hidden": (0,)}, "--speed-hidden is 0"),
        ({"part": ("vanishing",), "cell": "nosuch"}, "cell 'nosuch' is not known"),
        ({"part": ("fair",), "text_tokens": 3}, "--text-tokens is 3"),
        ({"tokens": 0}, "tokens is 0"),
        ({"corpus": "nosuch"}, "--corpus: name is 'nosuch'"),
    ],
)
def test_what_cannot_be_done_is_one_line(smoke, changes, message):
    sizes = ["--window", "4", "--num-steps", "4", "--part", "published"]
    config = config_of(truncation, *smoke, *sizes)
    assert message in refusal(truncation, runs.replaced(config, **changes))


def test_the_command_says_so_and_leaves_nothing(folder, smoke, capsys):
    path = folder / "refused"
    flags = [*smoke, "--grid", "tf_3_*", "--run", path]
    assert "--grid is 'tf_3_*'" in error_of(capsys, truncation.main, flags)
    assert not path.exists()


def test_the_usual_corpus_is_one_that_is_there(tmp_path, monkeypatch):
    """Whoever names one gets that."""
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path))
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "cache"))

    def read(config):
        return truncation.EXPERIMENT.resolved(config, None).text.corpus

    assert read(Config()) == "sherlock"
    (tmp_path / "ptb").mkdir()
    for part in ("train", "valid", "test"):
        assert not is_here("ptb")
        (tmp_path / "ptb" / f"ptb.{part}.txt").write_text("a b\n")
    assert read(Config()) == "ptb"
    assert read(runs.replaced(Config(), corpus="sherlock")) == "sherlock"


def test_the_published_preset_is_the_default():
    assert PRESETS["published"] == Config()
    assert tensorflow_style(5).num_steps == 5


def test_claims_on_the_toy_task():
    """At equal n and equal updates, and of TensorFlow style at every n, seed by seed."""
    config = Config()

    def found(true, tf):
        rows = {}
        for variants, losses in (
            ([variants_of.true_truncation(n, n, full=True) for n in config.toy_window], true),
            ([variants_of.tensorflow_style(n) for n in config.toy_window], tf),
        ):
            for variant, loss in zip(variants, losses, strict=True):
                rows[f"toy_{variant.name}"] = {
                    "part": "toy",
                    "valid_loss": loss,
                    "valid_loss_per_seed": [loss - 0.01, loss + 0.01],
                }
        return fair.claims(config, rows)

    claims = found((0.50, 0.46, 0.455), (0.52, 0.50, 0.46))
    assert [claim.holds for claim in claims] == [True] * 3
    assert claims[0].spread is not None
    assert claims[0].spread["true"]["seeds"] == 2
    claims = found((0.53, 0.46, 0.455), (0.52, 0.50, 0.51))
    assert [claim.holds for claim in claims] == [False, True, False]
