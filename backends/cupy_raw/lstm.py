"""The run of a whole LSTM, forward and backward, in terms of a Machine: layers, directions, matrix products, plans.

W x of all steps is one matrix product; the recurrence is what the plan says (plan.py); the gradients of the weights are
matrix products over all steps. What a training forward keeps: the gates and c of every step, and what each layer read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..problem import DirectionWeights, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights, validate_gradients
from .layer import Kept, Layer
from .machine import Machine
from .plan.launch import Launch, copy_launch, sum_launch
from .plan.plan import Path, Plan, plan
from .plan.recurrence import Recurrence
from .stepwise import BackwardSteps, ForwardSteps


@dataclass(frozen=True, eq=False)
class _Call:
    """What all layers of one call share. lengths: int32 [B] on the machine."""

    steps: int
    batch: int
    lengths: Any
    training: bool


class RawLSTM:
    """An LSTM with its weights on a machine, for one thread. path: the plan that is wanted; None: as plan.py picks.

    plans: of the last forward and the last backward.
    """

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights, machine: Machine, path: Path | None = None) -> None:
        """Uploads the weights, which must fit the spec."""
        self._spec, self._machine, self._path = spec, machine, path
        self._real_bytes = 8 if spec.precision == "float64" else 4
        self._layers = [Layer.upload(machine, directions) for directions in weights.layers]
        self._spaces: dict[tuple[Any, ...], tuple[tuple[int, int], Any]] = {}
        self._kept: tuple[_Call, list[Kept]] | None = None
        self.plans: list[Plan] = []

    # ---- forward

    def forward(self, x: Any, state: LSTMState, lengths: Any, training: bool) -> tuple[Any, LSTMState]:
        """See LSTMBackend.forward; the arguments are valid, lengths int64 [B] on the host or None.

        Raises UnsupportedError where no plan takes the problem, OutOfMemoryError before anything is allocated, LaunchError.
        """
        spec, machine = self._spec, self._machine
        steps, batch = x.shape[:2]
        found = plan(Recurrence.of(spec, steps, batch), machine.device, "forward", self._path)
        machine.check_room(self.bytes_of_call(steps, batch, training))
        self.plans = [found]
        call = _Call(steps, batch, machine.integers([steps] * batch if lengths is None else lengths), training)
        h0, c0, x = machine.contiguous(state.h), machine.contiguous(state.c), machine.contiguous(x)
        if lengths is not None and training:  # in the gradient of W, 0 times NaN would be NaN
            x = self._without_padding(call, x)
        h_n, c_n = machine.empty(*h0.shape), machine.empty(*c0.shape)
        run = self._forward_persistent if found.path == "persistent" else self._forward_steps
        kept = []
        for l, layer in enumerate(self._layers):
            part = self._rows_of(l)
            kept.append(run(call, found, l, layer, x, h0[part], c0[part], h_n[part], c_n[part]))
            x = kept[-1].y.reshape(steps, batch, spec.output_size)
        if training:
            self._kept = call, kept
        # what is returned is the caller's; what is kept, for a backward or for the next call, must not change
        y = machine.copy(x) if training or found.path == "stepwise" else x
        return y, LSTMState(h_n, c_n)

    def _forward_persistent(
        self, call: _Call, found: Plan, l: int, layer: Layer, x: Any, h0: Any, c0: Any, h_n: Any, c_n: Any
    ) -> Kept:
        spec, machine = self._spec, self._machine
        t, b, d, h = call.steps, call.batch, spec.num_directions, spec.hidden_size
        z = machine.empty(d, t, b, 4 * h, real=True)
        self._input_products(layer, x, z)
        y = machine.empty(t, b, d, spec.state_size)
        c_steps = machine.empty(d, t, b, h, real=True) if call.training else None
        unprojected = machine.empty(t if call.training else 1, d, b, h) if spec.proj_size else None
        (launch,) = found.launches
        weights = (layer.w_hh, layer.w_hr, layer.bias, layer.peephole)
        arrays = (z, h0, c0, y, h_n, c_n, c_steps, unprojected, call.lengths, self._flags(launch))
        machine.launch(launch, (*weights, *arrays, t, b, int(call.training)))
        return Kept(x, h0, c0, y, z, c_steps, unprojected)

    def _forward_steps(
        self, call: _Call, found: Plan, l: int, layer: Layer, x: Any, h0: Any, c0: Any, h_n: Any, c_n: Any
    ) -> Kept:
        space = self._space(
            call,
            ("forward", l, call.training),
            lambda: ForwardSteps(self._spec, self._machine, layer, found, call.steps, call.batch, call.training),
        )
        self._input_products(layer, x, space.z)
        space.run(h0, c0, call.lengths)
        h_n[...] = space.h
        rows, width = c_n.shape[0] * c_n.shape[1], c_n.shape[2]
        self._elementwise("narrow", rows, width, space.c, c_n, rows, width)
        return Kept(x, h0, c0, space.y, space.z, space.c_steps, space.unprojected)

    def _input_products(self, layer: Layer, x: Any, z: Any) -> None:
        """W x for all steps: x [T, B, *], z [D, T, B, 4H]."""
        rows = x.shape[0] * x.shape[1]
        for d in range(self._spec.num_directions):
            self._machine.gemm(x.reshape(rows, -1), layer.w_ih[d], z[d].reshape(rows, -1))

    def _without_padding(self, call: _Call, x: Any) -> Any:
        t, b, i = x.shape
        clean = self._machine.empty(t, b, i)
        self._elementwise("without_padding", t * b, i, x, clean, call.lengths, t, b, i)
        return clean

    # ---- backward

    def backward(self, grad_y: Any, grad_state: LSTMState) -> LSTMGradients:
        """See LSTMBackend.backward. Raises RuntimeError where no training forward came before, ValueError for a wrong shape."""
        if self._kept is None:
            raise RuntimeError("backward needs a forward(training=True) before it, one for each call")
        call, kept = self._kept
        spec, machine = self._spec, self._machine
        t, b = call.steps, call.batch
        validate_gradients(spec, t, b, grad_y, grad_state, kept[0].y.dtype)
        self._kept = None
        found = plan(Recurrence.of(spec, t, b), machine.device, "backward", self._path)
        self.plans = [*self.plans[:1], found]
        grad = machine.empty(t, b, spec.output_size, real=True)
        self._elementwise("widen", t * b, spec.output_size, machine.contiguous(grad_y), grad, t * b, spec.output_size)
        grad_h, grad_c = machine.contiguous(grad_state.h), machine.contiguous(grad_state.c)
        dh0, dc0 = machine.empty(*grad_h.shape), machine.empty(*grad_c.shape)
        run = self._backward_persistent if found.path == "persistent" else self._backward_steps
        layers = []
        for l in reversed(range(spec.num_layers)):
            part, layer, left = self._rows_of(l), self._layers[l], kept[l]
            dz, dh = run(call, found, l, layer, left, grad, grad_h[part], grad_c[part], dh0[part], dc0[part])
            layers.append(tuple(self._weight_gradients(call, left, d, dz[d], dh) for d in range(spec.num_directions)))
            grad = machine.empty(t * b, spec.layer_input_size(l), real=True)
            for d in range(spec.num_directions):
                machine.gemm(dz[d].reshape(t * b, -1), layer.w_ih[d].T, grad, accumulate=d > 0)
        dx = machine.empty(t, b, spec.input_size)
        self._elementwise("narrow", t * b, spec.input_size, grad, dx, t * b, spec.input_size)
        return LSTMGradients(dx, dh0, dc0, LSTMWeights(tuple(reversed(layers))))

    def _backward_persistent(
        self, call: _Call, found: Plan, l: int, layer: Layer, left: Kept, grad: Any, *states: Any
    ) -> tuple[Any, Any]:
        """dz [D, T, B, 4H] and, with projection, dh [D, T, B, P]. states: grad_h, grad_c and, to be filled, dh0, dc0."""
        (launch,) = found.launches
        grad_h, grad_c, dh0, dc0 = states
        spec, t, b = self._spec, call.steps, call.batch
        dz = self._machine.empty(*left.gates.shape)
        dh = self._machine.empty(spec.num_directions, t, b, spec.proj_size) if spec.proj_size else None
        weights = (layer.w_hh, layer.w_hr, layer.peephole)
        arrays = (left.gates, left.c_steps, left.c0, grad, grad_h, grad_c, dz, dh, dh0, dc0, call.lengths, self._flags(launch))
        self._machine.launch(launch, (*weights, *arrays, t, b))
        return dz, dh

    def _backward_steps(
        self, call: _Call, found: Plan, l: int, layer: Layer, left: Kept, grad: Any, *states: Any
    ) -> tuple[Any, Any]:
        """dz [D, T, B, 4H] and, with projection, dh [D, T, B, P]. states: grad_h, grad_c and, to be filled, dh0, dc0."""
        space = self._space(
            call,
            ("backward", l),
            lambda: BackwardSteps(self._spec, self._machine, layer, found, call.steps, call.batch),
        )
        space.run(left, call.lengths, grad, *states)
        return space.dz, space.dh

    def _weight_gradients(self, call: _Call, left: Kept, d: int, dz: Any, dh: Any) -> DirectionWeights:
        """Of one direction. dz [T, B, 4H]; dh [D, T, B, P], or None without projection."""
        spec, machine = self._spec, self._machine
        t, b, h, r = call.steps, call.batch, spec.hidden_size, spec.state_size
        columns = dz.reshape(t * b, 4 * h)
        before = machine.empty(t, b, r)
        arrays = (left.y, left.h0, before, call.lengths)
        self._elementwise("previous_h", t * b, r, *arrays, t, b, spec.num_directions, d, r)
        found = {
            "w_ih": self._product_over_steps(columns, left.x.reshape(t * b, -1)),
            "w_hh": self._product_over_steps(columns, before.reshape(t * b, r)),
        }
        if spec.bias:
            found["b_ih"], found["b_hh"] = machine.empty(4 * h), machine.empty(4 * h)
            machine.launch(
                sum_launch("bias_gradient", 4 * h, self._real_bytes), (columns, found["b_ih"], found["b_hh"], t * b, 4 * h)
            )
        if dh is not None and left.unprojected is not None:
            by_time = left.unprojected[::-1] if d else left.unprojected  # kept by step, and dh by time
            rows = machine.contiguous(by_time[:, d]).reshape(t * b, h)
            found["w_hr"] = self._product_over_steps(dh[d].reshape(t * b, r), rows)
        if spec.peephole:
            found["peephole"] = machine.empty(3, h)
            given = (dz, left.c_steps[d], left.c0[d], found["peephole"], call.lengths)
            machine.launch(sum_launch("peephole_gradient", h, self._real_bytes, 3), (*given, t, b, h, d))
        return DirectionWeights(**found)

    def _product_over_steps(self, a: Any, b: Any) -> Any:
        """a^T b for a [T*B, M] and b [T*B, N], in the storage dtype."""
        m, n = a.shape[1], b.shape[1]
        product, out = self._machine.empty(m, n, real=True), self._machine.empty(m, n)
        self._machine.gemm(a.T, b.T, product)
        self._elementwise("narrow", m, n, product, out, m, n)
        return out

    # ---- both

    def _rows_of(self, l: int) -> slice:
        """The rows of a state [L*D, B, *] that belong to a layer."""
        return slice(l * self._spec.num_directions, (l + 1) * self._spec.num_directions)

    def _space(self, call: _Call, key: tuple[Any, ...], make: Any) -> Any:
        """The arrays of a stepwise run: those of the last call with this key, where T and B are the same."""
        sizes, found = self._spaces.get(key, (None, None))
        if sizes != (call.steps, call.batch):
            self._spaces.pop(key, None)  # before new ones are made: there may not be room for both
            found = make()
            self._spaces[key] = (call.steps, call.batch), found
        return found

    def _flags(self, launch: Launch) -> Any:
        return self._machine.zero_flags(int(np.prod(launch.grid)))

    def _elementwise(self, kernel: str, rows: int, columns: int, *arguments: Any) -> None:
        self._machine.launch(copy_launch(kernel, rows, columns), arguments)

    def bytes_of_call(self, steps: int, batch: int, training: bool) -> int:
        """Device memory that a call allocates at most, its backward included; weights and arguments aside."""
        spec = self._spec
        real, stored = self._real_bytes, spec.dtype.itemsize
        rows = steps * batch
        gates, cells = 4 * spec.hidden_size * spec.num_directions, spec.hidden_size * spec.num_directions
        projected = cells if spec.proj_size else 0
        of_layer = rows * (gates * real + (spec.output_size + projected) * stored + (cells * real if training else 0))
        once = rows * (spec.input_size + spec.output_size) * stored
        if training:
            widest = max(spec.input_size, spec.output_size)
            once += rows * (gates * stored + (spec.output_size + widest) * real + (spec.output_size + projected) * stored)
        return spec.num_layers * of_layer + once
