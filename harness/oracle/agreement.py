"""Whether a backend's result agrees with the equations, for every kind of problem.

One layer, forward: the certificate, a bound that no right implementation passes. Stacks and gradients: the tolerance of Monte
Carlo arithmetic around the float64 reference. `Expected` computes the reference values of a problem once, for every backend.

Only some rows of the batch may be checked. All but the weights' gradients then cost in proportion to those rows; the weights'
gradients sum over the whole batch, and so does their reference. They may be compared as projections: see `project`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lstm_parity.backends import LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from ..problems.rows import last_outputs, take_rows
from ..problems.values import Inputs
from .certificate import certify
from .location import Location, Spot
from .results import FormError as FormError
from .results import Results as Results
from .results import named_tensors
from .tolerance import Tolerance, measure


@dataclass(frozen=True)
class Judgement:
    """Whether results agree with the equations, and how far they are off."""

    agrees: bool
    reason: str
    """Why they do not agree, in one line; "" if they do."""
    max_error: float
    """Largest |y - reference|; infinite for results of the wrong form."""
    error_bound_ratio: float
    """Largest error over its allowed error, of all tensors; 1 is the limit, infinite for results of the wrong form."""
    effective_bits: float | None = None
    """See audit.py; None for stacks, and where too few elements were measured."""
    first_wrong: Spot | None = None
    """The element that the reason is about; its index is into the checked rows."""


class Expected:
    """The reference values and tolerances of one problem, computed when first needed and then cached."""

    def __init__(
        self,
        spec: LSTMSpec,
        weights: LSTMWeights,
        inputs: Inputs,
        *,
        rows: Array | None = None,
        activation_ulps: float = 4,
        seed: int = 0,
    ) -> None:
        """inputs: of the whole batch; with grad_y and grad_state, gradients are judged too.

        rows: the rows [r] of the batch that the results consist of, None = all. seed: of the noise, and of `project`. The
        arrays passed here must not change while this object is used.
        """
        self.spec, self.weights, self.inputs = spec, weights, inputs
        self.rows = np.arange(inputs.x.shape[1]) if rows is None else np.asarray(rows)
        self.checked = inputs if rows is None else take_rows(inputs, self.rows)
        self.activation_ulps, self.seed = activation_ulps, seed
        self._tolerances: dict[float, dict[str, Tolerance]] = {}

    def tolerances(self, activation_ulps: float) -> dict[str, Tolerance]:
        """Tolerances by tensor name, for the checked rows; measured once for each activation_ulps."""
        if activation_ulps not in self._tolerances:
            found = measure(self.spec, self.weights, self.inputs, self.rows, activation_ulps, self.seed)
            self._tolerances[activation_ulps] = found
        return self._tolerances[activation_ulps]

    def judge(self, results: Results, activation_ulps: float | None = None) -> Judgement:
        """Whether the results agree. activation_ulps: replaces that of the constructor."""
        try:
            tensors = named_tensors(self.spec, self.weights, self.checked, results)
        except FormError as error:
            return Judgement(False, str(error), float("inf"), float("inf"))
        ulps = self.activation_ulps if activation_ulps is None else activation_ulps
        judgements = []
        if self.spec.num_layers == 1:
            judgements.append(self._certified(results, ulps))
            for name in ("y", "h_n", "c_n"):
                del tensors[name]
        judgements += [self._compare(name, array, self.tolerances(ulps)[name]) for name, array in tensors.items()]
        if self.spec.num_layers > 1:
            top = last_outputs(self.spec, self.checked, results.y)
            h_n = results.h_n[-len(top) :]
            judgements.append(self._compare("h_n of the last layer, against y,", h_n, Tolerance(top, np.zeros((1, 1, 1)))))
        first_wrong = next((j for j in judgements if not j.agrees), judgements[0])
        return replace(
            judgements[0],  # that of y
            agrees=first_wrong.agrees,
            reason=first_wrong.reason,
            first_wrong=first_wrong.first_wrong,
            error_bound_ratio=max(j.error_bound_ratio for j in judgements),
        )

    def _certified(self, results: Results, activation_ulps: float) -> Judgement:
        inputs, last = self.checked, LSTMState(results.h_n, results.c_n)
        found = certify(self.spec, self.weights, inputs.x, inputs.state, inputs.lengths, results.y, last, activation_ulps)
        bits = None if np.isnan(found.effective_bits) else found.effective_bits
        bad = None if found.first_bad is None else self._spot(found.first_bad)
        reason = "" if bad is None else str(bad)
        return Judgement(found.agrees, reason, found.max_error, found.error_bound_ratio, bits, bad)

    def _spot(self, bad: Location) -> Spot:
        where = [f"step {bad.step}"] if bad.quantity == "y" else []
        where += [f"row {self.rows[bad.row]}", f"unit {bad.unit}"]
        if self.spec.bidirectional:
            where.append(("forward", "reverse")[bad.direction] + " direction")
        index = (bad.direction, bad.row, bad.unit)
        if bad.quantity == "y":
            index = (bad.step, bad.row, bad.direction * self.spec.state_size + bad.unit)
        return Spot(bad.quantity, index, ", ".join(where), bad.got, bad.expected, bad.allowed)

    def _compare(self, name: str, array: Array, tolerance: Tolerance) -> Judgement:
        ratio, error = tolerance.ratios(array)
        highest = float(ratio.max())
        if highest <= 1:
            return Judgement(True, "", error, highest)
        first = tuple(int(i) for i in np.unravel_index(int((ratio > 1).argmax()), ratio.shape))
        got, expected = float(array[first]), float(tolerance.reference[first])
        allowed = float(np.broadcast_to(tolerance.allowed, ratio.shape)[first])
        spot = Spot(name, first, self._place(name, first), got, expected, allowed)
        return Judgement(False, str(spot), error, highest, first_wrong=spot)

    def _place(self, name: str, index: tuple[int, ...]) -> str:
        """An index of a tensor as text."""
        if name in ("y", "gradient of x"):
            return f"step {index[0]}, row {self.rows[index[1]]}, unit {index[2]}"
        if "layers[" in name:
            return f"index [{', '.join(map(str, index))}]"
        side = f"{('forward', 'reverse')[index[0] % 2]} direction, " if self.spec.bidirectional else ""
        layer = f"layer {index[0] // self.spec.num_directions}, " if "last layer" not in name else ""
        return f"{layer}{side}row {self.rows[index[1]]}, unit {index[2]}"
