"""Writes a failure down as a script that shows it again, with NumPy and the backend alone."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...problems.problem import Problem
from ..program import DisagreementError, FailureLocation, ProgramRun
from .data import Data, arrays, numbers
from .ends import comparison, expected_source, is_gradient, other_end
from .literals import COLUMNS
from .parts import calling, equations

MOST_NUMBERS = 20_000
"""Beyond so many, the arrays go to a file beside the script."""

HANG_S = 60
"""A call that hung is given up after so many seconds."""


def write_counterexample(
    path: Path,
    check_name: str,
    claim: str,
    backend_name: str,
    failure: DisagreementError,
    finding: FailureLocation | None,
    hints: Sequence[str],
) -> None:
    """Write the script to `path` (and its arrays beside it, ending in .npz, where they are large).

    Run, it makes the calls of the failure, says what came out and what should have, and exits 1 while that is wrong, 0 once the
    backend is mended. finding: the element that is looked at; without one, what the failure is about: the exception, the form,
    what was written to. Raises ValueError for a failure without a program.
    """
    if not failure.runs:
        raise ValueError("nothing was asked of the backend, so there is nothing to show")
    asked = failure.runs if finding is None else [failure.runs[finding.program]]
    if finding is None and asked[-1].result is not None and asked[-1].result.remarks:
        asked = asked[-1:]
    data = Data(path, sum(numbers(a) for a in asked) > MOST_NUMBERS)
    calls = [calls_source(one, data, number, failure, len(asked)) for number, one in enumerate(asked)]
    problem = asked[-1].problems[-1] if finding is None else asked[0].problems[finding.call]
    problems = [p for one in asked for p in one.problems]
    parts = [
        calling(
            layout=asked[-1].program.layout,
            training=any(p.training for p in problems),
            lengths=any(p.inputs.lengths is not None for p in problems),
            spoiled=any(_spoiled(one) for one in asked),
        )
    ]
    if finding is not None:
        parts.append(_equations(problem, finding))
        end = expected_source(asked[0], finding, data) + comparison(problem, finding)
    else:
        end = other_end(asked, failure)
    parts.append("# fmt: off\n" + "\n".join(data.lines) + "\n# fmt: on")
    body = "\n".join(
        [f"NAME = {json.dumps(_name(backend_name), ensure_ascii=False)}", "Backend = load_backend(NAME)", *calls, end]
    )
    text_head = _docstring(path, check_name, claim, backend_name, failure, finding, problem, hints, data.in_file)
    functions = "\n\n\n".join(p.strip("\n").replace("\n\n\n\n", "\n\n\n") for p in parts[:-1])
    text = f"{text_head}\n\n{_imports(parts, body, data)}\n\n{functions}\n\n\n{parts[-1]}\n\n{body}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
    if data.in_file:
        np.savez_compressed(path.with_suffix(".npz"), allow_pickle=False, **data.stored)


def _spoiled(asked: ProgramRun) -> bool:
    """Whether what a call returned is overwritten before the next one."""
    return len(asked.program.calls) > 1 and not asked.program.keep


def _name(backend_name: str) -> str:
    """The backend's name; of a file, with its absolute path, so that the script runs from anywhere."""
    where, _, attribute = backend_name.rpartition(":")
    return f"{Path(where).expanduser().resolve()}:{attribute}" if where.endswith(".py") else backend_name


def _docstring(
    path: Path,
    check_name: str,
    claim: str,
    backend_name: str,
    failure: DisagreementError,
    finding: FailureLocation | None,
    problem: Problem,
    hints: Sequence[str],
    in_file: bool,
) -> str:
    said = [f"Counterexample to {check_name}.", f"Claim: {claim}", f"Backend: {backend_name}"]
    said.append(f"Smallest problem: {problem.describe()}")
    said.append(f"What is wrong: {failure.reason}")
    if finding is not None and str(finding.spot) != failure.reason:
        said.append(f"By the equations: {finding.spot}")
    said += [f"Hint: {hint}" for hint in hints]
    if in_file:
        said.append(f"Its arrays are in {path.with_suffix('.npz').name}, beside it.")
    said.append(f"Run it: python {path.name}. It exits 1 while this is wrong, and 0 once the backend is mended.")
    wrapped = ["\n".join(textwrap.wrap(_escaped(one), COLUMNS, subsequent_indent="    ")) for one in said]
    return '"""' + wrapped[0] + "\n\n" + "\n".join(wrapped[1:]) + '\n"""'


