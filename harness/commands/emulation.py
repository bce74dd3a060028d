"""Behind `lstm-parity emulate`: one problem through this project's kernels on the CPU, every access checked."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from lstm_parity.backends import LSTMGradients, LSTMSpec, UnavailableError, UnsupportedError
from lstm_parity.backends.cupy_raw.emulator.compiler import CompileError
from lstm_parity.backends.cupy_raw.emulator.findings import EmulationError, Finding
from lstm_parity.backends.cupy_raw.emulator.machine import EmulatedMachine
from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule
from lstm_parity.backends.cupy_raw.lstm import RawLSTM
from lstm_parity.backends.cupy_raw.plan.launch import Launch
from lstm_parity.backends.cupy_raw.plan.plan import Path as PlanPath
from lstm_parity.backends.cupy_raw.source import KERNELS

from ..errors import CallError
from ..machine.host import memory_bytes
from ..oracle.agreement import Expected, Judgement
from ..oracle.results import Results
from ..problems.problem import Problem
from ..verify.isolation.execute import tensors_of
from ..worker.spawn import end, spawn


@dataclass
class Emulated:
    """What came of one problem under some schedules.

    findings: each once, with the schedule that showed it first. judgement: of the first result, by the equations; None where no
    schedule gave one. differing: schedules under which the same call gave other bits. tried: schedules. launched: the last
    launch of each kernel. launches, switches: over all schedules. running: the launch that is under way, in words; "" at the
    end. ended: how it ended the process, in words.
    """

    findings: list[tuple[Schedule, Finding]] = field(default_factory=list)
    judgement: Judgement | None = None
    differing: list[Schedule] = field(default_factory=list)
    tried: list[Schedule] = field(default_factory=list)
    launched: dict[str, Launch] = field(default_factory=dict)
    launches: int = 0
    switches: int = 0
    running: str = ""
    ended: str = ""

    @property
    def well(self) -> bool:
        """Nothing was found, and the result is right."""
        right = self.judgement is not None and self.judgement.agrees
        return right and not (self.findings or self.differing or self.ended)


def schedules(count: int, seed: int, kind: str | None = None) -> list[Schedule]:
    """`count` schedules, of all kinds in turn or of one. Raises CallError, naming the kinds, for an unknown one."""
    if kind is not None and kind not in KINDS:
        raise CallError(f"--schedule: {kind!r} is unknown; known: {', '.join(KINDS)}")
    kinds = KINDS if kind is None else (kind,)
    return [Schedule(kinds[number % len(kinds)], seed + number // len(kinds)) for number in range(count)]


Watch = Callable[[Emulated, Launch], None]


def check_folder(kernels: Path) -> None:
    """Raises CallError for a folder that is no whole copy of the kernels: what it lacks would be taken from elsewhere."""
    if not kernels.is_dir():
        raise CallError(f"--kernels: {kernels} is not a folder; copy {KERNELS} and change the copy")
    missing = [path.name for path in sorted(KERNELS.iterdir()) if not (kernels / path.name).is_file()]
    if missing:
        raise CallError(f"--kernels: {kernels} lacks {', '.join(missing)}; copy all of {KERNELS} and change the copy")


def check_room(spec: LSTMSpec, steps: int, batch: int) -> None:
    """Raises CallError for a problem that does not fit this machine's memory, with what it needs."""
    weights = sum(4 * spec.hidden_size * (spec.layer_input_size(l) + spec.state_size) for l in range(spec.num_layers))
    kept = steps * batch * (spec.input_size + 16 * spec.hidden_size * spec.num_layers * spec.num_directions)
    needed, there = 8 * (4 * weights * spec.num_directions + 4 * kept), memory_bytes()
    if there is not None and needed > there:
        raise CallError(
            f"the problem needs about {needed / 2**30:,.0f} GiB, this machine has {there / 2**30:,.0f}; choose smaller sizes"
        )


