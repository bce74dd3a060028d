"""Runs a problem through this project's kernels on the CPU emulator, with every access checked, in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from lstm_parity.backends import LSTMGradients, UnavailableError, UnsupportedError
from lstm_parity.backends.cupy_raw.emulator.compiler import CompileError
from lstm_parity.backends.cupy_raw.emulator.findings import EmulationError, Finding
from lstm_parity.backends.cupy_raw.emulator.machine import EmulatedMachine
from lstm_parity.backends.cupy_raw.emulator.schedule import Schedule
from lstm_parity.backends.cupy_raw.lstm import RawLSTM
from lstm_parity.backends.cupy_raw.plan.launch import Launch
from lstm_parity.backends.cupy_raw.plan.plan import Path as PlanPath

from ..errors import CallError
from ..oracle.agreement import Expected, Judgement
from ..oracle.results import Results, named_tensors
from ..problems.problem import Problem
from .spawn import end, spawn


@dataclass
class EmulationResult:
    """What is known of the runs of one problem under some schedules; complete once `running` and `ended` are empty."""

    findings: list[tuple[Schedule, Finding]] = field(default_factory=list)
    """Each kind and line once, with the first schedule that showed it"""
    judgement: Judgement | None = None
    """Of the first result, by the equations; None if no schedule gave one"""
    differing: list[Schedule] = field(default_factory=list)
    """Schedules whose results have other bits than the first result"""
    tried: list[Schedule] = field(default_factory=list)
    launched: dict[str, Launch] = field(default_factory=dict)
    """The last launch of each kernel"""
    launches: int = 0
    switches: int = 0
    """Between threads, in all launches"""
    running: str = ""
    """Text that names the launch that is running"""
    ended: str = ""
    """Text that says how, and in which launch, the process ended before it was complete"""

    @property
    def passed(self) -> bool:
        """Whether there are no findings, and all results are the same and right."""
        right = self.judgement is not None and self.judgement.agrees
        return right and not (self.findings or self.differing or self.ended)


Watch = Callable[[EmulationResult, Launch], None]


def emulate(
    problem: Problem, schedules: Sequence[Schedule], kernels: Path, path: PlanPath | None, watch: Watch = lambda _, __: None
) -> EmulationResult:
    """Run the problem under each schedule in this process, which a faulty kernel may crash: see `emulate_in_process`.

    kernels: the folder of the .cu files. path: the plan; None: the one that plan.py picks. watch: called before each launch
    with the result so far and the launch. Raises CallError if the kernels cannot be compiled or run, or no plan takes the
    problem.
    """
    found, first = EmulationResult(), None
    seen: set[object] = set()
    for schedule in schedules:
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
        tensors = named_tensors(problem.spec, problem.weights, problem.inputs, results)
        bits = {name: array.tobytes() for name, array in tensors.items()}
        if first is None:
            first = bits
            found.judgement = Expected(problem.spec, problem.weights, problem.inputs).judge(results)
        elif bits != first:
            found.differing.append(schedule)
    return found


def emulate_in_process(
    problem: Problem, schedules: Sequence[Schedule], kernels: Path, path: PlanPath | None
) -> Iterator[EmulationResult]:
    """`emulate` in a process of its own: the result so far at each launch, and at last the complete one.

    A process that a kernel ends is reported in `ended`; a kernel that never ends can be interrupted: closing the iterator ends
    the process. Raises what `emulate` raises.
    """
    process, pipe = spawn(_serve, 1, problem, schedules, kernels, path)
    found = EmulationResult()
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


def _serve(pipe: Connection, problem: Problem, schedules: Sequence[Schedule], kernels: Path, path: PlanPath | None) -> None:
    """In the child: sends the result so far before each launch, then the complete one or a CallError."""

    def watch(found: EmulationResult, launch: Launch) -> None:
        schedule = found.tried[-1]
        found.running = f"in {launch.kernel} ({launch.file}.cu) under schedule {schedule.kind}, seed {schedule.seed}"
        pipe.send(found)

    try:
        found = emulate(problem, schedules, kernels, path, watch)
    except CallError as error:
        pipe.send(error)
    else:
        found.running = ""
        pipe.send(found)


def _begin(found: EmulationResult, watch: Watch, launch: Launch) -> None:
    found.launched[launch.kernel] = launch
    found.launches += 1
    watch(found, launch)


def _run(problem: Problem, machine: EmulatedMachine, path: PlanPath | None) -> Results:
    inputs = problem.inputs
    lstm = RawLSTM(problem.spec, problem.weights, machine, path)
    y, last = lstm.forward(inputs.x, inputs.state, inputs.lengths, problem.training)
    gradients: LSTMGradients | None = None
    if inputs.grad_y is not None and inputs.grad_state is not None:
        gradients = lstm.backward(inputs.grad_y, inputs.grad_state)
    return Results(y, last.h, last.c, gradients)
