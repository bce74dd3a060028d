"""The stepwise plan of one layer: for each step one matrix product for each direction and the kernels for the rest.

Its arrays stay where they are from call to call, so that a GPU can record the launches of all steps once and replay them
(Machine.replay). What is returned is therefore always a copy.
"""

from __future__ import annotations

from typing import Any

from ..problem import LSTMSpec
from .layer import Kept, Layer
from .machine import Machine, Recording
from .plan.launch import copy_launch
from .plan.plan import Plan


class ForwardSteps:
    """The forward recurrence of a layer for one T and B.

    z [D, T, B, 4H]: W x, to be filled before a run; for training the activated gates after it. h [D, B, R] and c [D, B, H]: the
    final state after a run. y [T, B, D, R]. c_steps [D, T, B, H], for training. unprojected: o tanh(c) with projection,
    [T, D, B, H] by step for training, else [1, D, B, H] of the last step.
    """

    def __init__(
        self, spec: LSTMSpec, machine: Machine, layer: Layer, found: Plan, steps: int, batch: int, training: bool
    ) -> None:
        t, b, d, h = steps, batch, spec.num_directions, spec.hidden_size
        self._machine, self._layer, self._plan = machine, layer, found
        self._steps, self._batch, self._directions, self._training = t, b, d, training
        self._recording = Recording()
        self.z = machine.empty(d, t, b, 4 * h, real=True)
        self.h, self.c = machine.zeros(d, b, spec.state_size), machine.empty(d, b, h, real=True)
        self._lengths = machine.integers([0] * b)
        self.y = machine.empty(t, b, d, spec.state_size)
        self.c_steps = machine.empty(d, t, b, h, real=True) if training else None
        self.unprojected = machine.empty(t if training else 1, d, b, h) if spec.proj_size else None
        self._projected = machine.empty(d, b, spec.proj_size, real=True) if spec.proj_size else None

    def run(self, h0: Any, c0: Any, lengths: Any) -> None:
        """All steps from the state h0 [D, B, R], c0 [D, B, H], for rows of these lengths [B]."""
        rows, width = self._directions * self._batch, self.c.shape[2]
        self.h[...], self._lengths[...] = h0, lengths
        self._machine.launch(copy_launch("widen", rows, width), (c0, self.c, rows, width))
        self._machine.replay(self._recording, (), self._all_steps)

    def _all_steps(self) -> None:
        machine, layer, t, b = self._machine, self._layer, self._steps, self._batch
        cells = self._plan.launch("cells_forward")
        for step in range(t):
            for d in range(self._directions):
                machine.gemm(self.h[d], layer.w_hh[d], self.z[d, t - 1 - step if d else step], accumulate=True)
            out = self.h if self.unprojected is None else self.unprojected[step if self._training else 0]
            arrays = (self.z, layer.bias, layer.peephole, self.c, out, self.y, self.c_steps, self._lengths)
            machine.launch(cells, (*arrays, step, t, b, int(self._training)))
            if layer.w_hr is not None:
                for d in range(self._directions):
                    machine.gemm(out[d], layer.w_hr[d], self._projected[d])  # type: ignore[index]
                given = (self._projected, self.h, self.y, self._lengths)
                machine.launch(self._plan.launch("project_forward"), (*given, step, t, b))


class BackwardSteps:
    """Backpropagation through the recurrence of a layer for one T and B.

    dz [D, T, B, 4H]: the result, 0 past a row's length. dh [D, T, B, P]: with projection, the gradient of each step's h.
    """

    def __init__(self, spec: LSTMSpec, machine: Machine, layer: Layer, found: Plan, steps: int, batch: int) -> None:
        t, b, d, h = steps, batch, spec.num_directions, spec.hidden_size
        self._machine, self._layer, self._plan = machine, layer, found
        self._steps, self._batch, self._directions = t, b, d
        self._recording = Recording()
        self.dz = machine.empty(d, t, b, 4 * h)
        self.dh = machine.empty(d, t, b, spec.proj_size) if spec.proj_size else None
        self._grad_h, self._grad_c, self._c0 = (
            machine.zeros(d, b, spec.state_size),
            machine.zeros(d, b, h),
            machine.zeros(d, b, h),
        )
        self._lengths = machine.integers([0] * b)
        self._dc = machine.empty(d, b, h, real=True)
        self._dm = machine.empty(d, b, h, real=True) if spec.proj_size else None
        self._dh0 = machine.empty(d, b, spec.state_size)
        self._product = machine.empty(d, b, spec.state_size, real=True)

    def run(self, kept: Kept, lengths: Any, grad: Any, grad_h: Any, grad_c: Any, dh0: Any, dc0: Any) -> None:
        """All steps, backwards; writes the gradients of the initial state, dh0 [D, B, R] and dc0 [D, B, H].

        grad [T, B, D, R]: of y, real. grad_h [D, B, R], grad_c [D, B, H]: of the final state. lengths [B].
        """
        self._grad_h[...], self._grad_c[...], self._c0[...], self._lengths[...] = grad_h, grad_c, kept.c0, lengths
        gates, c_steps = kept.gates, kept.c_steps
        self._machine.replay(self._recording, (gates, c_steps, grad), lambda: self._all_steps(gates, c_steps, grad))
        arrays = (self._product, self._dc, self._grad_h, self._grad_c, self._dh0, dc0, self._lengths)
        self._machine.launch(self._plan.launch("state_gradients"), (*arrays, self._steps, self._batch))
        dh0[...] = self._dh0

    def _all_steps(self, gates: Any, c_steps: Any, grad: Any) -> None:
        machine, layer, t, b = self._machine, self._layer, self._steps, self._batch
        cells = self._plan.launch("cells_backward")
        for step in reversed(range(t)):
            times = [step, t - 1 - step][: self._directions]
            if layer.w_hr is not None:
                arrays = (grad, self._grad_h, self._product, self.dh, self._dh0, self._lengths)
                machine.launch(self._plan.launch("project_backward"), (*arrays, step, t, b))
                for d, time in enumerate(times):
                    machine.gemm(self.dh[d, time], layer.w_hr[d].T, self._dm[d])  # type: ignore[index]
            left = (gates, c_steps, self._c0, layer.peephole)
            given = (grad, self._grad_h, self._grad_c, self._product, self._dm)
            machine.launch(cells, (*left, *given, self._dc, self.dz, self._dh0, self._lengths, step, t, b))
            for d, time in enumerate(times):
                machine.gemm(self.dz[d, time], layer.w_hh[d].T, self._product[d])
