"""The end of a counterexample's script: what came out, what should have, and the exit code."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_parity.backends import LSTMSpec

from ...problems.problem import Problem
from ...problems.values import Inputs
from ..program import DisagreementError, FailureLocation, ProgramRun
from .data import Data, arrays
from .literals import array_source, number_source
from .parts import SEEN_FINDING


def is_gradient(finding: FailureLocation) -> bool:
    """Whether the finding is about a gradient."""
    return finding.spot.tensor.startswith("gradient")


def expected_source(asked: ProgramRun, finding: FailureLocation, data: Data) -> str:
    """What defines `expected`."""
    which, inputs = asked.program.calls[finding.call]
    spec, own = asked.program.instances[which]
    weights, spot, call = data.weights(own), finding.spot, finding.call + 1
    names = {n: data.array(n, a) for n, a in arrays(inputs).items()}
    length = f", {names['lengths']}" if "lengths" in names else ""
    index = ", ".join(map(str, spot.index))
    if not is_gradient(finding):
        fed = f', own=got_{call}["y"].astype(np.float64)' if spec.num_layers == 1 else ""
        start = ", ".join(names[n] for n in ("x", "h0", "c0"))
        lines = ["", f"wide = [array.astype(np.float64) for array in ({start})]"]
        lines.append(f"y, h_n, c_n = equations({weights}.astype(np.float64), *wide{length}{fed})")
        tensor = spot.tensor.split()[0]
        if tensor != spot.tensor:  # h_n of the last layer must be the y that is there
            return "\n".join(["", *_last_output(inputs, spec, spot.index, call), ""])
        return "\n".join([*lines, f"expected = float({tensor}[{index}])", ""])
    variable = spot.tensor.removeprefix("gradient of ")
    lines = [
        "",
        "# the derivative of the loss by one element, exact: from a step along the imaginary axis",
        f"weights_z = {weights}.astype(np.complex128)",
        *(f"{n}_z = {names[n]}.astype(np.complex128)" for n in ("x", "h0", "c0")),
        f"{'weights_z.' + variable if 'layers' in variable else variable + '_z'}[{index}] += 1e-30j",
        f"y, h_n, c_n = equations(weights_z, x_z, h0_z, c0_z{length})",
    ]
    grad_y = f"{names['grad_y']}.astype(np.float64)"
    if length:
        lines.append(f"valid = (np.arange(len(y))[:, None] < {names['lengths']})[:, :, None]")
        grad_y = f"np.where(valid, {grad_y}, 0)"
    lines += [
        f"loss = np.sum(y * {grad_y})",
        f"loss += np.sum(h_n * {names['grad_h']}.astype(np.float64)) + np.sum(c_n * {names['grad_c']}.astype(np.float64))",
        "expected = float(loss.imag / 1e-30)",
        "",
    ]
    return "\n".join(lines)


def _last_output(inputs: Inputs, spec: LSTMSpec, index: tuple[int, ...], call: int) -> list[str]:
    """h_n of the last layer must be what y has at the row's last valid step (first, for the reverse direction)."""
    d, row, unit = index
    length = len(inputs.x) if inputs.lengths is None else int(inputs.lengths[row])
    if length == 0:
        return [f"expected = {float(inputs.state.h[d - spec.num_directions, row, unit])!r}  # h0: the row has no steps"]
    step = 0 if d else length - 1
    return [f'expected = float(got_{call}["y"][{step}, {row}, {d * spec.state_size + unit}])  # y at the last valid step']


def comparison(problem: Problem, finding: FailureLocation) -> str:
    """What compares the element with `expected`, and exits."""
    spot = finding.spot
    tensor, index = spot.tensor, spot.index
    if tensor.startswith("h_n of the last layer"):
        tensor, index = "h_n", (index[0] - problem.spec.num_directions, *index[1:])
    what = f"{spot.tensor}, {spot.where}".replace('"', "'").replace("{", "(").replace("}", ")")
    return SEEN_FINDING.format(
        call=finding.call + 1,
        tensor=tensor,
        index=", ".join(map(str, index)),
        allowed=number_source(np.float64(spot.allowed)),
        words=problem.describe().replace('"', "'"),
        what=what,
    ).replace(f"[{tensor!r}]", f'["{tensor}"]')


