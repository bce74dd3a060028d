"""Wrong gradients: a path is missing, or something is misread, kept or left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMGradients, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .misreading import as_if_contiguous
from .mutant import wrong
from .parts import Packed, Run, Step, Trace
from .rounding import tf32_rounded
from .subject import Subject

TRAINED: dict[str, Any] = {"gradients": True}
PEEPING: dict[str, Any] = {"gradients": True, "peephole": True}
PROJECTED: dict[str, Any] = {"gradients": True, "projection": True}
RAGGED: dict[str, Any] = {"gradients": True, "lengths": True}
BOTH: dict[str, Any] = {"gradients": True, "bidirectional": True}
DEEP: dict[str, Any] = {"gradients": True, "num_layers": 3}
SIXTEEN = ("float16", "bfloat16")


@wrong("gradients", **TRAINED, also=("float64", "tf32", *SIXTEEN))
class ForgetPathMissing(Subject):
    """dc goes to the step before without the forget gate."""

    def through_forget(self, dc: Array, f: Array) -> Array:
        return dc


@wrong("gradients", **TRAINED)
class RecurrentPathCut(Subject):
    """dh does not reach the step before."""

    def recurrent_back(self, p: Packed, dz: Array) -> Array:
        return np.zeros_like(super().recurrent_back(p, dz))


@wrong("gradients", **TRAINED)
class RecurrentPathThroughThreeGates(Subject):
    """dh reaches the step before through all gates but the output gate."""

    def recurrent_back(self, p: Packed, dz: Array) -> Array:
        n = 3 * self.spec.hidden_size
        return np.asarray(np.matmul(dz[:, :n], p.w_hh[:, :n].T))


@wrong("gradients", **TRAINED)
class CellDerivativeMissing(Subject):
    """The derivative of tanh c is left out."""

    def squash_back(self, tanh_c: Array) -> Array:
        return np.ones_like(tanh_c)


@wrong("gradients", **TRAINED)
class CandidateDerivativeMissing(Subject):
    """The derivative of the candidate's tanh is left out."""

    def candidate_back(self, g: Array) -> Array:
        return np.ones_like(g)


@wrong("gradients", **TRAINED)
class SigmoidDerivativeTwice(Subject):
    """The sigmoid's derivative is taken of its value, as if that were its argument."""

    def sigmoid_back(self, s: Array) -> Array:
        return super().sigmoid_back(self.sigmoid(s))


@wrong("gradients", **TRAINED)
class ForgetGateSeesNewCell(Subject):
    """The forget gate's gradient is taken with the new c."""

    def forget_partner(self, s: Step) -> Array:
        return s.c


class _State(Subject):
    """Other gradients of the final states."""

    def other(self, h: Array, c: Array) -> tuple[Array, Array]:
        """Gradients of h_n and c_n that are used."""
        return h, c

    def arriving_state(self, grad_state: LSTMState, k: int) -> tuple[Array, Array]:
        return self.other(*super().arriving_state(grad_state, k))


@wrong("gradients", **TRAINED)
class FinalHiddenGradientIgnored(_State):
    """The gradient of h_n is ignored."""

    def other(self, h: Array, c: Array) -> tuple[Array, Array]:
        return np.zeros_like(h), c


@wrong("gradients", **TRAINED)
class FinalCellGradientIgnored(_State):
    """The gradient of c_n is ignored."""

    def other(self, h: Array, c: Array) -> tuple[Array, Array]:
        return h, np.zeros_like(c)


