"""`lstm-parity emulate`: runs one problem through this project's kernels on the CPU, with every access checked."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import natural, positive
from .plan import add_problem, spec_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    add_problem(parser)
    parser.add_argument("--ragged", action="store_true", help="sequences of different lengths, 0 and the longest among them")
    parser.add_argument("--schedules", type=positive, default=10, metavar="N", help="how many orders of threads (default: 10)")
    parser.add_argument("--schedule", metavar="KIND", help="of one kind alone, in place of all kinds in turn")
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="of the numbers and of the schedules (default: 0)")
    parser.add_argument(
        "--kernels", type=Path, metavar="DIR", help="a copy of backends/cupy_raw/kernels, with changes of your own"
    )


def run(arguments: argparse.Namespace) -> int:
    """Emulate the problem under each schedule and print the findings; returns the exit code."""
    import numpy as np

    from lstm_parity.backends.cupy_raw.source import KERNELS

    from ..problems.regimes import draw_problem
    from .emulation import Emulated, apart, check_folder, check_room, in_words, schedules

    steps, batch, seed = arguments.sequence_length, arguments.batch_size, arguments.seed
    spec, kernels = spec_of(arguments), arguments.kernels or KERNELS
    check_folder(kernels)
    check_room(spec, steps, batch)
    lengths = None
    if arguments.ragged:
        lengths = np.random.default_rng(seed).integers(0, steps + 1, batch)
        lengths[0], lengths[-1] = 0, steps
    problem = draw_problem(spec, steps, batch, seed, lengths=lengths, training=arguments.mode == "training")
    if lengths is not None:  # padding is never read, so it may be NaN
        problem.inputs.x[np.arange(steps)[:, None] >= lengths] = np.nan
    under = schedules(arguments.schedules, seed, arguments.schedule)
    found = Emulated()
    try:
        for found in apart(problem, under, kernels, arguments.path):  # noqa: B007  the last one counts
            pass
    except KeyboardInterrupt:
        print(in_words(found, problem, kernels))
        raise
    print(in_words(found, problem, kernels))
    return 0 if found.well else 1
