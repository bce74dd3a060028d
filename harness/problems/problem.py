"""One problem for a backend, with all its numbers, and problems derived from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lstm_parity.backends import DirectionWeights, LSTMSpec, LSTMState, LSTMWeights
from lstm_parity.backends.problem import Array

from .rows import take_rows
from .values import Inputs


@dataclass(frozen=True, eq=False)
class Problem:
    """A spec, weights and inputs. With inputs.grad_y it is a training step: forward(training=True), then backward."""

    spec: LSTMSpec
    weights: LSTMWeights
    inputs: Inputs
    regime: str = "spread"
    """How the numbers were drawn: see regimes.py."""

    @property
    def steps(self) -> int:
        """T."""
        return len(self.inputs.x)

    @property
    def batch(self) -> int:
        """B."""
        return int(self.inputs.x.shape[1])

    @property
    def training(self) -> bool:
        """Whether gradients are computed."""
        return self.inputs.grad_y is not None

    @property
    def lengths(self) -> Array:
        """Every row's length, int64 [B]."""
        return np.full(self.batch, self.steps) if self.inputs.lengths is None else self.inputs.lengths

    def describe(self) -> str:
        """The sizes and all features that are not the default, as in T=3 B=2 I=4 H=5, bidirectional, float16."""
        s = self.spec
        parts = [f"T={self.steps} B={self.batch} I={s.input_size} H={s.hidden_size}"]
        parts += [f"{s.num_layers} layers"] * (s.num_layers > 1) + ["bidirectional"] * s.bidirectional
        parts += [f"projection to {s.proj_size}"] * (s.proj_size > 0)
        parts += ["no bias"] * (not s.bias) + ["peepholes"] * s.peephole + ["training"] * self.training
        if self.inputs.lengths is not None:
            few = self.batch <= 8
            parts.append(f"lengths {self.inputs.lengths.tolist()}" if few else "different lengths")
        return ", ".join([*parts, s.precision, f"{self.regime} values"])

    def with_inputs(self, **arrays: object) -> Problem:
        """The same problem with some of the fields of its inputs replaced."""
        return replace(self, inputs=replace(self.inputs, **arrays))  # type: ignore[arg-type]

    def take_rows(self, rows: Sequence[int] | Array) -> Problem:
        """The rows of the batch in this order; any may be omitted or repeated."""
        return replace(self, inputs=take_rows(self.inputs, np.asarray(rows)))

    def first_rows_and_steps(self, rows: int, steps: int) -> Problem:
        """The longest `rows` rows and the first `steps` steps."""
        found = self.take_rows(np.argsort(-self.lengths, kind="stable")[:rows])
        if steps >= self.steps:
            return found
        i = found.inputs
        return found.with_inputs(
            x=i.x[:steps],
            lengths=None if i.lengths is None else np.minimum(i.lengths, steps),
            grad_y=None if i.grad_y is None else i.grad_y[:steps],
        )

    def inference(self) -> Problem:
        """The same without gradients."""
        return self.with_inputs(grad_y=None, grad_state=None)

    def with_weights(self, change: Callable[[DirectionWeights, int, int], DirectionWeights]) -> Problem:
        """The same with each direction's weights replaced by change(weights, layer, direction)."""
        layers = tuple(tuple(change(w, l, d) for d, w in enumerate(layer)) for l, layer in enumerate(self.weights.layers))
        return replace(self, weights=LSTMWeights(layers))

    def map_weights(self, change: Callable[[str, Array], Array]) -> Problem:
        """The same with change(name, float64 array) in place of each weight, in the storage dtype."""
        dtype = self.spec.dtype

        def changed(w: DirectionWeights, *_: int) -> DirectionWeights:
            return replace(w, **{n: change(n, np.asarray(a, np.float64)).astype(dtype) for n, a in w.items()})

        return self.with_weights(changed)

    def one_layer(self, layer: int, x: Array) -> Problem:
        """Layer `layer` alone, reading x [T, B, *]; forward only."""
        return self._part(self.weights.layers[layer], layer * self.spec.num_directions, x)

    def one_direction(self, direction: int) -> Problem:
        """One direction of a single layer as a forward LSTM on unchanged x; forward only."""
        return self._part((self.weights.layers[0][direction],), direction, self.inputs.x)

    def _part(self, layer: tuple[DirectionWeights, ...], first: int, x: Array) -> Problem:
        """One layer of these weights, with the states from index `first` on."""
        state, part = self.inputs.state, slice(first, first + len(layer))
        spec = replace(self.spec, num_layers=1, input_size=x.shape[2], bidirectional=len(layer) > 1)
        inputs = Inputs(x, LSTMState(state.h[part], state.c[part]), self.inputs.lengths)
        return replace(self, spec=spec, weights=LSTMWeights((layer,)), inputs=inputs)
