"""The options of a sweep or a duel that describe its cells."""

from __future__ import annotations

import argparse
from typing import Any

from .options import comma_separated, input_sizes, integers, positive, seconds


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