def _escaped(text: str) -> str:
    """The text as it may stand in a docstring, on one line."""
    return " ".join(text.split()).replace("\\", "\\\\").replace('"""', "'''").rstrip('"')


def _imports(parts: list[str], body: str, data: Data) -> str:
    text = "\n".join([*parts, body])
    lines = ["import faulthandler"] * ("faulthandler." in text) + ["import sys"] * ("sys." in text)
    lines += ["from contextlib import suppress"] * ("suppress(" in text) + ["from pathlib import Path"] * ("Path(" in text)
    lines += [""] * bool(lines) + ["import ml_dtypes"] * ("ml_dtypes." in text) + ["import numpy as np"]
    names = [n for n in ("DirectionWeights", "LSTMSpec", "LSTMState", "LSTMWeights", "load_backend") if n in text]
    return "\n".join([*lines, f"from lstm_parity import {', '.join(names)}"]) + "\n"


def calls_source(asked: ProgramRun, data: Data, number: int, failure: DisagreementError, programs: int) -> str:
    """The program: its instances, its calls in order, and what became of what was given and returned."""
    program, tag = asked.program, f"{chr(ord('a') + number % 26)}_" if programs > 1 else ""
    lines = ["", f"# program {number + 1}"] if programs > 1 else [""]
    if failure.kind == "hung":
        lines.append(f"faulthandler.dump_traceback_later({HANG_S}, exit=True)  # it hung: shows where, and exits 1")
    watch = failure.kind == "wrong" and asked.result is not None and bool(asked.result.remarks)
    if watch:
        before = data.weights(program.instances[0][1])
        lines.append(f"weights_before = [a.tobytes() for _, a in {before}.items()]")
        lines.append("changed = []")
    for k, (spec, weights) in enumerate(program.instances, 1):
        lines.append(f"lstm_{tag}{k} = Backend({data.spec(spec)}, {data.weights(weights)})")
    backs: list[str] = []
    for k, (which, inputs) in enumerate(program.calls, 1):
        names = {n: data.array(n, a) for n, a in arrays(inputs).items()}
        lstm, arguments = f"lstm_{tag}{which + 1}", [names[n] for n in ("x", "h0", "c0")]
        arguments += [f"lengths={names[n]}" for n in ("lengths",) if n in names] + ["training=True"] * ("grad_y" in names)
        ahead = [f"given_{tag}{k}, returned_{tag}{k} = forward({', '.join([lstm, *arguments])})"]
        back = []
        if "grad_y" in names:
            grads = ", ".join(names[n] for n in ("grad_y", "grad_h", "grad_c"))
            back.append(f"backward({lstm}, given_{tag}{k}, returned_{tag}{k}, {grads})")
        back.append(f"got_{tag}{k} = host({lstm}, returned_{tag}{k})")
        if watch:
            original = "{" + ", ".join(f'"{n}": {v}' for n, v in names.items()) + "}"
            back.append(f"for name, before in {original}.items():")
            back.append(f"    if np.asarray({lstm}.to_host(given_{tag}{k}[name])).tobytes() != before.tobytes():")
            back.append(f'        changed.append(f"call {k} wrote to {{name}}")')
        back += [f"spoil(returned_{tag}{k})"] if _spoiled(asked) else []
        lines += ahead if program.interleaved else [*ahead, *back]
        backs += back if program.interleaved else []
    lines += backs
    if watch and program.keep:
        for k, (which, _) in enumerate(program.calls, 1):
            lines.append(f"for name, after in host(lstm_{tag}{which + 1}, returned_{tag}{k}).items():")
            lines.append(f"    if after.tobytes() != got_{tag}{k}[name].tobytes():")
            lines.append(f'        changed.append(f"{{name}} of call {k} was changed by a later call")')
    if watch:
        lines.append(
            f"for (path, array), before in zip({data.weights(program.instances[0][1])}.items(), weights_before, strict=True):"
        )
        lines.append("    if array.tobytes() != before:")
        lines.append('        changed.append(f"{path} was written to")')
    if failure.kind == "hung":
        lines.append("faulthandler.cancel_dump_traceback_later()")
    return "\n".join(lines)


def _equations(problem: Problem, finding: FailureLocation) -> str:
    return equations(problem.spec, lengths=problem.inputs.lengths is not None, gradient=is_gradient(finding))
