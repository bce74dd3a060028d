"""The arrays, weights and specs of a counterexample, as literals or as names of arrays in a separate file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMWeights
from lstm_parity.backends.problem import Array

from ...problems.values import Inputs
from ..program import Program
from .literals import array_source


def numbers(program: Program) -> int:
    """How many numbers the arrays of a program have."""
    found = [a for _, weights in program.instances for _, a in weights.items()]
    found += [a for _, inputs in program.calls for a in arguments(inputs).values()]
    return sum(a.size for a in {id(a): a for a in found}.values())


def arguments(inputs: Inputs) -> dict[str, Array]:
    """The arguments of a call, by their names in the script."""
    found = {"x": inputs.x, "h0": inputs.state.h, "c0": inputs.state.c}
    if inputs.lengths is not None:
        found["lengths"] = inputs.lengths
    if inputs.grad_y is not None and inputs.grad_state is not None:
        found |= {"grad_y": inputs.grad_y, "grad_h": inputs.grad_state.h, "grad_c": inputs.grad_state.c}
    return found


@dataclass
class Data:
    """The assignments that define specs, weights and arrays; equal ones are written once."""

    path: Path
    """Of the script."""
    in_file: bool
    """Whether the arrays are written to a separate file."""
    lines: list[str] = field(default_factory=list)
    stored: dict[str, Array] = field(default_factory=dict)
    """The arrays for the file."""
    _known: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.in_file:
            self.lines.append('ARRAYS = np.load(Path(__file__).with_suffix(".npz"))')

    def program(self, program: Program) -> str:
        """The call of `run` in the script that executes the program."""
        instances = ", ".join(f"({self.spec(spec)}, {self.weights(weights)})" for spec, weights in program.instances)
        lines = ["    run(", f"        [{instances}],", "        ["]
        for which, inputs in program.calls:
            named = ", ".join(f'"{name}": {self.array(name, array)}' for name, array in arguments(inputs).items())
            lines.append(f"            ({which}, {{{named}}}),")
        lines.append("        ],")
        if program.layout != "plain":
            lines.append(f'        layout="{program.layout}",')
        lines += [f"        {name}=True," for name in ("keep", "interleaved", "reuse") if getattr(program, name)]
        return "\n".join([*lines, "    ),"])

    def array(self, name: str, array: Array) -> str:
        """The name under which the array is defined."""
        return self._named(name, (array.dtype.name, array.shape, array.tobytes()), lambda n: self._source(n, array, 0))

    def spec(self, spec: LSTMSpec) -> str:
        """The name of the spec."""
        return self._named("spec", (spec,), lambda _: _spec_source(spec))

    def weights(self, weights: LSTMWeights) -> str:
        """The name of the weights."""
        key = tuple((path, a.dtype.name, a.shape, a.tobytes()) for path, a in weights.items())

        def source(name: str) -> str:
            lines = ["LSTMWeights((", *(f"    {line}" for line in self._layers(name, weights)), "))"]
            return "\n".join(lines)

        return self._named("weights", key, source)

    def _layers(self, name: str, weights: LSTMWeights) -> list[str]:
        lines = []
        for l, layer in enumerate(weights.layers):
            lines.append(f"(  # layer {l}")
            for d, w in enumerate(layer):
                lines.append("    DirectionWeights(" + ("  # " + ("forward", "reverse")[d] if len(layer) > 1 else ""))
                for n, a in w.items():
                    first, *rest = self._source(f"{name}_{l}_{d}_{n}", a, 12).split("\n")
                    lines += [f"        {n}={first}", *(line[4:] for line in rest)]
                    lines[-1] += ","
                lines.append("    ),")
            lines.append("),")
        return lines

    def _source(self, name: str, array: Array, indent: int) -> str:
        if not self.in_file:
            return array_source(array, indent)
        is_bfloat16 = array.dtype.name == "bfloat16"  # which NumPy's files do not support
        self.stored[name] = array.view(np.uint16) if is_bfloat16 else array
        return f'ARRAYS["{name}"]' + ".view(ml_dtypes.bfloat16)" * is_bfloat16

    def _named(self, name: str, key: tuple[Any, ...], source: Callable[[str], str]) -> str:
        key = (name, *key)
        if key not in self._known:
            number = sum(k[0] == name for k in self._known)
            self._known[key] = f"{name}_{number + 1}" if number else name
            self.lines.append(f"{self._known[key]} = {source(self._known[key])}")
        return self._known[key]


def _spec_source(spec: LSTMSpec) -> str:
    plain = LSTMSpec(spec.input_size, spec.hidden_size)
    names = ("num_layers", "bidirectional", "proj_size", "bias", "peephole", "precision")
    changed = [f"{n}={getattr(spec, n)!r}" for n in names if getattr(spec, n) != getattr(plain, n)]
    given = ", ".join([f"input_size={spec.input_size}", f"hidden_size={spec.hidden_size}", *changed])
    return f"LSTMSpec({given})".replace("'", '"')