def emulate(
    problem: Problem, under: Sequence[Schedule], kernels: Path, path: PlanPath | None, watch: Watch = lambda _, __: None
) -> Emulated:
    """The problem under each schedule, all detectors on, in this process, which a kernel may take with it: see `apart`.

    watch: is called before each launch with what is known so far, and the launch. Raises CallError where the kernels cannot be
    compiled or run here, or no plan takes the problem.
    """
    found, first = Emulated(), None
    seen: set[object] = set()
    for schedule in under:
        machine = EmulatedMachine(problem.spec.precision, kernels, schedule=schedule, watch=partial(_begin, found, watch))
        found.tried.append(schedule)
        try:
            results = _run(problem, machine, path)
        except EmulationError as error:
            new = [f for f in error.findings if (f.kind, f.file, f.line) not in seen]
            seen.update((f.kind, f.file, f.line) for f in new)
            found.findings += [(schedule, f) for f in new]
            continue
        except (UnavailableError, UnsupportedError, CompileError) as error:
            raise CallError(str(error)) from error
        except (FileNotFoundError, ValueError, MemoryError) as error:
            raise CallError(f"{kernels}: {error}") from error
        finally:
            found.switches += machine.switches
        bits = {name: array.tobytes() for name, array in tensors_of(results).items()}
        if first is None:
            first = bits
            found.judgement = Expected(problem.spec, problem.weights, problem.inputs).judge(results)
        elif bits != first:
            found.differing.append(schedule)
    return found


def _begin(found: Emulated, watch: Watch, launch: Launch) -> None:
    """A launch is about to run."""
    found.launched[launch.kernel] = launch
    found.launches += 1
    watch(found, launch)


def apart(problem: Problem, under: Sequence[Schedule], kernels: Path, path: PlanPath | None) -> Iterator[Emulated]:
    """`emulate` in a process of its own: what is known after each launch, and at last all of it.

    A kernel that ends the process is said in `ended`; one that never ends can be interrupted, and is ended with the iterator.
    Raises what `emulate` raises.
    """
    process, pipe = spawn(_emulate_here, 1, problem, under, kernels, path)
    found = Emulated()
    try:
        while True:
            message = pipe.recv()
            if isinstance(message, CallError):
                raise message
            yield (found := message)
            if not found.running:
                return
    except EOFError:
        code = process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        found.ended = f"the process ended with {how} {found.running or 'before the first launch'}"
        yield found
    finally:
        pipe.close()
        end(process)


def _emulate_here(pipe: Connection, problem: Problem, under: Sequence[Schedule], kernels: Path, path: PlanPath | None) -> None:
    """In the child: sends what is known before each launch, and where it is."""

    def watch(found: Emulated, launch: Launch) -> None:
        schedule = found.tried[-1]
        found.running = f"in {launch.kernel} ({launch.file}.cu) under schedule {schedule.kind}, seed {schedule.seed}"
        pipe.send(found)

    try:
        found = emulate(problem, under, kernels, path, watch)
    except CallError as error:
        pipe.send(error)
    else:
        found.running = ""
        pipe.send(found)


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


def in_words(found: Emulated, problem: Problem, kernels: Path) -> str:
    """Findings as a compiler prints errors, then what ran, what did not, and one line on the whole."""
    lines = [line for schedule, finding in found.findings for line in _as_compiler_says(schedule, finding)]
    if found.judgement is not None and not found.judgement.agrees:
        lines.append(f"error: the result is wrong: {found.judgement.reason}")
    lines += [f"error: other bits under schedule {s.kind}, seed {s.seed}" for s in found.differing]
    if found.ended or found.running:
        lines.append(f"error: {found.ended or f'interrupted {found.running}'}")
    lines += [_launch_in_words(launch) for launch in found.launched.values() if launch.cooperative]
    files = {launch.file for launch in found.launched.values()}
    if idle := sorted(path.name for path in kernels.glob("*.cu") if path.stem not in files):
        lines.append(f"not run by this problem: {', '.join(idle)}")
    said = "no findings" if not found.findings else counted(len(found.findings), "finding")
    if found.judgement is None:
        said += "; no schedule gave a result"
    elif found.judgement.agrees:
        said += f"; the result is right, {found.judgement.error_bound_ratio:.2g} of the allowed error"
    launches, switches = counted(found.launches, "launch", "es"), f"{found.switches:,} switches between threads"
    return "\n".join(
        [*lines, f"{problem.describe()}: {said} ({counted(len(found.tried), 'schedule')}, {launches}, {switches})"]
    )


def counted(number: int, name: str, more: str = "s") -> str:
    """1 finding, 2 findings."""
    return f"{number:,} {name}{more * (number != 1)}"


def _launch_in_words(launch: Launch) -> str:
    x, y, z = launch.grid
    tiles = "tensor cores" if launch.sizes["tensor_cores"] else "no tensor cores"
    alone = "; a single slice of units: no block reads what another made" if x == 1 else ""
    parts = (counted(x, "slice") + " of units", counted(y, "slice") + " of the batch", counted(z, "direction"))
    return f"{launch.kernel}: {', '.join(parts)}, {launch.threads} threads a block, {tiles}{alone}"