def other_end(asked: list[ProgramRun], failure: DisagreementError) -> str:
    """The end of a script without an element to look at."""
    if failure.kind not in ("wrong", "form"):
        return f'\nprint("right: the calls came back (the check saw: {_quoted(failure.reason)})")'
    last = asked[-1]
    tag = f"{chr(ord('a') + (len(asked) - 1) % 26)}_" if len(asked) > 1 else ""
    name = f"{tag}{len(last.program.calls)}"
    if failure.kind == "form":
        spec, inputs = last.problems[-1].spec, last.problems[-1].inputs
        rows = spec.num_layers * spec.num_directions
        shapes: dict[str, tuple[int, ...]] = {
            "y": (*inputs.x.shape[:2], spec.output_size),
            "h_n": (rows, inputs.x.shape[1], spec.state_size),
            "c_n": (rows, inputs.x.shape[1], spec.hidden_size),
        }
        if inputs.grad_y is not None:
            shapes |= {"gradient of x": inputs.x.shape, "gradient of h0": shapes["h_n"], "gradient of c0": shapes["c_n"]}
            shapes |= {f"gradient of {p}": a.shape for p, a in last.problems[-1].weights.items()}
        dtype = "ml_dtypes.bfloat16" if spec.dtype.name == "bfloat16" else f"np.{spec.dtype.name}"
        return "\n".join(
            [
                "",
                "wrong = False",
                f"shapes = {shapes!r}".replace("'", '"'),
                "for name, shape in shapes.items():",
                f'    given, returned, array = given_{name}["x"], returned_{name}.get(name), got_{name}.get(name)',
                "    right_type = type(returned) is type(given) and array is not None",
                f"    good = right_type and array.shape == shape and array.dtype == {dtype}",
                '    print(f"{name}: {type(returned).__name__}", *(() if array is None else (array.dtype, array.shape)))',
                "    if not good:",
                f'        print(f"    WRONG: expected a {{type(given).__name__}}, {spec.dtype.name} of shape {{shape}}")',
                "        wrong = True",
                "sys.exit(int(wrong))",
            ]
        )
    if last.result is not None and last.result.remarks:
        return '\nprint("\\n".join(changed) or "right: nothing was changed")\nsys.exit(int(bool(changed)))'
    every = [(n, k) for n, a in enumerate(asked) for k in range(len(a.problems))]
    same = len(every) > 1 and len({_key(asked[n].problems[k]) for n, k in every}) == 1
    lines = ["", f'print("{_quoted(failure.reason)}")']
    if same:
        tags = [f"{chr(ord('a') + n % 26)}_" if len(asked) > 1 else "" for n, _ in every]
        names = [f"got_{t}{k + 1}" for t, (_, k) in zip(tags, every, strict=True)]
        lines += [
            "wrong = False",
            f"for other in [{', '.join(names[1:])}]:",
            f"    for name, array in {names[0]}.items():",
            "        if array.tobytes() != other[name].tobytes():",
            "            different = (array != other[name]).sum()",
            '            print(f"WRONG: {name} of the same call is not the same: {different} of {array.size} elements differ")',
            "            wrong = True",
            "sys.exit(int(wrong))",
        ]
        return "\n".join(lines)
    assert last.result is not None
    seen = last.result.results[-1].tensors()
    lines += ["# what the last call gave when the check failed; as long as it gives the same, it still fails", "seen = {"]
    lines += [f'    "{n}": {array_source(a, 4)},' for n, a in seen.items() if n in ("y", "h_n", "c_n")]
    lines += [
        "}",
        f"wrong = all(got_{name}[name].tobytes() == array.tobytes() for name, array in seen.items())",
        'print("WRONG: still what failed" if wrong else "other results than those that failed: run the check again")',
        "sys.exit(int(wrong))",
    ]
    return "\n".join(lines)


def _key(problem: Problem) -> tuple[Any, ...]:
    weights = tuple(a.tobytes() for _, a in problem.weights.items())
    return problem.spec, weights, tuple(a.tobytes() for a in arrays(problem.inputs).values())


def _quoted(text: str) -> str:
    """The text as it may stand between double quotes in the script."""
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
