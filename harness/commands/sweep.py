"""`lstm-parity sweep`: measures backends over a grid of problems and stores every row and sample."""

from __future__ import annotations

import argparse

from .cells import add_cells, axes_of
from .options import add_store, as_command


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument(
        "sweep", nargs="?", default="smoke", metavar="PRESET|FILE.toml", help="what to measure (default: smoke)"
    )
    parser.add_argument("--backend", action="append", metavar="B", help="a backend in place of the preset's; may be repeated")
    add_cells(parser, "all cores")
    parser.add_argument("--weights", metavar="FILE", help="the LSTM of a model file; FILE#name picks one of several")
    add_store(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the newest run of the same sweep in the store")


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep; returns the exit code."""
    from ..api.sweep import define
    from ..store import Store
    from ..sweep.run import refuse_too_large, run_sweep
    from ..text import say, show_progress
    from ..worker.spawn import interrupted_once

    definition, weights = define(
        arguments.sweep,
        axes=axes_of(arguments),
        backends=arguments.backend or (),
        threads=arguments.threads,
        budget_s=arguments.budget,
        weights=arguments.weights,
    )
    refuse_too_large(definition.cells)
    with interrupted_once(to_the_end=arguments.is_process):
        with Store(arguments.store, create=True) as store, show_progress() as progress:
            result = run_sweep(definition, store, as_command(arguments), progress, resume=arguments.resume, weights=weights)
        say(str(result))
    if result.interrupted:
        return 130
    return 0 if result.ok or result.nothing_to_do else 1
