"""What the LSTM with a fault gives for a problem, in float64: a backend with that fault gives the same."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from lstm_parity.backends import LSTMState
from lstm_parity.backends.problem import Array

from ...faults.fault import Fault
from ...faults.lstm import CorrectLSTM
from ...oracle.results import gradient_tensors
from ...problems.problem import Problem

Tensors = dict[str, Array]


def results_of(lstm: type[CorrectLSTM], problem: Problem, *, backward: bool = False, y: Array | None = None) -> Tensors | None:
    """y [T, B, D*R], h_n [L*D, B, R] and c_n [L*D, B, H], or with `backward` all gradients, by name, float64.

    None where the LSTM cannot solve the problem. y: the backend's, of one layer: each step then starts from the h that is there
    instead of its own, so that errors do not spread from step to step.
    """
    wide = _in_float64(problem)
    inputs = wide.inputs
    try:
        instance = (lstm if y is None or wide.spec.num_layers > 1 else _following(lstm))(wide.spec, wide.weights)
        instance.kept["backend's y"] = y
        found, last = instance.forward(inputs.x, inputs.state, inputs.lengths, training=backward)
        if not backward:
            return {"y": found, "h_n": last.h, "c_n": last.c}
        if inputs.grad_y is None or inputs.grad_state is None:
            return None
        return gradient_tensors(instance.backward(inputs.grad_y, inputs.grad_state))
    except (ValueError, IndexError):  # sizes that do not go together
        return None


def results_with(fault: Fault, problem: Problem, y: Array | None = None) -> Tensors | None:
    """`results_of` the fault's LSTM; None for a problem without the features that the fault is about."""
    if not fault.applies(problem.spec, lengths=problem.inputs.lengths is not None):
        return None
    return results_of(fault.lstm, problem, backward=fault.backward, y=y)


@lru_cache(maxsize=8)  # every fault is tried on the same few problems
def _in_float64(problem: Problem) -> Problem:
    def wide(a: Any) -> Any:
        return None if a is None else np.asarray(a, np.float64)

    i = problem.inputs
    grad_state = None if i.grad_state is None else LSTMState(wide(i.grad_state.h), wide(i.grad_state.c))
    found = problem.with_weights(lambda w, l, d: w.astype(np.float64)).with_inputs(
        x=wide(i.x), state=LSTMState(wide(i.state.h), wide(i.state.c)), grad_y=wide(i.grad_y), grad_state=grad_state
    )
    return replace(found, spec=replace(problem.spec, precision="float64"))


@lru_cache
def _following(lstm: type[CorrectLSTM]) -> type[CorrectLSTM]:
    """The LSTM whose steps start from the h of a given y."""

    def step(self: Any, p: Any, t: int, wx: Array, h: Array, c: Array) -> Any:
        if t:
            part = self.kept["backend's y"][:, :, p.direction * h.shape[1] : (p.direction + 1) * h.shape[1]]
            before = CorrectLSTM.turned(self, part, self.lengths)[t - 1] if p.direction else part[t - 1]
            h = before if self.lengths is None else np.where((t - 1 < self.lengths)[:, None], before, h)
        return lstm.step(self, p, t, wx, h, c)

    return type("Following", (lstm,), {"step": step})
