"""The backend `numpy`: the reference's equations in each precision's own arithmetic.

float64 is computed in float64; all others in float32, with y, the states and h between two steps stored in the precision's
storage dtype. tf32 is plain float32, which satisfies it.
"""

from __future__ import annotations

import numpy as np

from .interface import Capabilities, LSTMBackend
from .numpy_reference import Trace, backward, forward
from .problem import STORAGE, Array, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights, validate_inputs


class NumpyLSTM(LSTMBackend):
    """Everything that LSTMSpec can say, on the CPU, in NumPy."""

    capabilities = Capabilities(
        precisions=frozenset(STORAGE),
        num_layers=None,
        bidirectional=True,
        projection=True,
        peephole=True,
        no_bias=True,
        lengths=True,
        zero_lengths=True,
        gradients=True,
    )

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        """Raises ValueError, naming the wrong field and its shape."""
        weights.validate(spec)
        compute = np.dtype(np.float64 if spec.precision == "float64" else np.float32)
        self._spec = spec
        self._dtypes = (compute, spec.dtype)
        self._weights = weights.astype(compute)
        self._trace: Trace | None = None

    def forward(
        self, x: Array, state: LSTMState, lengths: Array | None = None, training: bool = False
    ) -> tuple[Array, LSTMState]:
        """See LSTMBackend.forward. Raises ValueError for an argument of the wrong shape or dtype."""
        validate_inputs(self._spec, x, state, lengths)
        trace = Trace() if training else None
        result = forward(self._spec, self._weights, x, state, lengths, trace, *self._dtypes)
        self._trace = trace or self._trace  # an inference in between leaves the last training forward as it is
        return result

    def backward(self, grad_y: Array, grad_state: LSTMState) -> LSTMGradients:
        """See LSTMBackend.backward. Raises RuntimeError where no training forward came before."""
        if self._trace is None:
            raise RuntimeError("backward needs a forward(training=True) before it, one for each call")
        trace, self._trace = self._trace, None
        return backward(self._spec, self._weights, trace, grad_y, grad_state, *self._dtypes)
