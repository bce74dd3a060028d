"""The control: a fixed workload that every run interleaves with its cells, so that two runs can be compared through it.

It is independent of every backend: a backend may get faster from one run to the next, the control must not. Runs of other
versions are compared through it, so neither its arithmetic nor its sizes may change; a better control is a new class.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lstm_parity.backends import Capabilities, LSTMBackend, LSTMSpec, LSTMState, LSTMWeights

from ..records import Cell

CONTROL_CELL = Cell.of(input_size=64, hidden_size=128, sequence_length=10, batch_size=8, cache="warm")
CONTROLS = {"cpu": "lstm_parity.harness.sweep.control:NumpyControl", "cuda": "lstm_parity.harness.sweep.control:CudaControl"}
"""Kind of device -> the control for it."""


class NumpyControl(LSTMBackend):
    """One layer, one direction, float32: two matrix products and the gates of each step in plain NumPy."""

    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        import numpy

        self._library: Any = numpy
        self._load(weights)

    def _load(self, weights: LSTMWeights) -> None:
        d = weights.layers[0][0]
        put = self._library.asarray
        assert d.b_ih is not None
        assert d.b_hh is not None
        self._w, self._u, self._b = put(d.w_ih.T.copy()), put(d.w_hh.T.copy()), put(d.b_ih + d.b_hh)

    def forward(self, x: Any, state: LSTMState, lengths: Any = None, training: bool = False) -> tuple[Any, LSTMState]:
        """See LSTMBackend: x [T, B, I], state.h and state.c [1, B, H]; returns y [T, B, H] and the final state."""
        m = self._library
        h, c = state.h[0], state.c[0]
        y = m.empty((*x.shape[:2], h.shape[1]), x.dtype)
        n = h.shape[1]
        for t in range(len(x)):
            z = x[t] @ self._w + h @ self._u + self._b
            i, f, o = (0.5 * m.tanh(0.5 * z[:, k * n : (k + 1) * n]) + 0.5 for k in (0, 1, 3))
            c = f * c + i * m.tanh(z[:, 2 * n : 3 * n])
            h = o * m.tanh(c)
            y[t] = h
        return y, LSTMState(h[None], c[None])


class CudaControl(NumpyControl):
    """The same arithmetic in CuPy, on the first CUDA device."""

    capabilities: ClassVar[Capabilities] = Capabilities(device="cuda")

    @classmethod
    def unavailable(cls) -> str | None:
        """Why it cannot run: no CuPy, or no device."""
        from importlib.util import find_spec

        from lstm_parity.backends.nvidia_driver import why_no_device

        return why_no_device() if find_spec("cupy") else "the extra cupy13 or cupy12 is not installed"

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        import cupy

        self._library = cupy
        self._load(weights)

    def to_device(self, array: Any) -> Any:
        """A CuPy array with the values of a host array."""
        return self._library.asarray(array)

    def to_host(self, array: Any) -> Any:
        """A host array with the values of a CuPy array."""
        return self._library.asnumpy(array)

    def synchronize(self) -> None:
        """Wait for the current stream."""
        self._library.cuda.get_current_stream().synchronize()
