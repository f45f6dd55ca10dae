"""A trained model back from a run directory."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxrnn.base import Cell, Params
from jaxrnn.cell_files import cell_file, cell_name
from jaxrnn.data import Vocabulary
from jaxrnn.models import TokenModel, build_model
from jaxrnn.runs.bound import check_log_of, check_run, vocabulary_of
from jaxrnn.runs.cell_code import check_code
from jaxrnn.runs.checkpoints import restore_latest
from jaxrnn.runs.directory import RunDirectory, open_run
from jaxrnn.runs.environment import recorded_x64
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import read_record, read_vocabulary_file, recorded_in


def load(
    directory: Path | str,
    member: int = 0,
    *,
    which: Literal["best", "last"] = "best",
    setting: str | None = None,
    trust: bool = False,
    cell_code: bool = True,
) -> tuple[Cell, Params, Vocabulary | None, dict[str, Any]]:
    """The evaluation model of one member of a run, from its newest sound checkpoint.

    Args:
      directory: of the run. It suffices: vocabulary and the source of a user's cell are in it.
      member: of the run, settings first: setting s with seed k of S is member s S + k.
      which: the params with the lowest validation loss, or the last ones.
      setting: the name of one; member then counts its seeds alone.
      trust: run the code of the run's own cell, which was not written or trusted here.
      cell_code: whether to run such code at all.

    Returns:
      (cell, params, vocabulary, config); params have the types that they were trained in, the
      vocabulary is the setting's, None where it reads no text, the config is what config.json
      holds.

    Raises:
      FileNotFoundError, ValueError: no run, no checkpoint yet, no such setting or member,
        nothing sound, code that nobody trusted here, what was altered since it was trained, or a
        run of 64 bits in a program without `jax_enable_x64`.
    """
    run = open_run(Path(directory))
    record = read_record(run)
    check_run(run, record)
    seeds, settings = record["seeds"], record["settings"]
    if setting is not None:
        names = [each["name"] for each in settings]
        if setting not in names:
            raise ValueError(f"setting is {setting!r}; {directory} has {', '.join(names)}")
        settings = [settings[names.index(setting)]]
    if not 0 <= member < len(settings) * len(seeds):
        whose = "" if setting is None else f" of setting {setting}"
        raise ValueError(
            f"member is {member}; {directory} has members 0 to "
            f"{len(settings) * len(seeds) - 1}{whose}"
        )
    chosen = settings[member // len(seeds)]
    model = stored_model(run, recorded_in(run.config, TokenModel, chosen["model"]))
    if cell_file(model.cell) is not None:
        check_code(run, run.cell, trusted=trust, known_only=not cell_code)
    cell = build_model(model)
    part = ".best.params" if which == "best" else ".state.params"
    checkpoints = run.checkpoints / chosen["name"]
    with jax.enable_x64(_its_x64(run)):
        one = jax.eval_shape(cell.init, jax.random.key(0))
        like = jax.tree.map(lambda a: jax.ShapeDtypeStruct((len(seeds), *a.shape), a.dtype), one)
        restored = restore_latest(checkpoints, like, warn, part=part)
        if restored is None:
            raise FileNotFoundError(
                f"{directory} has no checkpoint of setting {chosen['name']} yet; train it further"
            )
        check_log_of(run, chosen["name"], restored[2])
        params = jax.tree.map(lambda a: jnp.asarray(a[member % len(seeds)]), restored[1])
    vocabulary = read_vocabulary(run, chosen["name"])
    if vocabulary is not None and vocabulary.size != model.vocab_size:
        vocabulary = None  # that of the run's other settings
    return cell, params, vocabulary, record["config"]


def _its_x64(run: RunDirectory) -> bool:
    """Raises: ValueError, params of 64 bits in a program that has none."""
    recorded = recorded_x64(run.path)
    here = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    if recorded and not here:
        raise ValueError(
            f"{run.path} was trained with jax_enable_x64; set JAX_ENABLE_X64=1 to read it"
        )
    return recorded


def read_vocabulary(run: RunDirectory, setting: str) -> Vocabulary | None:
    """The setting's own vocabulary, or the run's; None where there is none."""
    path = vocabulary_of(run, setting)
    return read_vocabulary_file(path) if path.is_file() else None


def starting_text(vocabulary: Vocabulary) -> str:
    """What to read first where nobody gives a prompt: a new line, or else the most frequent
    symbol."""
    if not vocabulary.missing("\n") and len(vocabulary.encode("\n")):
        return "\n"
    return vocabulary.symbols[vocabulary.unknown == 0]


def stored_model(run: RunDirectory, model: TokenModel) -> TokenModel:
    """A recorded model, its cell from the source that the run keeps where it is a user's."""
    if cell_file(model.cell) is None:
        return model
    return replace(model, cell=f"{run.cell}:{cell_name(model.cell)}")
