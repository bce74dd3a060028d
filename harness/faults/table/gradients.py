"""Gradients with a path missing, or of which something is misread, scaled, kept or left out; the forward is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMGradients, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from ..changes import GRADIENTS, WEIGHTS, as_if_contiguous, blocks, gradients_of, halves
from ..fault import BIDIRECTIONAL, DEEP, EMPTY_ROWS, LENGTHS, PEEPHOLE, PROJECTED, SIXTEEN, TRAINED, Fault, fault
from ..lstm import CorrectLSTM
from ..lstm_parts import Packed, Run, Step, Trace
from ..rounding import tf32_rounded
from .gates import swapped

gradients = partial(fault, "gradients", needs=TRAINED)
peepholes = partial(fault, "gradients", needs=TRAINED | PEEPHOLE)
projected = partial(fault, "gradients", needs=TRAINED | PROJECTED)
ragged = partial(fault, "gradients", needs=TRAINED | LENGTHS)
both_ways = partial(fault, "gradients", needs=TRAINED | BIDIRECTIONAL)
deep = partial(fault, "gradients", needs=TRAINED | DEEP)
zero = np.zeros_like


# What comes in


def output(name: str, sentence: str, change: Any, **more: Any) -> Fault:
    """Another grad_y [T, B, D*R]: change(grad_y)."""
    return gradients(name, sentence, grad_y_used=lambda _, g: change(g), **more)


def output_halves(name: str, sentence: str, change: Any) -> Fault:
    """Other halves of grad_y: change(forward, reverse)."""
    return both_ways(name, sentence, grad_y_used=lambda lstm, g: halves(change)(g) if lstm.spec.bidirectional else g)


def states(name: str, sentence: str, change: Any) -> Fault:
    """Other gradients of the final states: change(grad h_n, grad c_n)."""
    return gradients(name, sentence, grad_states_used=lambda _, h, c: change(h, c))


def last_step_alone(g: Array) -> Array:
    """Zeros for all steps but the last."""
    g = g.copy()
    g[:-1] = 0
    return g


GIVEN = (
    states("final-gradients-ignored", "the gradients of h_n and c_n are ignored", lambda h, c: (zero(h), zero(c))),
    states("final-hidden-gradient-ignored", "the gradient of h_n is ignored", lambda h, c: (zero(h), c)),
    states("final-cell-gradient-ignored", "the gradient of c_n is ignored", lambda h, c: (h, zero(c))),
    output("output-gradient-ignored", "grad_y is ignored", zero),
    output("output-gradient-of-last-step-alone", "grad_y is read at the last step alone", last_step_alone),
    output("output-gradient-reversed", "grad_y is read backwards in time", lambda g: g[::-1]),
    output_halves("output-gradient-halves-swapped", "the directions' halves of grad_y are swapped", lambda a, b: [b, a]),
    output_halves(
        "reverse-takes-forward-output-gradient",
        "the reverse direction gets the forward one's half of grad_y",
        lambda a, b: [a, a],
    ),
    output(
        "strided-gradient-misread",
        "a strided grad_y is read from its first element on as if it were contiguous",
        as_if_contiguous,
        after="pytorch 619",
        hint=False,
    ),
    ragged(
        "backward-ignores-lengths",
        "backpropagation ignores the lengths",
        receded=lambda _, v, t, dz, total, after, before: before,
    ),
)


# What comes out: scaled, zero, clipped, swapped


def scaled() -> Iterator[Fault]:
    """All gradients, or those of the weights, times a factor."""
    for which, sentence, names in (("", "all gradients are", GRADIENTS), ("weight-", "the weights' gradients are", WEIGHTS)):
        for name, how, change in (
            ("mean-over-the-batch", "a mean over the batch instead of a sum", lambda lstm, a: a / lstm.batch),
            ("divided-by-steps", "divided by T", lambda lstm, a: a / lstm.steps),
            ("divided-by-steps-and-batch", "divided by T * B", lambda lstm, a: a / (lstm.steps * lstm.batch)),
            ("doubled", "doubled", lambda lstm, a: a * 2),
            ("negated", "negated", lambda lstm, a: -a),
        ):
            known = which and name == "mean-over-the-batch"
            yield gradients(
                name if known else f"{which}gradients-{name}",
                f"{sentence} {how}",
                gradients_returned=gradients_of(names, change),
            )


KNOWN = {
    "h0-zero": "hidden-gradient-missing",
    "c0-zero": "cell-gradient-missing",
    "b_hh-zero": "recurrent-bias-gradient-missing",
    "peephole-zero": "peephole-gradient-missing",
    "w_hr-zero": "projection-gradient-missing",
    "x-clipped": "large-gradient-clipped",
}
"""Names, by tensor and change."""


def one_tensor() -> Iterator[Fault]:
    """The gradient of one tensor 0, doubled, clipped."""
    for tensor in GRADIENTS:
        declare = {"w_hr": projected, "peephole": peepholes}.get(tensor, gradients)
        for name, how, change in (
            ("zero", "0", lambda lstm, a: zero(a)),
            ("doubled", "doubled", lambda lstm, a: a * 2),
            ("clipped", "clipped to -1..1", lambda lstm, a: np.clip(a, -1, 1)),
        ):
            plain = f"gradient-of-{tensor.replace('_', '-')}-{name}"
            yield declare(
                KNOWN.get(f"{tensor}-{name}", plain),
                f"the gradient of {tensor} is {how}",
                gradients_returned=gradients_of((tensor,), change),
            )


def gates_swapped(j: int, k: int) -> Any:
    """A gradient with the blocks of two gates swapped."""
    return lambda lstm, a: blocks(a, swapped(j, k))


def swaps() -> Iterator[Fault]:
    """Two gates swapped in gradients."""
    for part, where, names in (
        ("weights", "the weights", ("w_ih", "w_hh", "b_ih", "b_hh")),
        ("recurrent", "U", ("w_hh",)),
        ("input", "W", ("w_ih",)),
    ):
        for j, k in combinations(range(4), 2):
            yield gradients(
                f"{part}-gradient-{'ifgo'[j]}-{'ifgo'[k]}-swapped",
                f"gates {'ifgo'[j]} and {'ifgo'[k]} are swapped in the gradient of {where}",
                gradients_returned=gradients_of(names, gates_swapped(j, k)),
            )


def top_down(lstm: Any, g: LSTMGradients) -> LSTMGradients:
    """The upper layers in reverse order."""
    layers = g.weights.layers
    return replace(g, weights=LSTMWeights((layers[0], *layers[:0:-1])))


# Paths


def without_gates(product: Any, *missing: int) -> Any:
    """A product of dz [..., 4H] and a matrix [n, 4H], with 0 for the dz of these gates."""

    def changed(lstm: Any, p: Packed, dz: Array) -> Array:
        dz = dz.copy()
        for k in missing:
            dz[..., k * lstm.spec.hidden_size : (k + 1) * lstm.spec.hidden_size] = 0
        return np.asarray(product(lstm, p, dz))

    return changed


def paths_of_gates() -> Iterator[Fault]:
    """One gate left out of the gradient of h', or of x."""
    for k, (gate, name) in enumerate((("i", "input"), ("f", "forget"), ("g", "candidate"), ("o", "output"))):
        yield gradients(
            "recurrent-path-through-three-gates" if gate == "o" else f"recurrent-path-without-{name}",
            f"dh does not reach the step before through gate {gate}",
            recurrent_back=without_gates(CorrectLSTM.recurrent_back, k),
        )
        yield gradients(
            f"input-path-without-{name}",
            f"gate {gate} is left out of the gradient of x",
            input_gradient=without_gates(CorrectLSTM.input_gradient, k),
        )


