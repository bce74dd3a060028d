"""What `lstm-parity emulate` does: one problem through this project's kernels on the CPU, every access checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backends import LSTMGradients, UnavailableError, UnsupportedError
from backends.cupy_raw.emulated_machine import EmulatedMachine
from backends.cupy_raw.emulator.compiler import CompileError
from backends.cupy_raw.emulator.findings import EmulationError, Finding
from backends.cupy_raw.emulator.schedule import KINDS, Schedule
from backends.cupy_raw.lstm import RawLSTM
from backends.cupy_raw.plan import Path as PlanPath

from .errors import CallError
from .verify.agreement import Expected, Judgement
from .verify.execute import tensors_of
from .verify.problems import Problem
from .verify.results import Results


@dataclass
class Emulated:
    """What came of one problem under some schedules.

    findings: each once, with the schedule that showed it first. judgement: of the first result, by the equations; None where no
    schedule gave one. differing: schedules under which the same call gave other bits. launches, switches: over all schedules.
    """

    findings: list[tuple[Schedule, Finding]] = field(default_factory=list)
    judgement: Judgement | None = None
    differing: list[Schedule] = field(default_factory=list)
    launches: int = 0
    switches: int = 0

    @property
    def well(self) -> bool:
        """Nothing was found, and the result is right."""
        return not self.findings and not self.differing and self.judgement is not None and self.judgement.agrees


def schedules(count: int, seed: int, kind: str | None = None) -> list[Schedule]:
    """`count` schedules, of all kinds in turn or of one. Raises CallError, naming the kinds, for an unknown one."""
    if kind is not None and kind not in KINDS:
        raise CallError(f"--schedule: {kind!r} is unknown; known: {', '.join(KINDS)}")
    kinds = KINDS if kind is None else (kind,)
    return [Schedule(kinds[number % len(kinds)], seed + number // len(kinds)) for number in range(count)]


def emulate(problem: Problem, under: Sequence[Schedule], kernels: Path, path: PlanPath | None) -> Emulated:
    """The problem under each schedule, all detectors on.

    Raises CallError where the kernels cannot be compiled or run here, or no plan takes the problem.
    """
    found, first = Emulated(), None
    seen: set[object] = set()
    for schedule in under:
        machine = EmulatedMachine(problem.spec.precision, kernels, schedule=schedule)
        try:
            results = _run(problem, machine, path)
        except EmulationError as error:
            new = [f for f in error.findings if (f.kind, f.file, f.line) not in seen]
            seen.update((f.kind, f.file, f.line) for f in new)
            found.findings += [(schedule, f) for f in new]
            continue
        except (UnavailableError, UnsupportedError) as error:
            raise CallError(str(error)) from error
        except (CompileError, FileNotFoundError, ValueError, MemoryError) as error:
            raise CallError(f"{kernels}: {error}") from error
        finally:
            found.launches += machine.launches
            found.switches += machine.switches
        bits = {name: array.tobytes() for name, array in tensors_of(results).items()}
        if first is None:
            first = bits
            found.judgement = Expected(problem.spec, problem.weights, problem.inputs).judge(results)
        elif bits != first:
            found.differing.append(schedule)
    return found


def _run(problem: Problem, machine: EmulatedMachine, path: PlanPath | None) -> Results:
    inputs = problem.inputs
    lstm = RawLSTM(problem.spec, problem.weights, machine, path)
    y, last = lstm.forward(inputs.x, inputs.state, inputs.lengths, problem.training)
    gradients: LSTMGradients | None = None
    if inputs.grad_y is not None and inputs.grad_state is not None:
        gradients = lstm.backward(inputs.grad_y, inputs.grad_state)
    return Results(y, last.h, last.c, gradients)


def _as_compiler_says(schedule: Schedule, finding: Finding) -> Iterator[str]:
    """One finding as errors of a compiler are printed, so that an editor finds the line; a race's other access is a note."""
    often = f", {finding.count} times" * (finding.count > 1)
    under = f"[{finding.kernel}, schedule {schedule.kind}, seed {schedule.seed}{often}]"
    where = _thread(finding.block, finding.thread, finding.step)
    yield f"{finding.file}:{finding.line}: error: {finding.kind}: {finding.message} ({where}) {under}"
    if (other := finding.other) is not None:
        what = "write" if other.is_write else "read"
        where = _thread(other.block, other.thread, other.step)
        yield f"{other.file}:{other.line}: note: the other access is this {what} ({where})"


def _thread(block: tuple[int, int, int], thread: int, step: int | None) -> str:
    return f"block {block}, thread {thread}" + (f", step {step}" if step is not None else "")


def in_words(found: Emulated, problem: Problem, count: int) -> str:
    """Findings as a compiler prints errors, then one line on the whole."""
    lines = [line for schedule, finding in found.findings for line in _as_compiler_says(schedule, finding)]
    if found.judgement is not None and not found.judgement.agrees:
        lines.append(f"error: the result is wrong: {found.judgement.reason}")
    lines += [f"error: other bits under schedule {s.kind}, seed {s.seed}" for s in found.differing]
    said = "no findings" if not found.findings else f"{len(found.findings)} finding{'s' * (len(found.findings) > 1)}"
    if found.judgement is None:
        said += "; no schedule gave a result"
    elif found.judgement.agrees:
        said += f"; the result is right, {found.judgement.error_bound_ratio:.2g} of the allowed error"
    ran = f"{count} schedules, {found.launches:,} launches, {found.switches:,} switches between threads"
    return "\n".join([*lines, f"{problem.in_words()}: {said} ({ran})"])
