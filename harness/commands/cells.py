"""The cells of a sweep or a duel: their options, and the sweep definition that these describe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import CallError
from .options import comma_separated, input_sizes, integers, positive, seconds

if TYPE_CHECKING:
    from ..sweep.grid import Definition


def add_cells(parser: argparse.ArgumentParser, default_threads: str) -> None:
    """Axes that replace those of the preset or file, and how they are measured."""
    for axis in ("sequence-length", "batch-size", "hidden-size", "num-layers"):
        parser.add_argument(f"--{axis}", type=integers, metavar="N,N..", help=f"in place of the preset's {axis}")
    parser.add_argument("--input-size", type=input_sizes, metavar="N,N..", help="likewise; 'hidden' follows the hidden size")
    parser.add_argument("--precision", type=comma_separated, metavar="P,P..", help="float64, float32, tf32, float16, bfloat16")
    parser.add_argument("--mode", choices=("inference", "training"), help="forward, or forward and backward")
    parser.add_argument("--bidirectional", action="store_true", default=None, help="both directions")
    parser.add_argument("--warm", action="store_true", help="inputs in the cache, not out of it")
    parser.add_argument("--threads", type=positive, metavar="N", help=f"threads for every backend (default: {default_threads})")
    parser.add_argument("--budget", type=seconds, metavar="SECONDS", help="sampling time a cell, in place of the preset's")


def definition_of(arguments: argparse.Namespace, preset_budget_s: float | None = None) -> tuple[Definition, Any]:
    """The sweep that the arguments describe, and the weights of --weights (None without).

    preset_budget_s: replaces the budget of a preset, in seconds. Raises CallError.
    """
    from ..machine.host import cpu_count
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

    cores = cpu_count()
    if (arguments.threads or 1) > cores:
        raise CallError(f"--threads {arguments.threads}: this process may use {cores} cores; give that many or fewer")
    loaded = load_sweep(arguments.sweep)
    given: dict[str, Any] = {name: getattr(arguments, name, None) for name in AXES}
    for name in ("mode", "bidirectional"):
        given[name] = None if given[name] is None else [given[name]]
    given["cache"] = ["warm"] if arguments.warm else None
    axes = {name: axis_values(name, values) for name, values in given.items() if values is not None}
    weights = None
    if arguments.weights is None:
        cells = cells_of(loaded.grids, axes)
    else:
        from .weights_file import check_precisions, read_weights

        model = read_weights(arguments.weights)
        spec = model.spec("float32")
        sizes = {name: getattr(spec, name) for name in vars(spec) if name != "precision"}
        cells = with_weights(loaded, axes, sizes, arguments.weights)
        check_precisions(model, {cell.spec.precision for cell in cells})
        weights = model.weights
    backends = tuple(dict.fromkeys(arguments.backend)) if arguments.backend else loaded.backends
    loaded_budget_s = None if loaded.is_preset and preset_budget_s else loaded.budget_s
    definition = Definition(
        title=in_place_of(loaded.title, axes),
        cells=cells,
        backends=backends,
        named=bool(arguments.backend),
        threads=arguments.threads or cores,
        budget_s=arguments.budget or loaded_budget_s or preset_budget_s or DEFAULT_BUDGET_S,
        weights_file=arguments.weights,
        digests=file_digests([*backends, *([arguments.weights] if arguments.weights else [])]),
    )
    return definition, weights
