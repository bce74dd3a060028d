"""`lstm_parity.sweep`: measures backends over a grid of problems and stores every row and sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lstm_parity.backends import LSTMWeights
from lstm_parity.backends.spec import Precision

from ..errors import CallError
from ..machine.host import cpu_count
from ..store import Store
from ..sweep.grid import (
    AXES,
    DEFAULT_BUDGET_S,
    Definition,
    axis_values,
    cells_of,
    file_digests,
    in_place_of,
    load_sweep,
    with_weights,
)
from ..sweep.run import SweepResult, refuse_too_large, run_sweep
from ..text import show_progress
from ..worker import by_value
from .naming import Backend, names_of
from .values import seconds, whole
from .weights_file import check_precisions, read_weights

Mode = Literal["inference", "training"]
Sizes = int | Sequence[int]


def sweep(
    preset: str | Path = "smoke",
    *,
    backend: Backend | Sequence[Backend] | None = None,
    sequence_length: Sizes | None = None,
    batch_size: Sizes | None = None,
    hidden_size: Sizes | None = None,
    input_size: Sizes | Literal["hidden"] | None = None,
    num_layers: Sizes | None = None,
    precision: Precision | Sequence[Precision] | None = None,
    mode: Mode | None = None,
    bidirectional: bool | None = None,
    warm: bool = False,
    weights: str | Path | None = None,
    threads: int | None = None,
    budget: float | None = None,
    store: str | Path = "lstm-parity.sqlite",
    resume: bool = False,
    progress: bool = True,
) -> SweepResult:
    """Measure backends in one interleaved run; `lstm-parity sweep` in Python.

    Args:
        preset: a preset, or a TOML file.
        backend: subclasses of LSTMBackend or names, in place of the preset's. The first one is the baseline.
        sequence_length, batch_size, hidden_size, input_size, num_layers, precision, mode, bidirectional: values in place of the
            preset's; input_size "hidden" follows the hidden size.
        warm: inputs in the cache, not out of it.
        weights: a model file, whose LSTM is measured.
        threads: of every backend; all cores if None.
        budget: seconds of sampling a cell, in place of the preset's.
        store: the file that rows and samples are written to.
        resume: continue the newest run of the same sweep in the store. A class that is sent by value is the same one only as
            long as this process runs.
        progress: whether progress is shown on standard error.

    Raises:
        CallError: the sweep cannot be carried out, or a backend of `backend` cannot run here.
        KeyboardInterrupt: after Ctrl-C; every finished cell is in the store.
    """
    names = names_of(listed(backend))
    axes: dict[str, Any] = {
        "sequence_length": sequence_length,
        "batch_size": batch_size,
        "hidden_size": hidden_size,
        "input_size": input_size,
        "num_layers": num_layers,
        "precision": precision,
        "mode": mode,
        "bidirectional": bidirectional,
        "cache": "warm" if warm else None,
    }
    definition, file_weights = define(
        str(preset),
        axes=axes,
        backends=names,
        threads=whole("threads", threads, 1),
        budget_s=seconds("budget", budget),
        weights=None if weights is None else str(weights),
    )
    refuse_too_large(definition.cells)
    options = {"backend": names, **axes, "weights": weights, "threads": threads, "budget": budget}
    command = describe_call("lstm_parity.sweep", str(preset), **options, store=str(store), resume=resume or None)
    with Store(Path(store), create=True) as opened, show_progress(shown=progress) as display:
        result = run_sweep(definition, opened, command, display, resume=resume, weights=file_weights)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def define(
    preset: str,
    *,
    axes: Mapping[str, Any],
    backends: Sequence[str] = (),
    threads: int | None = None,
    budget_s: float | None = None,
    preset_budget_s: float | None = None,
    weights: str | None = None,
) -> tuple[Definition, LSTMWeights | None]:
    """The sweep that these values describe, and the weights of the model file (None without). Raises CallError.

    axes: a value or several by the name of the axis, or None for those of the preset or TOML file. backends: in place of its
    own. preset_budget_s: replaces the budget of a preset, in seconds.
    """
    cores = cpu_count()
    if (threads or 1) > cores:
        raise CallError(f"--threads {threads}: this process may use {cores} cores; give that many or fewer")
    loaded = load_sweep(preset)
    given = {name: axis_values(name, listed(values)) for name in AXES if (values := axes.get(name)) is not None}
    file_weights = None
    if weights is None:
        cells = cells_of(loaded.grids, given)
    else:
        model = read_weights(weights)
        spec = model.spec("float32")
        sizes = {name: getattr(spec, name) for name in vars(spec) if name != "precision"}
        cells = with_weights(loaded, given, sizes, weights)
        check_precisions(model, {cell.spec.precision for cell in cells})
        file_weights = model.weights
    chosen = tuple(dict.fromkeys(backends)) or loaded.backends
    loaded_budget_s = None if loaded.is_preset and preset_budget_s else loaded.budget_s
    files = file_digests([*chosen, *([weights] if weights else [])])
    definition = Definition(
        title=in_place_of(loaded.title, given),
        cells=cells,
        backends=chosen,
        named=bool(backends),
        threads=threads or cores,
        budget_s=budget_s or loaded_budget_s or preset_budget_s or DEFAULT_BUDGET_S,
        weights_file=weights,
        digests=(*files, *((name, by_value.digest(name)) for name in chosen if name in by_value.classes())),
    )
    return definition, file_weights


def describe_call(function: str, *positional: Any, **keywords: Any) -> str:
    """The call as it is written, without arguments that are None or empty."""
    given = [f"{name}={value!r}" for name, value in keywords.items() if value not in (None, ())]
    return f"{function}({', '.join([*map(repr, positional), *given])})"


def listed(values: Any) -> list[Any]:
    """A value alone as a list of one; None as an empty list."""
    if values is None:
        return []
    return [values] if isinstance(values, (str, type)) or not isinstance(values, Sequence) else list(values)