def all_peepholes_but(*missing: str) -> dict[str, Any]:
    """Paths of dc through the peepholes of i and f, and of o, that are missing."""
    found: dict[str, dict[str, Any]] = {
        "if": {"peep_back": lambda _, p, dz_i, dz_f: zero(dz_i)},
        "o": {"output_peep_back": lambda _, p, dz_o: zero(dz_o)},
    }
    return {name: method for gates in missing for name, method in found[gates].items()}


def unprojected(lstm: Any, p: Packed, dh: Array) -> Array:
    """dh of the first P units."""
    return dh if p.w_hr is None else np.pad(dh, ((0, 0), (0, lstm.spec.hidden_size - dh.shape[1])))


class TruncatedThroughTime(CorrectLSTM):
    """dh and dc are 0 after every fourth step back."""

    def step_back(self, p: Packed, s: Step, dh: Array, dc: Array) -> tuple[Array, Array, Array]:
        dh, dc, dz = super().step_back(p, s, dh, dc)
        self.kept["steps"] += 1
        return (dh, dc, dz) if self.kept["steps"] % 4 else (zero(dh), zero(dc), dz)

    def direction_back(
        self, p: Packed, run: Run, grad_y: Array, dh: Array, dc: Array
    ) -> tuple[Array, Array, Array, DirectionWeights]:
        self.kept["steps"] = 0
        return super().direction_back(p, run, grad_y, dh, dc)


