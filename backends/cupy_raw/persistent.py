"""The persistent plan of one layer: one cooperative launch for all time steps (kernels/persistent_*.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problem import LSTMSpec, LSTMState
from .layer import Call, Layer, SavedForBackward
from .machine import Machine
from .plan.launch import Launch
from .plan.plan import Plan


def forward(
    spec: LSTMSpec, machine: Machine, plan: Plan, call: Call, layer: Layer, x: Any, z: Any, initial: LSTMState, final: LSTMState
) -> SavedForBackward:
    """The forward recurrence from `initial`; writes `final`, h [D, B, R] and c [D, B, H] each.

    z [D, T, B, 4H], real: W x; for training it becomes the activated gates. x [T, B, I or D*R] is only saved.
    """
    t, b, d, h = call.steps, call.batch, spec.num_directions, spec.hidden_size
    y = machine.empty(t, b, d, spec.state_size)
    c_steps = machine.empty(d, t, b, h, real=True) if call.training else None
    unprojected = machine.empty(t if call.training else 1, d, b, h) if spec.proj_size else None
    (launch,) = plan.launches
    weights = (layer.w_hh, layer.w_hr, layer.bias, layer.peephole)
    arrays = (z, initial.h, initial.c, y, final.h, final.c, c_steps, unprojected, call.lengths, _flags(machine, launch))
    machine.launch(launch, (*weights, *arrays, t, b, int(call.training)))
    return SavedForBackward(x, initial, y, z, c_steps, unprojected)


def backward(
    spec: LSTMSpec, machine: Machine, plan: Plan, call: Call, layer: Layer, saved: SavedForBackward, grad_y: Any,
    grad_final: LSTMState, grad_initial: LSTMState,
) -> tuple[Any, Any]:  # fmt: skip
    """Backpropagation through the recurrence: dz [D, T, B, 4H] and, with projection, dh [D, T, B, P].

    grad_y [T, B, D, R], real. Writes the gradients of the initial state to `grad_initial`.
    """
    (launch,) = plan.launches
    t, b = call.steps, call.batch
    dz = machine.empty(*saved.gates.shape)
    dh = machine.empty(spec.num_directions, t, b, spec.proj_size) if spec.proj_size else None
    weights = (layer.w_hh, layer.w_hr, layer.peephole)
    given = (saved.gates, saved.c_steps, saved.initial.c, grad_y, grad_final.h, grad_final.c)
    written = (dz, dh, grad_initial.h, grad_initial.c)
    machine.launch(launch, (*weights, *given, *written, call.lengths, _flags(machine, launch), t, b))
    return dz, dh


def _flags(machine: Machine, launch: Launch) -> Any:
    """One flag for each block, all 0."""
    return machine.zero_flags(int(np.prod(launch.grid)))
