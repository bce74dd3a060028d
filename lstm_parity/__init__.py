"""LSTM backends behind one interface: verify that their numbers agree, and measure how fast they are.

Names are imported when they are first used (PEP 562), so that `lstm-parity --help` loads none of them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for True; to import typing costs a third of an empty Python
if TYPE_CHECKING:
    from typing import Any

    from .backends.interface import Capabilities as Capabilities
    from .backends.interface import LSTMBackend as LSTMBackend
    from .backends.interface import UnavailableError as UnavailableError
    from .backends.interface import UnsupportedError as UnsupportedError
    from .backends.problem import DirectionWeights as DirectionWeights
    from .backends.problem import LSTMGradients as LSTMGradients
    from .backends.problem import LSTMSpec as LSTMSpec
    from .backends.problem import LSTMState as LSTMState
    from .backends.problem import LSTMWeights as LSTMWeights
    from .backends.registry import backend_names as backend_names
    from .backends.registry import load_backend as load_backend
    from .backends.weights import load_weights as load_weights
    from .harness.api.duel import DuelResult as DuelResult
    from .harness.api.duel import duel as duel
    from .harness.api.sweep import sweep as sweep
    from .harness.api.verify import VerifyResult as VerifyResult
    from .harness.api.verify import verify as verify
    from .harness.errors import CallError as CallError
    from .harness.store import Store as Store
    from .harness.sweep.run import SweepResult as SweepResult

_HOME = {
    "CallError": "harness.errors",
    "Capabilities": "backends.interface",
    "DirectionWeights": "backends.problem",
    "DuelResult": "harness.api.duel",
    "LSTMBackend": "backends.interface",
    "LSTMGradients": "backends.problem",
    "LSTMSpec": "backends.problem",
    "LSTMState": "backends.problem",
    "LSTMWeights": "backends.problem",
    "Store": "harness.store",
    "SweepResult": "harness.sweep.run",
    "UnavailableError": "backends.interface",
    "UnsupportedError": "backends.interface",
    "VerifyResult": "harness.api.verify",
    "backend_names": "backends.registry",
    "duel": "harness.api.duel",
    "load_backend": "backends.registry",
    "load_weights": "backends.weights",
    "sweep": "harness.api.sweep",
    "verify": "harness.api.verify",
}
"""The module that defines each public name."""

__all__ = [
    "CallError",
    "Capabilities",
    "DirectionWeights",
    "DuelResult",
    "LSTMBackend",
    "LSTMGradients",
    "LSTMSpec",
    "LSTMState",
    "LSTMWeights",
    "Store",
    "SweepResult",
    "UnavailableError",
    "UnsupportedError",
    "VerifyResult",
    "backend_names",
    "duel",
    "load_backend",
    "load_weights",
    "sweep",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
