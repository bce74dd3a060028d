"""`lstm-parity emulate`: runs one problem through this project's kernels on the CPU, with every access checked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CallError
from ..text import count_of
from .options import natural, positive
from .plan import add_problem, spec_of

if TYPE_CHECKING:
    from lstm_parity.backends import LSTMSpec
    from lstm_parity.backends.cupy_raw.emulator.findings import Finding
    from lstm_parity.backends.cupy_raw.emulator.schedule import Schedule
    from lstm_parity.backends.cupy_raw.plan.launch import Launch

    from ..problems.problem import Problem
    from ..worker.emulation import EmulationResult


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    add_problem(parser)
    parser.add_argument("--ragged", action="store_true", help="sequences of different lengths, 0 and the longest among them")
    parser.add_argument("--schedules", type=positive, default=10, metavar="N", help="how many orders of threads (default: 10)")
    parser.add_argument("--schedule", metavar="KIND", help="of one kind alone, in place of all kinds in turn")
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="of the values and of the schedules (default: 0)")
    parser.add_argument(
        "--kernels", type=Path, metavar="DIR", help="a copy of backends/cupy_raw/kernels, with changes of your own"
    )


def run(arguments: argparse.Namespace) -> int:
    """Emulate the problem under each schedule and print the findings; returns the exit code."""
    import numpy as np

    from lstm_parity.backends.cupy_raw.source import KERNELS

    from ..problems.regimes import draw_problem
    from ..worker.emulation import EmulationResult, emulate_in_process

    steps, batch, seed = arguments.sequence_length, arguments.batch_size, arguments.seed
    spec, kernels = spec_of(arguments), arguments.kernels or KERNELS
    check_folder(kernels)
    check_memory(spec, steps, batch)
    lengths = None
    if arguments.ragged:
        lengths = np.random.default_rng(seed).integers(0, steps + 1, batch)
        lengths[0], lengths[-1] = 0, steps
    problem = draw_problem(spec, steps, batch, seed, lengths=lengths, training=arguments.mode == "training")
    if lengths is not None:  # padding is never read, so it may be NaN
        problem.inputs.x[np.arange(steps)[:, None] >= lengths] = np.nan
    schedules = schedules_of(arguments.schedules, seed, arguments.schedule)
    found = EmulationResult()
    try:
        for found in emulate_in_process(problem, schedules, kernels, arguments.path):  # noqa: B007  the last one counts
            pass
    except KeyboardInterrupt:
        print(format_result(found, problem, kernels))
        raise
    print(format_result(found, problem, kernels))
    return 0 if found.passed else 1


def schedules_of(count: int, seed: int, kind: str | None) -> list[Schedule]:
    """`count` schedules, of all kinds in turn or of one. Raises CallError for an unknown kind."""
    from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule

    if kind is not None and kind not in KINDS:
        raise CallError(f"--schedule: {kind!r} is unknown; known: {', '.join(KINDS)}")
    kinds = KINDS if kind is None else (kind,)
    return [Schedule(kinds[number % len(kinds)], seed + number // len(kinds)) for number in range(count)]


def check_folder(kernels: Path) -> None:
    """Raises CallError for a folder that is not a complete copy: a missing file would be taken from the original kernels."""
    from lstm_parity.backends.cupy_raw.source import KERNELS

    if not kernels.is_dir():
        raise CallError(f"--kernels: {kernels} is not a folder; copy {KERNELS} and change the copy")
    missing = [path.name for path in sorted(KERNELS.iterdir()) if not (kernels / path.name).is_file()]
    if missing:
        raise CallError(f"--kernels: {kernels} lacks {', '.join(missing)}; copy all of {KERNELS} and change the copy")


def check_memory(spec: LSTMSpec, steps: int, batch: int) -> None:
    """Raises CallError for a problem that does not fit into this machine's memory."""
    from ..machine.host import memory_bytes

    weights = sum(4 * spec.hidden_size * (spec.layer_input_size(l) + spec.state_size) for l in range(spec.num_layers))
    saved = steps * batch * (spec.input_size + 16 * spec.hidden_size * spec.num_layers * spec.num_directions)
    needed, available = 8 * (4 * weights * spec.num_directions + 4 * saved), memory_bytes()
    if available is not None and needed > available:
        sizes = f"{needed / 2**30:,.0f} GiB, this machine has {available / 2**30:,.0f}"
        raise CallError(f"the problem needs about {sizes}; choose smaller sizes")


def format_result(found: EmulationResult, problem: Problem, kernels: Path) -> str:
    """Findings in the form of a compiler's errors, the plan that ran, the files that did not run, and a line of summary."""
    lines = [line for schedule, finding in found.findings for line in _format_finding(schedule, finding)]
    if found.judgement is not None and not found.judgement.agrees:
        lines.append(f"error: the result is wrong: {found.judgement.reason}")
    lines += [f"error: other bits under schedule {s.kind}, seed {s.seed}" for s in found.differing]
    if found.ended or found.running:
        lines.append(f"error: {found.ended or f'interrupted {found.running}'}")
    lines += [_format_launch(launch) for launch in found.launched.values() if launch.cooperative]
    files = {launch.file for launch in found.launched.values()}
    if not_run := sorted(path.name for path in kernels.glob("*.cu") if path.stem not in files):
        lines.append(f"not run by this problem: {', '.join(not_run)}")
    outcome = "no findings" if not found.findings else count_of(len(found.findings), "finding")
    if found.judgement is None:
        outcome += "; no schedule gave a result"
    elif found.judgement.agrees:
        outcome += f"; the result is right, {found.judgement.error_bound_ratio:.2g} of the allowed error"
    launches, switches = count_of(found.launches, "launch", "es"), f"{found.switches:,} switches between threads"
    ran = f"{count_of(len(found.tried), 'schedule')}, {launches}, {switches}"
    return "\n".join([*lines, f"{problem.describe()}: {outcome} ({ran})"])


def _format_finding(schedule: Schedule, finding: Finding) -> Iterator[str]:
    """A finding as a compiler prints an error, so that an editor finds the line; a race's other access is a note."""
    often = f", {finding.count} times" * (finding.count > 1)
    under = f"[{finding.kernel}, schedule {schedule.kind}, seed {schedule.seed}{often}]"
    thread = _format_thread(finding.block, finding.thread, finding.step)
    yield f"{finding.file}:{finding.line}: error: {finding.kind}: {finding.message} ({thread}) {under}"
    if (other := finding.other) is not None:
        thread = _format_thread(other.block, other.thread, other.step)
        yield f"{other.file}:{other.line}: note: the other access is this {'write' if other.is_write else 'read'} ({thread})"


def _format_thread(block: tuple[int, int, int], thread: int, step: int | None) -> str:
    return f"block {block}, thread {thread}" + (f", step {step}" if step is not None else "")


def _format_launch(launch: Launch) -> str:
    x, y, z = launch.grid
    tiles = "tensor cores" if launch.sizes["tensor_cores"] else "no tensor cores"
    single = "; a single slice of units: no block reads what another made" if x == 1 else ""
    parts = (count_of(x, "slice") + " of units", count_of(y, "slice") + " of the batch", count_of(z, "direction"))
    return f"{launch.kernel}: {', '.join(parts)}, {launch.threads} threads a block, {tiles}{single}"
