"""The stepwise plan of one layer: for each step one matrix product for each direction, and kernels for the rest of the step.

Its arrays keep their addresses from call to call, so that a GPU can record the launches of all steps once and replay them
(Machine.replay). What is returned to the caller is therefore always a copy.
"""

from __future__ import annotations

from typing import Any

from ..problem import LSTMSpec, LSTMState
from .layer import Call, Layer, SavedForBackward
from .machine import Machine, Recording
from .plan.launch import copy_launch
from .plan.plan import Plan


class ForwardSteps:
    """The forward recurrence of a layer for calls of one T and B."""

    z: Any
    """[D, T, B, 4H], real: W x, to be filled before a run; after a training run the activated gates"""

    def __init__(self, spec: LSTMSpec, machine: Machine, layer: Layer, plan: Plan, call: Call) -> None:
        t, b, d, h = call.steps, call.batch, spec.num_directions, spec.hidden_size
        self._machine, self._layer, self._plan = machine, layer, plan
        self._steps, self._batch, self._directions, self._training = t, b, d, call.training
        self._recording = Recording()
        self.z = machine.empty(d, t, b, 4 * h, real=True)
        self._h, self._c = machine.zeros(d, b, spec.state_size), machine.empty(d, b, h, real=True)
        self._lengths = machine.integers([0] * b)
        self._y = machine.empty(t, b, d, spec.state_size)
        self._c_steps = machine.empty(d, t, b, h, real=True) if call.training else None
        self._unprojected = machine.empty(t if call.training else 1, d, b, h) if spec.proj_size else None
        self._projected = machine.empty(d, b, spec.proj_size, real=True) if spec.proj_size else None

    def run(self, x: Any, lengths: Any, initial: LSTMState, final: LSTMState) -> SavedForBackward:
        """All steps from `initial`; writes `final`, h [D, B, R] and c [D, B, H] each.

        lengths: int32 [B] on the machine. x [T, B, I or D*R] is only saved.
        """
        rows, width = self._directions * self._batch, self._c.shape[2]
        self._h[...], self._lengths[...] = initial.h, lengths
        self._machine.launch(copy_launch("widen", rows, width), (initial.c, self._c, rows, width))
        self._machine.replay(self._recording, (), self._all_steps)
        final.h[...] = self._h
        self._machine.launch(copy_launch("narrow", rows, width), (self._c, final.c, rows, width))
        return SavedForBackward(x, initial, self._y, self.z, self._c_steps, self._unprojected)

    def _all_steps(self) -> None:
        machine, layer, t, b = self._machine, self._layer, self._steps, self._batch
        cells = self._plan.launch("cells_forward")
        for step in range(t):
            for d in range(self._directions):
                machine.gemm(self._h[d], layer.w_hh[d], self.z[d, t - 1 - step if d else step], accumulate=True)
            out = self._h if self._unprojected is None else self._unprojected[step if self._training else 0]
            arrays = (self.z, layer.bias, layer.peephole, self._c, out, self._y, self._c_steps, self._lengths)
            machine.launch(cells, (*arrays, step, t, b, int(self._training)))
            if layer.w_hr is not None:
                for d in range(self._directions):
                    machine.gemm(out[d], layer.w_hr[d], self._projected[d])  # type: ignore[index]
                given = (self._projected, self._h, self._y, self._lengths)
                machine.launch(self._plan.launch("project_forward"), (*given, step, t, b))


class BackwardSteps:
    """Backpropagation through the recurrence of a layer for calls of one T and B."""

    def __init__(self, spec: LSTMSpec, machine: Machine, layer: Layer, plan: Plan, call: Call) -> None:
        t, b, d, h, r = call.steps, call.batch, spec.num_directions, spec.hidden_size, spec.state_size
        self._machine, self._layer, self._plan = machine, layer, plan
        self._steps, self._batch, self._directions = t, b, d
        self._recording = Recording()
        self._dz = machine.empty(d, t, b, 4 * h)
        self._dh = machine.empty(d, t, b, spec.proj_size) if spec.proj_size else None
        self._grad_h, self._grad_c, self._c0 = machine.zeros(d, b, r), machine.zeros(d, b, h), machine.zeros(d, b, h)
        self._lengths = machine.integers([0] * b)
        self._dc = machine.empty(d, b, h, real=True)
        self._dm = machine.empty(d, b, h, real=True) if spec.proj_size else None
        self._dh0 = machine.empty(d, b, r)
        self._product = machine.empty(d, b, r, real=True)

    def run(
        self, saved: SavedForBackward, lengths: Any, grad_y: Any, grad_final: LSTMState, grad_initial: LSTMState
    ) -> tuple[Any, Any]:
        """All steps, backwards: dz [D, T, B, 4H], 0 past a row's length, and, with projection, dh [D, T, B, P].

        grad_y [T, B, D, R], real; lengths: int32 [B] there. Writes the gradients of the initial state to `grad_initial`.
        """
        self._grad_h[...], self._grad_c[...], self._c0[...] = grad_final.h, grad_final.c, saved.initial.c
        self._lengths[...] = lengths
        read = (saved.gates, saved.c_steps, grad_y)
        self._machine.replay(self._recording, read, lambda: self._all_steps(*read))
        arrays = (self._product, self._dc, self._grad_h, self._grad_c, self._dh0, grad_initial.c, self._lengths)
        self._machine.launch(self._plan.launch("state_gradients"), (*arrays, self._steps, self._batch))
        grad_initial.h[...] = self._dh0
        return self._dz, self._dh

    def _all_steps(self, gates: Any, c_steps: Any, grad_y: Any) -> None:
        machine, layer, t, b = self._machine, self._layer, self._steps, self._batch
        cells = self._plan.launch("cells_backward")
        for step in reversed(range(t)):
            times = [step, t - 1 - step][: self._directions]
            if layer.w_hr is not None:
                arrays = (grad_y, self._grad_h, self._product, self._dh, self._dh0, self._lengths)
                machine.launch(self._plan.launch("project_backward"), (*arrays, step, t, b))
                for d, time in enumerate(times):
                    machine.gemm(self._dh[d, time], layer.w_hr[d].T, self._dm[d])  # type: ignore[index]
            saved = (gates, c_steps, self._c0, layer.peephole)
            gradients = (grad_y, self._grad_h, self._grad_c, self._product, self._dm)
            machine.launch(cells, (*saved, *gradients, self._dc, self._dz, self._dh0, self._lengths, step, t, b))
            for d, time in enumerate(times):
                machine.gemm(self._dz[d, time], layer.w_hh[d].T, self._product[d])
