"""Both backends with each plan forced, to verify and time it alone.

For example `lstm-parity verify lstm_parity.backends.cupy_raw.forced:StepwiseEmulated`.
"""

from __future__ import annotations

from .backend import CuPyRawLSTM, EmulatedLSTM


class Stepwise(CuPyRawLSTM):
    """cupy-raw, always with the stepwise plan."""

    path = "stepwise"


class Persistent(CuPyRawLSTM):
    """cupy-raw, always with the persistent plan; UnsupportedError for a problem that does not fit the device."""

    path = "persistent"


class StepwiseEmulated(EmulatedLSTM):
    """cupy-raw-emulated, always with the stepwise plan."""

    path = "stepwise"


class PersistentEmulated(EmulatedLSTM):
    """cupy-raw-emulated, always with the persistent plan."""

    path = "persistent"
