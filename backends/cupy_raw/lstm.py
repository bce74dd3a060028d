"""A whole LSTM, forward and backward, in terms of a Machine: layers, directions, matrix products over all steps, plans.

W x of all steps is one matrix product; the recurrence runs as the plan says (persistent.py, stepwise.py); the gradients of the
weights are matrix products over all steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..problem import DirectionWeights, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights, validate_gradients
from . import persistent
from .layer import Call, Layer, SavedForBackward
from .machine import Machine
from .plan.launch import copy_launch, sum_launch
from .plan.plan import Path, Plan, plan
from .plan.recurrence import Recurrence
from .stepwise import BackwardSteps, ForwardSteps


class RawLSTM:
    """An LSTM with its weights on a machine. Not thread-safe."""

    plans: list[Plan]
    """Of the last forward and, if there was one, its backward"""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights, machine: Machine, path: Path | None = None) -> None:
        """Uploads the weights, which must fit the spec. path: the plan to use; None: the one that plan.py picks."""
        self._spec, self._machine, self._path = spec, machine, path
        self._real_bytes = 8 if spec.precision == "float64" else 4
        self._layers = [Layer.upload(machine, directions) for directions in weights.layers]
        self._stepwise: dict[tuple[Any, ...], tuple[tuple[int, int], Any]] = {}
        self._saved: tuple[Call, list[SavedForBackward]] | None = None
        self.plans = []

    # ---- forward

    def forward(self, x: Any, state: LSTMState, lengths: Any, training: bool) -> tuple[Any, LSTMState]:
        """See LSTMBackend.forward; the arguments are valid, lengths int64 [B] on the host or None.

        Raises UnsupportedError where no plan takes the problem, OutOfMemoryError before anything is allocated, LaunchError.
        """
        spec, machine = self._spec, self._machine
        steps, batch = x.shape[:2]
        chosen = plan(Recurrence.of(spec, steps, batch), machine.device, "forward", self._path)
        machine.check_room(self.bytes_of_call(steps, batch, training))
        self.plans = [chosen]
        call = Call(steps, batch, machine.integers([steps] * batch if lengths is None else lengths), training)
        initial, x = LSTMState(machine.contiguous(state.h), machine.contiguous(state.c)), machine.contiguous(x)
        if lengths is not None and training:  # in the gradient of W, 0 times NaN would be NaN
            x = self._without_padding(call, x)
        final = LSTMState(machine.empty(*initial.h.shape), machine.empty(*initial.c.shape))
        saved = []
        for l in range(spec.num_layers):
            saved.append(self._forward_layer(call, chosen, l, x, self._of_layer(initial, l), self._of_layer(final, l)))
            x = saved[-1].y.reshape(steps, batch, spec.output_size)
        if training:
            self._saved = call, saved
        # the caller owns what is returned; what is saved, or used again by the next call, must not change with it
        y = machine.copy(x) if training or chosen.path == "stepwise" else x
        return y, final

    def _forward_layer(
        self, call: Call, chosen: Plan, l: int, x: Any, initial: LSTMState, final: LSTMState
    ) -> SavedForBackward:
        spec, machine, layer = self._spec, self._machine, self._layers[l]
        if chosen.path == "persistent":
            z = machine.empty(spec.num_directions, call.steps, call.batch, 4 * spec.hidden_size, real=True)
            self._input_products(layer, x, z)
            return persistent.forward(spec, machine, chosen, call, layer, x, z, initial, final)
        key = ("forward", l, call.training)
        steps: ForwardSteps = self._kept_for(call, key, lambda: ForwardSteps(spec, machine, layer, chosen, call))
        self._input_products(layer, x, steps.z)
        return steps.run(x, call.lengths, initial, final)

    def _input_products(self, layer: Layer, x: Any, z: Any) -> None:
        """W x for all steps: x [T, B, *], z [D, T, B, 4H]."""
        rows = x.shape[0] * x.shape[1]
        for d in range(self._spec.num_directions):
            self._machine.gemm(x.reshape(rows, -1), layer.w_ih[d], z[d].reshape(rows, -1))

    def _without_padding(self, call: Call, x: Any) -> Any:
        t, b, i = x.shape
        clean = self._machine.empty(t, b, i)
        self._elementwise("without_padding", t * b, i, x, clean, call.lengths, t, b, i)
        return clean

    # ---- backward

    def backward(self, grad_y: Any, grad_state: LSTMState) -> LSTMGradients:
        """See LSTMBackend.backward. Raises RuntimeError where no training forward came before, ValueError for a wrong shape."""
        if self._saved is None:
            raise RuntimeError("backward needs a forward(training=True) before it, one for each call")
        call, saved = self._saved
        spec, machine = self._spec, self._machine
        t, b = call.steps, call.batch
        validate_gradients(spec, t, b, grad_y, grad_state, saved[0].y.dtype)
        self._saved = None
        chosen = plan(Recurrence.of(spec, t, b), machine.device, "backward", self._path)
        self.plans = [*self.plans[:1], chosen]
        grad = machine.empty(t, b, spec.output_size, real=True)
        self._elementwise("widen", t * b, spec.output_size, machine.contiguous(grad_y), grad, t * b, spec.output_size)
        grad_final = LSTMState(machine.contiguous(grad_state.h), machine.contiguous(grad_state.c))
        grad_initial = LSTMState(machine.empty(*grad_final.h.shape), machine.empty(*grad_final.c.shape))
        layers = []
        for l in reversed(range(spec.num_layers)):
            states = self._of_layer(grad_final, l), self._of_layer(grad_initial, l)
            dz, dh = self._backward_layer(call, chosen, l, saved[l], grad, *states)
            layers.append(tuple(self._weight_gradients(call, saved[l], d, dz[d], dh) for d in range(spec.num_directions)))
            grad = machine.empty(t * b, spec.layer_input_size(l), real=True)
            for d in range(spec.num_directions):
                machine.gemm(dz[d].reshape(t * b, -1), self._layers[l].w_ih[d].T, grad, accumulate=d > 0)
        dx = machine.empty(t, b, spec.input_size)
        self._elementwise("narrow", t * b, spec.input_size, grad, dx, t * b, spec.input_size)
        return LSTMGradients(dx, grad_initial.h, grad_initial.c, LSTMWeights(tuple(reversed(layers))))

    def _backward_layer(
        self, call: Call, chosen: Plan, l: int, saved: SavedForBackward, grad_y: Any, final: LSTMState, initial: LSTMState
    ) -> tuple[Any, Any]:
        """dz [D, T, B, 4H] and, with projection, dh [D, T, B, P]; writes the gradients of the initial state."""
        spec, machine, layer = self._spec, self._machine, self._layers[l]
        if chosen.path == "persistent":
            return persistent.backward(spec, machine, chosen, call, layer, saved, grad_y, final, initial)
        steps: BackwardSteps = self._kept_for(call, ("backward", l), lambda: BackwardSteps(spec, machine, layer, chosen, call))
        return steps.run(saved, call.lengths, grad_y, final, initial)

    def _weight_gradients(self, call: Call, saved: SavedForBackward, d: int, dz: Any, dh: Any) -> DirectionWeights:
        """Of one direction. dz [T, B, 4H]; dh [D, T, B, P], or None without projection."""
        spec, machine = self._spec, self._machine
        t, b, h, r = call.steps, call.batch, spec.hidden_size, spec.state_size
        columns = dz.reshape(t * b, 4 * h)
        h_before = machine.empty(t, b, r)
        arrays = (saved.y, saved.initial.h, h_before, call.lengths)
        self._elementwise("previous_h", t * b, r, *arrays, t, b, spec.num_directions, d, r)
        found = {
            "w_ih": self._product_over_steps(columns, saved.x.reshape(t * b, -1)),
            "w_hh": self._product_over_steps(columns, h_before.reshape(t * b, r)),
        }
        if spec.bias:
            found["b_ih"], found["b_hh"] = machine.empty(4 * h), machine.empty(4 * h)
            launch = sum_launch("bias_gradient", 4 * h, self._real_bytes)
            machine.launch(launch, (columns, found["b_ih"], found["b_hh"], t * b, 4 * h))
        if dh is not None and saved.unprojected is not None:
            by_time = saved.unprojected[::-1] if d else saved.unprojected  # saved by step; dh is by time
            rows = machine.contiguous(by_time[:, d]).reshape(t * b, h)
            found["w_hr"] = self._product_over_steps(dh[d].reshape(t * b, r), rows)
        if spec.peephole:
            found["peephole"] = machine.empty(3, h)
            given = (dz, saved.c_steps[d], saved.initial.c[d], found["peephole"], call.lengths)
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

    def _of_layer(self, state: LSTMState, l: int) -> LSTMState:
        """A layer's part of a state [L*D, B, *]."""
        rows = slice(l * self._spec.num_directions, (l + 1) * self._spec.num_directions)
        return LSTMState(state.h[rows], state.c[rows])

    def _kept_for(self, call: Call, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The arrays of a stepwise run: those of the last call with this key if T and B are the same, else new ones."""
        sizes, found = self._stepwise.get(key, (None, None))
        if sizes != (call.steps, call.batch):
            self._stepwise.pop(key, None)  # freed before new ones are made: there may not be room for both
            found = make()
            self._stepwise[key] = (call.steps, call.batch), found
        return found

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
