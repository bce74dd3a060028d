"""Writes a failure as a script that reproduces it with NumPy and the backend alone: templates/ filled with its data."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ...oracle.results import expected_shapes
from ...problems.problem import Problem
from ...worker import by_value
from ..check import Check
from ..program import DisagreementError, FailureLocation, ProgramRun
from .data import Data, arguments, numbers
from .literals import COLUMNS, array_source, dtype_source, number_source

MAX_NUMBERS = 20_000
"""Above this, the arrays are written to a separate file."""

HANG_S = 60
"""Seconds after which the script ends a call that hung."""


def write_counterexample(
    path: Path,
    check: Check,
    backend_name: str,
    failure: DisagreementError,
    where: FailureLocation | None,
    hints: Sequence[str],
) -> None:
    """Write the script to `path` (and large arrays to a file of the same name ending in .npz).

    The script makes the calls of the failure, prints the results and the expected ones, and exits 1 while they differ, 0 once
    the backend is fixed. where: the element that is compared; without one, the script shows the subject of the failure: the
    exception, the form, the array that was written to. Raises ValueError for a failure without a program.
    """
    if not failure.runs:
        raise ValueError("no program was run, so there is nothing to reproduce")
    runs = failure.runs if where is None else [failure.runs[where.program]]
    if where is None and _changed(runs):
        runs = runs[-1:]
    problem = runs[-1].problems[-1] if where is None else runs[0].problems[where.call]
    data = Data(path, sum(numbers(run.program) for run in runs) > MAX_NUMBERS)
    programs = "\n".join(data.program(run.program) for run in runs)
    name, fields = _ending(runs, failure, where, problem)
    text = _template("script").substitute(
        summary=_summary(data, check, backend_name, failure, where, problem, hints),
        name=_quoted(_absolute(backend_name)),
        data="\n".join(data.lines),
        limit=HANG_S if failure.kind == "hung" else None,
        programs=programs,
        ending=_template(name).substitute(fields).strip(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
    if data.in_file:
        np.savez_compressed(path.with_suffix(".npz"), allow_pickle=False, **data.stored)


@cache
def _template(name: str) -> Template:
    return Template((Path(__file__).parent / "templates" / f"{name}.py.txt").read_text(encoding="utf-8"))


def equations_source() -> str:
    """The part of the script that defines `equations`."""
    return _template("equations").substitute()


def _ending(
    runs: Sequence[ProgramRun], failure: DisagreementError, where: FailureLocation | None, problem: Problem
) -> tuple[str, dict[str, Any]]:
    """The template of what the script compares, and its fields."""
    if where is not None:
        spot = where.spot
        return "value", {
            "equations": equations_source().strip(),
            "tensor": _quoted(spot.tensor),
            "index": tuple(int(i) for i in spot.index),
            "allowed": number_source(np.float64(spot.allowed)),
            "call": where.call,
            "problem": _quoted(problem.describe()),
            "where": _quoted(f"{spot.tensor}, {spot.where}"),
        }
    if failure.kind == "form":
        return "form", _form(problem)
    if failure.kind != "wrong":
        return "returns", {"reason": _quoted(failure.reason)}
    if _changed(runs):
        return "changed", {}
    if len({_key(p) for run in runs for p in run.problems}) == 1 < sum(len(run.problems) for run in runs):
        return "same_bits", {"reason": _quoted(failure.reason)}
    assert runs[-1].result is not None
    tensors = runs[-1].result.results[-1].tensors()
    lines = [f'    "{n}": {array_source(tensors[n], 4)},' for n in ("y", "h_n", "c_n")]
    return "recorded", {"reason": _quoted(failure.reason), "recorded": "\n".join(lines)}


def _changed(runs: Sequence[ProgramRun]) -> bool:
    """Whether the last program changed what it must not change."""
    return runs[-1].result is not None and bool(runs[-1].result.changes)


def _form(problem: Problem) -> dict[str, Any]:
    shapes = expected_shapes(problem.spec, problem.weights, problem.inputs)
    lines = "".join(f"    {_quoted(name)}: {shape},\n" for name, shape in shapes.items())
    return {"shapes": f"{{\n{lines}}}", "dtype": dtype_source(problem.spec.dtype)}


def _key(problem: Problem) -> tuple[Any, ...]:
    weights = tuple(a.tobytes() for _, a in problem.weights.items())
    return problem.spec, weights, tuple(a.tobytes() for a in arguments(problem.inputs).values())


def _absolute(backend_name: str) -> str:
    """The backend's name; of a file, with its absolute path, so that the script runs from anywhere."""
    where, _, attribute = backend_name.rpartition(":")
    return f"{Path(where).expanduser().resolve()}:{attribute}" if where.endswith(".py") else backend_name


def _summary(
    data: Data,
    check: Check,
    backend_name: str,
    failure: DisagreementError,
    where: FailureLocation | None,
    problem: Problem,
    hints: Sequence[str],
) -> str:
    """The script's docstring."""
    lines = [f"Counterexample to {check.name}.", f"Claim: {check.claim}", f"Backend: {backend_name}"]
    lines += [f"Smallest problem: {problem.describe()}", f"What is wrong: {failure.reason}"]
    if where is not None and str(where.spot) != failure.reason:
        lines.append(f"By the equations: {where.spot}")
    lines += [f"Hint: {hint}" for hint in hints]
    if data.in_file:
        lines.append(f"Its arrays are in {data.path.with_suffix('.npz').name}, in the same folder.")
    if backend_name.startswith(by_value.PREFIX):
        lines.append(f"{backend_name.removeprefix(by_value.PREFIX)} is in no file: define or import it here, above NAME.")
    lines.append(f"Run it: python {data.path.name}. It exits 1 while the backend is wrong, and 0 once it is fixed.")
    wrapped = ["\n".join(textwrap.wrap(_escaped(line), COLUMNS, subsequent_indent="    ")) for line in lines]
    return wrapped[0] + "\n\n" + "\n".join(wrapped[1:]) + "\n"


def _escaped(text: str) -> str:
    """The text for a docstring, on one line."""
    return " ".join(text.split()).replace("\\", "\\\\").replace('"""', "'''")


def _quoted(text: str) -> str:
    """The text as a string literal on one line."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False)
