"""One LSTM, many ways to compute it. Everything named here is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .interface import Capabilities as Capabilities
    from .interface import LSTMBackend as LSTMBackend
    from .interface import UnavailableError as UnavailableError
    from .interface import UnsupportedError as UnsupportedError
    from .problem import DirectionWeights as DirectionWeights
    from .problem import LSTMGradients as LSTMGradients
    from .problem import LSTMSpec as LSTMSpec
    from .problem import LSTMState as LSTMState
    from .problem import LSTMWeights as LSTMWeights
    from .registry import backend_names as backend_names
    from .registry import load_backend as load_backend

_HOME = {
    "Capabilities": "interface",
    "DirectionWeights": "problem",
    "LSTMBackend": "interface",
    "LSTMGradients": "problem",
    "LSTMSpec": "problem",
    "LSTMState": "problem",
    "LSTMWeights": "problem",
    "UnavailableError": "interface",
    "UnsupportedError": "interface",
    "backend_names": "registry",
    "load_backend": "registry",
}

__all__ = [
    "Capabilities",
    "DirectionWeights",
    "LSTMBackend",
    "LSTMGradients",
    "LSTMSpec",
    "LSTMState",
    "LSTMWeights",
    "UnavailableError",
    "UnsupportedError",
    "backend_names",
    "load_backend",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
