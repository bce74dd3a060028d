"""A right LSTM with a method for each thing that can go wrong: backpropagation through time."""

from __future__ import annotations

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMGradients, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .lstm_parts import Arithmetic, Packed, Run, Step, Trace


class BackwardPass(Arithmetic):
    """The backward half of CorrectLSTM, a method for each path of the gradient."""

    layers: list[list[Packed]]

    def run_back(self, trace: Trace, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        """All layers and directions."""
        r, storage = self.spec.state_size, self.spec.dtype
        dh0, dc0 = np.empty(grad_state.h.shape, storage), np.empty(grad_state.c.shape, storage)
        dy = self.grad_y_used(self.load(grad_y))
        dh_n, dc_n = self.grad_states_used(self.load(grad_state.h), self.load(grad_state.c))
        layers: list[tuple[DirectionWeights, ...]] = []
        for l in reversed(range(len(self.layers))):
            parts, of_weights = [], []
            for d, p in enumerate(self.layers[l]):
                k = self.state_index(l, d)
                part = dy[:, :, d * r : (d + 1) * r]
                grad = self.turned(part, trace.lengths) if d else part
                dx, dh0[k], dc0[k], dw = self.direction_back(p, trace.runs[l][d], grad, dh_n[k], dc_n[k])
                parts.append(self.turned(dx, trace.lengths) if d else dx)
                of_weights.append(dw.astype(storage))
            dy = self.read_gradient(l, parts)
            layers.insert(0, tuple(of_weights))
        found = LSTMGradients(dy.astype(storage, copy=False), dh0, dc0, LSTMWeights(tuple(layers)))
        return self.gradients_returned(found)

    def grad_y_used(self, grad_y: Array) -> Array:
        """grad_y [T, B, D*R]; where its dtype is that of the arithmetic, the caller's own array."""
        return grad_y

    def grad_states_used(self, h: Array, c: Array) -> tuple[Array, Array]:
        """The gradients of h_n [L*D, B, R] and c_n [L*D, B, H]."""
        return h, c

    def gradients_returned(self, gradients: LSTMGradients) -> LSTMGradients:
        """The gradients as the caller gets them."""
        return gradients

    def read_gradient(self, layer: int, parts: list[Array]) -> Array:
        """The gradient of what a layer read, from those of its directions."""
        return parts[0] if len(parts) == 1 else np.asarray(parts[0] + parts[1])

    def direction_back(
        self, p: Packed, run: Run, grad_y: Array, dh: Array, dc: Array
    ) -> tuple[Array, Array, Array, DirectionWeights]:
        """One direction of one layer: gradients of what it read [T, B, n], of h0, of c0 and of the weights."""
        steps, batch = grad_y.shape[:2]
        dz = np.empty((steps, batch, 4 * self.spec.hidden_size), self.compute)
        total = np.empty_like(grad_y, order="C")  # of h, that of y included
        for t in reversed(range(steps)):
            s = run.steps[t]
            total[t] = dh + grad_y[t]
            dh_before, dc_before, dz[t] = self.step_back(p, s, total[t], dc)
            if run.mask is None:
                dh, dc = dh_before, dc_before
            else:
                dh, dc = self.receded(run.mask[t][:, None], t, dz, total, (dh, dc), (dh_before, dc_before))
        dx = self.input_gradient(p, dz)
        return dx, dh, dc, self.weight_gradients(p, run, *self.counted(dz, total))

    def counted(self, dz: Array, total: Array) -> tuple[Array, Array]:
        """dz [T, B, 4H] and the gradient of h [T, B, R] of which the weights' gradients are computed."""
        return dz, total

    def receded(
        self, valid: Array, t: int, dz: Array, total: Array, after: tuple[Array, Array], before: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """dh and dc before a step: a row that the step did not touch hands them through. Clears its part of dz and total."""
        dz[t] = np.where(valid, dz[t], 0)
        total[t] = np.where(valid, total[t], 0)
        return np.where(valid, before[0], after[0]), np.where(valid, before[1], after[1])

    def step_back(self, p: Packed, s: Step, dh: Array, dc: Array) -> tuple[Array, Array, Array]:
        """One step back, from dh [B, R] and dc [B, H] after it to those before it, and dz [B, 4H]."""
        n = self.spec.hidden_size
        i, f, g, o = s.gates[:, :n], s.gates[:, n : 2 * n], s.gates[:, 2 * n : 3 * n], s.gates[:, 3 * n :]
        dm = self.unprojected_gradient(p, dh)
        dz = np.empty_like(s.gates)
        dz[:, 3 * n :] = self.sigmoid_back(o) * dm * s.tanh_c
        dc = dc + dm * o * self.squash_back(s.tanh_c)
        if p.peephole is not None:
            dc = dc + self.output_peep_back(p, dz[:, 3 * n :])
        dz[:, :n] = self.sigmoid_back(i) * dc * g
        dz[:, n : 2 * n] = self.sigmoid_back(f) * dc * self.forget_partner(s)
        dz[:, 2 * n : 3 * n] = self.candidate_back(g) * dc * i
        dc = self.through_forget(dc, f)
        if p.peephole is not None:
            dc = dc + self.peep_back(p, dz[:, :n], dz[:, n : 2 * n])
        return self.recurrent_back(p, dz), dc, dz

    def unprojected_gradient(self, p: Packed, dh: Array) -> Array:
        """Gradient of h before the projection [B, H]."""
        return dh if p.w_hr is None else self.product(dh, p.w_hr.T)

    def sigmoid_back(self, s: Array) -> Array:
        """Derivative of the sigmoid, from its value."""
        return np.asarray(s * (1 - s))

    def candidate_back(self, g: Array) -> Array:
        """Derivative of the candidate's tanh, from its value."""
        return np.asarray(1 - g * g)

    def squash_back(self, tanh_c: Array) -> Array:
        """Derivative of tanh(c), from its value."""
        return np.asarray(1 - tanh_c * tanh_c)

    def forget_partner(self, s: Step) -> Array:
        """What the forget gate was multiplied by."""
        return s.c_before

    def through_forget(self, dc: Array, f: Array) -> Array:
        """The path of dc to the step before."""
        return dc * f

    def peep_back(self, p: Packed, dz_i: Array, dz_f: Array) -> Array:
        """The paths of dc to the step before through the peepholes of i and f."""
        assert p.peephole is not None
        return np.asarray(p.peephole[0] * dz_i + p.peephole[1] * dz_f)

    def output_peep_back(self, p: Packed, dz_o: Array) -> Array:
        """The path of dc through the output gate's peephole."""
        assert p.peephole is not None
        return np.asarray(p.peephole[2] * dz_o)

    def recurrent_back(self, p: Packed, dz: Array) -> Array:
        """The path of dh to the step before [B, R]."""
        return self.product(dz, p.w_hh.T)

    def input_gradient(self, p: Packed, dz: Array) -> Array:
        """Gradient of what the direction read [T, B, n]."""
        return self.product(dz.reshape(-1, dz.shape[2]), p.w_ih.T).reshape(*dz.shape[:2], -1)

    def weight_gradients(self, p: Packed, run: Run, dz: Array, total: Array) -> DirectionWeights:
        """Gradients of the weights, from dz [T, B, 4H] and total [T, B, R], the gradient of h."""
        n = self.spec.hidden_size
        flat = dz.reshape(-1, 4 * n)

        def side_by_side(name: str) -> Array:
            return np.concatenate([getattr(s, name) for s in run.steps])

        db = None if p.bias is None else flat.sum(0)
        d_hr = d_peephole = None
        if p.w_hr is not None:
            d_hr = self.product(total.reshape(len(flat), -1).T, self.stored(side_by_side("m")))
        if p.peephole is not None:
            before, after = side_by_side("c_before"), side_by_side("c")
            d_peephole = np.stack(
                [(flat[:, :n] * before).sum(0), (flat[:, n : 2 * n] * before).sum(0), (flat[:, 3 * n :] * after).sum(0)]
            )
        return DirectionWeights(
            w_ih=self.product(flat.T, run.x.reshape(len(flat), -1)),
            w_hh=self.product(flat.T, side_by_side("h_before")),
            b_ih=db,
            b_hh=None if db is None else db.copy(),
            w_hr=d_hr,
            peephole=d_peephole,
        )
