"""The two backends held to one plan each, to be verified and timed alone.

`lstm-parity verify lstm_parity.backends.cupy_raw.forced:Stepwise`, for one.
"""

from __future__ import annotations

from .backend import CuPyRawLSTM, EmulatedLSTM


class Stepwise(CuPyRawLSTM):
    """cupy-raw, always step by step."""

    path = "stepwise"


class Persistent(CuPyRawLSTM):
    """cupy-raw, always in one launch; a problem that does not fit the device is an UnsupportedError."""

    path = "persistent"


class StepwiseEmulated(EmulatedLSTM):
    """cupy-raw-emulated, always step by step."""

    path = "stepwise"


class PersistentEmulated(EmulatedLSTM):
    """cupy-raw-emulated, always in one launch."""

    path = "persistent"