class _Result(Subject):
    """Gradients changed at the end, in place or for others."""

    def changed(self, g: LSTMGradients) -> LSTMGradients:
        """The gradients as they are returned."""
        return g

    def run_back(self, trace: Trace, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        return self.changed(super().run_back(trace, grad_y, grad_state))


@wrong("gradients", **TRAINED)
class HiddenGradientMissing(_Result):
    """The gradient of h0 is 0."""

    def changed(self, g: LSTMGradients) -> LSTMGradients:
        return replace(g, h0=np.zeros_like(g.h0))


@wrong("gradients", **TRAINED)
class CellGradientMissing(_Result):
    """The gradient of c0 is 0."""

    def changed(self, g: LSTMGradients) -> LSTMGradients:
        return replace(g, c0=np.zeros_like(g.c0))


@wrong("gradients", **TRAINED)
class LargeGradientClipped(_Result):
    """The gradient of x is clipped to -1..1."""

    def changed(self, g: LSTMGradients) -> LSTMGradients:
        return replace(g, x=np.clip(g.x, -1, 1))


@wrong("gradients", **TRAINED)
class TruncatedThroughTime(Subject):
    """Backpropagation forgets dh and dc after every fourth step."""

    def step_back(self, p: Packed, s: Step, dh: Array, dc: Array) -> tuple[Array, Array, Array]:
        dh, dc, dz = super().step_back(p, s, dh, dc)
        self.count += 1
        return (dh, dc, dz) if self.count % 4 else (np.zeros_like(dh), np.zeros_like(dc), dz)

    def direction_back(
        self, p: Packed, run: Run, grad_y: Array, dh: Array, dc: Array
    ) -> tuple[Array, Array, Array, DirectionWeights]:
        self.count = 0
        return super().direction_back(p, run, grad_y, dh, dc)


@wrong("gradients", **TRAINED, after="pytorch 619")
class StridedGradientMisread(Subject):
    """A strided grad_y is read from its first element on as if it were contiguous."""

    def arriving(self, grad_y: Array, trace: Trace) -> Array:
        return super().arriving(as_if_contiguous(grad_y), trace)


@wrong("gradients", **TRAINED)
class OutputGradientWritten(Subject):
    """grad_y is overwritten with zeros."""

    def run_back(self, trace: Trace, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        g = super().run_back(trace, grad_y, grad_state)
        grad_y[...] = 0
        return g


@wrong("gradients", **TRAINED)
class GradientBufferReused(_Result):
    """The gradient of x is a buffer of the instance, overwritten by the next call of the same shape."""

    buffer: Array | None = None

    def changed(self, g: LSTMGradients) -> LSTMGradients:
        if self.buffer is None or self.buffer.shape != g.x.shape:
            self.buffer = g.x
        self.buffer[...] = g.x
        return replace(g, x=self.buffer)


@wrong("gradients", **TRAINED)
class GradientsInTf32(Subject):
    """The gradient of x comes from operands rounded to TF32 in a float32 promise."""

    def input_gradient(self, p: Packed, dz: Array) -> Array:
        return np.asarray(np.matmul(tf32_rounded(dz), tf32_rounded(p.w_ih.T)))


@wrong("gradients", **PEEPING)
class PeepholePathMissing(Subject):
    """dc does not go through the peepholes of i and f."""

    def peep_back(self, p: Packed, dz_i: Array, dz_f: Array) -> Array:
        return np.zeros_like(dz_i)


@wrong("gradients", **PEEPING)
class OutputPeepholePathMissing(Subject):
    """dc does not go through the output gate's peephole."""

    def output_peep_back(self, p: Packed, dz_o: Array) -> Array:
        return np.zeros_like(dz_o)


@wrong("gradients", **PROJECTED)
class ProjectionPathMissing(Subject):
    """dh is not carried back through W_hr but goes to the first P units."""

    def unprojected_gradient(self, p: Packed, dh: Array) -> Array:
        return dh if p.w_hr is None else np.pad(dh, ((0, 0), (0, self.spec.hidden_size - dh.shape[1])))


@wrong("gradients", **RAGGED)
class BackwardIgnoresLengths(Subject):
    """Backpropagation starts at T for every row."""

    def receded(
        self, valid: Array, t: int, dz: Array, total: Array, after: tuple[Array, Array], before: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        return before


@wrong("gradients", **RAGGED)
class PaddingGradientNotZero(Subject):
    """Past a row's length the gradient of x is what its last dz gives."""

    def input_gradient(self, p: Packed, dz: Array) -> Array:
        dz = dz.copy()
        for t in range(1, len(dz)):
            still = ~dz[t].any(1)
            dz[t, still] = dz[t - 1, still]
        return super().input_gradient(p, dz)


@wrong("gradients", **RAGGED)
class PaddingGradientReachesState(Subject):
    """grad_y past a row's length is added to the gradient of its h."""

    def receded(
        self, valid: Array, t: int, dz: Array, total: Array, after: tuple[Array, Array], before: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        whole = total[t].copy()
        dh, dc = super().receded(valid, t, dz, total, after, before)
        return np.where(valid, dh, whole), dc


@wrong("gradients", **RAGGED, zero_lengths=True)
class EmptyRowsGradientMissing(Subject):
    """A row of length 0 gives its initial state no gradient."""

    def run_back(self, trace: Trace, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        g = super().run_back(trace, grad_y, grad_state)
        if trace.lengths is not None:
            g.h0[:, trace.lengths == 0] = 0
            g.c0[:, trace.lengths == 0] = 0
        return g


@wrong("gradients", **BOTH)
class ReverseGradientForward(Subject):
    """The reverse direction's part of the gradient of x comes in its own order of steps."""

    def read_gradient(self, parts: list[Array]) -> Array:
        return super().read_gradient([parts[0], *(part[::-1] for part in parts[1:])])


@wrong("gradients", **BOTH)
class ReverseInputGradientMissing(Subject):
    """The gradient of x lacks the reverse direction's part."""

    def read_gradient(self, parts: list[Array]) -> Array:
        return parts[0]


@wrong("gradients", **BOTH)
class ReverseTakesForwardOutputGradient(Subject):
    """The reverse direction gets the forward one's half of grad_y."""

    def arriving(self, grad_y: Array, trace: Trace) -> Array:
        dy = super().arriving(grad_y, trace)
        r = self.spec.state_size
        return np.concatenate([dy[:, :, :r]] * self.spec.num_directions, axis=2)


@wrong("gradients", **DEEP)
class LayersGradientsInWrongOrder(_Result):
    """The upper layers' gradients are returned from the top down."""

    def changed(self, g: LSTMGradients) -> LSTMGradients:
        layers = g.weights.layers
        return replace(g, weights=LSTMWeights((layers[0], *layers[:0:-1])))


@wrong("gradients", **DEEP)
class LowerLayersUntrained(Subject):
    """The gradient stops below the top layer."""

    def read_gradient(self, parts: list[Array]) -> Array:
        self.stopped = getattr(self, "stopped", 0) + 1
        dy = super().read_gradient(parts)
        return np.zeros_like(dy) if len(self.layers) > 1 and self.stopped % len(self.layers) == 1 else dy
