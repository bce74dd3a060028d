"""A right LSTM with a method for each thing that can go wrong: a fault overrides one of them. This file: forward.

Row-wise. float64 is computed in float64, everything else in float32; y, the states and h between two steps are in the storage
dtype, c is kept in the arithmetic's. It shares no code with the reference, so the two can be compared with each other. The
equations are in numpy_reference.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from lstm_parity.backends import Capabilities, DirectionWeights, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import STORAGE, Array, validate_inputs

from .lstm_backward import BackwardPass
from .lstm_parts import Layers, Packed, Run, Step, Trace

EVERYTHING: dict[str, Any] = {
    "precisions": frozenset(STORAGE),
    "num_layers": None,
    "bidirectional": True,
    "projection": True,
    "peephole": True,
    "no_bias": True,
    "lengths": True,
    "zero_lengths": True,
    "gradients": True,
}
"""All promises that a backend can make."""


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)); exp may overflow to infinity, and the result is then the 0 that is meant."""
    return np.asarray(1 / (1 + np.exp(-z)))


class CorrectLSTM(BackwardPass):
    """An LSTM backend that computes everything LSTMSpec can say."""

    capabilities = Capabilities(**EVERYTHING)

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        """Raises ValueError, naming the wrong field and its shape."""
        weights.validate(spec)
        self.spec = spec
        self.compute = self.arithmetic()
        self.wide = spec.dtype == self.compute
        self.kept: dict[Any, Any] = {}
        """For faults that keep something from call to call, or from step to step."""
        self.chance = np.random.default_rng(zlib.crc32(np.asarray(weights.layers[0][0].w_hh).tobytes()))
        """For faults that depend on chance: seeded by the first U, so that a run can be replayed."""
        with np.errstate(all="ignore"):
            layers = self.weights_used([[w.astype(self.compute) for w in layer] for layer in weights.layers])
            self.layers = [[self.pack(w, l, d) for d, w in enumerate(layer)] for l, layer in enumerate(layers)]
        self.trace: Trace | None = None

    def forward(
        self, x: Array, state: LSTMState, lengths: Array | None = None, training: bool = False
    ) -> tuple[Array, LSTMState]:
        """See LSTMBackend.forward. Raises ValueError for an argument of the wrong shape or dtype."""
        validate_inputs(self.spec, x, state, lengths)
        with np.errstate(all="ignore"):
            return self.run(x, state, lengths, training)

    def backward(self, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        """See LSTMBackend.backward. Raises RuntimeError where no training forward came before."""
        if self.trace is None:
            raise RuntimeError("backward needs a forward(training=True) before it, one for each call")
        trace, self.trace = self.trace, None
        with np.errstate(all="ignore"):
            return self.run_back(trace, grad_y, grad_state)

    # Weights

    def weights_used(self, layers: Layers) -> Layers:
        """The weights by layer and direction, in the dtype of the arithmetic; where that is theirs, the caller's own arrays."""
        return layers

    def pack(self, w: DirectionWeights, layer: int, direction: int) -> Packed:
        """The weights as they are kept."""
        w_ih, w_hh = np.ascontiguousarray(w.w_ih.T), np.ascontiguousarray(w.w_hh.T)
        w_hr = None if w.w_hr is None else np.ascontiguousarray(w.w_hr.T)
        peephole = None if w.peephole is None else np.array(w.peephole)
        return Packed(layer, direction, w_ih, w_hh, self.bias(w), w_hr, peephole)

    def bias(self, w: DirectionWeights) -> Array | None:
        """b [4H] of all gates."""
        return None if w.b_ih is None or w.b_hh is None else np.asarray(w.b_ih + w.b_hh)

    # The stack

    def run(self, x: Array, state: LSTMState, lengths: Array | None, training: bool) -> tuple[Array, LSTMState]:
        """All layers and directions."""
        self.steps, self.batch, self.lengths = len(x), x.shape[1], lengths
        """T, B and the lengths of the call, for whoever overrides a method."""
        used = None if lengths is None else self.lengths_used(lengths)
        mask = self.mask(used, len(x))
        first = read = self.x_used(self.first_input(x, mask))
        h0, c0 = self.states_used(self.load(state.h), self.load(state.c))
        h_n, c_n = np.empty(state.h.shape, self.spec.dtype), np.empty(state.c.shape, self.spec.dtype)
        runs: list[list[Run]] = []
        for l, layer in enumerate(self.layers):
            outputs = []
            runs.append([])
            for d, p in enumerate(layer):
                k = self.state_index(l, d)
                self.start = self.initial_state(h0[k], c0[k], d)
                """h0 [B, R] and c0 [B, H] of the direction that is computed."""
                turned = self.turned(read, used) if d else read
                y, h_n[k], c_n[k], run = self.run_direction(p, turned, *self.start, mask, training)
                runs[-1].append(run)
                outputs.append(self.turned_back(y, used) if d else y)
            read = self.next_input(l, outputs, first)
        if training:
            self.trace = Trace(runs, used)
        y, h_n, c_n = self.returned(np.asarray(read).astype(self.spec.dtype, copy=False), h_n, c_n)
        return y, LSTMState(h_n, c_n)

    def first_input(self, x: Array, mask: Array | None) -> Array:
        """x in the dtype of the arithmetic, with zeros past each row's length."""
        return self.load(x if mask is None else np.where(mask[:, :, None], x, np.zeros((), x.dtype)))

    def x_used(self, x: Array) -> Array:
        """What the first layer reads."""
        return x

    def states_used(self, h: Array, c: Array) -> tuple[Array, Array]:
        """The initial states [L*D, B, R] and [L*D, B, H]."""
        return h, c

    def next_input(self, layer: int, outputs: list[Array], x: Array) -> Array:
        """What the layer after this one reads, or the result: its directions' outputs. x: the first layer's input."""
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)

    def initial_state(self, h: Array, c: Array, direction: int) -> tuple[Array, Array]:
        """h0 [B, R], c0 [B, H] of one direction."""
        return h, c

    def returned(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        """y, h_n and c_n as the caller gets them."""
        return y, h, c

    # Lengths and directions

    def lengths_used(self, lengths: Array) -> Array | None:
        """The lengths [B] that the layers run with."""
        return lengths

    def mask(self, lengths: Array | None, steps: int) -> Array | None:
        """Which rows have a step [T, B]; None where lengths are not given."""
        return None if lengths is None else np.asarray(np.arange(steps)[:, None] < lengths)

    def turned_back(self, y: Array, lengths: Array | None) -> Array:
        """The reverse direction's result in the order of time."""
        return self.turned(y, lengths)

    # One direction of one layer

    def run_direction(
        self, p: Packed, x: Array, h: Array, c: Array, mask: Array | None, training: bool
    ) -> tuple[Array, Array, Array, Run]:
        """x [T, B, n], h [B, R], c [B, H]; y [T, B, R], h_n, c_n, and what backward needs."""
        products = self.input_products(p, x)
        y = np.zeros((len(x), *h.shape), self.compute)
        steps = []
        for t in self.order(len(x)):
            s = self.step(p, t, products[t], h, c)
            if training:
                steps.append(s)
            if mask is None:
                y[t], h, c = s.h, s.h, s.c
            else:
                y[t], h, c = self.advanced(mask[t][:, None], s)
        return *self.final(y, h, c), Run(x, steps, mask)

    def order(self, steps: int) -> Iterable[int]:
        """The steps in the order in which they are taken."""
        return range(steps)

    def advanced(self, valid: Array, s: Step) -> tuple[Array, Array, Array]:
        """y, h, c after a step: past a row's length y is 0 and the state does not change. valid [B, 1]."""
        return np.where(valid, s.h, 0), np.where(valid, s.h, s.h_before), np.where(valid, s.c, s.c_before)

    def final(self, y: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        """y, h_n and c_n of a direction."""
        return y, h, c

    # One step

    def input_products(self, p: Packed, x: Array) -> Array:
        """W x + b [T, B, 4H]."""
        z = self.product(x.reshape(-1, x.shape[2]), p.w_ih)
        return (z if p.bias is None else z + p.bias).reshape(*x.shape[:2], -1)

    def before_step(self, p: Packed, t: int, h: Array, c: Array) -> tuple[Array, Array]:
        """h', c' that step t starts from."""
        return h, c

    def after_step(self, t: int, s: Step) -> None:
        """Changes the step's results in place."""

    def step(self, p: Packed, t: int, wx: Array, h: Array, c: Array) -> Step:
        """One step from the state before it. wx [B, 4H]: of this step, bias included."""
        h, c = self.before_step(p, t, h, c)
        z = self.gate_sums(p, wx, h)
        n = self.spec.hidden_size
        if p.peephole is not None:
            z[:, :n] += self.peep(p, 0, c)
            z[:, n : 2 * n] += self.peep(p, 1, c)
        gates = np.empty_like(z)
        gates[:, : 2 * n] = self.sigmoid(z[:, : 2 * n])
        gates[:, 2 * n : 3 * n] = self.candidate(z[:, 2 * n : 3 * n])
        new_c = self.cell(gates[:, :n], gates[:, n : 2 * n], gates[:, 2 * n : 3 * n], c)
        z_o = z[:, 3 * n :]
        if p.peephole is not None:
            z_o = z_o + self.output_peep(p, c, new_c)
        gates[:, 3 * n :] = self.output_gate(z_o)
        tanh_c = self.squashed(new_c)
        m = self.output(gates[:, 3 * n :], tanh_c, new_c)
        s = Step(gates, h, c, new_c, tanh_c, m, self.stored(self.projected(p, m)))
        self.after_step(t, s)
        return s

    def gate_sums(self, p: Packed, wx: Array, h: Array) -> Array:
        """z [B, 4H], a fresh array, peepholes not yet added."""
        return self.product(h, p.w_hh) + wx

    def peep(self, p: Packed, which: int, c: Array) -> Array:
        """A gate's peephole term [B, H]; which: 0, 1, 2 for i, f, o."""
        assert p.peephole is not None
        return np.asarray(p.peephole[which] * c)

    def output_peep(self, p: Packed, c_before: Array, c: Array) -> Array:
        """The output gate's peephole term: it sees the new c."""
        return self.peep(p, 2, c)

    def candidate(self, z: Array) -> Array:
        """The candidate, g [B, H]."""
        return self.tanh(z)

    def output_gate(self, z: Array) -> Array:
        """The output gate, o [B, H]."""
        return self.sigmoid(z)

    def squashed(self, c: Array) -> Array:
        """The cell as the output sees it, tanh c [B, H]."""
        return self.tanh(c)

    def sigmoid(self, z: Array) -> Array:
        """The sigmoid of a gate."""
        return sigmoid(z)

    def tanh(self, z: Array) -> Array:
        """The hyperbolic tangent."""
        return np.asarray(np.tanh(z))

    def cell(self, i: Array, f: Array, g: Array, c: Array) -> Array:
        """The new c [B, H]."""
        return np.asarray(f * c + i * g)

    def output(self, o: Array, tanh_c: Array, c: Array) -> Array:
        """h before the projection [B, H]."""
        return o * tanh_c

    def projected(self, p: Packed, m: Array) -> Array:
        """h [B, R]; with a projection its input is in storage, as y would be without one."""
        return m if p.w_hr is None else self.product(self.stored(m), p.w_hr)
