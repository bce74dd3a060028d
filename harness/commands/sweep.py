"""`lstm-parity sweep`: measures backends over a grid of problems and stores every row and sample."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_store, as_command, comma_separated, input_sizes, integers, positive, seconds


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


def axes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The values of each axis, or None."""
    from ..sweep.grid import AXES

    return {name: getattr(arguments, name, None) for name in AXES} | {"cache": "warm" if arguments.warm else None}