PATHS = (
    gradients(
        "recurrent-path-cut",
        "dh does not reach the step before",
        recurrent_back=without_gates(CorrectLSTM.recurrent_back, 0, 1, 2, 3),
    ),
    *paths_of_gates(),
    gradients(
        "forget-path-missing",
        "dc goes to the step before without the forget gate",
        also=("float64", "tf32", *SIXTEEN),
        through_forget=lambda _, dc, f: dc,
    ),
    gradients(
        "cell-derivative-missing", "the derivative of tanh(c) is missing", squash_back=lambda _, tanh_c: np.ones_like(tanh_c)
    ),
    gradients(
        "candidate-derivative-missing",
        "the derivative of the candidate's tanh is missing",
        candidate_back=lambda _, g: np.ones_like(g),
    ),
    gradients(
        "sigmoid-derivative-twice",
        "the sigmoid's derivative is computed at its value instead of its argument",
        sigmoid_back=lambda lstm, s: CorrectLSTM.sigmoid_back(lstm, lstm.sigmoid(s)),
    ),
    gradients(
        "forget-gate-sees-new-cell", "the forget gate's gradient is taken with the new c", forget_partner=lambda _, s: s.c
    ),
    gradients("truncated-through-time", "dh and dc are 0 after every fourth step back", base=TruncatedThroughTime),
    peepholes("peephole-paths-missing", "dc does not go through the peepholes", **all_peepholes_but("if", "o")),
    peepholes("peephole-path-missing", "dc does not go through the peepholes of i and f", **all_peepholes_but("if")),
    peepholes("output-peephole-path-missing", "dc does not go through the peephole of o", **all_peepholes_but("o")),
    projected(
        "projection-path-missing",
        "dh is not multiplied by W_hr but goes to the first P units",
        unprojected_gradient=unprojected,
    ),
    deep(
        "lower-layers-untrained",
        "the gradient stops below the top layer",
        read_gradient=lambda lstm, layer, parts: (
            CorrectLSTM.read_gradient(lstm, layer, parts) * (layer == 0 or layer < lstm.spec.num_layers - 1)
        ),
    ),
    both_ways(
        "reverse-gradient-forward",
        "the reverse direction's part of the gradient of x is in its own order of steps",
        read_gradient=lambda lstm, layer, parts: CorrectLSTM.read_gradient(
            lstm, layer, [parts[0], *(part[::-1] for part in parts[1:])]
        ),
    ),
    both_ways(
        "reverse-input-gradient-missing",
        "the gradient of x lacks the reverse direction's part",
        read_gradient=lambda lstm, layer, parts: parts[0],
    ),
)


# Of what a forward reads, and how results are returned


def stale_in_padding(lstm: Any, p: Packed, dz: Array) -> Array:
    """Past a row's length, dz of its last step."""
    dz = dz.copy()
    for t in range(1, len(dz)):
        still = ~dz[t].any(1)
        dz[t, still] = dz[t - 1, still]
    return CorrectLSTM.input_gradient(lstm, p, dz)


def padding_reaches_state(
    lstm: Any, valid: Array, t: int, dz: Array, total: Array, after: tuple[Array, Array], before: tuple[Array, Array]
) -> tuple[Array, Array]:
    """dh with grad_y past a row's length."""
    whole = total[t].copy()
    dh, dc = CorrectLSTM.receded(lstm, valid, t, dz, total, after, before)
    return np.where(valid, dh, whole), dc


class EmptyRowsGradientMissing(CorrectLSTM):
    """0 for the initial state of a row of length 0."""

    def run_back(self, trace: Trace, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        g = super().run_back(trace, grad_y, grad_state)
        if trace.lengths is not None:
            g.h0[:, trace.lengths == 0] = 0
            g.c0[:, trace.lengths == 0] = 0
        return g


class OutputGradientWritten(CorrectLSTM):
    """Overwrites grad_y."""

    def run_back(self, trace: Trace, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        g = super().run_back(trace, grad_y, grad_state)
        grad_y[...] = 0
        return g


def x_in_buffer(lstm: Any, g: LSTMGradients) -> LSTMGradients:
    """The gradient of x in a buffer for each shape."""
    buffer = lstm.kept.get("x")
    if buffer is None or buffer.shape != g.x.shape:
        buffer = lstm.kept["x"] = g.x
    buffer[...] = g.x
    return replace(g, x=buffer)


FAULTS = (
    *GIVEN,
    *scaled(),
    *one_tensor(),
    *PATHS,
    gradients(
        "gradient-of-x-reversed",
        "the gradient of x is returned backwards in time",
        gradients_returned=gradients_of(("x",), lambda lstm, a: a[::-1].copy()),
    ),
    gradients(
        "gradients-in-tf32",
        "the gradient of x comes from operands rounded to TF32",
        input_gradient=lambda _, p, dz: np.asarray(np.matmul(tf32_rounded(dz), tf32_rounded(p.w_ih.T))),
        hint=False,
    ),
    *swaps(),
    peepholes(
        "peephole-gradients-swapped",
        "the gradients of the peepholes of i and f are swapped",
        gradients_returned=gradients_of(("peephole",), lambda lstm, a: a[[1, 0, 2]]),
    ),
    deep(
        "layers-gradients-in-wrong-order",
        "the upper layers' gradients are returned from the top down",
        gradients_returned=top_down,
    ),
    ragged(
        "padding-gradient-not-zero",
        "past a row's length the gradient of x is that of its last dz",
        input_gradient=stale_in_padding,
    ),
    ragged(
        "padding-gradient-reaches-state",
        "grad_y past a row's length is added to the gradient of its h",
        receded=padding_reaches_state,
    ),
    ragged(
        "empty-rows-gradient-missing",
        "a row of length 0 gives its initial state no gradient",
        needs=TRAINED | EMPTY_ROWS,
        base=EmptyRowsGradientMissing,
    ),
    gradients("output-gradient-written", "grad_y is overwritten with zeros", base=OutputGradientWritten, hint=False),
    gradients(
        "gradient-buffer-reused",
        "the gradient of x is a buffer of the instance, overwritten by the next call of the same shape",
        gradients_returned=x_in_buffer,
        hint=False,
    ),
)
